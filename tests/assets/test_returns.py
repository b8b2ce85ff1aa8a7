"""Every kind of return value gives the same answer in each format, or a clear error."""

from __future__ import annotations

import dataclasses
from collections import defaultdict, namedtuple
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pydantic import BaseModel

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.errors import NoResultError, UnsupportedDataError, UnsupportedValueError

ROWS = [{"id": 1, "name": "a"}, {"id": 2, "name": None}, {"id": 3, "name": "c"}]
ANSWER = [(1, "a"), (2, None), (3, "c")]


@dataclasses.dataclass
class Row:
    id: int
    name: str | None


class Model(BaseModel):
    id: int
    name: str | None


Pair = namedtuple("Pair", ["id", "name"])


def _generator() -> Iterator[Any]:
    yield ROWS[0]
    yield ROWS[1:]


def _nested_generator() -> Iterator[Any]:
    def inner() -> Iterator[Any]:
        yield []
        yield ROWS[:1]
        yield None

    yield inner()
    yield _coroutine(ROWS[1:2])
    yield _agenerator(ROWS[2:])


async def _coroutine(value: Any) -> Any:
    return value


async def _coroutine_of_coroutine() -> Any:
    return _coroutine(_coroutine(ROWS))


async def _agenerator(rows: list[Any]) -> AsyncIterator[Any]:
    for row in rows:
        yield row


async def _agenerator_of_generators() -> AsyncIterator[Any]:
    yield _generator()


def _artifact() -> Any:
    return DataArtifact("other/artifact.json", ROWS)


def _asset() -> Any:
    @asset("other/inner.parquet", name="inner")
    def inner() -> Any:
        return ROWS

    return inner


def _response() -> httpx.Response:
    return httpx.Response(200, json=ROWS, request=httpx.Request("GET", "https://x.test/rows?api_key=s3cret"))


KINDS: dict[str, Callable[[], Any]] = {
    "list of dicts": lambda: ROWS,
    "tuple of dicts": lambda: tuple(ROWS),
    "dataclasses": lambda: [Row(**row) for row in ROWS],
    "pydantic models": lambda: [Model(**row) for row in ROWS],
    "named tuples": lambda: [Pair(**row) for row in ROWS],
    "generator": _generator,
    "nested generators": _nested_generator,
    "coroutine": lambda: _coroutine(ROWS),
    "coroutine of a coroutine": _coroutine_of_coroutine,
    "async generator": lambda: _agenerator(ROWS),
    "async generator of generators": _agenerator_of_generators,
    "list of generators": lambda: [_generator()],
    "httpx.Response": _response,
    "generator of responses": lambda: (_response() for _ in range(1)),
    "DataArtifact": _artifact,
    "generator of artifacts": lambda: (_artifact() for _ in range(1)),
    "DataAsset": _asset,
    "list of an asset": lambda: [_asset()],
    "pandas frame": lambda: pd.DataFrame(ROWS),
    "polars frame": lambda: pl.DataFrame(ROWS),
    "polars lazy frame, collected": lambda: pl.DataFrame(ROWS).lazy().collect(),
    "Arrow table": lambda: pa.Table.from_pylist(ROWS),
    "Arrow reader": lambda: pa.Table.from_pylist(ROWS).to_reader(),
    "Arrow record batches": lambda: pa.Table.from_pylist(ROWS).to_batches(),
    "Arrow struct array": lambda: pa.array(ROWS),
    "DuckDB relation": lambda: duckdb.connect().sql("FROM (VALUES (1::BIGINT, 'a'), (2, NULL), (3, 'c')) t(id, name)"),
    "list of frames": lambda: [pl.DataFrame(ROWS[:2]), pa.Table.from_pylist(ROWS[2:])],
    "rows and frames": lambda: [ROWS[0], pa.Table.from_pylist(ROWS[1:2]), Row(**ROWS[2])],
}


@pytest.mark.parametrize("fragments", [None, "json", "parquet", "csv"])
@pytest.mark.parametrize("kind", KINDS)
async def test_s33_every_kind_of_return_value_gives_the_same_answer_in_each_format(
    base: Path, kind: str, fragments: str | None
) -> None:
    @asset("x.json|parquet|csv", artifact_filetype=fragments)
    def x() -> Any:
        return KINDS[kind]()

    artifact = await x()
    relation = await artifact.query()
    assert relation is not None
    assert (relation.columns, relation.fetchall()) == (["id", "name"], ANSWER)
    for suffix in ("json", "parquet", "csv"):
        other = await DataArtifact(f"x.{suffix}").query()
        assert other is not None
        assert (other.columns, other.fetchall()) == (["id", "name"], ANSWER)


