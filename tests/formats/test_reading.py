"""Files that somebody else wrote."""

from __future__ import annotations

import datetime as dt

import pytest

from mad_prefect_core.contracts import ReadContext
from mad_prefect_core.paths import escape_glob
from mad_prefect_core.session import DuckSession, schema_of


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


JSON_FORMS = {
    "array": '[{"a": 1, "b": "x"}, {"a": 2}]',
    "array over lines": '[\n {"a": 1,\n "b": "x"},\n {"a": 2}\n]',
    "byte order mark": '\ufeff{"a": 1, "b": "x"}\n{"a": 2}',
    "newline-delimited": '{"a":1,"b":"x"}\n{"a":2}\n',
    "newline-delimited, CRLF": '{"a":1,"b":"x"}\r\n{"a":2}\r\n',
    "objects over lines": '{"a": 1,\n "b": "x"}\n{"a": 2}\n',
}


@pytest.mark.parametrize("content", JSON_FORMS.values(), ids=JSON_FORMS)
def test_json_is_read_in_whatever_form(content, formats, scan, tmp_path):
    path = text(tmp_path / "file.json", content)
    assert scan(formats["json"], path).fetchall() == [(1, "x"), (2, None)]
    assert scan(formats["json"], path, schema={"b": "VARCHAR", "a": "DOUBLE"}).fetchall() == [("x", 1.0), (None, 2.0)]


def test_one_json_object_is_one_row(formats, scan, tmp_path):
    path = text(tmp_path / "file.json", '{\n  "a": 1,\n  "b": {"c": []}\n}')
    assert scan(formats["json"], path).columns == ["a", "b"]
    assert scan(formats["json"], path, schema={"a": "BIGINT"}).fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("name", "content"), [("json", ""), ("json", "[]"), ("json", " \n"), ("csv", ""), ("csv", "a\n")]
)
def test_a_file_without_rows_gives_none(name, content, formats, scan, tmp_path):
    path = text(tmp_path / f"file.{name}", content)
    assert scan(formats[name], path).fetchall() == []
    found = scan(formats[name], path, schema={"a": "DATE"})
    assert (schema_of(found), found.fetchall()) == ({"a": "DATE"}, [])


AS_INFERRED = {
    "a key like a name made of another": '{"a": 1, "a_1": 2}',
    "a key without a name": '{"": 1, "b": 2}',
    "no objects": "[1, 2, 3]",
    "dates that come late": '{"a": 1}\n' * 150 + '{"a": 1, "d": "2020-12-31"}',
    "dates of ISO": '{"d": "2020-12-31", "t": "2020-12-31T10:11:12Z", "s": {"l": ["2020-12-31 10:11:12.5", null]}}',
    "everything else": '{"i": 1, "f": 0.5, "u": "01234567-89ab-cdef-0123-456789abcdef",'
    ' "o": "10:11:12", "x": [], "y": {}, "z": null, "m": [1, "a"]}',
}


@pytest.mark.parametrize("content", AS_INFERRED.values(), ids=AS_INFERRED)
def test_json_without_a_schema_is_what_duckdb_infers(content, formats, scan, session, tmp_path):
    path = text(tmp_path / "file.json", content)
    inferred = session.sql(
        "FROM read_json($path, sample_size = -1, map_inference_threshold = -1, field_appearance_threshold = 0)",
        {"path": str(path)},
    )
    found = scan(formats["json"], path)
    assert (schema_of(found), found.fetchall()) == (schema_of(inferred), inferred.fetchall())


def test_json_whose_types_tell_all_is_not_inferred_again_when_it_is_read(formats, scan, tmp_path):
    path = text(tmp_path / "file.json", '{"d": "2020-12-31", "s": {"l": ["2020-12-31 10:11:12"]}}')
    found = scan(formats["json"], path)
    path.write_text('{"d": "2020-12-31", "s": {"l": []}, "more": 1}')  # of which a second look would tell
    assert found.fetchall() == [(dt.date(2020, 12, 31), {"l": []})]


