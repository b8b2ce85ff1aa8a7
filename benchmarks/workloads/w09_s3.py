"""W9: a run and queries on S3, where every request takes 25 ms longer."""

from __future__ import annotations

import asyncio
import datetime as dt
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.bench import Bench
from benchmarks.cases import Case, Targets
from benchmarks.generate import relation_sql
from benchmarks.slow_s3 import SlowServer, slow_s3

SIZE = {"rows": 1_000_000}


@contextmanager
def based_on_s3() -> Iterator[SlowServer]:
    """Assets are on a new server while the block runs."""
    with slow_s3() as server:
        os.environ.update(server.environment, FILESYSTEM_URL=f"s3://{server.bucket}/lake")
        yield server


def tiny(bench: Bench, name: str) -> Any:
    """An asset of three rows."""

    @bench.asset(f"{name}.parquet", name=name)
    def asset() -> Any:
        return [{"id": number, "text": f"row {number}"} for number in range(3)]

    return asset


def large(bench: Bench) -> Any:
    """An asset of as many rows as the size says."""

    @bench.asset("large.parquet", name="large", cache_expiration=dt.timedelta(days=365))
    def asset() -> Any:
        return duckdb.sql(relation_sql(bench.size["rows"]))

    return asset


def run_tiny(bench: Bench) -> Any:
    """Run an asset for the first time, in a process that has run another one."""

    async def run() -> int | None:
        with based_on_s3() as server:
            await tiny(bench, "other")()
            server.counted()
            with bench.clock():
                artifact = await tiny(bench, "tiny")()
            bench.requests = server.counted()
            found = await artifact.query("SELECT count(*)")
            return int(found.fetchall()[0][0])

    return asyncio.run(run())


def run_large(bench: Bench) -> Any:
    """Run an asset of many rows for the first time, in a process that has run another one."""

    async def run() -> int:
        with based_on_s3() as server:
            await tiny(bench, "other")()
            server.counted()
            with bench.clock():
                artifact = await large(bench)()
            bench.requests = server.counted()
            found = await artifact.query("SELECT count(*)")
            return int(found.fetchall()[0][0])

    return asyncio.run(run())


def land(subject: str, folder: Path, size: dict[str, int]) -> None:
    """Run the asset of many rows: in a process of its own, so that others have read and written nothing of it."""
    asyncio.run(large(Bench(subject, folder, size))())


def query(bench: Bench, query_str: str) -> Any:
    """Query the asset of many rows, which does not run, in a process that has queried another one."""

    async def ask() -> Any:
        with based_on_s3() as server:
            landing = multiprocessing.get_context("spawn").Process(
                target=land, args=(bench.subject, bench.folder, dict(bench.size))
            )
            landing.start()
            landing.join()
            if landing.exitcode:
                raise RuntimeError("The asset did not land")
            (await tiny(bench, "other").query("WHERE id = 1")).fetchall()
            server.counted()
            with bench.clock():
                found = await large(bench).query(query_str)
                rows = found.fetchall()
            bench.requests = server.counted()
            return rows[0][0]

    return asyncio.run(ask())


def point(bench: Bench) -> Any:
    """Find one row."""
    return query(bench, f"WHERE id = {bench.size['rows'] // 2}")


def aggregate(bench: Bench) -> Any:
    """Sum one column."""
    return query(bench, "SELECT CAST(sum(quarter) AS DOUBLE)")


def everything(bench: Bench) -> Any:
    """Read all columns of all rows."""
    columns = 'sum(ratio), max(text), max("at"), count_if(flag), sum(quarter), max("group")'
    return query(bench, f"SELECT CAST(sum(id) AS BIGINT), {columns}")


def case(name: str, step: Any, targets: Targets = Targets(old=1)) -> Case:  # noqa: B008  it is frozen
    """One line of the table: what is compared are seconds, and requests with their target."""
    return Case("W9", name, {"ours": step, "old": step}, SIZE, None, targets)


CASES = [
    case("tiny run", run_tiny, Targets(old=1, requests=12)),
    case("run of 1,000,000 rows", run_large),
    case("cached point query", point, Targets(old=1, requests=4)),
    case("cached aggregate", aggregate),
    case("cached full read", everything),
]
