"""W2: the rows of W1 in many small batches, to Parquet."""

from __future__ import annotations

from benchmarks.cases import Case, Targets
from benchmarks.workloads.w01_rows import subjects, write_json

SIZE = {"batches": 2_000, "rows": 50}
QUICK = {"batches": 200, "rows": 50}

CASES = [
    Case("W2", "a fragment a batch", subjects(write_json), SIZE, QUICK, Targets(old=4)),
]