def test_json_columns_name_some_types_and_the_others_are_inferred(formats, scan, tmp_path):
    path = text(tmp_path / "file.json", '{"a": 1, "b": "2024-01-02", "c": "2024-01-02"}')
    found = scan(formats["json"], path, columns={"a": "VARCHAR", "c": "VARCHAR", "absent": "DATE"}, filename=True)
    assert schema_of(found) | {"filename": ""} == {
        "a": "VARCHAR", "b": "DATE", "c": "VARCHAR", "filename": "",
    }  # fmt: skip
    assert found.project("a, b, c").fetchall() == [("1", dt.date(2024, 1, 2), "2024-01-02")]


def test_json_options_for_parsing_hold_with_a_schema(formats, scan, tmp_path):
    path = text(tmp_path / "file.json", '{"d": "31/12/2024"}\n{"d": "31/12/2024"\n{"d": "1/1/2025"}\n')
    found = scan(formats["json"], path, schema={"d": "DATE"}, dateformat="%d/%m/%Y", ignore_errors=True)
    assert [row for row in found.fetchall() if row[0]] == [(dt.date(2024, 12, 31),), (dt.date(2025, 1, 1),)]


def test_csv_options_for_parsing_hold_with_a_schema(formats, scan, tmp_path):
    path = text(tmp_path / "file.csv", "# top\nd;n;t\n31/12/2024;1,5;'a;b'\n-;-;''\n")
    found = scan(
        formats["csv"], path, schema={"d": "DATE", "n": "DOUBLE", "t": "VARCHAR"},
        sep=";", null="-", dateformat="%d/%m/%Y", decimal_separator=",", quote="'", comment="#",
    )  # fmt: skip
    assert found.fetchall() == [(dt.date(2024, 12, 31), 1.5, "a;b"), (None, None, "")]


@pytest.mark.parametrize("option", ["types", "dtypes", "column_types"])
@pytest.mark.parametrize("value", [{"a": "VARCHAR"}, ["VARCHAR", "DOUBLE"]])
def test_the_names_that_csv_types_had_still_work(option, value, formats, scan, tmp_path):
    path = text(tmp_path / "file.csv", "a,b\n1,2\n")
    assert scan(formats["csv"], path, **{option: value}).types[0] == "VARCHAR"


@pytest.mark.parametrize(
    "options",
    [
        {"column_names": ["x", "y"], "header": False, "skip": 1},
        {"null": ["1"], "timestamp_format": "%Y", "rfc_4180": True},
        {"nullstr": "1", "timestampformat": "%Y", "sample_size": -1, "parallel": False},
        {"columns": {"a": "VARCHAR", "b": "DOUBLE"}},
        {"all_varchar": True, "auto_type_candidates": ["BIGINT", "VARCHAR"], "filename": True},
        {"encoding": "utf-8", "new_line": "\\n", "escape": '"', "null_padding": True, "normalize_names": True},
        {"force_not_null": ["b"], "buffer_size": 1 << 26, "max_line_size": 1 << 22, "compression": "uncompressed"},
        {
            "store_rejects": True,
            "rejects_table": "r1",
            "rejects_scan": "r2",
            "rejects_limit": 5,
            "union_by_name": False,
        },
    ],
)
def test_every_csv_option_of_the_old_package_is_taken(options, formats, session, scan, tmp_path):
    path = text(tmp_path / "file.csv", "a,b\n1,2\n")
    assert len(scan(formats["csv"], path, **options).fetchall()) == 1


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("x.parquet", False),
        ("_artifacts/asset=a/0123456789abcdef0123456789abcdef/x.parquet.run", True),
        ("_artifacts/asset=a/0123456789abcdef0123456789abcdef/x.parquet", False),
    ],
)
def test_only_the_footer_of_a_file_that_nobody_writes_again_is_kept(name, kept, formats, tmp_path):
    format, path = formats["parquet"], text(tmp_path / name, b"")
    with DuckSession() as session:
        session.execute("COPY (SELECT 1 AS a) TO $path (FORMAT parquet)", {"path": str(path)})
        context = ReadContext(session=session, options=format.read_options(), suffix=".parquet")
        found = format.read(escape_glob(str(path)), context)
        assert found.project("a").fetchall() == [(1,)]
        assert session.sql("SELECT current_setting('parquet_metadata_cache')").fetchall() == [(kept,)]
