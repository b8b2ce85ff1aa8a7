"""Parquet files that somebody else wrote: the values that they hold, or a refusal by name."""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mad_prefect_core import DataArtifact, DataArtifactQuery, asset
from mad_prefect_core.errors import CorruptFileError, DataError, SchemaError, UnsupportedValueError
from mad_prefect_parquet import ReadParquetOptions

RESULTS = ["json", "parquet", "csv", "avro"]
NANOSECONDS = 1_577_836_800_123_456_789
NUMBERS = itertools.count()
WIDE = decimal.Decimal(10**44 + 7).scaleb(-2, decimal.Context(prec=60))
IN_TEXT = f"1{'0' * 42}.07"


def write(base: Path, table: pa.Table, **options: Any) -> DataArtifact:
    path = f"theirs_{next(NUMBERS)}.parquet"
    pq.write_table(table, base / path, **options)
    return DataArtifact(path)


def column(values: list[Any], kind: pa.DataType) -> pa.Table:
    return pa.table({"x": pa.array(values, kind)})


async def landed(artifact: DataArtifact, result: str) -> Any:
    @asset(f"x_{next(NUMBERS)}.{result}", name=f"x{next(NUMBERS)}")
    def x() -> Any:
        return artifact

    return await x.query("SELECT x::VARCHAR FROM data")


NS = pa.timestamp("ns")
PLACES = {
    "a column": (lambda kind: kind, lambda value: value, "{}"),
    "a list": (pa.list_, lambda value: [value], "[{}]"),
    "a struct": (lambda kind: pa.struct([("a", kind)]), lambda value: {"a": value}, "{{'a': {}}}"),
    "a map": (lambda kind: pa.map_(pa.string(), kind), lambda value: [("a", value)], "{{a={}}}"),
    "lists in structs": (
        lambda kind: pa.struct([("a", pa.list_(kind))]),
        lambda value: {"a": [value]},
        "{{'a': [{}]}}",
    ),
}


@pytest.mark.parametrize("int96", [True, False])
@pytest.mark.parametrize("place", PLACES)
async def test_nanoseconds_are_kept_wherever_they_stand(base: Path, place: str, int96: bool) -> None:
    kind, value, shown = PLACES[place]
    table = column([value(NANOSECONDS), None], kind(NS))
    artifact = write(base, table, use_deprecated_int96_timestamps=int96, version="2.6")
    moment = "2020-01-01 00:00:00.123456789"
    text = shown.format(moment if place in ("a column", "a map") else f"'{moment}'")
    text = text.replace(f"={moment}", f"='{moment}'") if place == "a map" else text
    found = (await artifact.query("SELECT x::VARCHAR FROM data")).fetchall()
    assert found == [(text,), (None,)]
    for result in RESULTS:
        assert (await landed(artifact, result)).fetchall() == found, result


async def test_int96_without_nanoseconds_is_what_duckdb_reads(base: Path) -> None:
    moments = [dt.datetime(2020, 1, 1, 0, 0, 0, 123456), dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31), None]
    artifact = write(base, column(moments, pa.timestamp("us")), use_deprecated_int96_timestamps=True)
    found = await artifact.query()
    assert list(map(str, found.types)) == ["TIMESTAMP"]
    assert [row[0] for row in found.fetchall()] == moments


async def test_int96_with_nanoseconds_beside_a_year_that_they_do_not_reach_is_refused(base: Path) -> None:
    with_nanoseconds = write(base, column([NANOSECONDS], NS), use_deprecated_int96_timestamps=True)
    without = write(base, column([dt.datetime(9999, 12, 31)], pa.timestamp("us")), use_deprecated_int96_timestamps=True)
    with pytest.raises(DataError, match=r"(?s)nanoseconds.*1678"):
        (await DataArtifactQuery([with_nanoseconds, without]).query()).fetchall()


@pytest.mark.parametrize("place", PLACES)
async def test_decimals_of_more_than_38_digits_are_exact_text(base: Path, place: str) -> None:
    kind, value, shown = PLACES[place]
    artifact = write(base, column([value(WIDE), None], kind(pa.decimal256(45, 2))))
    expected = [(shown.format(IN_TEXT),), (None,)]
    assert (await artifact.query("SELECT x::VARCHAR FROM data")).fetchall() == expected
    for result in RESULTS:
        assert (await landed(artifact, result)).fetchall() == expected, result


async def test_a_small_decimal_of_many_digits_has_no_exponent(base: Path) -> None:
    artifact = write(base, column([decimal.Decimal("1e-40")], pa.decimal256(45, 40)))
    assert (await artifact.query()).fetchall() == [(f"0.{'0' * 39}1",)]


