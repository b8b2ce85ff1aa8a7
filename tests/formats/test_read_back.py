"""Assets whose write options, or read options, would mislead a reader of the files that their runs write."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from mad_prefect_core.artifacts import DataArtifact
from mad_prefect_core.assets import asset
from mad_prefect_core.errors import OptionError
from mad_prefect_csv import ReadCSVOptions, WriteCSVOptions
from mad_prefect_json import ReadJsonOptions
from mad_prefect_parquet import ReadParquetOptions

ROWS = [
    {
        "id": 1,
        "text": "a;b,'c'\t|\n",
        "none": None,
        "day": dt.date(2024, 12, 31),
        "list": ["x;y", None],
        "raw": b"\xff",
    },
    {"id": 2, "text": "", "none": None, "day": None, "list": [], "raw": b"a"},
    {"id": 3, "text": "-", "none": None, "day": dt.date(2025, 1, 2), "list": None, "raw": None},
    {"id": None, "text": None, "none": None, "day": None, "list": None, "raw": None},
]
DIALECTS = {
    "semicolon": {"delim": ";"},
    "tab": {"delim": "\t"},
    "two characters": {"delim": "||"},
    "no header": {"header": False},
    "null": {"nullstr": "-"},
    "null that looks like a number": {"nullstr": "1"},
    "quote": {"quote": "'", "escape": "\\"},
    "all": {"delim": ";", "header": False, "nullstr": "NULL", "quote": "'", "escape": "'"},
}
READING = {
    "another dialect": [ReadCSVOptions(sep="|", null="2", quote="'", escape="\\", header=False, skip=1)],
    "another text": [
        ReadCSVOptions(timestamp_format="%Y", dateformat="%d/%m/%Y", decimal_separator=",", comment="a"),
        ReadJsonOptions(timestampformat="%Y", dateformat="%d/%m/%Y", ignore_errors=True),
    ],
    "another compression": [ReadCSVOptions(compression="gzip"), ReadJsonOptions(compression="gzip")],
    "another encoding": [ReadCSVOptions(encoding="utf-16"), ReadParquetOptions(binary_as_string=True)],
    "columns and paths": [
        ReadCSVOptions(filename=True, normalize_names=True, force_not_null=["text"]),
        ReadJsonOptions(filename=True, format="array"),
        ReadParquetOptions(filename=True),
    ],
}


async def stored(path, filetype, *, data=ROWS, **options):
    """What a query gives of the result of a run, and of the same result as a later call finds it in the cache."""
    calls = []

    @asset(path, artifact_filetype=filetype, cache_expiration=dt.timedelta(days=1), **options)
    async def numbers():
        calls.append(1)
        for row in data:
            yield [row]
        yield data

    found = []
    for artifact in [await numbers(), await numbers()]:
        relation = await artifact.query()
        found.append([dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()])
    assert len(calls) == 1
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize(
    ("path", "filetype"),
    [("x.csv", "csv"), ("x.parquet", "csv"), ("x.csv", "parquet"), ("x.json", "csv"), ("x.csv", "json"),
     ("x.tsv.gz", "csv"), ("x.csv.zst", None)],
)  # fmt: skip
async def test_what_a_run_writes_in_a_dialect_comes_back(path, filetype, dialect, base):
    assert await stored(path, filetype, write_options=WriteCSVOptions(**dialect)) == [*ROWS, *ROWS]


@pytest.mark.parametrize("reading", READING.values(), ids=READING)
@pytest.mark.parametrize("filetype", ["csv", "json", "parquet"])
@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
@pytest.mark.filterwarnings("ignore::mad_prefect_core.errors.OptionWarning")
async def test_options_for_files_of_others_do_not_spoil_those_of_a_run(suffix, filetype, reading, base):
    writing = WriteCSVOptions(delim=";") if "csv" in (suffix, filetype) else None
    options = {"read_options": reading, "write_options": writing}
    if any(type(option).__name__.lower() == f"read{filetype}options" for option in reading):
        with pytest.raises(OptionError, match="would do nothing to rows"):
            await stored(f"x.{suffix}", filetype, **options)
    else:
        assert await stored(f"x.{suffix}", filetype, **options) == [*ROWS, *ROWS]


async def test_columns_of_a_dialect_come_back(base):
    table = pa.Table.from_pylist(ROWS, pa.schema({"text": pa.string(), "list": pa.list_(pa.string())}))
    options = WriteCSVOptions(delim=";", quote="'", escape="'", header=False)
    found = await stored("x.csv", "csv", data=[table], write_options=options)
    assert found == table.to_pylist() * 2


async def test_an_artifact_reads_back_what_it_wrote_and_what_others_wrote_as_it_is_told(base):
    (base / "other.csv").write_text("a|b\n1|2\n")
    options = {"write_options": WriteCSVOptions(delim=";"), "read_csv_options": ReadCSVOptions(delim="|")}
    own = DataArtifact("own.csv", [{"a": 1, "b": "x;|"}], write_options=options["write_options"])
    await own.persist()
    assert (base / "own.csv").read_text() == 'a;b\n1;"x;|"\n'
    assert (await own.query()).fetchall() == [(1, "x;|")]
    assert (await DataArtifact("other.csv", **options).query()).fetchall() == [(1, 2)]


@pytest.mark.parametrize(
    ("filetype", "reading"),
    [
        ("json", ReadJsonOptions(columns={"at": "DATE"}, dateformat="%d/%m/%Y")),
        ("csv", ReadCSVOptions(columns={"at": "DATE"}, dateformat="%d/%m/%Y")),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
async def test_text_whose_type_and_spelling_the_user_named_is_taken_for_that(suffix, filetype, reading, base):
    rows = [{"id": 1, "at": "31/12/2024"}, {"id": 2, "at": "01/02/2025"}]
    writing = WriteCSVOptions(delim=";") if "csv" in (suffix, filetype) else None
    found = await stored(f"x.{suffix}", filetype, data=rows, read_options=reading, write_options=writing)
    assert [row["at"] for row in found] == [dt.date(2024, 12, 31), dt.date(2025, 2, 1)] * 2


@pytest.mark.parametrize(
    ("filetype", "reading"),
    [("json", ReadJsonOptions(maximum_object_size=1 << 26)), ("csv", ReadCSVOptions(max_line_size=1 << 26))],
)
async def test_a_row_may_be_as_long_as_the_user_says(filetype, reading, base):
    rows = [{"long": "x" * (40 << 20)}]

    @asset(f"x.{filetype}", artifact_filetype=filetype, read_options=reading)
    def long():
        return rows

    assert (await (await long()).query("SELECT length(long)")).fetchall() == [(40 << 20,)]


@pytest.mark.parametrize("value", ["x", b"\xff", dt.date(2024, 1, 2), 1.5, ["x"], {"a": b"\xff"}])
@pytest.mark.parametrize("filetype", ["csv", "json", "parquet"])
async def test_a_column_without_values_in_one_batch_does_not_spoil_those_of_others(filetype, value, base):
    rows = [{"v": None}, {"v": value}, {"v": None}]
    assert await stored("x.parquet|csv", filetype, data=rows) == rows * 2
