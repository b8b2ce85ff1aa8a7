"""W5: a cached call, and a point query on a cached asset, when it ran once and when it ran a thousand times before."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any

import duckdb

from benchmarks.bench import Bench
from benchmarks.cases import Case, Targets
from benchmarks.generate import relation_sql

SIZE = {"rows": 1_000_000, "earlier": 0, "calls": 100}
OFTEN = SIZE | {"earlier": 1_000}
QUICK = {"rows": 100_000, "earlier": 0, "calls": 50}


def points(bench: Bench, data: Callable[[], Any]) -> Any:
    """The asset."""

    @bench.asset("points.parquet", name="points", cache_expiration=dt.timedelta(days=365))
    def asset() -> Any:
        return data()

    return asset


def prepare(bench: Bench) -> None:
    """Run the asset: as often as the size says with one row, and then with all rows."""

    async def run() -> None:
        for _ in range(bench.size["earlier"]):
            await points(bench, lambda: [{"id": 1}]).with_options(cache_expiration=None)()
        await points(bench, lambda: duckdb.sql(relation_sql(bench.size["rows"]))).with_options(cache_expiration=None)()

    asyncio.run(run())


def prepare_floor(bench: Bench) -> None:
    """The same rows in a file."""
    duckdb.execute(f"COPY ({relation_sql(bench.size['rows'])}) TO '{bench.path('points.parquet')}'")


def not_cached() -> Any:
    """What the asset runs here, where it never should."""
    raise AssertionError("The call was no cache hit")


def call(bench: Bench) -> Any:
    """Call the asset, which does not run."""
    asset = points(bench, not_cached)

    async def once(number: int) -> Any:
        await asset()

    return repeated(bench, once)


def query(bench: Bench) -> Any:
    """Find a row by its number through the asset, which does not run."""
    asset = points(bench, not_cached)

    async def once(number: int) -> Any:
        return (await asset.query(f"WHERE id = {number}")).fetchall()[0][0]

    return repeated(bench, once)


def query_floor(bench: Bench) -> Any:
    """Find a row by its number with DuckDB alone, on one connection."""
    connection = duckdb.connect()

    async def once(number: int) -> Any:
        return connection.execute(f"FROM '{bench.path('points.parquet')}' WHERE id = {number}").fetchall()[0][0]

    return repeated(bench, once)


def repeated(bench: Bench, once: Callable[[int], Awaitable[Any]]) -> Any:
    """The clock has as many as the size says, after one that connects to what is needed."""
    numbers = [number * 7919 % bench.size["rows"] for number in range(bench.size["calls"])]

    async def run() -> list[Any]:
        await once(0)
        with bench.clock():
            return [await once(number) for number in numbers]

    return asyncio.run(run())


def cases(when: str, size: dict[str, int], quick: dict[str, int] | None) -> list[Case]:
    """A cached call and a point query, with so many runs before."""
    landed = {"ours": prepare, "old": prepare}
    return [
        Case("W5", f"cached call, {when}", {"ours": call, "old": call}, size, quick, Targets(old=0.5), prepare=landed),
        Case(
            "W5",
            f"point query, {when}",
            {"ours": query, "old": query, "floor": query_floor},
            size,
            quick,
            Targets(old=1, floor=1.3),
            prepare=landed | {"floor": prepare_floor},
        ),
    ]


CASES = [*cases("first run", SIZE, QUICK), *cases("after 1,000 runs", OFTEN, None)]
