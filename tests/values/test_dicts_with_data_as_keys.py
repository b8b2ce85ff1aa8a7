"""Dicts whose keys are data are a map: a result has the keys of its rows, and grows as they do."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
import logging
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.batch import RowBatch, SchemaGrowth
from mad_prefect_core.batch.maps import MapRule
from mad_prefect_core.errors import DataError, SchemaError
from mad_prefect_json import ReadJsonOptions

Rows = list[dict[str, Any]]
Draw = Callable[[random.Random], Any]


def sparse(rows: int = 400, names: int = 200, of: int = 3, draw: Draw = random.Random.random) -> Rows:
    """Rows whose `v` has a few of many keys."""
    chance = random.Random(1)
    return [{"id": i, "v": {f"k{chance.randrange(names)}": draw(chance) for _ in range(of)}} for i in range(rows)]


def types_of(relation: Any) -> dict[str, str]:
    return {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}


def by_id(relation: Any) -> Rows:
    return sorted((dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()), key=lambda r: r["id"])


def in_batches(rows: Rows, sizes: list[int]) -> Iterator[Rows]:
    following, size = iter(rows), itertools.cycle(sizes)
    while part := list(itertools.islice(following, next(size))):
        yield part


@pytest.mark.parametrize("fragments", ["json", "parquet", "csv", "avro"])
@pytest.mark.parametrize("result", ["json", "parquet", "csv", "avro"])
@pytest.mark.parametrize("sizes", [[400], [150, 250], [10]])
def test_rows_have_the_keys_that_they_came_with(base: Path, fragments: str, result: str, sizes: list[int]) -> None:
    rows = sparse()

    @asset(f"x.{result}", artifact_filetype=fragments)
    def x() -> Any:
        yield from in_batches(rows, sizes)

    relation = x.query_sync()
    assert relation is not None
    assert types_of(relation) == {"id": "BIGINT", "v": "MAP(VARCHAR, DOUBLE)"}
    assert by_id(relation) == rows


VALUES: dict[str, tuple[Draw, str]] = {
    "integers": (lambda chance: chance.randrange(9), "BIGINT"),
    "integers beside floats": (lambda chance: chance.choice([1, 2.5]), "DOUBLE"),
    "integers beside decimals": (lambda chance: chance.choice([1, Decimal("2.55")]), "DECIMAL(3,2)"),
    "wide integers": (lambda chance: 2**64 - 1 - chance.randrange(9), "UBIGINT"),
    "text": (lambda chance: chance.choice(["a", "b c"]), "VARCHAR"),
    "text of dates": (lambda chance: f"2020-01-{chance.randrange(10, 30)}", "DATE"),
    "dates": (lambda chance: dt.date(2020, 1, chance.randrange(1, 30)), "DATE"),
    "moments": (lambda chance: dt.datetime(2020, 1, chance.randrange(1, 9), tzinfo=dt.UTC), "TIMESTAMP WITH TIME ZONE"),
    "lists": (lambda chance: [chance.randrange(9)], "BIGINT[]"),
    "dicts": (lambda chance: {"n": chance.randrange(9)}, "STRUCT(n BIGINT)"),
    "dicts of various keys": (lambda chance: chance.choice([{"n": 1}, {"m": "x"}]), "STRUCT(n BIGINT, m VARCHAR)"),
    "bytes": (lambda chance: bytes([chance.randrange(256)]), "BLOB"),
    "not a number": (lambda chance: chance.choice([float("nan"), 1.5]), "DOUBLE"),
    "bools": (lambda chance: chance.random() < 0.5, "BOOLEAN"),
}  # fmt: skip


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("fragments", ["json", "parquet"])
def test_values_have_the_type_that_a_column_of_them_has(base: Path, fragments: str, kind: str) -> None:
    draw, expected = VALUES[kind]
    if kind == "text of dates" and fragments != "json":
        expected = "VARCHAR"

    @asset("x.parquet", artifact_filetype=fragments)
    def x() -> Any:
        yield from in_batches(sparse(draw=draw), [50, 350])

    relation = x.query_sync()
    assert relation is not None
    found = types_of(relation)["v"]
    assert found.replace("m VARCHAR, n BIGINT", "n BIGINT, m VARCHAR") == f"MAP(VARCHAR, {expected})"
    rows = by_id(relation)
    wanted = sparse(draw=draw)
    if kind == "not a number":
        assert str(rows) == str(wanted)
    elif kind not in ("dicts of various keys", "integers beside decimals", "text of dates"):
        assert rows == wanted
    assert [list(row["v"]) for row in rows] == [list(row["v"]) for row in wanted]


def mixed() -> Rows:
    """Each key has one type, but not all have the same."""
    makes: list[Callable[[int], Any]] = [lambda n: n, lambda n: f"x{n}", lambda n: [n % 2 == 0]]
    return [row | {"v": {key: makes[int(key[1:]) % 3](row["id"]) for key in row["v"]}} for row in sparse()]


@pytest.mark.parametrize("fragments", ["json", "parquet", "csv", "avro"])
@pytest.mark.parametrize("sizes", [[400], [50, 350]])
def test_values_without_a_type_for_all_are_json(base: Path, fragments: str, sizes: list[int]) -> None:
    @asset("x.parquet", artifact_filetype=fragments)
    def x() -> Any:
        yield from in_batches(mixed(), sizes)

    relation = x.query_sync()
    assert relation is not None
    assert types_of(relation)["v"] == "MAP(VARCHAR, JSON)"
    found = [{name: json.loads(text) for name, text in row["v"].items()} for row in by_id(relation)]
    assert found == [row["v"] for row in mixed()]


@pytest.mark.parametrize("fragments", ["json", "parquet", "avro"])
def test_texts_beside_numbers_of_another_page_are_json_texts(base: Path, fragments: str) -> None:
    texts = [row | {"v": {f"t{key}": "x" for key in row["v"]}} for row in sparse(draw=lambda chance: 1)]

    @asset("x.parquet", artifact_filetype=fragments)
    def x() -> Any:
        yield sparse()
        yield [row | {"id": row["id"] + 400} for row in texts]

    relation = x.query_sync()
    assert relation is not None
    assert types_of(relation)["v"] == "MAP(VARCHAR, JSON)"
    found = by_id(relation)
    assert json.loads(next(iter(found[0]["v"].values()))) == next(iter(sparse()[0]["v"].values()))
    assert {json.loads(text) for text in found[400]["v"].values()} == {"x"}


def test_a_key_that_holds_two_types_is_refused_by_its_name(base: Path) -> None:
    @asset("x.parquet")
    def x() -> Any:
        return [*sparse(), {"id": 400, "v": {"k7": "text"}}]

    with pytest.raises(SchemaError) as caught:
        x.call_sync()
    assert caught.value.column == "v.k7"


PLACES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "in a dict": (lambda v: {"m": v}, "STRUCT(m MAP(VARCHAR, DOUBLE))"),
    "in a list": (lambda v: [v, None], "MAP(VARCHAR, DOUBLE)[]"),
    "in a dict in a list": (lambda v: [{"m": v}], "STRUCT(m MAP(VARCHAR, DOUBLE))[]"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fragments", ["json", "parquet", "avro"])
def test_maps_are_told_inside_of_other_values(base: Path, place: str, fragments: str) -> None:
    put, expected = PLACES[place]
    rows = [{"id": row["id"], "v": put(row["v"])} for row in sparse()]

    @asset("x.parquet", artifact_filetype=fragments)
    def x() -> Any:
        yield from in_batches(rows, [20, 380])

    relation = x.query_sync()
    assert relation is not None
    assert types_of(relation)["v"] == expected
    assert by_id(relation) == rows


def test_a_map_of_maps_is_one(base: Path) -> None:
    rows = [{"id": row["id"], "v": {key: {f"{key}{row['id']}": 1} for key in row["v"]}} for row in sparse()]

    @asset("x.parquet")
    def x() -> Any:
        yield from in_batches(rows, [20, 380])

    relation = x.query_sync()
    assert relation is not None
    assert types_of(relation)["v"] == "MAP(VARCHAR, MAP(VARCHAR, BIGINT))"
    assert by_id(relation) == rows


@pytest.mark.parametrize("sizes", [[400], [10]])
@pytest.mark.parametrize("value", [0.5, float("inf")])
def test_keys_without_a_value_and_empty_dicts_stay(base: Path, sizes: list[int], value: float) -> None:
    rows: Rows = sparse(draw=lambda chance: chance.choice([None, value]))
    rows += [{"id": 400, "v": {}}, {"id": 401, "v": None}, {"id": 402, "v": {"k1": None}}]

    @asset("x.parquet")
    def x() -> Any:
        yield from in_batches(rows, sizes)

    relation = x.query_sync()
    assert relation is not None
    assert by_id(relation) == rows


def test_dicts_of_which_each_has_most_keys_are_structs(base: Path) -> None:
    rows = [{"id": i, "v": {f"k{n}": n for n in range(150) if n % 5}} for i in range(20)]
    rows.append({"id": 20, "v": {f"k{n}": n for n in range(150)}})

    @asset("x.parquet")
    def x() -> Any:
        yield from in_batches(rows, [1, 20])

    relation = x.query_sync()
    assert relation is not None
    assert types_of(relation)["v"].startswith("STRUCT(")
    assert len(relation.fetchall()) == 21


@pytest.mark.parametrize("fragments", ["json", "parquet"])
def test_sparse_pages_beside_full_ones_are_structs(base: Path, fragments: str) -> None:
    full = [{"id": i, "v": {f"k{n}": 0.5 for n in range(200)}} for i in range(1000, 1100)]

    @asset("x.parquet", artifact_filetype=fragments)
    def x() -> Any:
        yield sparse(100)
        yield full

    relation = x.query_sync()
    assert relation is not None
    assert types_of(relation)["v"].startswith("STRUCT(")
    found = by_id(relation)
    assert [{k: v for k, v in row["v"].items() if v is not None} for row in found[:100]] == [
        row["v"] for row in sparse(100)
    ]
    assert found[100:] == full


THRESHOLDS = [(-1, "STRUCT"), (150, "MAP"), (500, "STRUCT")]


@pytest.mark.parametrize(("threshold", "expected"), THRESHOLDS)
def test_the_option_decides_instead_where_it_is_set(base: Path, threshold: int, expected: str) -> None:
    @asset("x.parquet", read_json_options=ReadJsonOptions(map_inference_threshold=threshold))
    def x() -> Any:
        yield from in_batches(sparse(), [50, 350])

    relation = x.query_sync()
    assert relation is not None
    assert types_of(relation)["v"].startswith(expected)
    assert len(relation.fetchall()) == 400


def test_a_few_keys_are_a_map_where_the_option_says_so(base: Path) -> None:
    @asset("x.parquet", read_json_options=ReadJsonOptions(map_inference_threshold=1))
    def x() -> Any:
        yield [{"id": 1, "v": {"a": 1, "b": 2}}]
        yield [{"id": 2, "v": {"c": 2.5}}]

    relation = x.query_sync()
    assert relation is not None
    assert types_of(relation)["v"] == "MAP(VARCHAR, DOUBLE)"
    assert by_id(relation) == [{"id": 1, "v": {"a": 1.0, "b": 2.0}}, {"id": 2, "v": {"c": 2.5}}]


def test_a_type_that_the_user_names_goes_first(base: Path) -> None:
    @asset("x.parquet", read_json_options=ReadJsonOptions(columns={"v": "JSON"}))
    def x() -> Any:
        yield from in_batches(sparse(), [50, 350])

    relation = x.query_sync()
    assert relation is not None
    assert types_of(relation)["v"] == "JSON"
    assert [json.loads(row["v"]) for row in by_id(relation)] == [row["v"] for row in sparse()]


def test_structs_of_arrow_stay_structs(base: Path) -> None:
    @asset("x.parquet")
    def x() -> Any:
        yield pa.Table.from_pylist(sparse())

    relation = x.query_sync()
    assert relation is not None
    assert types_of(relation)["v"].startswith("STRUCT(")


def test_a_map_is_told_in_the_log_once(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    @asset("x.parquet")
    def x() -> Any:
        yield from in_batches(sparse(), [50])

    with caplog.at_level(logging.INFO):
        x.call_sync()
    told = [record.getMessage() for record in caplog.records if "is a map" in record.getMessage()]
    assert len(told) == 1
    assert "Column v is a map: its 400 dicts have 200 different keys, 3.0 each" in told[0]


def test_a_result_in_json_is_about_as_large_as_its_rows(base: Path) -> None:
    rows = sparse(2000, 1000, 5)

    @asset("x.json")
    def x() -> Any:
        return rows

    x.call_sync()
    assert (base / "x.json").stat().st_size < 2 * len(json.dumps(rows))


def test_a_file_of_sparse_dicts_is_read_with_its_own_types(base: Path) -> None:
    @asset("x.json")
    def x() -> Any:
        return sparse()

    x.call_sync()
    artifact = DataArtifact("y.parquet", sparse())
    asyncio.run(artifact.persist())
    relation = asyncio.run(artifact.query())
    assert relation is not None
    assert by_id(relation) == sparse()


_VALUES = st.none() | st.sampled_from([1, 2.5, Decimal("1.5"), "x", "2020-01-01"])
_NAMES = st.sampled_from([f"k{n}" for n in range(8)])
_ROWS = st.lists(
    st.fixed_dictionaries(
        {"n": st.just(1)},
        optional={
            "v": st.none()
            | st.dictionaries(
                _NAMES, st.none() | st.sampled_from([1, 2.5, Decimal("1.5"), "x", "2020-01-01"]), max_size=4
            )
        },
    ),
    min_size=2,
    max_size=12,
)


@settings(max_examples=200)
@given(
    rows=_ROWS, cut=st.integers(1, 11), order=st.randoms(use_true_random=False), more_than=st.sampled_from([0, 2, 4])
)
def test_types_depend_neither_on_batches_nor_on_their_order(
    rows: Rows, cut: int, order: random.Random, more_than: int
) -> None:
    def outcome(batches: list[Rows]) -> Any:
        growth = SchemaGrowth()
        try:
            for batch in filter(None, batches):
                growth.add_batch(RowBatch(batch))
        except DataError as error:
            return type(error)
        kinds = growth.result({"DATE"}, MapRule(more_than))
        return sorted((field.name, str(field.type)) for field in kinds if not pa.types.is_struct(field.type))

    together = outcome([rows])
    assert outcome([rows[:cut], rows[cut:]]) == together
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert outcome([[row] for row in shuffled]) == together


def test_a_batch_of_known_keys_makes_no_schema_of_all_keys_again() -> None:
    growth = SchemaGrowth()
    growth.add_batch(RowBatch([{"id": 1, "v": {f"k{i}": [1] for i in range(1_000)}}]))
    known = growth._schema
    growth.add_batch(RowBatch([{"v": {"k7": [10**9], "k3": None}}]))
    assert growth._schema is known