@pytest.mark.parametrize("kind", ["async def", "async generator", "generator"])
async def test_every_kind_of_function_can_be_an_asset(base: Path, kind: str) -> None:
    if kind == "async def":

        @asset("x.json")
        async def x() -> Any:
            return ROWS
    elif kind == "async generator":

        @asset("x.json")
        async def x() -> Any:
            for row in ROWS:
                yield row
    else:

        @asset("x.json")
        def x() -> Any:
            yield from ROWS

    assert (await x.query()).fetchall() == ANSWER


async def test_a_single_dict_is_a_row_and_bare_values_are_a_column(base: Path) -> None:
    @asset("{kind}.json")
    def x(kind: str) -> Any:
        return {"dict": {"a": 1}, "ints": [1, 2], "strs": ["a", "b"], "none": None, "empty": []}[kind]

    assert (await x.with_arguments("dict").query()).fetchall() == [(1,)]
    assert (await x.with_arguments("ints").query()).fetchall() == [(1,), (2,)]
    assert (await x.with_arguments("strs").query()).fetchall() == [("a",), ("b",)]
    for nothing in ("none", "empty"):
        with pytest.raises(NoResultError):
            await x.with_arguments(nothing).query()


REFUSED: dict[str, Callable[[], Any]] = {
    "str": lambda: "rows",
    "bytes": lambda: b"rows",
    "set": lambda: {1, 2},
    "zero": lambda: 0,
    "False": lambda: False,
    "float": lambda: 1.5,
    "Path": lambda: Path("x"),
    "object": object,
    "function": lambda: len,
    "module": lambda: dataclasses,
    "generator of a str": lambda: (item for item in ["rows"]),
    "HTTP 500": lambda: httpx.Response(
        500, text="oops", request=httpx.Request("GET", "https://u:p@x.test/?key=s3cret")
    ),
    "HTTP 404 with JSON": lambda: httpx.Response(404, json={"e": 1}, request=httpx.Request("GET", "https://x.test/")),
    "HTML": lambda: httpx.Response(200, text="<html>", request=httpx.Request("GET", "https://x.test/")),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_s34_what_can_not_be_rows_is_refused_by_name_and_changes_nothing(
    base: Path, kind: str, stored: Callable[[], dict[str, bytes]]
) -> None:
    bad = False

    @asset("x.json")
    def x() -> Any:
        return REFUSED[kind]() if bad else ROWS

    await x()
    before, bad = stored(), True
    with pytest.raises(UnsupportedDataError) as caught:
        await x()
    assert caught.value.asset == x.name
    assert caught.value.path is not None
    assert caught.value.phase == "collect"
    assert "s3cret" not in str(caught.value)
    assert "u:p" not in str(caught.value)
    assert stored() == before


async def test_the_error_of_a_bad_value_names_column_and_batch(base: Path) -> None:
    @asset("x.json")
    def x() -> Any:
        yield [{"a": {"b": 1}}]
        yield [{"a": {"b": 10**50}}]

    with pytest.raises(UnsupportedValueError, match=r"10{50}") as caught:
        await x()
    assert (caught.value.column, caught.value.batch, caught.value.phase) == ("a.b", 1, "collect")


async def test_a_generator_is_closed_when_its_run_fails(base: Path) -> None:
    closed = []

    @asset("x.json")
    def x() -> Any:
        try:
            yield [{"a": 1}]
            yield [{"a": "x"}]
            yield [{"a": {1, 2}}]
            yield [{"a": 4}]
        finally:
            closed.append(True)

    with pytest.raises(UnsupportedDataError):
        await x()
    assert closed == [True]


async def test_artifacts_of_a_function_may_be_files_that_others_wrote(base: Path, corpus: Path) -> None:
    (base / "in").mkdir()
    (base / "in/people.csv").write_text("id,name\n1,a\n2,\n")

    @asset("x.parquet")
    def x() -> Any:
        yield DataArtifact("in/people.csv")
        yield DataArtifact("in/people.csv")

    assert sorted((await x.query()).fetchall()) == [(1, "a"), (1, "a"), (2, None), (2, None)]
    assert (base / "in/people.csv").read_text() == "id,name\n1,a\n2,\n"


async def test_a_dict_that_makes_up_what_is_missing_gives_only_what_it_has(base: Path) -> None:
    made_up: Any = defaultdict(int, b=5)

    @asset("x.json")
    def x() -> Any:
        return [{"a": 1}, made_up]

    relation = await x.query()
    assert relation is not None
    assert relation.fetchall() == [(1, None), (None, 5)]
    assert dict(made_up) == {"b": 5}