async def test_what_stands_beside_such_columns_is_what_duckdb_reads(base: Path) -> None:
    columns = {
        "wide": pa.array([WIDE], pa.decimal256(45, 2)),
        "half": pa.array([np.float16(1.5)], pa.float16()),
        "big": pa.array([2**64 - 1], pa.uint64()),
        "time": pa.array([86_399_999_999_999], pa.time64("ns")),
        "small": pa.array([decimal.Decimal("1.50")], pa.decimal256(10, 2)),
        "names": pa.array(["a"]).dictionary_encode(),
        "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())),
        "lists": pa.array([[1, 2]], pa.list_(pa.int16(), 2)),
        "large": pa.array(["é"], pa.large_string()),
        "bytes": pa.array([b"\xff"], pa.binary()),
        "id": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)], pa.binary(16))),
        "zoned": pa.array([1], pa.timestamp("ns", "UTC")),
    }
    artifact = write(base, pa.table(columns), version="2.6")
    found = await artifact.query("SELECT * EXCLUDE (wide) FROM data")
    with duckdb.connect() as connection:
        expected = connection.sql(f"SELECT * EXCLUDE (wide) FROM read_parquet('{base / artifact.path}')")
        assert list(zip(found.columns, map(str, found.types), strict=True)) == list(
            zip(expected.columns, map(str, expected.types), strict=True)
        )
        assert found.fetchall() == expected.fetchall()


async def test_options_hold_beside_nanoseconds_of_int96(base: Path) -> None:
    table = pa.table({"x": pa.array([NANOSECONDS], NS), "text": pa.array([b"a"], pa.binary())})
    artifact = write(base, table, use_deprecated_int96_timestamps=True)
    read = DataArtifact(artifact.path, read_options=ReadParquetOptions(binary_as_string=True, filename=True))
    found = await read.query("SELECT text, filename FROM data")
    assert found.fetchall() == [("a", str(base / artifact.path))]


NAMES = {
    "differ in case": (["ID", "id"], "id"),
    "are the same": (["a", "a"], "a"),
    "are missing": ([""], ""),
}


@pytest.mark.parametrize("kind", NAMES)
async def test_columns_whose_names_duckdb_would_change_are_refused(base: Path, kind: str) -> None:
    names, named = NAMES[kind]
    artifact = write(base, pa.table([pa.array([1])] * len(names), names=names))
    with pytest.raises(SchemaError, match=r"(?s)theirs_.*read_parquet") as refused:
        await artifact.query()
    assert refused.value.column == named


async def test_members_whose_names_duckdb_would_change_are_refused(base: Path) -> None:
    struct = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["ID", "id"])
    with pytest.raises(SchemaError, match=r"(?s)'ID' and 'id'.*x\.id"):
        await write(base, pa.table({"x": struct})).query()


async def test_text_that_is_none_is_refused_by_file(base: Path) -> None:
    artifact = write(base, pa.table({"x": pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())}))
    with pytest.raises(CorruptFileError, match=r"theirs_\d+\.parquet"):
        (await artifact.query()).fetchall()
    for result in RESULTS:
        with pytest.raises(DataError, match=r"theirs_\d+\.parquet"):
            await landed(artifact, result)


@pytest.mark.parametrize("length", [0, 3, 100, -1, -9])
async def test_a_file_cut_off_is_refused_by_name(base: Path, length: int) -> None:
    whole = write(base, column([1, 2], pa.int64()))
    content = (base / whole.path).read_bytes()
    (base / "cut.parquet").write_bytes(content[:length])
    with pytest.raises(CorruptFileError, match=r"cut\.parquet"):
        (await DataArtifact("cut.parquet").query()).fetchall()


async def test_a_map_with_one_key_twice_loses_no_entry_on_its_way_to_avro(base: Path) -> None:
    artifact = write(base, column([[("a", 1), ("b", 2)], [("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int32())))
    with pytest.raises(DataError, match=r"more than once.*'x'"):
        await landed(artifact, "avro")


CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "parquet"


@pytest.mark.parametrize("name", sorted(path.name for path in CORPUS.glob("*.parquet")))
async def test_real_files_give_what_duckdb_reads(base: Path, corpus: Path, name: str) -> None:
    (base / name).write_bytes((corpus / "parquet" / name).read_bytes())
    with duckdb.connect() as connection:
        try:
            expected = connection.sql(f"SELECT COLUMNS(*)::VARCHAR FROM read_parquet('{base / name}')").fetchall()
        except duckdb.Error:
            with pytest.raises(DataError, match=name):
                (await DataArtifact(name).query()).fetchall()
            return
    found = await DataArtifact(name).query("SELECT COLUMNS(*)::VARCHAR FROM data")
    assert found.fetchall() == expected


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64())),
        pa.array([2**62], pa.timestamp("ms")),
    ],
    ids=["a map with one key twice", "a timestamp out of range"],
)
async def test_a_value_that_duckdb_has_no_form_for_is_refused_by_file(base: Path, column: pa.Array) -> None:
    pq.write_table(pa.table({"v": column}), base / "x.parquet")
    with pytest.raises(UnsupportedValueError, match=r"(?s)x\.parquet.*Leave the column out"):
        (await DataArtifact("x.parquet").query()).fetchall()
