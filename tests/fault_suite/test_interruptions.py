"""Runs that are cancelled, interrupted, asked to end, or refused space, at every point and for real (S10)."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from lake import CALLS, Crashing, Effort, Lake, LocalFiles, Trials
from prefect import flow, task

from mad_prefect_core.plugins import get_host
from mad_prefect_core.testing.faults import faults

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("what", ["the task", "all tasks"])
def test_s10_cancelled_at_a_storage_call(fresh: Callable[..., Lake], trials: Trials, effort: Effort, what: str) -> None:
    """By whoever waits for it, or by a loop that ends before it."""
    targets = [(get_host().storage_for("file").store, CALLS), LocalFileSystem]

    async def cancelled(lake: Lake, number: int) -> tuple[int, BaseException | None]:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(lake.asset())
        this = asyncio.current_task()

        def cancel() -> None:
            for each in [task] if what == "the task" else asyncio.all_tasks() - {this}:
                each.cancel()

        with faults(*targets, fail_at=number, action=lambda _: loop.call_soon_threadsafe(cancel)) as injected:
            [outcome] = await asyncio.gather(task, return_exceptions=True)
        return len(injected.failed), outcome if isinstance(outcome, BaseException) else None

    lake = fresh()
    for number in itertools.count(1, effort.of(10, 1)):
        old = lake.value
        lake.value += 1
        failed, error = asyncio.run(cancelled(lake, number))
        if not failed:
            break
        wrong = lake.after(old, lake.value, error, known=False)
        if error is not None and not isinstance(error, asyncio.CancelledError):
            wrong = itertools.chain(wrong, [f"it raised {error!r}"])
        if not trials.add(f"cancelled at operation {number}", itertools.chain(wrong, lake.next())):
            lake = fresh()
    trials.hold()


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
def test_s10_asked_to_end_at_a_storage_call(
    fresh: Callable[..., Lake], crashing: Crashing, trials: Trials, effort: Effort, how: str
) -> None:
    """Ctrl-C, and SIGTERM where it raises, as it does in a process of Prefect's."""
    lake = fresh()
    for number in itertools.count(1, effort.of(12, 1)):
        old = lake.value
        lake.value += 1
        asked = getattr(signal, how)
        process = crashing.start(lake.value, fail_at=number, signal=asked, exits_on_sigterm=True)
        if crashing.wait(process) == 99:
            break
        wrong = lake.after(old, lake.value, None, known=False)
        if not trials.add(f"{how} at operation {number}", itertools.chain(wrong, lake.next())):
            lake = fresh()
    trials.hold()


@pytest.mark.usefixtures("prefect_server")
# Prefect's own connections to its server are left to the garbage collector when their event loop ends.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_s10_tried_again_by_prefect_in_any_phase(fresh: Callable[..., Lake], trials: Trials, effort: Effort) -> None:
    targets = [(get_host().storage_for("file").store, CALLS), LocalFileSystem]
    lake = fresh()

    @task(retries=1, retry_delay_seconds=0)
    def call() -> None:
        lake.asset.call_sync()

    @flow
    def once() -> None:
        call()

    for number in itertools.count(effort.of(4, 1), effort.of(20, 1)):
        old = lake.value
        lake.value += 1
        with faults(*targets, fail_at=number) as injected:
            once()
        if not injected.failed:
            break
        wrong = itertools.chain(lake.after(old, lake.value, None), lake.next())
        if not trials.add(f"tried again after operation {number}", wrong):
            lake = fresh()
    trials.hold()


def test_a_limit_on_the_size_of_files(
    fresh: Callable[..., Lake], crashing: Crashing, trials: Trials, effort: Effort
) -> None:
    lake = fresh()
    for limit in [*range(16, 4000, effort.of(400, 16)), 1 << 20]:
        old = lake.value
        lake.value += 1
        status = crashing.wait(crashing.start(lake.value, largest_file=limit))
        error = OSError("too large") if status else None
        if not trials.add(f"files of {limit} bytes", itertools.chain(lake.after(old, lake.value, error), lake.next())):
            lake = fresh()
    assert error is None, "with enough space it goes through"
    trials.hold()


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of 512 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.name == "nt"
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("a small disk can't be mounted here")
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{disk}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(small_disk: Path, trials: Trials, effort: Effort) -> None:
    lake = Lake(LocalFiles(small_disk))
    lake.run()
    filler = small_disk / "filler"
    for blocks in range(0, 48, effort.of(4, 1)):
        filler.write_bytes(b"")
        stat = os.statvfs(small_disk)
        filler.write_bytes(bytes((stat.f_bavail - blocks) * stat.f_bsize))
        lake.foreign[filler.name] = filler.read_bytes()
        old, error = lake.value, None
        lake.value += 1
        try:
            lake.asset.call_sync()
        except Exception as raised:
            error = raised
        lake.foreign[filler.name] = b""
        filler.write_bytes(b"")
        trials.add(f"{blocks} free", itertools.chain(lake.after(old, lake.value, error), lake.next()))
    assert error is None, "with enough space it goes through"
    trials.hold()
