"""Memory is bounded by the size of a batch, not by how much data flows (promise 11)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_RUN = """
import json, sys
from mad_prefect_core import asset
from mad_prefect_core.testing.formats.memory import peak
from mad_prefect_parquet import WriteParquetOptions
batches, rows, words, fragments = *map(int, sys.argv[1:4]), sys.argv[4]

# A row group is held until it is full: it must not take more of the longer run.
@asset("x.parquet", artifact_filetype=fragments, write_options=WriteParquetOptions(row_group_size=2048))
def x(count):
    for n in range(count):
        yield [{"n": n, "i": i, "text": f"some text of row {i}" * words, "f": i / 7} for i in range(rows)]

x.with_arguments(2).query_sync("SELECT count(*) FROM data").fetchall()  # imports and first allocations
found = x.with_arguments(batches).query_sync("SELECT count(*), count(DISTINCT n) FROM data").fetchall()
print(json.dumps([found, peak()]))
"""


def _peak(folder: Path, batches: int, rows: int, words: int, fragments: str) -> int:
    environment = os.environ | {
        "FILESYSTEM_URL": f"file://{folder}/{batches}",
        "MAD_PREFECT_DUCKDB_MEMORY_LIMIT": "600MB",
        "MAD_PREFECT_DUCKDB_THREADS": "2",
    }
    command = [sys.executable, "-c", _RUN, str(batches), str(rows), str(words), fragments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found, megabytes = json.loads(done.stdout.splitlines()[-1])
    assert found == [[batches * rows, batches]]
    return int(megabytes)


# Many small batches have long texts: a process that keeps its rows must stand out from one that keeps its records.
@pytest.mark.parametrize("fragments", ["json", "parquet"])
@pytest.mark.parametrize(("batches", "rows", "words"), [(1_000, 50, 80), (100, 10_000, 1)])
def test_memory_does_not_grow_with_the_number_of_batches(
    base: Path, batches: int, rows: int, words: int, fragments: str
) -> None:
    few = _peak(base, batches // 4, rows, words, fragments)
    many = _peak(base, batches, rows, words, fragments)
    print(f"{batches} batches of {rows} rows, {fragments}: {few} MB for a quarter of them, {many} MB for all")
    assert many - few < 60
