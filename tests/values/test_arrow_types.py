"""Each Arrow type, also in others, is stored with all that it means, or refused by the name of the column."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mad_prefect_core import asset
from mad_prefect_core.batch import ColumnBatch
from mad_prefect_core.errors import DataError, UnsupportedDataError, UnsupportedValueError

ID = b"\0" * 15 + b"\1"


def extension(kind: Any, values: list[Any]) -> pa.Array:
    return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))


def bad_text(kind: pa.DataType) -> pa.Array:
    offsets = np.array([0, 2, 4], np.int64 if pa.types.is_large_string(kind) else np.int32)
    return pa.Array.from_buffers(kind, 2, [None, pa.py_buffer(offsets), pa.py_buffer(b"ok\xff\xfe")])


def raw(kind: pa.DataType, number: int) -> pa.Array:
    width = kind.bit_width // 8
    return pa.Array.from_buffers(kind, 1, [None, pa.py_buffer(number.to_bytes(width, "little", signed=True))])


def union(mode: str) -> pa.Array:
    codes = pa.array([5, 7, 5], pa.int8())
    if mode == "sparse":
        return pa.UnionArray.from_sparse(codes, [pa.array([1, 2, 3]), pa.array(["x", "y", None])], ["n", "t"], [5, 7])
    places = pa.array([0, 0, 1], pa.int32())
    return pa.UnionArray.from_dense(codes, places, [pa.array([1, 3]), pa.array(["y"])], ["n", "t"], [5, 7])


def runs(values: pa.Array) -> pa.Array:
    return pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), values)


def coded(values: pa.Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), values)


def nested(array: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """An array by itself, as a slice, and in each kind of container."""
    size = len(array)
    ends = pa.array([0, size], pa.int32())
    yield "v", array
    yield "v", pa.concat_arrays([array, array])[size:] if not pa.types.is_union(array.type) else array
    yield "v.m", pa.StructArray.from_arrays([array], names=["m"])
    yield "v[]", pa.ListArray.from_arrays(ends, array)
    yield "v[]", pa.LargeListArray.from_arrays(ends.cast(pa.int64()), array)
    yield "v[]", pa.FixedSizeListArray.from_arrays(array, size)
    yield "v[].m", pa.ListArray.from_arrays(ends, pa.StructArray.from_arrays([array], names=["m"]))
    yield "v.value", pa.MapArray.from_arrays(ends, pa.array([f"k{number}" for number in range(size)]), array)


EXACT: dict[str, Callable[[], pa.Array]] = {
    "half floats": lambda: pa.array([1.5, None], pa.float16()),
    "decimal32": lambda: pa.array([Decimal("1.50")], pa.decimal32(5, 2)),
    "decimal256": lambda: pa.array([Decimal("1.50"), None], pa.decimal256(38, 2)),
    "duration in ns": lambda: pa.array([5_000, None], pa.duration("ns")),
    "date64": lambda: pa.array([86_400_000, None], pa.date64()),
    "time in ns": lambda: pa.array([5_001], pa.time64("ns")),
    "sparse union": lambda: union("sparse"),
    "dense union": lambda: union("dense"),
    "runs of text": lambda: runs(pa.array(["x", None])),
    "runs of structs": lambda: runs(pa.array([{"a": 1}, {"a": 2}])),
    "runs of codes": lambda: runs(pa.array(["x", "y"]).dictionary_encode()),
    "codes of text": lambda: coded(pa.array(["x", None])),
    "codes of one text twice": lambda: coded(pa.array(["x", "x"])),
    "codes of structs": lambda: coded(pa.array([{"a": 1}, {"a": 2}])),
    "codes of lists": lambda: coded(pa.array([[1], []])),
    "codes of half floats": lambda: coded(pa.array([1.5, 2.5], pa.float16())),
    "codes of codes": lambda: coded(pa.array(["x", "y"]).dictionary_encode()),
    "list view": lambda: pa.ListViewArray.from_arrays(
        pa.array([2, 0], pa.int32()), pa.array([1, 2], pa.int32()), pa.array([1, 2, 3])
    ),
    "list of null": lambda: pa.array([[None], []], pa.list_(pa.null())),
    "lists of no items": lambda: pa.array([[], []], pa.list_(pa.int64(), 0)),
    "interval": lambda: pa.array([pa.MonthDayNano([1, -2, 3_000])]),
    "uuid": lambda: extension(pa.uuid(), [ID, None]),
    "json": lambda: extension(pa.json_(pa.string()), ['{"a": 1}', None]),
    "json of large strings": lambda: extension(pa.json_(pa.large_string()), ['{"a": 1e400}']),
    "bool8": lambda: extension(pa.bool8(), [1, 0, None, 5]),
    "text beyond ASCII": lambda: pa.array(["ü", "x", None]),
    "map": lambda: pa.array([[("a", 1.5)], None, []], pa.map_(pa.string(), pa.float16())),
}


@pytest.mark.parametrize("name", EXACT)
def test_values_are_the_same_in_a_type_that_duckdb_reads(name: str) -> None:
    for _, array in nested(EXACT[name]()):
        batch = ColumnBatch(pa.table({"v": array}))
        table = batch.arrow()
        table.validate(full=True)
        assert table.schema.equals(batch.schema)
        assert table.column("v").to_pylist() == array.to_pylist(), array.type


REFUSED: dict[str, Callable[[], pa.Array]] = {
    "text that is not UTF-8": lambda: bad_text(pa.string()),
    "large text that is not UTF-8": lambda: bad_text(pa.large_string()),
    "text view that is not UTF-8": lambda: (
        bad_text(pa.string()).view(pa.binary()).cast(pa.binary_view()).view(pa.string_view())
    ),
    "codes of text that is not UTF-8": lambda: pa.DictionaryArray.from_arrays(pa.array([0]), bad_text(pa.string())),
    "an index beyond the dictionary": lambda: pa.DictionaryArray.from_arrays(
        pa.array([0, 2]), pa.array(["x", "y"]), safe=False
    ),
    "tensor": lambda: pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8).reshape(2, 2, 2)),
    "opaque": lambda: extension(pa.opaque(pa.int32(), "geo", "acme"), [1]),
    "JSON that is none": lambda: extension(pa.json_(pa.string()), ['{"a": 1']),
    "JSON that is NaN": lambda: extension(pa.json_(pa.string()), ["NaN"]),
    "decimal of 39 digits": lambda: pa.array([Decimal(1)], pa.decimal256(39, 0)),
    "decimal of negative scale": lambda: pa.array([Decimal("1500")], pa.decimal128(5, -2)),
    "decimal beyond its precision": lambda: raw(pa.decimal128(3, 0), 123_456),
    "a nanosecond in a duration": lambda: pa.array([1], pa.duration("ns")),
    "a nanosecond in an interval": lambda: pa.array([pa.MonthDayNano([0, 0, 1])]),
    "a time of day in a date": lambda: pa.array([1], pa.date64()),
    "a date beyond DuckDB's": lambda: raw(pa.date32(), -(2**31)),
    "a time in ms beyond DuckDB's": lambda: pa.array([2**60], pa.timestamp("ms")),
    "a time in s beyond DuckDB's": lambda: pa.array([2**60], pa.timestamp("s")),
    "an instant beyond DuckDB's": lambda: pa.array([2**60], pa.timestamp("ms", "UTC")),
    "a time that is numpy's NaT": lambda: raw(pa.timestamp("us"), -(2**63)),
    "a duration beyond DuckDB's": lambda: pa.array([2**62], pa.duration("s")),
    "25 hours": lambda: pa.array([90_000], pa.time32("s")),
    "a negative time of day": lambda: pa.array([-1], pa.time64("us")),
    "a map with a key twice": lambda: pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64())),
    "a map with two zeros": lambda: pa.array([[(0.0, 1), (-0.0, 2)]], pa.map_(pa.float64(), pa.int64())),
    "a map with a struct twice": lambda: pa.array(
        [[({"a": 1}, 1), ({"a": 1}, 2)]], pa.map_(pa.struct([("a", pa.int64())]), pa.int64())
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_duckdb_would_change_or_fail_of_is_refused_by_name(name: str) -> None:
    for column, array in nested(REFUSED[name]()):
        with pytest.raises(DataError) as caught:
            ColumnBatch(pa.table({"fine": [0] * len(array), "v": array})).arrow()
        assert caught.value.column == column


@pytest.mark.parametrize("name", ["text that is not UTF-8", "a map with a key twice", "a time that is numpy's NaT"])
def test_a_later_batch_of_a_stream_is_looked_at_too(name: str) -> None:
    bad = pa.record_batch({"v": REFUSED[name]()})
    stream = pa.RecordBatchReader.from_batches(bad.schema, [bad.slice(0, 0), bad])
    batch = ColumnBatch(stream)
    with pytest.raises(Exception, match="v"):
        batch.arrow().read_all()
    assert isinstance(batch.problem, UnsupportedValueError)
    assert batch.problem.column == "v"


async def test_text_that_is_not_utf8_stores_nothing_and_names_asset_batch_and_column(base: Path) -> None:
    @asset("texts.csv", name="texts")
    def texts() -> Any:
        yield pa.table({"v": ["fine"]})
        yield pa.table({"v": bad_text(pa.string())})

    with pytest.raises(UnsupportedValueError, match="UTF-8") as caught:
        await texts()
    assert (caught.value.asset, caught.value.batch, caught.value.column) == ("texts", 1, "v")
    assert not (base / "texts.csv").exists()


@pytest.mark.parametrize("name", ["geoarrow.wkb", "acme.money", "ogc.wkb"])
def test_an_extension_type_that_only_the_metadata_names_is_refused(name: str) -> None:
    metadata = {"ARROW:extension:name": name}
    inner = pa.field("m", pa.binary(), metadata=metadata)
    for kind, column in [
        (inner.with_name("v"), "v"),
        (pa.field("v", pa.struct([inner])), "v.m"),
        (pa.field("v", pa.list_(inner)), "v[]"),
        (pa.field("v", pa.map_(pa.string(), inner)), "v.value"),
    ]:
        with pytest.raises(UnsupportedDataError, match=name) as caught:
            ColumnBatch(pa.schema([kind]).empty_table())
        assert caught.value.column == column


def test_a_slice_of_a_large_table_is_looked_at_alone() -> None:
    text = pa.concat_arrays([bad_text(pa.string()), pa.array(["fine"])])
    assert ColumnBatch(pa.table({"v": text}).slice(2)).arrow().to_pylist() == [{"v": "fine"}]


def test_plain_tables_are_stored_as_they_are() -> None:
    table = pa.table({"n": [1, 2], "x": [1.5, None], "t": ["a", "b"], "d": [dt.date(2020, 1, 1), None], "l": [[1], []]})
    assert ColumnBatch(table).arrow() is table


@pytest.mark.parametrize("fragments", ["json", "parquet", "csv", "avro"])
async def test_24_00_and_infinities_come_back(fragments: str, base: Path) -> None:
    @asset("times.parquet", artifact_filetype=fragments)
    def times() -> pa.Table:
        day, end = pa.array([86_400_000_000], pa.time64("us")), pa.array([2**63 - 1], pa.timestamp("us"))
        return pa.table({"t": day, "e": end})

    found = await times.query("SELECT CAST(t AS VARCHAR), CAST(e AS VARCHAR) FROM data")
    assert found.fetchall() == [("24:00:00", "infinity")]
