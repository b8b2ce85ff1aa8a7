"""Runs of the asset in processes of their own, forked from one that has imported everything: `crashing.py BASE`.

Reads one JSON object a line, each a run to be started, and answers with a line for each that starts and each that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import select
import signal
import sys
from typing import Any

import duckdb  # noqa: F401  imported here, so that the forked need not
import pyarrow.parquet  # noqa: F401
from fsspec.implementations.local import LocalFileSystem
from lake import CALLS, make

from mad_prefect_core import Retention
from mad_prefect_core.plugins import get_host
from mad_prefect_core.testing.faults import Operation, faults


def run(job: dict[str, Any]) -> None:
    """Do one run, or prune, with what is to befall it."""
    os.environ["FILESYSTEM_URL"] = job["url"]
    if limit := job.get("largest_file"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if job.get("exits_on_sigterm"):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def send(operation: Operation) -> None:
        if job.get("signal"):
            os.kill(os.getpid(), job["signal"])

    targets = [(get_host().storage_for("file").store, CALLS), LocalFileSystem]
    options = job.get("options", {})
    if keep := job.get("keep_last"):
        options["retention"] = Retention(keep_last=keep)
    asset = make(lambda: int(job["value"]), **options)
    with faults(*targets, fail_at=job.get("fail_at"), when=job.get("when", "before"), action=send) as injected:
        try:
            if job.get("prune"):
                asyncio.run(asset.prune(Retention(keep_last=job["prune"])))
            else:
                asset.call_sync()
        finally:
            if job.get("signal") and len(injected.operations) < job["fail_at"]:
                os._exit(99)  # there is no such operation


def main() -> None:
    get_host().plugins()
    children: set[int] = set()
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], 0.002 if children else None)
        if readable:
            line = sys.stdin.buffer.raw.readline()  # type: ignore[attr-defined]
            if not line:
                break
            job = json.loads(line)
            child = os.fork()
            if not child:
                status = 1
                try:
                    with contextlib.suppress(Exception):
                        run(job)
                        status = 0
                except BaseException:
                    status = 3
                finally:
                    os._exit(status)
            children.add(child)
            print(json.dumps({"started": child}), flush=True)
        for child in list(children):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                children.remove(child)
                print(json.dumps({"ended": child, "status": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
