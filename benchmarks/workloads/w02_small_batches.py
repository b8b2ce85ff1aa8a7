"""W2: the rows of W1 in many small batches, to Parquet."""

from __future__ import annotations

from functools import partial

from benchmarks.cases import Case, Targets
from benchmarks.workloads.w01_rows import land, subjects, write_json

SIZE = {"batches": 2_000, "rows": 50}
QUICK = {"batches": 200, "rows": 50}

together = partial(land, fragment_rows=10_000)
"""Fragments of 10,000 rows, which only this package has."""

CASES = [
    Case("W2", "a fragment a batch", subjects(write_json), SIZE, QUICK, Targets(old=4)),
    Case("W2", "put together", {**subjects(write_json), "ours": together}, SIZE, QUICK, Targets(old=10)),
]
