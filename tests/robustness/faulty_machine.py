"""A process on a machine with a fault: it makes a good result, then has the fault, and says what its user is told."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from mad_prefect_core import asset
from mad_prefect_core.errors import MadPrefectError

_rows = 10


@asset("x.parquet|csv", name="lake.x", artifact_filetype="json", fragment_rows=None)
def x() -> Any:
    for _ in range(3):
        yield [{"n": n, "text": f"{n * 7919 % 1000003:x}" * 3} for n in range(_rows)]


def _tell(call: Callable[[], object]) -> None:
    try:
        call()
        told: dict[str, Any] = {"error": None}
    except MadPrefectError as error:
        told = {
            "error": type(error).__name__,
            "errno": getattr(error, "errno", None),
            "asset": error.asset,
            "path": error.path,
            "phase": error.phase,
            "hint": error.hint,
            "text": str(error),
        }
    except BaseException as error:
        told = {"error": f"raw {type(error).__name__}", "text": str(error)}
    print(json.dumps(told), flush=True)


def _small_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _few_files() -> None:
    here = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (here, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _all_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(fault: str, base: str) -> None:
    global _rows
    x.call_sync()
    if fault.startswith("file-size"):
        _rows = 200_000
        _small_files(int(fault.partition(" ")[2]))
        _tell(x.call_sync)
        _small_files(resource.RLIM_INFINITY)
    elif fault == "full":
        _rows = 200_000
        _tell(x.call_sync)
    elif fault == "open-files":
        _few_files()
        _tell(x.call_sync)
        _all_files()
    elif fault == "read-only":
        os.setuid(65534)
        _tell(x.call_sync)
        return
    elif fault == "unreadable":
        for path in Path(base).rglob("*.run"):
            path.chmod(0)
        os.setuid(65534)
        _tell(lambda: x.cache_first().query_sync("SELECT count(*) FROM data"))
        return
    _rows = 20
    _tell(x.call_sync)
    print(duckdb.sql(f"SELECT count(*) FROM '{base}/x.parquet'").fetchall()[0][0])


if __name__ == "__main__":
    main(*sys.argv[1:])
