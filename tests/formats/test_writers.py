"""Batches through each format's writer."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mad_prefect_core.batch import ColumnBatch, RowBatch
from mad_prefect_core.errors import UnsupportedValueError
from mad_prefect_core.writing import duckdb_schema

MICROSECOND = dt.timedelta(microseconds=1)

VALUES = {
    "bool": st.booleans(),
    "bytes": st.binary(max_size=8),
    "date": st.dates(),
    "decimal": st.decimals(-(10**20), 10**20, places=5),
    "float": st.floats(),
    "int": st.integers(-(2**63), 2**64 - 1),
    "naive": st.datetimes(),
    "text": st.text(max_size=8),
    "time": st.times(),
    "aware": st.datetimes(
        dt.datetime(100, 1, 1), dt.datetime(9000, 1, 1),
        timezones=st.sampled_from([ZoneInfo("UTC"), ZoneInfo("America/New_York"), ZoneInfo("Africa/Monrovia")]),
    ).filter(lambda value: value.fold == 0),
    "uuid": st.uuids(),
}  # fmt: skip
DURATIONS = st.timedeltas(dt.timedelta(days=-100_000), dt.timedelta(days=100_000))
NESTED = st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})
ROWS = st.lists(
    st.fixed_dictionaries(
        {name: st.none() | values for name, values in VALUES.items()}
        | {"dict": st.none() | NESTED, "list": st.none() | st.lists(NESTED | st.none(), max_size=2)}
        | {"floats": st.none() | st.lists(st.none() | st.floats(), max_size=3)}
    ),
    min_size=1,
    max_size=4,
)


def comparable(value):
    """NaN equals itself, a number whatever its type, an instant in whatever zone."""
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    if isinstance(value, float):
        return "nan" if value != value else value
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC)
    return value


def write(format, session, path, *batches, suffix=None, **options):
    writer = format.writer(session, path, format.write_options(**options), suffix=suffix or format.suffixes[0])
    for batch in batches:
        writer.write(batch)
    writer.close()


def read(relation):
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


@given(rows=ROWS)
@settings(deadline=None, max_examples=60)
@pytest.mark.parametrize("name", ["json", "parquet", "csv", "avro"])
def test_python_rows_come_back_exactly(name, rows, formats, session, scan, folder):
    batch = RowBatch(rows)
    schema = duckdb_schema(session, batch.schema)
    write(formats[name], session, folder / "rows", batch)
    found = scan(formats[name], folder / "rows", schema=schema)
    assert comparable(read(found)) == comparable(rows)


@given(values=st.lists(DURATIONS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("name", ["json", "csv"])
def test_durations_come_back_exactly(name, values, formats, session, scan, folder):
    batch = RowBatch([{"v": value, "l": [value, None]} for value in values])
    write(formats[name], session, folder / "durations", batch)
    found = scan(formats[name], folder / "durations", schema=duckdb_schema(session, batch.schema))
    assert read(found) == batch.rows()


def test_durations_that_parquet_has_come_back_and_others_are_refused(formats, session, scan, tmp_path):
    batch = RowBatch([{"v": dt.timedelta(days=1, milliseconds=5)}])
    write(formats["parquet"], session, tmp_path / "file", batch)
    assert (
        read(scan(formats["parquet"], tmp_path / "file", schema=duckdb_schema(session, batch.schema))) == batch.rows()
    )
    for wrong in (-dt.timedelta(days=1), MICROSECOND):
        with pytest.raises(UnsupportedValueError, match="Parquet can't hold the INTERVAL") as caught:
            write(formats["parquet"], session, tmp_path / "file", RowBatch([{"v": wrong}]))
        assert caught.value.column == "v"


TEXT = st.none() | st.text(max_size=6)
TABLES = st.lists(
    st.fixed_dictionaries(
        {
            "text": TEXT,
            "texts": st.none() | st.lists(TEXT, max_size=3),
            "map": st.none() | st.dictionaries(st.text(max_size=4), TEXT, max_size=2).map(lambda d: [*d.items()]),
            "struct": st.none() | st.fixed_dictionaries({"a b": TEXT, "x": st.none() | st.binary(max_size=4)}),
            "blob": st.none() | st.binary(max_size=6),
            "single": st.none() | st.floats(width=32),
            "doubles": st.none() | st.lists(st.none() | st.floats(), max_size=3),
        }
    ),
    max_size=4,
)
ARROW = pa.schema(
    {
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "map": pa.map_(pa.string(), pa.string()),
        "struct": pa.struct({"a b": pa.string(), "x": pa.binary()}),
        "blob": pa.binary(),
        "single": pa.float32(),
        "doubles": pa.list_(pa.float64()),
    }
)


@given(rows=TABLES)
@settings(deadline=None, max_examples=100)
@pytest.mark.parametrize("name", ["json", "parquet", "csv", "avro"])
def test_arrow_columns_come_back_exactly(name, rows, formats, session, scan, folder):
    table = pa.Table.from_pylist(rows, ARROW)
    schema = duckdb_schema(session, ARROW)
    write(formats[name], session, folder / "columns", ColumnBatch(table))
    found = scan(formats[name], folder / "columns", schema=schema).to_arrow_table()
    assert comparable(found.to_pylist()) == comparable(table.to_pylist())


def test_a_batch_may_bring_drop_and_widen_columns(format, session, scan, tmp_path):
    batches = [
        RowBatch([{"a": 1, "b": "x"}]),
        RowBatch([{"c": [1.5], "a": 2**63}]),
        ColumnBatch(pa.table({"b": ["y", None], "d": [b"\xff", None]})),
    ]
    write(format, session, tmp_path / "file", *batches)
    schema = {"a": "DECIMAL(20,0)", "b": "VARCHAR", "c": "DOUBLE[]", "d": "BLOB"}
    assert read(scan(format, tmp_path / "file", schema=schema)) == [
        {"a": Decimal(1), "b": "x", "c": None, "d": None},
        {"a": Decimal(2**63), "b": None, "c": [1.5], "d": None},
        {"a": None, "b": "y", "c": None, "d": b"\xff"},
        {"a": None, "b": None, "c": None, "d": None},
    ]


def test_every_suffix_is_written_and_read_in_its_compression_and_dialect(format, session, scan, tmp_path):
    magic = {"gz": b"\x1f\x8b", "zst": b"\x28\xb5\x2f\xfd"}
    batches = [RowBatch([{"a": 1, "b": "x\ty"}]), ColumnBatch(pa.table({"a": [2], "b": [","]}))]
    for suffix in format.suffixes:
        staged = tmp_path / "staged"  # a storage stages files under names that say nothing
        write(format, session, staged, *batches, suffix=suffix)
        beginning = magic.get(suffix.rpartition(".")[2], b"")
        assert staged.read_bytes().startswith(beginning)
        for path in (staged, staged.with_name(f"file{suffix}")):
            staged = staged.rename(path)
            for schema in ({"a": "BIGINT", "b": "VARCHAR"}, None):
                assert scan(format, path, suffix=suffix, schema=schema).fetchall() == [(1, "x\ty"), (2, ",")]


def test_an_aborted_writer_leaves_no_file(format, session, tmp_path):
    writer = format.writer(session, tmp_path / "file", format.write_options(), suffix=format.suffixes[0])
    writer.write(RowBatch([{"a": 1}]))
    writer.write(ColumnBatch(pa.table({"a": [2]})))
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_csv_dialect_holds_for_all_batches(formats, session, scan, tmp_path):
    options = {"delim": ";", "nullstr": "-", "quote": "'", "escape": "'", "header": False}
    batches = [RowBatch([{"a": "x;'y", "b": None}]), RowBatch([{"a": "", "b": 1.5}])]
    write(formats["csv"], session, tmp_path / "file.csv", *batches, **options)
    assert (tmp_path / "file.csv").read_text() == "'x;''y';-\n;1.5\n"
    found = scan(formats["csv"], tmp_path / "file.csv", schema={"a": "VARCHAR", "b": "DOUBLE"}, **options)
    assert found.fetchall() == [("x;'y", None), ("", 1.5)]


@pytest.mark.parametrize("codec", ["brotli", "gzip", "lz4_raw", "snappy", "uncompressed", "zstd"])
def test_parquet_is_written_with_the_codec_and_row_groups_asked_for(codec, formats, session, tmp_path):
    batch = ColumnBatch(pa.table({"a": range(5000)}))
    write(formats["parquet"], session, tmp_path / "file", batch, compression=codec, row_group_size=2048)
    found = session.sql("FROM parquet_metadata($path)", {"path": str(tmp_path / "file")})
    groups = found.project("compression, row_group_num_rows").fetchall()
    assert {name.lower() for name, _ in groups} == {codec}
    assert sum(rows for _, rows in groups) == 5000
    assert len(groups) > 1


def test_json_of_rows_and_of_columns_is_json_to_any_parser(formats, session, tmp_path):
    values = {
        "nan": float("nan"),
        "inf": [float("inf")],
        "blob": b"\x00\xff",
        "wide": Decimal("12345678901234.567"),
        "at": {"f": 0.5},
    }
    texts = {"nan": "NaN", "inf": ["Infinity"], "blob": "AP8=", "wide": "12345678901234.567", "at": {"f": 0.5}}
    batches = [RowBatch([values]), ColumnBatch(pa.Table.from_pylist([values]))]
    write(formats["json"], session, tmp_path / "file", *batches)

    def refuse(constant):
        raise AssertionError(constant)

    lines = (tmp_path / "file").read_text().splitlines()
    assert [json.loads(line, parse_constant=refuse) for line in lines] == [texts, texts]


def test_a_column_whose_type_the_user_named_may_hold_a_mix(formats, session, scan, tmp_path):
    identity = uuid.UUID(int=1)
    mix = [1, 2**80, "x", [float("nan"), {"d": dt.timedelta(hours=-1)}], identity, None]
    batch = RowBatch([{"v": value} for value in mix], declared=["v"])
    write(formats["json"], session, tmp_path / "file", batch)
    found = scan(formats["json"], tmp_path / "file", schema={"v": "JSON"}).fetchall()
    assert [value and json.loads(value) for (value,) in found] == [
        1, 2**80, "x", ["NaN", {"d": "-1 days 23:00:00"}], str(identity), None,
    ]  # fmt: skip
