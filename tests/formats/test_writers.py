"""Batches through each format's writer."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import uuid
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from mad_prefect_core.batch import ColumnBatch, RowBatch
from mad_prefect_core.contracts import WriteContext
from mad_prefect_core.errors import UnsupportedValueError
from mad_prefect_core.writing import writer_of
from mad_prefect_csv import CsvFormat


def write(format, session, path, *batches, suffix=None, **options):
    suffix = suffix or format.suffixes[0]
    context = WriteContext(session=session, options=format.write_options(**options), suffix=suffix)
    writer = writer_of(format, path, context)
    for batch in batches:
        writer.write(batch)
    writer.close()


def test_durations_that_parquet_has_come_back_and_others_are_refused(formats, session, scan, tmp_path):
    parquet, duration = formats["parquet"], dt.timedelta(days=1, milliseconds=5)
    write(parquet, session, tmp_path / "file", RowBatch([{"v": duration}]))
    assert scan(parquet, tmp_path / "file", schema={"v": "INTERVAL"}).fetchall() == [(duration,)]
    for wrong in (-dt.timedelta(days=1), dt.timedelta(microseconds=1)):
        with pytest.raises(UnsupportedValueError, match="Parquet can't hold the INTERVAL") as caught:
            write(parquet, session, tmp_path / "file", RowBatch([{"v": wrong}]))
        assert caught.value.column == "v"


def test_a_later_batch_may_bring_a_nested_column(format, session, scan, tmp_path):
    batches = [RowBatch([{"a": 1}]), RowBatch([{"c": [1.5]}]), ColumnBatch(pa.table({"s": [{"x": b"\xff"}]}))]
    write(format, session, tmp_path / "file", *batches)
    found = scan(format, tmp_path / "file", schema={"a": "BIGINT", "c": "DOUBLE[]", "s": "STRUCT(x BLOB)"})
    assert found.fetchall() == [(1, None, None), (None, [1.5], None), (None, None, {"x": b"\xff"})]


def test_a_csv_dialect_holds_for_all_batches(formats, session, scan, tmp_path):
    options = {"delim": ";", "nullstr": "-", "quote": "'", "escape": "'", "header": False}
    batches = [RowBatch([{"a": "x;'y", "b": None}]), RowBatch([{"a": "", "b": 1.5}])]
    write(formats["csv"], session, tmp_path / "file.csv", *batches, **options)
    assert (tmp_path / "file.csv").read_text() == "'x;''y';-\n;1.5\n"
    found = scan(formats["csv"], tmp_path / "file.csv", schema={"a": "VARCHAR", "b": "DOUBLE"}, **options)
    assert found.fetchall() == [("x;'y", None), ("", 1.5)]


@pytest.mark.parametrize("suffix", CsvFormat.suffixes)
@pytest.mark.parametrize("header", [True, False])
def test_csv_of_many_batches_is_that_of_one(header, suffix, formats, session, tmp_path):
    rows = [{"a": text, "b": number} for number, text in enumerate(["x", "", 'y,"z"', None, "\n", "\t"])]
    one = [RowBatch(rows)]
    alike = [RowBatch(rows[:2]), ColumnBatch(pa.Table.from_pylist(rows[2:4])), RowBatch(rows[4:])]
    grown = [*alike[:2], RowBatch([{"b": 4.0, "a": "\n"}]), RowBatch([{"b": 5.0, "a": "\t"}])]
    open_any = {"gz": gzip.open, "zst": zstd_open}.get(suffix.rpartition(".")[2], open)
    found = []
    for number, batches in enumerate((one, alike, grown)):
        path = tmp_path / str(number)
        write(formats["csv"], session, path, *batches, suffix=suffix, header=header)
        with open_any(path, "rb") as file:
            found.append(file.read().decode())
    assert found[1] == found[0]
    assert [line.replace(".0", "") for line in found[2].splitlines()] == found[0].splitlines()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]


def test_columns_of_enums_with_other_values_come_together_in_avro(formats, session, scan, tmp_path):
    tables = [
        pa.table({"e": pa.array(values).dictionary_encode(), "n": pa.array([number], pa.uint8())})
        for number, values in enumerate((["a"], ["a"], ["b"], ["b"]))
    ]
    write(formats["avro"], session, tmp_path / "file", *map(ColumnBatch, tables), RowBatch([{"e": "c", "n": 300}]))
    found = scan(formats["avro"], tmp_path / "file", schema={"e": "VARCHAR", "n": "BIGINT"}).fetchall()
    assert found == [("a", 0), ("a", 1), ("b", 2), ("b", 3), ("c", 300)]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_streams_which_can_be_read_once_are_written_one_after_the_other(format, session, scan, tmp_path):
    tables = [pa.table({"n": [number], "m": [[("k", [number])]]}, TYPES_OF_STREAM) for number in range(3)]
    write(format, session, tmp_path / "file", *(ColumnBatch(table.to_reader()) for table in tables))
    found = scan(format, tmp_path / "file", schema={"n": "BIGINT", "m": "MAP(VARCHAR, BIGINT[])"}).fetchall()
    assert found == [(number, {"k": [number]}) for number in range(3)]


TYPES_OF_STREAM = pa.schema({"n": pa.int64(), "m": pa.map_(pa.string(), pa.list_(pa.int64()))})


def zstd_open(path, mode):
    return pa.input_stream(str(path), compression="zstd")


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


class Odd(dt.tzinfo):
    """A zone of somebody's own."""

    def utcoffset(self, moment):
        return dt.timedelta(hours=-3, seconds=7)

    def dst(self, moment):
        return None


@pytest.mark.parametrize("zone", [dt.timezone(dt.timedelta(hours=1, seconds=30)), Odd(), ZoneInfo("Asia/Kathmandu")])
@pytest.mark.parametrize("year", [1890, 2024])
def test_instants_keep_the_seconds_of_their_offset(format, session, scan, tmp_path, zone, year):
    moment = dt.datetime(year, 1, 1, 12, tzinfo=zone)
    nested = {"n": {"v": [moment, None]}}
    write(format, session, tmp_path / "file", RowBatch([{"v": moment} | nested, {"v": None} | nested]))
    schema = {"v": "TIMESTAMP WITH TIME ZONE", "n": "STRUCT(v TIMESTAMP WITH TIME ZONE[])"}
    found = scan(format, tmp_path / "file", schema=schema).project("epoch_us(v), epoch_us(n.v[1])").fetchall()
    wanted = (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    assert found == [(wanted, wanted), (None, wanted)]
