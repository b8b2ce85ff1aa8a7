"""Avro files that somebody else wrote: the values that they hold, or a refusal by name."""

from __future__ import annotations

import decimal
import itertools
import struct
from pathlib import Path
from typing import Any

import fastavro
import pytest

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.errors import CorruptFileError, DataError, SchemaError, UnsupportedDataError

RESULTS = ["json", "parquet", "csv", "avro"]
NANOSECONDS = 1_577_836_800_123_456_789
NUMBERS = itertools.count()
UUID = "12345678-1234-5678-1234-567812345678"
WIDE = decimal.Context(prec=60)


def record(*fields: tuple[str, Any], kind: str = "record", name: str = "r") -> dict[str, Any]:
    return {"type": kind, "name": name, "fields": [{"name": field, "type": of} for field, of in fields]}


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


def fixed(size: int, **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": f"f{next(NUMBERS)}", "size": size, **more}


def write(base: Path, schema: Any, *rows: Any) -> DataArtifact:
    path = f"theirs_{next(NUMBERS)}.avro"
    with (base / path).open("wb") as file:
        fastavro.writer(file, schema, rows)
    return DataArtifact(path)


async def landed(artifact: DataArtifact, result: str) -> Any:
    @asset(f"x_{next(NUMBERS)}.{result}", name=f"x{next(NUMBERS)}")
    def x() -> Any:
        return artifact

    return await x.query("SELECT x::VARCHAR FROM data")


VALUES = {
    "null alone": (["null"], None, None),
    "null alone in a list": ({"type": "array", "items": ["null"]}, [None, None], "[NULL, NULL]"),
    "null alone in a map": ({"type": "map", "values": ["null"]}, {"a": None}, "{a=NULL}"),
    "null alone in a record": (record(("z", ["null"]), name="q"), {"z": None}, "{'z': NULL}"),
    "one type alone": (["int"], 1, "1"),
    "an error in a record": (record(("z", "int"), kind="error", name="e"), {"z": 1}, "{'z': 1}"),
    "a duration": (fixed(12, logicalType="duration"), struct.pack("<III", 1, 2, 3004), "1 month 2 days 00:00:03.004"),
    "local nanoseconds": (logical("long", "local-timestamp-nanos"), NANOSECONDS, "2020-01-01 00:00:00.123456789"),
    "nanoseconds in a list": (
        {"type": "array", "items": logical("long", "local-timestamp-nanos")},
        [NANOSECONDS],
        "['2020-01-01 00:00:00.123456789']",
    ),
    "a time in nanoseconds": (logical("long", "time-nanos"), 86_399_999_999_999, "23:59:59.999999999"),
    "45 digits": (
        logical("bytes", "decimal", precision=45, scale=2),
        decimal.Decimal(10**44 + 7).scaleb(-2, WIDE),
        f"1{'0' * 42}.07",
    ),
    "45 digits in a list": (
        {"type": "array", "items": fixed(20, logicalType="decimal", precision=45, scale=0)},
        [decimal.Decimal(10**44 + 7)],
        f"[1{'0' * 43}7]",
    ),
    "38 digits": (logical("bytes", "decimal", precision=38, scale=0), decimal.Decimal(10**38 - 1), "9" * 38),
    "an enum with a default": ({"type": "enum", "name": "e", "symbols": ["A", "B"], "default": "A"}, "B", "B"),
    "fixed": (fixed(3), b"abc", "abc"),
    "a type that nobody knows": (logical("string", "of-tomorrow"), "a", "a"),
    "a UUID": (logical("string", "uuid"), UUID, UUID),
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("result", RESULTS)
async def test_a_value_is_landed_as_it_is_in_the_file(base: Path, result: str, kind: str) -> None:
    schema, value, expected = VALUES[kind]
    artifact = write(base, record(("x", schema), ("y", "int")), {"x": value, "y": 1})
    assert (await artifact.query("SELECT x::VARCHAR FROM data")).fetchall() == [(expected,)]
    assert (await landed(artifact, result)).fetchall() == [(expected,)]


async def test_an_instant_in_nanoseconds_is_kept(base: Path) -> None:
    artifact = write(base, record(("x", logical("long", "timestamp-nanos"))), {"x": NANOSECONDS})
    assert (await artifact.query("SELECT epoch_ns(x) FROM data")).fetchall() == [(NANOSECONDS,)]
    for result in RESULTS:
        found = await (await landed_artifact(artifact, result)).query("SELECT epoch_ns(x) FROM data")
        assert found.fetchall() == [(NANOSECONDS,)]


async def landed_artifact(artifact: DataArtifact, result: str) -> DataArtifact:
    @asset(f"x_{next(NUMBERS)}.{result}", name=f"x{next(NUMBERS)}")
    def x() -> Any:
        return artifact

    return await x()


async def test_a_uuid_that_an_asset_yields_stays_one(base: Path) -> None:
    artifact = write(base, record(("x", logical("string", "uuid"))), {"x": UUID})
    assert [str(kind) for kind in (await (await landed_artifact(artifact, "csv")).query()).types] == ["UUID"]


async def test_an_error_at_the_root_is_the_record_of_columns(base: Path) -> None:
    artifact = write(base, record(("x", "int"), ("y", "string"), kind="error"), {"x": 1, "y": "a"})
    found = await artifact.query()
    assert (found.columns, found.fetchall()) == (["x", "y"], [(1, "a")])


UNIONS = {
    "in a column": (["int", "string"], [1, "a"]),
    "with null": (["null", "int", "string"], [1, None, "a"]),
    "null between": (["int", "null", "string"], [1, None, "a"]),
    "in a list": ({"type": "array", "items": ["int", "string"]}, [[1, "a"]]),
    "in a map": ({"type": "map", "values": ["long", "double", "string", "bytes"]}, [{"a": 1, "b": "x"}]),
    "in a record": (record(("z", ["int", "string"]), name="q"), [{"z": 1}, {"z": "a"}]),
    "of records": (
        [record(("p", "int"), name="A"), record(("q", "string"), name="B")],
        [("A", {"p": 1}), ("B", {"q": "s"})],
    ),
}


@pytest.mark.parametrize("kind", UNIONS)
async def test_a_union_of_several_types_is_read_and_landed_or_refused_by_column(base: Path, kind: str) -> None:
    schema, values = UNIONS[kind]
    artifact = write(base, record(("x", schema)), *({"x": value} for value in values))
    expected = (await artifact.query("SELECT x::VARCHAR FROM data")).fetchall()
    assert len(expected) == len(values)
    for result in RESULTS:
        refusal, found = None, None
        try:
            found = (await landed(artifact, result)).fetchall()
        except DataError as error:
            refusal = error
        assert found == expected or ("UNION" in str(refusal) and refusal.column == "x")


@pytest.mark.parametrize("result", RESULTS)
async def test_rows_nested_31_levels_are_landed(base: Path, result: str) -> None:
    deep: dict[str, Any] = {"v": 1}
    for _ in range(31):
        deep = {"a": deep}

    @asset(f"deep.{result}")
    def x() -> Any:
        return [deep]

    assert (await x.query()).fetchall() == [(deep["a"],)]


REFUSED = {
    "an instant that is none of DuckDB's": (logical("long", "timestamp-millis"), 2**60, CorruptFileError),
    "a time after midnight": (logical("int", "time-millis"), 86_400_001, CorruptFileError),
    "a time before midnight": (logical("long", "time-micros"), -1, CorruptFileError),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_a_value_that_no_column_can_hold_is_refused_by_file(base: Path, kind: str) -> None:
    schema, value, error = REFUSED[kind]
    with pytest.raises(error, match=r"theirs_\d+\.avro"):
        (await write(base, record(("x", schema)), {"x": value}).query()).fetchall()


async def test_midnight_at_the_end_of_a_day_is_a_time(base: Path) -> None:
    artifact = write(base, record(("x", logical("int", "time-millis"))), {"x": 86_400_000}, {"x": 0})
    assert (await artifact.query("SELECT x::VARCHAR FROM data")).fetchall() == [("24:00:00",), ("00:00:00",)]


@pytest.mark.parametrize(
    ("schema", "row", "column"),
    [
        (record(("ID", "int"), ("id", "int")), {"ID": 1, "id": 2}, "id"),
        (record(("x", record(("ID", "int"), ("id", "int"), name="q"))), {"x": {"ID": 1, "id": 2}}, r"x\.id"),
    ],
)
async def test_names_that_differ_in_case_alone_are_refused_rather_than_renamed(
    base: Path, schema: Any, row: Any, column: str
) -> None:
    with pytest.raises(SchemaError, match=rf"(?s)'ID' and 'id'.*'{column}'.*avro_schema"):
        await write(base, schema, row).query()


async def test_a_type_that_contains_itself_is_refused_by_column(base: Path) -> None:
    schema = {"type": "record", "name": "N", "fields": [{"name": "next", "type": ["null", "N"]}]}
    with pytest.raises(UnsupportedDataError, match="next"):
        await write(base, schema, {"next": {"next": None}}).query()
