"""Values of files, fragments and batches that meet: each comes out the same, or is refused by its column's name."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mad_prefect_core import DataArtifact, DataArtifactQuery, asset
from mad_prefect_core.errors import DataError, MadPrefectError, SchemaError, UnsupportedDataError

WIDE = 2**53 + 1
NAIVE = dt.datetime(2024, 1, 1, 12)
ZONED = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
FAR = Decimal("0." + "0" * 37 + "1")

REFUSED: dict[str, tuple[pa.Array, pa.Array]] = {
    "decimal, float": (pa.array([Decimal("1.10")]), pa.array([1.5])),
    "decimal, small float": (pa.array([Decimal("1.10")]), pa.array([1.5], pa.float32())),
    "naive, zoned": (pa.array([NAIVE]), pa.array([ZONED])),
    "date, zoned": (pa.array([NAIVE.date()]), pa.array([ZONED])),
    "time, moment": (pa.array([dt.time(12)]), pa.array([NAIVE])),
    "time, date": (pa.array([dt.time(12)]), pa.array([NAIVE.date()])),
    "wide integer, float": (pa.array([WIDE]), pa.array([1.5])),
    "wide unsigned integer, float": (pa.array([2**64 - 1], pa.uint64()), pa.array([1.5])),
    "negative wide integer, small float": (pa.array([-WIDE]), pa.array([1.5], pa.float32())),
    "38 digits before and after the point": (
        pa.array([10**37], pa.decimal128(38, 0)),
        pa.array([FAR], pa.decimal128(38, 38)),
    ),
    "integer, 38 digits after the point": (pa.array([5]), pa.array([FAR], pa.decimal128(38, 38))),
    "text, bytes": (pa.array(["a"]), pa.array([b"\x00\xff"])),
    "boolean, integer": (pa.array([True]), pa.array([2])),
    "boolean, text": (pa.array([True]), pa.array(["true"])),
    "boolean, float": (pa.array([True]), pa.array([1.5])),
    "integer, text": (pa.array([1]), pa.array(["01"])),
    "float, text": (pa.array([1.0]), pa.array(["1.50"])),
    "date, text": (pa.array([NAIVE.date()]), pa.array(["2024-01-01"])),
    "moment, text": (pa.array([NAIVE]), pa.array(["later"])),
    "date, integer": (pa.array([NAIVE.date()]), pa.array([19723])),
    "moment, integer": (pa.array([NAIVE]), pa.array([19723])),
    "struct, list": (pa.array([{"a": 1}]), pa.array([[1]])),
    "struct, text": (pa.array([{"a": 1}]), pa.array(["{}"])),
    "list, integer": (pa.array([[1]]), pa.array([1])),
    "list, text": (pa.array([["a"]]), pa.array(["a"])),
    "year beyond nanoseconds": (
        pa.array([dt.datetime(9999, 1, 1)]),
        pa.array([1], pa.timestamp("ns")),
    ),
}
"""Pairs that no type keeps both of."""

WIDENED: dict[str, tuple[pa.Array, pa.Array, str]] = {
    "integer, small integer": (pa.array([WIDE]), pa.array([2], pa.int8()), "BIGINT"),
    "integer, float": (pa.array([2**53]), pa.array([1.5]), "DOUBLE"),
    "small integer, float": (pa.array([7], pa.int32()), pa.array([1.5]), "DOUBLE"),
    "signed, unsigned": (pa.array([-1]), pa.array([2**64 - 1], pa.uint64()), "DECIMAL(38,0)"),
    "integer, decimal": (pa.array([WIDE]), pa.array([Decimal("1.10")]), "DECIMAL(21,2)"),
    "decimals": (pa.array([Decimal("123.4")]), pa.array([Decimal("1.234")]), "DECIMAL(6,3)"),
    "date, moment": (pa.array([NAIVE.date()]), pa.array([NAIVE]), "TIMESTAMP"),
    "milliseconds, nanoseconds": (
        pa.array([NAIVE], pa.timestamp("ms")),
        pa.array([1_700_000_000_000_000_001], pa.timestamp("ns")),
        "TIMESTAMP_NS",
    ),
    "zones": (pa.array([ZONED], pa.timestamp("us", "UTC")), pa.array([ZONED], pa.timestamp("us", "Europe/Berlin")),
              "TIMESTAMP WITH TIME ZONE"),
    "nothing, text": (pa.nulls(1), pa.array(["a"]), "VARCHAR"),
    "nothing, struct": (pa.nulls(1), pa.array([{"a": 1}]), "STRUCT(a BIGINT)"),
    "no items, items": (pa.array([[]], pa.list_(pa.null())), pa.array([[1]]), "BIGINT[]"),
    "structs": (pa.array([{"a": 1}]), pa.array([{"b": "x"}]), "STRUCT(a BIGINT, b VARCHAR)"),
    "categories, text": (pa.array(["a"]).dictionary_encode(), pa.array(["b"]), "VARCHAR"),
}  # fmt: skip
"""Pairs with the type that keeps both."""

INSIDE: dict[str, Callable[[pa.Array], pa.Array]] = {
    "column": lambda values: values,
    "struct": lambda values: pa.StructArray.from_arrays([values], ["m"]),
    "list": lambda values: pa.ListArray.from_arrays([0, len(values)], values),
    "list of structs": lambda values: pa.ListArray.from_arrays(
        [0, len(values)], pa.StructArray.from_arrays([values], ["m"])
    ),
    "map": lambda values: pa.MapArray.from_arrays([0, len(values)], pa.array(["k"] * len(values)), values),
}


def _tables(pair: Any, inside: str) -> list[pa.Table]:
    return [pa.table({"v": INSIDE[inside](values)}) for values in pair[:2]]


def _files(base: Path, tables: list[pa.Table]) -> list[DataArtifact]:
    for number, table in enumerate(tables):
        pq.write_table(table, base / f"{number}.parquet")
    return [DataArtifact(f"{number}.parquet") for number in range(len(tables))]


async def _queried(artifacts: list[DataArtifact]) -> Any:
    relation = await DataArtifactQuery(artifacts).query()
    assert relation is not None
    return relation, relation.fetchall()


async def _through_an_asset(data: Callable[[], Any], filetype: str | None) -> Any:
    made = asset("out.parquet", artifact_filetype=filetype) if filetype else asset("out.parquet")
    relation = await made(data).query()
    return relation, relation.fetchall()


DOORS: dict[str, Callable[[Path, list[pa.Table]], Any]] = {
    "query over files": lambda base, tables: _queried(_files(base, tables)),
    "artifacts in a list": lambda base, tables: _through_an_asset(lambda: _files(base, tables), None),
    "artifacts yielded": lambda base, tables: _through_an_asset(lambda: (yield from _files(base, tables)), None),
    "an artifact, then a frame": lambda base, tables: _through_an_asset(
        lambda: (yield from [_files(base, tables)[0], tables[1]]), None
    ),
    "frames in a list": lambda base, tables: _through_an_asset(lambda: tables, None),
    "frames in a list, as JSON": lambda base, tables: _through_an_asset(lambda: tables, "json"),
    "frames in a list, as Avro": lambda base, tables: _through_an_asset(lambda: tables, "avro"),
    "frames yielded": lambda base, tables: _through_an_asset(lambda: (yield from tables), None),
    "streams in a list": lambda base, tables: _through_an_asset(
        lambda: [table.to_reader() for table in tables], None
    ),
    "relations in a list": lambda base, tables: _through_an_asset(
        lambda: [duckdb.connect().from_arrow(table) for table in tables], None
    ),
}  # fmt: skip


ALL_DOORS = ("query over files", "artifacts yielded", "frames in a list")
SOME_PAIRS = ("decimal, float", "naive, zoned", "wide integer, float", "boolean, integer", "year beyond nanoseconds")


@pytest.mark.parametrize(
    ("pair", "door"),
    [(pair, door) for door in DOORS for pair in (REFUSED if door in ALL_DOORS else SOME_PAIRS)],
)
async def test_what_no_type_keeps_is_refused_by_its_column(base: Path, pair: str, door: str) -> None:
    for tables in (_tables(REFUSED[pair], "column"), _tables(REFUSED[pair], "column")[::-1]):
        with pytest.raises((DataError, UnsupportedDataError)) as caught:
            await DOORS[door](base, tables)
        if pair != "year beyond nanoseconds":
            assert caught.value.column == "v"


@pytest.mark.parametrize("inside", [name for name in INSIDE if name != "column"])
@pytest.mark.parametrize("pair", ["naive, zoned", "wide integer, float"])
@pytest.mark.parametrize("door", [*ALL_DOORS, "frames in a list, as JSON", "streams in a list"])
async def test_what_no_type_keeps_is_refused_inside_of_others(base: Path, door: str, pair: str, inside: str) -> None:
    for tables in (_tables(REFUSED[pair], inside), _tables(REFUSED[pair], inside)[::-1]):
        with pytest.raises(SchemaError) as caught:
            await DOORS[door](base, tables)
        assert str(caught.value.column).startswith("v")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.replace(tzinfo=None) if isinstance(value, dt.datetime) and value.tzinfo is None else value


@pytest.mark.parametrize("door", [*ALL_DOORS, "frames in a list, as JSON"])
@pytest.mark.parametrize("pair", WIDENED)
async def test_what_a_wider_type_keeps_comes_back_with_it(base: Path, pair: str, door: str) -> None:
    one, other, kind = WIDENED[pair]
    relation, rows = await DOORS[door](base, _tables((one, other), "column"))
    assert list(map(str, relation.types)) == [kind]
    if kind == "TIMESTAMP_NS":
        return
    expected = [one.to_pylist()[0], other.to_pylist()[0]]
    if pair == "date, moment":
        expected[0] = dt.datetime(2024, 1, 1)
    assert [_plain(value) for (value,) in rows] == [_plain(value) for value in expected]


async def test_files_that_differ_in_a_column_name_the_files_and_both_types(base: Path) -> None:
    with pytest.raises(SchemaError) as caught:
        await _queried(_files(base, _tables(REFUSED["naive, zoned"], "column")))
    for part in ("0.parquet", "1.parquet", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "'v'"):
        assert part in str(caught.value)


async def test_types_that_only_duckdb_has_meet_their_own(base: Path) -> None:
    kinds = ["BIT '101'", "UUID '12345678-1234-5678-1234-567812345678'", "TIME WITH TIME ZONE '12:00:00+00'"]
    for number in range(2):
        columns = ", ".join(f"{kind} AS c{n}" for n, kind in enumerate(kinds))
        extra = f", {number} AS only_{number}"
        duckdb.connect().sql(f"SELECT {columns}{extra}").to_parquet(str(base / f"{number}.parquet"))
    relation, rows = await _queried([DataArtifact("0.parquet"), DataArtifact("1.parquet")])
    assert relation.columns == ["c0", "c1", "c2", "only_0", "only_1"]
    alone = await DataArtifact("0.parquet").query()
    assert alone is not None
    assert relation.types[:3] == alone.types[:3]
    assert rows[0][:3] == rows[1][:3] == alone.fetchall()[0][:3]


async def test_a_file_of_duckdbs_own_types_is_refused_as_a_relation_is(base: Path) -> None:
    duckdb.connect().sql("SELECT TIME WITH TIME ZONE '12:00:00+00' AS t").to_parquet(str(base / "t.parquet"))
    with pytest.raises(MadPrefectError, match="TIME WITH TIME ZONE") as caught:
        await _through_an_asset(lambda: DataArtifact("t.parquet"), None)
    assert caught.value.column == "t"


async def test_columns_of_files_are_found_by_name_whatever_their_order_and_case(base: Path) -> None:
    tables = [pa.table({"a": [1], "b": ["x"]}), pa.table({"B": ["y"], "A": [2.5]}), pa.table({"c": [True]})]
    relation, rows = await _queried(_files(base, tables))
    assert relation.columns == ["a", "b", "c"]
    assert rows == [(1.0, "x", None), (2.5, "y", None), (None, None, True)]


async def test_a_file_may_be_read_twice_in_one_query(base: Path) -> None:
    first, second = _files(base, [pa.table({"a": [1]}), pa.table({"a": [2.5]})])
    assert (await _queried([first, second, first]))[1] == [(1.0,), (2.5,), (1.0,)]


async def test_results_of_two_runs_meet_as_files_do(base: Path) -> None:
    @asset("bronze/{n}.json")
    def bronze(n: int) -> Any:
        return [[{"v": WIDE}], [{"v": 1.5}], [{"v": "x"}], [{"v": None}], [{"v": 7}]][n]

    results = await asyncio.gather(*(bronze(n) for n in range(5)))
    for pair in ((0, 1), (1, 0), (0, 2), (2, 1)):
        with pytest.raises(SchemaError) as caught:
            await _queried([results[n] for n in pair])
        assert caught.value.column == "v"
    assert (await _queried([results[1], results[4]]))[1] == [(1.5,), (7.0,)]
    assert (await _queried([results[3], results[2]]))[1] == [(None,), ("x",)]

    async def chained() -> Any:
        yield results[0]
        yield results[1]

    with pytest.raises(SchemaError):
        await _through_an_asset(chained, None)


async def test_csv_files_of_others_meet_as_text_where_one_of_them_has_text(base: Path) -> None:
    (base / "a.csv").write_text("zip\n12345\n")
    (base / "b.csv").write_text("zip\n01234\n")
    (base / "c.csv").write_text("zip\nnone\n")
    _, rows = await _queried([DataArtifact(f"{name}.csv") for name in "abc"])
    assert rows == [("12345",), ("01234",), ("none",)]


async def test_unions_in_a_list_are_no_matter_of_width(base: Path) -> None:
    values = pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [pa.array([WIDE, 1])])
    data = [pa.table({"v": values})] * 2
    relation = await asset("out.json", artifact_filetype="json")(lambda: data).query()
    assert relation.fetchall() == [(WIDE,), (1,)] * 2


def _texts(base: Path, suffix: str, *values: str) -> list[DataArtifact]:
    for number, value in enumerate(values):
        text = f'{{"id": 1, "v": {value}}}\n' if suffix == "json" else f"id,v\n1,{value}\n"
        (base / f"{number}.{suffix}").write_text(text)
    return [DataArtifact(f"{number}.{suffix}") for number in range(len(values))]


async def test_numbers_of_json_files_meet_as_decimals_where_no_double_keeps_both(base: Path) -> None:
    artifacts = _texts(base, "json", str(WIDE), "1.5")
    for order, expected in ((artifacts, [Decimal(WIDE), Decimal("1.5")]), (artifacts[::-1], [Decimal("1.5"), WIDE])):
        _, rows = await _queried(order)
        assert [value for _, value in rows] == expected


@pytest.mark.parametrize(
    ("suffix", "values", "expected"),
    [
        ("csv", ("12345", "01234"), ["12345", "01234"]),
        ("csv", ("2024-01-01", "later"), ["2024-01-01", "later"]),
        ("csv", ("", "5"), [None, 5]),
        ("json", ("null", "5"), [None, 5]),
        ("json", ("null", '{"a": 1}'), [None, {"a": 1}]),
        ("json", ('"2024-01-01"', '"later"'), ["2024-01-01", "later"]),
        ("csv", ("7", "1.5"), [7.0, 1.5]),
        ("csv", (str(WIDE), "1.5"), [str(WIDE), "1.5"]),
        ("csv", ("2024-01-01T12:00:00", "2024-01-01T12:00:00Z"), ["2024-01-01T12:00:00", "2024-01-01T12:00:00Z"]),
        ("csv", ("true", "1"), ["true", "1"]),
        ("csv", ("12:00:00", "2024-01-01 10:00:00"), ["12:00:00", "2024-01-01 10:00:00"]),
    ],
)
async def test_text_files_of_others_keep_what_a_type_or_text_can(
    base: Path, suffix: str, values: tuple[str, ...], expected: list[Any]
) -> None:
    _, rows = await _queried(_texts(base, suffix, *values))
    assert [row[1] for row in rows] == expected


@pytest.mark.parametrize("suffix", ["parquet", "avro", "json", "csv"])
async def test_a_broken_file_among_several_is_named(base: Path, suffix: str) -> None:
    await DataArtifact(f"good.{suffix}", [{"a": 1}]).persist()
    (base / f"bad.{suffix}").write_bytes(b'{"a": \x00\xff"' if suffix == "json" else b"\x00\xff\xfe,\n\x00" * 3)
    with pytest.raises(MadPrefectError) as caught:
        await _queried([DataArtifact(f"good.{suffix}"), DataArtifact(f"bad.{suffix}")])
    assert f"bad.{suffix}" in str(caught.value)
