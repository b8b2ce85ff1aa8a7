"""Disks that are full, limits that are reached, folders that can't be written, processes that stand still."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import asset
from mad_prefect_core.errors import StorageError
from mad_prefect_local import lock as locks

_SCRIPT = Path(__file__).with_name("faulty_machine.py")


def _run(fault: str, base: Path) -> list[Any]:
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), fault, str(base)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _assert_typed(told: dict[str, Any], number: int, phases: set[str]) -> None:
    assert (told["error"], told["asset"]) == ("StorageError", "lake.x"), told
    assert told["path"] in ("x.parquet", "x.csv"), told
    assert told["errno"] == number, told
    assert told["phase"] in phases, told
    assert told["hint"]


@pytest.mark.parametrize(
    ("limit", "phases"),
    [(500_000, {"collect"}), (12_000_000, {"union"})],
)
def test_a_limit_on_the_size_of_files_is_told_and_the_next_run_recovers(
    limit: int, phases: set[str], base: Path
) -> None:
    failed, again, rows = _run(f"file-size {limit}", base)
    _assert_typed(failed, errno.EFBIG, phases)
    assert "ulimit -f" in failed["hint"]
    assert (again["error"], rows) == (None, 60)


@pytest.fixture
def small_disk(base: Path) -> Iterator[Path]:
    """The base on a disk of 12 MB."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(base)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
    yield base
    subprocess.run(["umount", "-l", str(base)], check=True)


def test_s52_a_full_disk_is_told_and_the_next_run_recovers(small_disk: Path) -> None:
    failed, again, rows = _run("full", small_disk)
    _assert_typed(failed, errno.ENOSPC, {"collect", "union"})
    assert "Free space" in failed["hint"]
    assert (again["error"], rows) == (None, 60)


def test_too_many_open_files_are_told_and_the_next_run_recovers(base: Path) -> None:
    failed, again, rows = _run("open-files", base)
    assert failed["error"] == "StorageError", failed
    assert failed["errno"] == errno.EMFILE, failed
    assert "ulimit -n" in failed["hint"]
    assert failed["asset"] == "lake.x"
    assert failed["phase"]
    assert (again["error"], rows) == (None, 60)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("fault", ["read-only", "unreadable"])
def test_a_folder_of_another_user_is_told(fault: str, base: Path) -> None:
    for folder in base.parents:
        if folder.stat().st_uid == os.getuid() and folder != Path("/") and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    base.chmod(0o755)
    (failed,) = _run(fault, base)
    assert failed["error"] in ("StorageError",), failed
    assert failed["asset"] == "lake.x"
    assert failed["phase"]
    assert failed["hint"]


async def test_s52_a_stopped_process_that_holds_a_lock_is_told_with_its_pid_rather_than_waited_for_without_a_word(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset("x.parquet", name="lake.x")
    def x() -> Any:
        return [{"n": 1}]

    await x()
    lock = next(base.rglob("_leases/.*.lock"))
    holder = subprocess.Popen(  # noqa: ASYNC220  it returns at once
        [
            sys.executable,
            "-c",
            "import sys, filelock\nlock = filelock.FileLock(sys.argv[1])\nlock.acquire()\nprint('held', flush=True)\n"
            "input()",
            str(lock),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(locks, "_SECONDS", 0.05)
        with pytest.raises(StorageError) as caught:
            await x()
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert (caught.value.asset, caught.value.path, caught.value.phase) == ("lake.x", "x.parquet", "lease")
    assert str(lock) in str(caught.value)
    assert "stopped" in str(caught.value.hint)
    if Path("/proc/locks").exists():
        assert f"({holder.pid})" in str(caught.value)
    monkeypatch.undo()
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{base}")
    assert (await x.query()).fetchall() == [(1,)]
