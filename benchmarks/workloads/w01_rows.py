"""W1: mixed rows in batches of dicts, to Parquet, by way of JSON or of Parquet fragments."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.bench import Bench
from benchmarks.cases import Case, Targets
from benchmarks.generate import MIXED_TYPES, mixed_batches

SIZE = {"batches": 100, "rows": 10_000}
QUICK = {"batches": 20, "rows": 2_000}


def land(bench: Bench, **options: Any) -> Any:
    """An asset yields all batches: the same code for us and for mad-prefect 2.3.0."""

    @bench.asset("rows.parquet", **options)
    async def rows() -> Any:
        for batch in bench.generated(mixed_batches(**bench.size)):
            yield batch

    with bench.clock():
        asyncio.run(rows())
    return totals(bench)


def floor(bench: Bench, write: Callable[[Bench], str]) -> Any:
    """Each batch is written to a file by the library that is good at it; DuckDB makes one file of all."""
    with bench.clock():
        union = write(bench)
        duckdb.execute(f"COPY ({union}) TO '{bench.path('rows.parquet')}' (FORMAT parquet)")
    return totals(bench)


def write_json(bench: Bench) -> str:
    """msgspec writes newline-delimited JSON."""
    import msgspec

    encoder = msgspec.json.Encoder()
    for number, batch in enumerate(bench.generated(mixed_batches(**bench.size))):
        (bench.folder / f"{number}.json").write_bytes(encoder.encode_lines(batch))
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in MIXED_TYPES.items())
    return f"FROM read_json('{bench.path('*.json')}', columns = {{{columns}}})"


def write_parquet(bench: Bench) -> str:
    """pyarrow makes columns of the rows, by a schema that it is told, and writes Parquet."""
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("ratio", pa.float64()),
            ("text", pa.string()),
            ("key", pa.uuid()),
            ("at", pa.timestamp("us")),
            ("nested", pa.struct([("a", pa.int64()), ("b", pa.string())])),
            ("list", pa.list_(pa.int64())),
            ("gap", pa.int64()),
            ("price", pa.decimal128(4, 2)),
            ("flag", pa.bool_()),
        ]
    )
    for number, batch in enumerate(bench.generated(mixed_batches(**bench.size))):
        pq.write_table(pa.Table.from_pylist(batch, schema), bench.path(f"{number}.fragment"))
    return f"FROM read_parquet('{bench.path('*.fragment')}')"


def totals(bench: Bench) -> Any:
    """What tells that every row is there."""
    path = bench.path("rows.parquet")
    return duckdb.execute(
        f"SELECT count(*), sum(id)::BIGINT, count(gap), sum(nested.a)::BIGINT FROM '{path}'"
    ).fetchall()


def subjects(write: Callable[[Bench], str], **options: Any) -> dict[str, Callable[[Bench], Any]]:
    """Us, the old package and the floor, with these options of the asset."""
    step = partial(land, **options)
    return {"ours": step, "old": step, "floor": partial(floor, write=write)}


CASES = [
    Case("W1", "JSON fragments", subjects(write_json, artifact_filetype="json"), SIZE, QUICK, Targets(old=6)),
    Case("W1", "Parquet fragments", subjects(write_parquet, artifact_filetype="parquet"), SIZE, QUICK, Targets(old=8)),
]
