"""The fault injector: what it says it makes fail does fail, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from mad_prefect_core.testing.faults import Operation, every_fault, faults


@pytest.fixture
def memory() -> Iterator[DirFileSystem]:
    folder = f"/{uuid.uuid4().hex}"
    fs = DirFileSystem(folder, MemoryFileSystem())
    fs.pipe_file("x", b"old")
    yield fs
    MemoryFileSystem().rm(folder, recursive=True)


def test_the_operation_that_is_to_fail_has_no_effect_and_those_around_it_have(memory: DirFileSystem) -> None:
    with faults(memory, fail_at=2) as injected:
        memory.pipe_file("a", b"1")
        with pytest.raises(OSError, match="Injected fault at operation 2, pipe_file"):
            memory.pipe_file("b", b"2")
        memory.pipe_file("c", b"3")
    assert memory.find("") == ["a", "c", "x"]
    assert injected.operations == [Operation(n, "pipe_file", path) for n, path in enumerate("abc", 1)]
    assert injected.failed == [Operation(2, "pipe_file", "b")]


def test_a_lost_reply_is_that_of_an_operation_that_took_effect(memory: DirFileSystem) -> None:
    with faults(memory, fail_at=1, when="after"), pytest.raises(OSError, match="Injected fault"):
        memory.pipe_file("x", b"new")
    assert memory.cat_file("x") == b"new"


def test_a_line_that_is_cut_stays_cut(memory: DirFileSystem) -> None:
    with faults(memory, fail_at=2, forever=True) as injected:
        memory.info("x")
        for _ in range(3):
            with pytest.raises(OSError, match="Injected fault"):
                memory.info("x")
    assert [operation.number for operation in injected.failed] == [2, 3, 4]
    assert memory.info("x")["size"] == 3


def test_what_is_done_to_an_open_file_counts(memory: DirFileSystem) -> None:
    for injected in every_fault(memory):
        with injected:
            try:
                with memory.open("x") as file:
                    assert file.read() == b"old"
            except OSError:
                assert injected.failed
    assert {"open", "read"} <= {operation.name for operation in injected.operations}
    assert {operation.path for operation in injected.operations} == {"x"}
    with memory.open("x") as file:
        assert file.read() == b"old"


def test_asynchronous_calls_fail_too() -> None:
    fs = AsyncFileSystemWrapper(MemoryFileSystem(), asynchronous=False)
    with faults(fs, fail_at=1), pytest.raises(OSError, match="Injected fault"):
        fs.exists("/none")
    with faults(fs) as injected:
        assert not fs.exists("/none")
    assert injected.operations
    assert not injected.failed


def test_a_class_stands_for_all_its_filesystems_also_those_made_later() -> None:
    before = MemoryFileSystem()
    with faults(MemoryFileSystem, fail_at=1, forever=True):
        for fs in (before, MemoryFileSystem(skip_instance_cache=True)):
            with pytest.raises(OSError, match="Injected fault"):
                fs.info("/")
    with faults(MemoryFileSystem) as injected:
        before.info("/")
    assert [operation.name for operation in injected.operations] == ["info"], "each call counts once"
    assert before.info("/")["type"] == "directory"


def test_any_client_can_be_made_to_fail_by_the_names_of_its_methods() -> None:
    class Client:
        def call(self, fs: object, path: str) -> str:
            return path

    client = Client()
    with faults((client, ["call"]), fail_at=1) as injected:
        with pytest.raises(OSError, match="Injected fault"):
            client.call(None, "x")
        assert client.call(None, "y") == "y"
    assert [operation.path for operation in injected.operations] == ["x", "y"]
    assert "call" not in vars(client)


# -- a local folder --------------------------------------------------------------------------------------------------


def fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


CALLS: dict[str, Callable[[Path], object]] = {
    "write": lambda path: path.write_bytes(b"new"),
    "read": lambda path: path.read_bytes(),
    "stat": lambda path: path.stat(),
    "unlink": lambda path: path.unlink(),
    "rename": lambda path: path.rename(path.with_name("y")),
    "replace": lambda path: os.replace(path, path.with_name("y")),
    "link": lambda path: os.link(path, path.with_name("y")),
    "mkdir": lambda path: path.with_name("d").mkdir(),
    "scandir": lambda path: list(path.parent.iterdir()) + [entry.name for entry in os.scandir(path.parent)],
    "fsync": fsync,
    "sendfile": lambda path: shutil.copyfile(path, path.with_name("y")),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_call_to_the_system_below_a_folder_can_fail(tmp_path: Path, name: str) -> None:
    failed = set()
    for injected in every_fault(tmp_path):
        for left in tmp_path.iterdir():
            left.rmdir() if left.is_dir() else left.unlink()
        (tmp_path / "x").write_bytes(b"old")
        with injected:
            try:
                CALLS[name](tmp_path / "x")
                assert not injected.failed or name == "sendfile"  # a copy goes on without it
            except OSError:
                assert injected.failed
        failed |= {operation.name for operation in injected.failed}
    assert name in failed


def test_what_is_done_to_a_file_names_its_path_and_never_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with faults(tmp_path) as injected:
        path.write_bytes(b"data")
        path.read_bytes()
        fsync(path)
    assert {operation.name for operation in injected.operations} >= {"open", "read", "write", "fsync"}
    assert {operation.path for operation in injected.operations} == {str(path)}


def test_files_elsewhere_are_not_touched(tmp_path: Path) -> None:
    folder, beside = tmp_path / "folder", tmp_path / "folder beside"
    folder.mkdir()
    with faults(folder, fail_at=1, forever=True) as injected:
        beside.write_bytes(b"data")
        assert beside.read_bytes() == b"data"
        fsspec.filesystem("file").mv(str(beside), str(tmp_path / "moved"))
    assert not injected.operations


def test_a_rename_whose_reply_is_lost_has_happened(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"data")
    with faults(tmp_path, fail_at=1, when="after"), pytest.raises(OSError, match="operation 1, replace"):
        os.replace(tmp_path / "x", tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == b"data"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_can_be_killed_at_an_operation(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mad_prefect_core.testing.faults import faults, kill\n"
        "folder = Path(sys.argv[1])\n"
        "with faults(folder, fail_at=2, action=kill):\n"
        "    (folder / 'a').mkdir(); (folder / 'b').mkdir(); (folder / 'c').mkdir()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
