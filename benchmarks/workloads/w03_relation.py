"""W3: one DuckDB relation, over a table in memory, to Parquet, or to Parquet and CSV."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import duckdb

from benchmarks.bench import Bench
from benchmarks.cases import Case, Targets
from benchmarks.generate import relation_sql

SIZE = {"rows": 10_000_000}
QUICK = {"rows": 500_000}


def land(bench: Bench, path: str, query: Callable[[Bench], str]) -> Any:
    """An asset returns the relation: the same code for us and for mad-prefect 2.3.0."""
    rows = query(bench)

    @bench.asset(path, artifact_filetype="parquet")
    def typed() -> Any:
        return duckdb.sql(rows)

    with bench.clock():
        asyncio.run(typed())
    return totals(bench)


def floor(bench: Bench, path: str) -> Any:
    """DuckDB copies the table to each file."""
    rows = of_table(bench)
    stem, _, suffixes = path.partition(".")
    with bench.clock():
        for suffix in suffixes.split("|"):
            duckdb.execute(f"COPY ({rows}) TO '{bench.path(f'{stem}.{suffix}')}'")
    return totals(bench)


def of_table(bench: Bench) -> str:
    """All rows of a table that is in memory before the clock starts."""
    duckdb.execute(f"CREATE TABLE source AS {of_nothing(bench)}")
    return "FROM source"


def of_nothing(bench: Bench) -> str:
    """The rows made as they are asked for, so that they take no memory."""
    return relation_sql(**bench.size)


def totals(bench: Bench) -> Any:
    """What tells that every row is there."""
    files = sorted(bench.folder.glob("typed.*"))
    return [duckdb.execute(f"SELECT count(*), sum(id)::BIGINT FROM '{file}'").fetchall() for file in files]


def subjects(path: str) -> dict[str, Any]:
    """Us, the old package and the floor, with this path."""
    step = partial(land, path=path, query=of_table)
    return {"ours": step, "old": step, "floor": partial(floor, path=path)}


CASES = [
    Case("W3", "Parquet", subjects("typed.parquet"), SIZE, QUICK, Targets(old=2.5, floor=1.15)),
    Case("W3", "Parquet and CSV", subjects("typed.parquet|csv"), SIZE, QUICK, Targets(old=2, floor=1.15)),
]
