"""A writer is stopped between the copies of `x.parquet|csv`, loses its lease, and is continued (SIGSTOP, SIGCONT)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mad_prefect_core import DataAsset, asset

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes can't be stopped there")

WRITER = """
import os, signal, sys, time
from mad_prefect_core import asset
from mad_prefect_core.plugins import get_host
from mad_prefect_core.runs import lifecycle

store = get_host().storage_for("file").store
link = store.link

def stops(self, source, path):
    if path.endswith("/x.csv"):
        store.link = link
        os.kill(os.getpid(), signal.SIGSTOP)
        while not os.path.exists(sys.argv[2]):  # other threads may be stopped first
            time.sleep(0.001)
    return link(self, source, path)

def dies(*args):
    os.kill(os.getpid(), signal.SIGKILL)

store.link = stops
if "dies" in sys.argv:
    lifecycle.settle = dies

@asset("x.parquet|csv", name="x")
def x():
    return [{"n": 2}]

x.call_sync()
"""


def make(value: int) -> DataAsset[..., Any]:
    @asset("x.parquet|csv", name="x")
    def x() -> Any:
        return [{"n": value}]

    return x


def shown(base: Path) -> tuple[int, int]:
    """What a program sees that reads the paths themselves."""
    parquet = pq.read_table(base / "x.parquet").to_pylist()
    return parquet[0]["n"], int((base / "x.csv").read_text().split()[1])


def read() -> int:
    """What a reader of ours gets by the record, without a run."""
    versions = asyncio.run(make(-1).history())
    relation = asyncio.run(next(version for version in versions if version.current).query("SELECT n FROM data"))
    assert relation is not None
    return int(relation.fetchall()[0][0])


@pytest.fixture
def stopped(base: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A process that has replaced the first of the two paths by its own, over a result of 1."""
    make(1).call_sync()
    command = [sys.executable, "-c", WRITER, getattr(request, "param", "goes on"), str(base.parent / "continued")]
    brief = {**os.environ, "MAD_PREFECT_LEASE_SECONDS": "2"}  # of its lease alone
    with subprocess.Popen(command, env=brief, stderr=subprocess.DEVNULL) as process:
        try:
            os.waitpid(process.pid, os.WUNTRACED)
            yield process
        finally:
            process.kill()


def end(process: subprocess.Popen[bytes], base: Path) -> None:
    (base.parent / "continued").touch()
    os.kill(process.pid, signal.SIGCONT)
    process.wait()


def test_a_stopped_publish_shows_plain_readers_two_runs_and_readers_of_ours_one(base: Path, stopped: Any) -> None:
    assert shown(base) == (2, 1)
    assert read() == 2
    end(stopped, base)
    assert shown(base) == (2, 2)


@pytest.mark.parametrize("newer", [1, 2])
def test_a_writer_that_is_continued_does_not_leave_old_bytes_over_newer_ones(
    base: Path, stopped: Any, newer: int
) -> None:
    for value in range(3, 3 + newer):
        make(value).call_sync()
        assert shown(base) == (value, value)
    end(stopped, base)
    assert shown(base) == (2 + newer, 2 + newer)
    assert read() == 2 + newer
    make(9).call_sync()
    assert shown(base) == (9, 9)


@pytest.mark.parametrize("stopped", ["dies"], indirect=True)
def test_a_continued_writer_that_dies_over_a_newer_run_is_noticed_by_the_next_call(base: Path, stopped: Any) -> None:
    make(3).call_sync()
    end(stopped, base)
    assert shown(base) == (3, 2)  # a plain reader sees this until the next call
    assert make(4).cache_first().query_sync("SELECT n FROM data").fetchall() in ([(3,)], [(4,)])
    assert len(set(shown(base))) == 1
