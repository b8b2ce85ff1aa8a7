"""CSV files that others wrote: no row, column or value is lost or changed without an error that names the line."""

from __future__ import annotations

import datetime as dt
import gzip

import pytest

from mad_prefect_core import DataArtifact, DataArtifactQuery, asset
from mad_prefect_core.errors import CorruptFileError, MadPrefectError, OptionError
from mad_prefect_csv import ReadCSVOptions


@pytest.fixture
def read(base):
    """Names and types of the columns, and rows, of a file with this content."""

    async def read(content, sql=None, name="file.csv", **options):
        path = base / name
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        found = await DataArtifact(name, read_csv_options=ReadCSVOptions(**options)).query(sql)
        return dict(zip(found.columns, map(str, found.types), strict=True)), found.fetchall()

    return read


A, B = ["a", "b"], ["a", "b", "c"]

# content → the line that does not fit
MISFITS = {
    "header of 3, rows of 4": ("one,two,three\n1,2,3,4\n5,6,7,8\n", 2),
    "last row longer": ("a,b\n1,2\n3,4,5\n", 3),
    "last row longer, without an end": ("a,b\n1,2\n3,4,5", 3),
    "row names of R": ("a,b\nr1,1,2\nr2,3,4\n", 2),
    "a shorter row": ("a,b,c\n1,2,3\n3,4\n5,6,7\n", 3),
    "all rows shorter": ("a,b,c\n1,2\n3,4\n", 2),
    "a title above the names": ("Report\na,b\n1,2\n", 2),
    "a width that grows": (
        "a,b\n" + "".join(f"{i},{i}\n" if i < 1000 else f"{i},{i},{i}\n" for i in range(3000)),
        1002,
    ),
    "a width that grows after the sample": ("a,b\n" + "1,2\n" * 30_000 + "1,2,3\n", 30_002),
    "a semicolon for a comma": ("a,b\n1,2\n3;4\n", 3),
    "a quote that is not closed": ('a,b\n1,"x\n3,4\n', 2),
    "a quote within quotes": ('a,b\n1,"x"y\n3,4\n', 2),
    "a line of blanks": ("a,b\n1,2\n   \n3,4\n", 3),
    "a comment": ("a,b\n1,2\n# the end\n", 3),
}


@pytest.mark.parametrize(("content", "line"), MISFITS.values(), ids=MISFITS)
@pytest.mark.parametrize("name", ["file.csv", "file.csv.gz"])
async def test_a_csv_row_of_another_width_is_never_dropped(content, line, name, read):
    with pytest.raises(CorruptFileError, match=rf"line {line} .*") as raised:
        await read(content, name=name)
    assert "file.csv" in str(raised.value)
    assert raised.value.hint
    assert len(str(raised.value)) < 2000


async def test_a_line_that_does_not_fit_is_left_out_where_the_user_says_so(read):
    content = "a,b\n1,2\n3\n4,5,6\nx,8\n"
    assert (await read(content, ignore_errors=True))[1] == [("1", 2), ("x", 8)]
    assert (await read(content, store_rejects=True))[1] == [("1", 2), ("x", 8)]
    assert (await read("a,b\n1,2\n3\n", null_padding=True))[1] == [(1, 2), (3, None)]


async def test_bytes_that_are_no_utf_8_name_their_line_and_the_option(read):
    content = "a,b\n1,é\n".encode("latin-1")
    with pytest.raises(CorruptFileError, match=r"line 2 is not UTF-8.*`encoding`"):
        await read(content)
    assert (await read(content, encoding="latin-1"))[1] == [(1, "é")]


