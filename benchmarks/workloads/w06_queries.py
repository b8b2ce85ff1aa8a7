"""W6: queries on a large cached result, against DuckDB on a file with the same rows."""

from __future__ import annotations

import asyncio
import datetime as dt
from functools import partial
from typing import Any

import duckdb

from benchmarks.bench import Bench
from benchmarks.cases import Case, Targets
from benchmarks.generate import relation_sql

SIZE = {"rows": 10_000_000, "times": 5}
QUICK = {"rows": 1_000_000, "times": 5}

QUERIES = {
    "count": "SELECT count(*)",
    "projection": "SELECT id, quarter",
    "filter": "WHERE ratio > 120 AND flag",
    "group by": 'SELECT "group", count(*), avg(quarter) GROUP BY ALL ORDER BY ALL',
    "full read": "SELECT *",
}


def large(bench: Bench) -> Any:
    """The asset."""

    @bench.asset("large.parquet", name="large", artifact_filetype="parquet", cache_expiration=dt.timedelta(days=365))
    def asset() -> Any:
        return duckdb.sql(relation_sql(bench.size["rows"]))

    return asset


def prepare(bench: Bench) -> None:
    """Run the asset."""
    asyncio.run(large(bench)())


def prepare_floor(bench: Bench) -> None:
    """The same rows in a file."""
    duckdb.execute(f"COPY ({relation_sql(bench.size['rows'])}) TO '{bench.path('large.parquet')}'")


def query(bench: Bench, clause: str) -> Any:
    """Query the asset, and take the answer as an Arrow table, which costs the same for everybody."""
    asset = large(bench)

    async def run() -> int:
        rows = 0
        with bench.clock():
            for _ in range(bench.size["times"]):
                rows += (await asset.query(clause)).to_arrow_table().num_rows
        return rows

    return asyncio.run(run())


def query_floor(bench: Bench, clause: str) -> Any:
    """DuckDB alone."""
    rows = 0
    with bench.clock():
        connection = duckdb.connect()
        for _ in range(bench.size["times"]):
            rows += connection.sql(f"FROM '{bench.path('large.parquet')}' {clause}").to_arrow_table().num_rows
    return rows


CASES = [
    Case(
        "W6",
        name,
        {
            "ours": partial(query, clause=clause),
            "old": partial(query, clause=clause),
            "floor": partial(query_floor, clause=clause),
        },
        SIZE,
        QUICK if name in ("group by", "full read") else None,
        Targets(old=1, floor=1.1),
        prepare={"ours": prepare, "old": prepare, "floor": prepare_floor},
    )
    for name, clause in QUERIES.items()
]
