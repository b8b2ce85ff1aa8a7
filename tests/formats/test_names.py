"""Names that would break a reader which pastes them into SQL, patterns or text."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mad_prefect_core.assets import asset
from mad_prefect_core.errors import SchemaError
from mad_prefect_core.session import quote, schema_of

COLUMNS = [
    "a b", 'q"q', "q'q", "x.y", "select", "é😀", "a,b", "{x}", "$1", "$files", " lead", "new\nline", "tab\t", "%",
    "a;b", "null", "1", "[x]", "back\\slash", "CamelCase", "--", "/*", "filename", "source", "m0", "json", "ﬁ",
]  # fmt: skip
FILES = ["it's", 'say "hi"', "a b", "[ab]", "*", "?", "{x,y}", "$path", "é😀", "%20", "a;b", "--", "k=v", "#"]


def test_columns_of_any_name_come_back(format, export, scan, tmp_path):
    query = "SELECT " + ", ".join(f"{number} AS {quote(name)}" for number, name in enumerate(COLUMNS))
    schema = export(format, query, tmp_path / "file")
    found = scan(format, tmp_path / "file", schema=schema)
    assert found.columns == COLUMNS
    assert found.fetchall() == [tuple(range(len(COLUMNS)))]


def test_columns_of_any_name_come_back_where_their_values_need_another_form(format, export, scan, tmp_path):
    query = "SELECT " + ", ".join(f"[chr({65 + n})::BLOB] AS {quote(name)}" for n, name in enumerate(COLUMNS))
    schema = export(format, query, tmp_path / "file")
    found = scan(format, tmp_path / "file", schema=schema)
    assert schema_of(found) == schema
    assert found.fetchall() == [tuple([chr(65 + n).encode()] for n in range(len(COLUMNS)))]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_any_name_is_read_alone(name, format, export, scan, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    for other in ("a", "b", "x", "ab", "no"):
        (tmp_path / other).mkdir(exist_ok=True)
        export(format, "SELECT 0 AS v", tmp_path / other / f"{other}{format.suffixes[0]}")
    path = folder / f"{name}{format.suffixes[0]}"
    schema = export(format, "SELECT 1 AS v", path)
    assert scan(format, path, schema=schema).fetchall() == [(1,)]
    assert scan(format, path, hive_partitioning=False).fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("names", "reason"), [(["ID", "id"], "The columns 'ID' and 'id'"), ([""], "A column has no name")]
)
@pytest.mark.parametrize("columnar", [False, True])
async def test_columns_that_a_reader_could_not_tell_apart_never_reach_a_format(columnar, names, reason, format, base):
    @asset(f"x{format.suffixes[0]}", artifact_filetype=format.name)
    async def twins():
        rows = [dict.fromkeys(names, 1)]
        return pa.Table.from_pylist(rows) if columnar else rows

    with pytest.raises(SchemaError, match=reason):
        await twins()
    assert not (base / f"x{format.suffixes[0]}").exists()


async def test_folders_whose_keys_differ_in_case_alone_make_one_column(format, base):
    @asset(f"x{format.suffixes[0]}", artifacts_dir="year=2024/Year=2025", artifact_filetype=format.name)
    async def dated():
        return [{"a": 1}]

    relation = await (await dated()).query()
    assert (relation.columns, relation.fetchall()) == (["a", "year"], [(1, 2024)])
