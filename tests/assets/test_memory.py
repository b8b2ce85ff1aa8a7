"""Memory is bounded by the size of a batch, not by how much data flows (promise 11)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_RUN = """
import json, resource, sys
from mad_prefect_core import asset
batches, rows, suffix, fragments = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]

@asset(f"x.{suffix}", artifact_filetype=fragments)
def x(count):
    for n in range(count):
        yield [{"n": n, "i": i, "text": f"some text of row {i}", "f": i / 7} for i in range(rows)]

x.with_arguments(2).query_sync("SELECT count(*) FROM data").fetchall()  # imports and first allocations
found = x.with_arguments(batches).query_sync("SELECT count(*), count(DISTINCT n) FROM data").fetchall()
print(json.dumps([found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024]))
"""


def _peak(folder: Path, batches: int, rows: int, suffix: str, fragments: str) -> int:
    environment = os.environ | {
        "FILESYSTEM_URL": f"file://{folder}/{batches}",
        "MAD_PREFECT_DUCKDB_MEMORY_LIMIT": "600MB",
        "MAD_PREFECT_DUCKDB_THREADS": "2",
    }
    command = [sys.executable, "-c", _RUN, str(batches), str(rows), suffix, fragments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found, megabytes = json.loads(done.stdout.splitlines()[-1])
    assert found == [[batches * rows, batches]]
    return int(megabytes)


@pytest.mark.parametrize("fragments", ["json", "parquet"])
@pytest.mark.parametrize(("batches", "rows"), [(2_000, 50), (100, 10_000)])
def test_memory_does_not_grow_with_the_number_of_batches(base: Path, batches: int, rows: int, fragments: str) -> None:
    few = _peak(base, batches // 4, rows, "parquet", fragments)
    many = _peak(base, batches, rows, "parquet", fragments)
    print(f"{batches} batches of {rows} rows, {fragments}: {few} MB for a quarter of them, {many} MB for all")
    assert many - few < 60
