"""What a user may get wrong in a query, and what he is told then."""

from __future__ import annotations

import asyncio
import gc
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mad_prefect_core import DataAsset, asset
from mad_prefect_core.errors import MadPrefectError, NoResultError, QueryError, UnsupportedDataError


@pytest.fixture
def prices(base: Path) -> DataAsset[..., Any]:
    @asset("prices.parquet", name="prices")
    def prices() -> Any:
        return [{"k": "a", "v": 1}, {"k": "b", "v": 2}]

    return prices


def test_a_run_without_rows_and_columns_says_so_when_it_is_queried(base: Path) -> None:
    @asset("nothing.parquet", name="nothing")
    def nothing() -> Any:
        return None

    with pytest.raises(NoResultError, match=r"nothing can be queried.*asset 'nothing'.*typed empty frame"):
        nothing.query_sync()


def test_a_table_that_is_none_is_told_with_those_that_are(prices: DataAsset[..., Any]) -> None:
    with pytest.raises(QueryError, match=r"reads a table 'pricse'.*knows data, .*prices.*tables={'pricse'"):
        prices.query_sync("SELECT * FROM data JOIN pricse USING (k)")
    with pytest.raises(QueryError, match=r"reads a table 'df'.*knows data, .*rates.*tables={'df'"):
        prices.query_sync("SELECT * FROM rates JOIN df USING (k)", tables={"rates": [{"k": "a"}]})


@pytest.mark.parametrize("name", ["data", "Data"])
def test_no_table_takes_the_place_of_the_assets_own_rows(prices: DataAsset[..., Any], name: str) -> None:
    with pytest.raises(QueryError, match="can't be named 'data'"):
        prices.query_sync("SELECT * FROM data", tables={name: pd.DataFrame({"z": [1]})})


TABLES: dict[str, Callable[[], Any]] = {
    "rows": lambda: [{"z": 1}, {"z": 2}],
    "a row": lambda: {"z": [1, 2]},
    "an iterator": lambda: iter([{"z": 1}, {"z": 2}]),
    "a generator": lambda: ({"z": n} for n in (1, 2)),
    "a pandas frame": lambda: pd.DataFrame({"z": [1, 2]}),
    "an Arrow table": lambda: pa.table({"z": [1, 2]}),
    "a stream, read once": lambda: pa.table({"z": [1, 2]}).to_reader(),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_a_query_is_anything_that_a_function_may_return(prices: DataAsset[..., Any], kind: str) -> None:
    relation = prices.query_sync("SELECT z FROM t", tables={"t": TABLES[kind]()})
    assert relation.fetchall() == relation.fetchall() == ([([1, 2],)] if kind == "a row" else [(1,), (2,)])


@pytest.mark.parametrize("given", [5, "rows", object(), {1, 2}, None, []])
def test_what_is_no_table_is_refused_by_name(prices: DataAsset[..., Any], given: Any) -> None:
    with pytest.raises(MadPrefectError, match=r"can't be made rows of|has no rows and no columns"):
        prices.query_sync("SELECT * FROM t", tables={"t": given})


@pytest.mark.parametrize("number", [np.int8(2), np.uint64(2), np.float32(2), np.float64(2)])
def test_a_number_of_numpys_is_a_parameter_like_any_other(prices: DataAsset[..., Any], number: Any) -> None:
    assert prices.query_sync("SELECT k WHERE v = ?", [number]).fetchall() == [("b",)]
    assert prices.query_sync("SELECT k WHERE v = $v", {"v": number}).fetchall() == [("b",)]


def test_a_pivot_makes_columns_of_the_values_that_are_there(prices: DataAsset[..., Any]) -> None:
    assert prices.query_sync("PIVOT data ON k USING sum(v)").columns == ["a", "b"]


def test_a_variable_of_another_connection_is_never_null_in_silence(prices: DataAsset[..., Any]) -> None:
    for asks in (
        lambda: prices.query_sync("WHERE v = getvariable('x')"),
        lambda: prices.query_sync().filter("v = GetVariable('x')"),
        lambda: prices.query_sync("PIVOT data ON k USING sum(v + getvariable('x'))"),
    ):
        with pytest.raises(QueryError, match=r"calls getvariable\(\).*as a parameter"):
            asks()


@pytest.mark.parametrize("query", ["SELECT * EXCLUDE (asset)", "SELECT runtime", "WHERE year = 2020"])
def test_a_column_that_2x_added_is_explained(prices: DataAsset[..., Any], query: str) -> None:
    with pytest.raises(QueryError, match=r"mad-prefect 2\.x added the column .*migrate-from-2x"):
        prices.query_sync(query)


def test_a_relation_says_why_it_can_not_leave_its_process(prices: DataAsset[..., Any]) -> None:
    with pytest.raises(UnsupportedDataError, match=r"can't go to another process.*to_arrow_table\(\)"):
        pickle.dumps(prices.query_sync())


def test_a_loop_over_a_relation_is_over_its_rows(prices: DataAsset[..., Any]) -> None:
    assert list(prices.query_sync("ORDER BY v")) == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("call", ["", ".query"])
def test_a_forgotten_await_is_told_by_the_assets_name_and_the_way_without_one(
    prices: DataAsset[..., Any], call: str
) -> None:
    forgotten = [prices.query() if call else prices()]
    with pytest.warns(RuntimeWarning, match=rf"prices{call}\(\).*await it.*_sync\(\).*was never awaited"):
        forgotten.clear()


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_call_in_a_flow_that_is_not_async_runs(base: Path) -> None:
    from prefect import flow, task

    calls: list[int] = []

    @asset("{n}.json", name="called")
    async def called(n: int) -> Any:
        calls.append(n)
        return [{"n": n}]

    @task
    def in_a_task() -> Any:
        return called(2).path

    @flow
    def plain() -> Any:
        # The second as 2.x had to be called.
        return called(1).path, asyncio.run(called(3)).path, in_a_task()

    assert plain() == ("1.json", "3.json", "2.json")
    assert calls == [1, 3, 2]
    gc.collect()
