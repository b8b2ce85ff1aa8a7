"""An asset with a large result, in a process of its own: `python large_asset.py JOB`.

`JOB` is a JSON object, `{"rows": ..., "limits": {"module": {"name": value}}}`. Prints what it did as another one.
"""

from __future__ import annotations

import json
import pkgutil
import sys
import time
from typing import Any

import duckdb

from mad_prefect_core import asset
from mad_prefect_core.testing.formats.memory import peak
from mad_prefect_parquet import WriteParquetOptions

WIDTH = 64  # bytes of a row, hardly more in the file: nothing of it can be compressed, and it is not tried
ROW = ", ".join(["range AS id", *(f"hash(range, {n}) AS h{n}" for n in range(1, WIDTH // 8))])


@asset("x.parquet", name="x", write_options=WriteParquetOptions(compression="uncompressed"))
def x(rows: int) -> Any:
    return duckdb.sql(f"SELECT {ROW} FROM range({rows})")


def main() -> None:
    job = json.loads(sys.argv[1])
    for module, limits in job["limits"].items():
        for name, value in limits.items():
            setattr(pkgutil.resolve_name(module), name, value)
    rows = job["rows"]
    x.with_arguments(1000).call_sync()  # imports and first allocations
    before, begun = peak(), time.monotonic()
    [result] = x.with_arguments(rows).call_sync().run.results
    stored, after = time.monotonic(), peak()
    relation = x.with_arguments(rows).cache_first().query_sync("WHERE id = $1", [rows - 3])
    assert relation is not None
    said = {
        "size": result.size,
        "sha256": result.sha256,
        "seconds": {"to store it": stored - begun, "to query a row": 0.0},
        "row": relation.fetchall(),
        "expected": duckdb.sql(f"SELECT {ROW} FROM range({rows - 3}, {rows - 2})").fetchall(),
        "megabytes": {"before": before, "stored": after, "queried": peak()},
    }
    said["seconds"]["to query a row"] = time.monotonic() - stored
    print(json.dumps(said))


if __name__ == "__main__":
    main()
