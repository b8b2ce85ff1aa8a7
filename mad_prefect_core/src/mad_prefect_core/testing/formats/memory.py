"""Writes or reads two files in a process of its own, and prints how much memory it had at most after each, in MB."""

from __future__ import annotations

import base64
import json
import os
import pickle
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.compute as pc

from mad_prefect_core.batch import ColumnBatch
from mad_prefect_core.contracts import FormatLike
from mad_prefect_core.session import DuckSession
from mad_prefect_core.testing.formats.bench import Bench
from mad_prefect_core.writing import writer_of

__all__ = ["ADDED", "BATCHES", "peak", "peaks_of"]

_ROWS = 10_000  # of a batch
_WIDTH = 200  # characters of the text in a row
BATCHES = (15, 60)
"""Of the two files."""
ADDED = (BATCHES[1] - BATCHES[0]) * _ROWS * _WIDTH // 10**6
"""What the second file has more than the first, in MB."""


def peaks_of(format: FormatLike[Any, Any], step: Literal["writing", "reading"], folder: Path) -> tuple[int, int, str]:
    """The peaks after the smaller and after the larger file, and the step, or "reading in Python" where Python opens
    the files. Those that are read must have been written before.

    Raises `AssertionError` with the error of a process that failed.
    """
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        # On several threads DuckDB fills all the memory that it is given, and hides what a plugin keeps.
        "MAD_PREFECT_DUCKDB_THREADS": "1",
        "MAD_PREFECT_DUCKDB_MEMORY_LIMIT": "500MB",
    }
    command = [sys.executable, "-c", f"import {__name__} as memory; memory.main()", step, str(folder)]
    done = subprocess.run(command, input=pickle.dumps(format), env=environment, capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(f"{step} failed: {done.stderr.decode()[-2000:]}")
    few, many, in_python = json.loads(done.stdout.splitlines()[-1])
    return few, many, "reading in Python" if in_python and step == "reading" else step


def main() -> None:
    """What the process does: `step` and `folder` are its arguments, a pickled format its input."""
    step, folder = sys.argv[1:]
    opened: list[str] = []

    class Session(DuckSession):
        def opener(self, file: str) -> Callable[[], BinaryIO]:
            opened.append(file)
            return super().opener(file)

    bench = Bench(pickle.loads(sys.stdin.buffer.read()), Session.for_writing(), Path(folder))
    peaks = []
    for batches in BATCHES:
        path = bench.folder / str(batches)
        if step == "writing":
            _write(bench, path, batches)
        else:
            assert _read(bench, path) == batches * _ROWS
        peaks.append(peak())
    print(json.dumps([*peaks, bool(opened)]))


def _write(bench: Bench, path: Path, batches: int) -> None:
    # Hardly smaller when compressed: a reader that holds the bytes of the file is seen too.
    text = pa.array([base64.b64encode(random.Random(i).randbytes(_WIDTH * 3 // 4)).decode() for i in range(_ROWS)])
    writer = writer_of(bench.format, path, bench.writing())
    for number in range(batches):
        # Text of its own for each batch: shared buffers would hide that batches are kept.
        own = pc.binary_join_element_wise(text, str(number), "")
        writer.write(ColumnBatch(pa.table({"i": range(_ROWS), "number": [number] * _ROWS, "t": own})))
    writer.close()


def _read(bench: Bench, path: Path) -> int:
    schema = {"i": "BIGINT", "number": "BIGINT", "t": "VARCHAR"}
    [(rows, _, _)] = bench.scan(path, schema=schema).aggregate("count(t), sum(i), max(length(t))").fetchall()
    return int(rows)


def peak() -> int:
    """How much memory this process had at most, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where `getrusage` begins with the memory of the process that started this one
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) >> 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)
