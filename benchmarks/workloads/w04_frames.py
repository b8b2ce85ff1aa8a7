"""W4: frames of pandas, polars and pyarrow, to Parquet."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa

from benchmarks.bench import Bench
from benchmarks.cases import Case, Targets
from benchmarks.generate import frames

SIZE = {"batches": 20, "rows": 250_000}
QUICK = {"batches": 5, "rows": 50_000}


def land(bench: Bench, library: str, **options: Any) -> Any:
    """An asset yields all frames: the same code for us and for mad-prefect 2.3.0."""

    @bench.asset("frames.parquet", **options)
    async def all_frames() -> Any:
        for frame in bench.generated(frames(library, **bench.size)):
            yield frame

    with bench.clock():
        asyncio.run(all_frames())
    return totals(bench)


def floor(bench: Bench, library: str) -> Any:
    """DuckDB copies one Arrow reader over all frames."""
    tables = map(pa.table, bench.generated(frames(library, **bench.size)))
    with bench.clock():
        first = next(tables)
        batches = (batch for table in (first, *tables) for batch in table.to_batches())
        connection = duckdb.connect()
        connection.register("reader", pa.RecordBatchReader.from_batches(first.schema, batches))
        connection.execute(f"COPY reader TO '{bench.path('frames.parquet')}'")
    return totals(bench)


def totals(bench: Bench) -> Any:
    """What tells that every row is there."""
    return duckdb.execute(f"SELECT count(*), sum(id)::BIGINT FROM '{bench.path('frames.parquet')}'").fetchall()


def case(library: str, fragments: str, target: float, **options: Any) -> Case:
    """Frames of a library, with these options of the asset."""
    step = partial(land, library=library, **options)
    subjects = {"ours": step, "old": step, "floor": partial(floor, library=library)}
    quick = QUICK if options else None  # by default the fragments are Parquet too
    return Case("W4", f"{library}, {fragments}", subjects, SIZE, quick, Targets(old=target, floor=1.3), repeat=3)


CASES = [
    case(library, fragments, target, **options)
    for fragments, target, options in (
        ("Parquet fragments", 3.0, {"artifact_filetype": "parquet"}),
        ("defaults", 15.0, {}),
    )
    for library in ("pandas", "polars", "pyarrow")
]
