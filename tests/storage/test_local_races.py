"""What the local storage promises of many writers, and of killed ones: with real processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core.errors import StorageConflictError

RACERS = Path(__file__).with_name("racers.py")


def race(task: str, path: str, processes: int) -> list[Any]:
    command = [sys.executable, str(RACERS), task, path, str(processes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    results: list[Any] = json.loads(done.stdout)
    return results


def test_of_sixteen_processes_that_create_one_object_one_wins(tmp_path: Path) -> None:
    for round_ in range(3):
        path = tmp_path / f"{round_}.json"
        winners = race("create", str(path), 16)
        assert sorted(winners) == [False] * 15 + [True]
        assert int(path.read_text()) in range(16)


def test_no_update_of_racing_processes_is_lost(tmp_path: Path) -> None:
    race("count", str(tmp_path / "count"), 4)
    assert (tmp_path / "count").read_text() == "40"


def test_no_update_of_racing_threads_is_lost(folder: Any) -> None:
    path = folder.path("count")

    def count() -> None:
        for _ in range(10):
            while True:
                found = folder.storage.read(folder.fs, path)
                value = int(found.data) if found else 0
                try:
                    folder.storage.replace(folder.fs, path, str(value + 1).encode(), found and found.token)
                    break
                except StorageConflictError:
                    continue

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Path(path).read_bytes() == b"40"


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed differently there")
def test_a_reader_beside_a_writer_that_is_killed_sees_whole_files_only(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"0" * 2_000_000)
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, str(RACERS), "overwrite", str(path), "1"], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        seen = set()
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            content = path.read_bytes()
            seen.add((content[:1], len(content), len(set(content))))
        writer.kill()  # SIGKILL
        writer.wait()
        writer.stdout.close()
        content = path.read_bytes()
        seen.add((content[:1], len(content), len(set(content))))
        assert {(size, letters) for _, size, letters in seen} == {(2_000_000, 1)}
    assert len(seen) > 1, "the writer did not get to write"