WHOLE = {
    "plain": ("a,b\n1,x\n", [(1, "x")]),
    "blank lines above": ("\n\r\na,b\n1,x\n", [(1, "x")]),
    "blank lines within and below": ("a,b\n1,x\n\n2,y\n\n\n", [(1, "x"), (2, "y")]),
    "a line for Excel": ("sep=;\na;b\n1;x\n", [(1, "x")]),
    "a line for Excel, with CRLF": ("sep=,\r\na,b\r\n1,x\r\n", [(1, "x")]),
    "semicolons": ("a;b\n1;x,y\n", [(1, "x,y")]),
    "tabs": ("a\tb\n1\tx,y;z\n", [(1, "x,y;z")]),
    "bars": ("a|b\n1|x\n", [(1, "x")]),
    "newlines in quotes": ('a,b\n1,"x\ny"\n2,"x\r\ny"\n', [(1, "x\ny"), (2, "x\r\ny")]),
    "CRLF": ("a,b\r\n1,x\r\n", [(1, "x")]),
    "CR": ("a,b\r1,x\r2,y\r", [(1, "x"), (2, "y")]),
    "CRLF and LF": ('a,b\r\n1,x\n2,"x\r\ny"\r\n', [(1, "x"), (2, "x\r\ny")]),
    "CR and LF": ("a,b\n1,x\r2,y\n", [(1, "x"), (2, "y")]),
    "BOM": ("\ufeffa,b\n1,x\n", [(1, "x")]),
    "BOM before quotes": ('\ufeff"a",b\n1,x\n', [(1, "x")]),
    "BOM before a line for Excel": ("\ufeffsep=;\na;b\n1;x\n", [(1, "x")]),
    "UTF-16": ("a,b\n1,😀\n".encode("utf-16"), [(1, "😀")]),
    "UTF-16, big end first": (b"\xfe\xff" + "a,b\n1,é\n".encode("utf-16-be"), [(1, "é")]),
    "UTF-32": ("a,b\n1,é\n".encode("utf-32"), [(1, "é")]),
    "NUL in a value": (b"a,b\n1,x\0y\n", [(1, "x\0y")]),
    "backslash before quotes": ('a,b\n1,"x \\"y\\", z"\n', [(1, 'x "y", z')]),
    "a backslash at the end of a value": ('a,b\n1,"C:\\"\n2,"x ""y"""\n', [(1, "C:\\"), (2, 'x "y"')]),
    "single quotes": ("a;b\n1;'x;y'\n", [(1, "x;y")]),
    "an apostrophe": ("a,b\n1,it's\n2,'t is\n", [(1, "it's"), (2, "'t is")]),
    "a quote within a value": ('a,b\n1,5" disk\n', [(1, '5" disk')]),
    "nothing and the empty text": ('a,b\n1,\n2,""\n"",x\n', [(1, None), (2, ""), (None, "x")]),
    "a comma at the end of each row": ("a,b\n1,x,\n2,y,\n", [(1, "x"), (2, "y")]),
    "no end": ("a,b\n1,x", [(1, "x")]),
}


@pytest.mark.parametrize(("content", "rows"), WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("name", ["file.csv", "file.csv.gz"])
async def test_a_csv_file_is_read_whole_however_it_is_written(content, rows, name, read):
    columns, found = await read(content, name=name)
    assert (columns, found) == ({"a": "BIGINT", "b": "VARCHAR"}, rows)


async def test_lines_that_end_otherwise_after_the_first_ones_are_read(read):
    content = "a,b\n" + "1,x\n" * 100_000 + "2,y\r\n3,z\r\n"
    assert (await read(content, "SELECT count(*), sum(a) FROM data"))[1] == [(100_002, 100_005)]


NAMES = {
    "one column": ("c0\nv0\na;b\n", ["c0"], 2),
    "one column, with a null": ("a\n1\n\n2\n", ["a"], 3),
    "header only": ("a,b\n", A, 0),
    "header only, without an end": ("a,b", A, 0),
    "names twice": ("a,A,a,\n1,2,3,4\n", ["a", "A_1", "a_2", "column3"], 1),
    "names with blanks around": ("a , b\n1,2\n", A, 1),
    "names in quotes over lines": ('"a\nb","c,d"\n1,2\n', ["a\nb", "c,d"], 1),
    "names that look like data": ("1,2020-01-01\n3,4\n", ["1", "2020-01-01"], 1),
    "long values": ("a,b\n" + "x" * 200_000 + ",2\n", A, 1),
    "a header longer than the head": (",".join("x" * 1000 + str(i) for i in range(300)) + "\n", None, 0),
}


@pytest.mark.parametrize(("content", "names", "count"), NAMES.values(), ids=NAMES)
async def test_the_first_line_has_the_names(content, names, count, read):
    columns, rows = await read(content)
    assert len(rows) == count
    assert list(columns) == (names or ["x" * 1000 + str(i) for i in range(300)])


async def test_an_empty_file_has_no_rows_and_adds_no_column(read, base):
    assert (await read(""))[1] == []
    (base / "empty.csv").write_text("\n")
    (base / "full.csv").write_text("a,b\n1,2\n")
    for names in (["empty.csv", "full.csv"], ["full.csv", "empty.csv", "file.csv"]):
        found = await DataArtifactQuery([DataArtifact(name) for name in names]).query()
        assert (found.columns, found.fetchall()) == (A, [(1, 2)])


@pytest.mark.parametrize("content", ["", "\n\n", "\r\n", "\ufeff", "\ufeff\n", "  \n"])
@pytest.mark.parametrize("name", ["none.csv", "none.csv.gz"])
async def test_a_yielded_file_of_blank_lines_adds_no_column(content, name, base):
    data = content.encode()
    (base / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

    @asset("result.parquet")
    def rows():
        yield DataArtifact(name)
        yield [{"x": 1}]

    found = await rows.query()
    assert (found.columns, found.fetchall()) == (["x"], [(1,)])


async def test_a_name_that_no_sql_can_write_is_refused(read):
    for content in (b"a\0,b\n1,2\n", '"a\rb",c\n1,2\n', "a,b\n1,2\n".encode("utf-16-le")):
        with pytest.raises(CorruptFileError, match="name of column 1 has a control character"):
            await read(content)


# -- types -----------------------------------------------------------------------------------------------------------

VALUES = {
    "2.5 and 007 far below integers": (["1"] * 50_000 + ["2.5", "007"], "VARCHAR"),
    "2.5 far below integers": (["1"] * 50_000 + ["2.5"], "DOUBLE"),
    "a date far below nothing": ([""] * 50_000 + ["2020-01-31"], "DATE"),
    "text far below dates": (["2020-01-31"] * 50_000 + ["soon"], "VARCHAR"),
    "a zone far below times without one": (["2020-01-31 12:00:00"] * 50_000 + ["2020-01-31 12:00:00Z"], "VARCHAR"),
    "an integer beyond 2**53 beside a fraction": (["9007199254740993", "2.5"], "VARCHAR"),
    "20 digits": (["18446744073709551616"], "VARCHAR"),
    "many digits": (["12345678901234567.89"], "VARCHAR"),
    "nanoseconds": (["2020-01-01T00:00:00.123456789"], "VARCHAR"),
    "infinities": (["inf", "-inf", "nan"], "VARCHAR"),
    "beyond a double": (["1e400"], "VARCHAR"),
    "ambiguous dates": (["01/02/20", "03/04/21"], "VARCHAR"),
    "short dates": (["10-1-1"], "VARCHAR"),
    "hexadecimal": (["0x1A"], "VARCHAR"),
    "letters": (["T", "F"], "VARCHAR"),
    "truth": (["True", "False"], "BOOLEAN"),
    "times": (["12:00:00"], "TIME"),
    "zones": (["2020-01-31T12:00:00+02:00"], "TIMESTAMP WITH TIME ZONE"),
    "identifiers": (["12345678-1234-5678-1234-567812345678"], "VARCHAR"),
}


@pytest.mark.parametrize(("values", "kind"), VALUES.values(), ids=VALUES)
async def test_every_value_of_a_column_decides_on_its_type(values, kind, read):
    columns, rows = await read("v,w\n" + "".join(f"{value},x\n" for value in values))
    assert columns["v"] == kind
    if kind == "VARCHAR":
        assert [value for value, _ in rows] == [value or None for value in values]
    else:
        assert sum(value is not None for value, _ in rows) == len([value for value in values if value])


async def test_a_value_unlike_the_sample_is_an_error_that_names_it(read):
    content = "id,v\n" + "x,1\n" * 5000 + "y,2.5\n"
    assert (await read(content))[0]["v"] == "DOUBLE"
    for value in ("2.5", "007", "1_000"):
        with pytest.raises(MadPrefectError, match=rf"column 'v'.*{value}.*types=") as raised:
            await read("id,v\n" + "x,1\n" * 5000 + f"y,{value}\n", sample_size=1000)
        assert raised.value.hint
    assert (await read(content, "SELECT count(*) FROM data", sample_size=1000))[1] == [(5001,)]


async def test_a_relation_over_a_file_that_has_changed_gives_no_other_value(read, base):
    (base / "file.csv").write_text("v\n1\n2\n")
    relation = await DataArtifact("file.csv").query()
    (base / "file.csv").write_text("v\n1\n2.5\n")
    with pytest.raises(MadPrefectError, match=r"column 'v'.*2\.5"):
        relation.fetchall()
    (base / "file.csv").write_text("v\n1\nx\n")  # of the size that it had
    assert (await DataArtifact("file.csv").query()).fetchall() == [("1",), ("x",)]


async def test_types_hold_for_all_files_together(base):
    (base / "a.csv").write_text("id,day,n\n1,2020-01-31,1\n")
    (base / "b.csv").write_text("n;id\n2.5;007\n")
    (base / "c.csv").write_text("N,day\n3,soon\n")
    found = await DataArtifactQuery([DataArtifact(f"{name}.csv") for name in "abc"]).query()
    assert dict(zip(found.columns, map(str, found.types), strict=True)) == {
        "id": "VARCHAR", "day": "VARCHAR", "n": "DOUBLE",
    }  # fmt: skip
    assert found.fetchall() == [("1", "2020-01-31", 1.0), ("007", None, 2.5), (None, "soon", 3.0)]


async def test_the_users_options_mean_what_they_mean_to_duckdb(read):
    content = "a,b\n1,2020-01-31\n"
    assert (await read(content, all_varchar=True))[0] == {"a": "VARCHAR", "b": "VARCHAR"}
    assert (await read(content, types={"A": "VARCHAR"}))[0] == {"a": "VARCHAR", "b": "DATE"}
    assert (await read(content, types=["DOUBLE"]))[0] == {"a": "DOUBLE", "b": "DATE"}
    assert (await read(content, columns={"x": "INTEGER", "y": "VARCHAR"})) == (
        {"x": "INTEGER", "y": "VARCHAR"},
        [(1, "2020-01-31")],
    )
    assert list((await read(content, column_names=["x"]))[0]) == ["x", "b"]
    assert (await read(content, header=False))[1] == [("a", "b"), ("1", "2020-01-31")]
    assert (await read("top\na,b\n1,x\n", skip=1))[1] == [(1, "x")]
    assert (await read("# top\na,b\n1,x\n", comment="#"))[1] == [(1, "x")]
    assert (await read("a||b\n1||x\n", sep="||"))[1] == [(1, "x")]
    assert (await read("a,b\nNULL,x\n1,\n", nullstr="NULL"))[1] == [(None, "x"), (1, "")]
    assert (await read("a,b\n31/01/2020,x\n", dateformat="%d/%m/%Y"))[1] == [(dt.date(2020, 1, 31), "x")]
    assert (await read("a;b\n1,5;x\n", decimal_separator=","))[1] == [(1.5, "x")]
    assert (await read(content, auto_type_candidates=["VARCHAR", "DATE"]))[0] == {"a": "VARCHAR", "b": "DATE"}
    assert (await read(content, filename=True))[1][0][2].endswith("file.csv")
    with pytest.raises(OptionError, match="'z', which is no column of the file"):
        await read(content, types={"z": "VARCHAR"})
    with pytest.raises(OptionError, match="3 names are given for columns, and the file has 2"):
        await read(content, column_names=["x", "y", "z"])


async def test_a_number_that_is_none_names_column_and_line_where_the_user_gave_the_type(read):
    with pytest.raises(CorruptFileError, match=r"line 3, column 'a': Could not convert string \"x\""):
        await read("a,b\n1,2\nx,3\n", types={"a": "BIGINT"})


# -- limits ----------------------------------------------------------------------------------------------------------


async def test_a_row_of_3_mb_is_read_and_one_beyond_the_limit_names_the_option(read):
    assert (await read("id,v\n1," + "x" * 3_000_000 + "\n", "SELECT length(v) FROM data"))[1] == [(3_000_000,)]
    with pytest.raises(CorruptFileError, match=r"longer than \d+ bytes.*`max_line_size`") as raised:
        await read("id,v\n1," + "x" * 3_000_000 + "\n", max_line_size=1 << 21)
    assert len(str(raised.value)) < 2000


async def test_an_asset_that_yields_a_csv_has_all_of_its_rows_or_fails(base):
    (base / "good.csv").write_text("a,b\n1,007\n2.5,x\n")
    (base / "bad.csv").write_text("a,b\n1,2\n3,4,5\n")

    @asset("good.parquet")
    def good():
        yield DataArtifact("good.csv")

    @asset("bad.parquet")
    def bad():
        yield DataArtifact("bad.csv")

    assert (await good.query()).fetchall() == [(1.0, "007"), (2.5, "x")]
    with pytest.raises(CorruptFileError, match="line 3 has 3 values"):
        await bad()


async def test_each_of_many_columns_has_the_type_of_its_own_values(read):
    kinds = {"BIGINT": "12", "DOUBLE": "2.5", "DATE": "2020-01-31", "BOOLEAN": "true", "VARCHAR": "007"}
    columns = {f"{kind} {number}": kind for number in range(60) for kind in kinds}
    later = {name: "2.5" if name == "BIGINT 7" else kinds[kind] for name, kind in columns.items()}
    lines = [[kinds[kind] for kind in columns.values()]] * 150 + [["" for _ in columns], list(later.values())]
    types, rows = await read("\n".join(map(",".join, [list(columns), *lines])))
    assert types == columns | {"BIGINT 7": "DOUBLE"}
    assert rows[0][:5] == (12, 2.5, dt.date(2020, 1, 31), True, "007")
    assert rows[-2] == (None,) * len(columns)


@pytest.mark.parametrize(
    "more", [{}, {"auto_detect": False, "header": True, "columns": dict.fromkeys("abc", "VARCHAR")}]
)
@pytest.mark.parametrize("forced", [["c"], ["b", "c"], ["a", "b", "c"]])
async def test_text_that_is_never_null_is_so_whichever_columns_a_query_asks_for(read, forced, more):
    content = "a,b,c\nx,x,x\n,,\n"
    _, rows = await read(content, force_not_null=forced, **more)
    assert rows[1] == tuple("" if name in forced else None for name in "abc")
    for place, name in enumerate("abc"):
        _, found = await read(content, f"SELECT {name} FROM data", force_not_null=forced, **more)
        assert found == [("x",), (rows[1][place],)]
