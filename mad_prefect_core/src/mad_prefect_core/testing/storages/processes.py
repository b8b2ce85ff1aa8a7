"""Work on a place in other processes: one that shares nothing with this one, and forks of it that begin together or
are killed."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import pytest

from mad_prefect_core.testing.storages.place import SECONDS, Place

__all__ = ["Beside", "Forked", "apart", "beside", "fork", "forks", "needs_fork", "steady"]

# Windows has none: a process there can't be copied, so that there is nothing to try.
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# Forks of one that has imported the kit and nothing else: what it imports takes longer than most of what they do.
_CONTEXT: Any = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
if hasattr(os, "fork"):
    _CONTEXT.set_forkserver_preload([__name__])


def apart(task: Callable[..., Any], place: Place, *arguments: Any, seconds: float = SECONDS) -> Any:
    """What `task(place, *arguments)` returns in another Python process, where `place` is another client's.

    The process has no threads and nothing of this one. The storage gets there by pickling. Its module, and that of a
    method among the arguments, goes along if another process could not import it, as one of tests.

    Raises `AssertionError` for what the task raised, and `TimeoutError` where it takes longer.
    """
    with beside(task, place, *arguments) as process:
        return process.result(seconds)


@dataclass(frozen=True)
class Beside:
    """A process that does something beside this one."""

    process: BaseProcess
    _answer: Connection

    def over(self) -> bool:
        """Whether it has ended, or is about to."""
        return self._answer.poll()

    def result(self, seconds: float = SECONDS) -> Any:
        """As `apart`."""
        if not self._answer.poll(seconds):
            raise TimeoutError(f"Another process still hangs after {seconds} seconds")
        try:
            succeeded, result = pickle.loads(self._answer.recv_bytes())
        except EOFError:
            self.process.join()
            succeeded, result = False, f"it ended with status {self.process.exitcode}"
        if not succeeded:
            raise AssertionError(f"In another process: {result}")
        return result


@contextmanager
def beside(task: Callable[..., Any], place: Place, *arguments: Any) -> Iterator[Beside]:
    """`apart`, while this process goes on. At the end of the block it is killed with its forks if it is there still."""
    job = _packed((task, place.storage, place.url, dict(place.given), arguments))
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_main, args=(dict(os.environ), job, theirs))
    process.start()
    theirs.close()
    try:
        yield Beside(process, ours)
    finally:
        if process.pid is not None and process.is_alive() and hasattr(os, "killpg"):
            with suppress(ProcessLookupError):  # it has only just begun, and has no group
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()
        process.close()
        ours.close()


def _packed(job: tuple[Any, ...]) -> bytes:
    _, storage, _, _, arguments = job
    owners = {type(getattr(each, "__self__", each)).__module__ for each in (storage, *arguments)}
    strange = [sys.modules[name] for name in owners if not _importable(name)]
    for module in strange:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(job))
    finally:
        for module in strange:
            cloudpickle.unregister_pickle_by_value(module)


def _importable(module: str) -> bool:
    """Whether a fresh process with this `sys.path` finds it."""
    path = None
    for number, _ in enumerate(parts := module.split("."), 1):
        name = ".".join(parts[:number])
        finders = (finder for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((spec for finder in finders if (spec := finder.find_spec(name, path))), None)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return True


def _main(environment: dict[str, str], job: bytes, answer: Connection) -> None:
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # of its own, with all that it forks
    os.environ.clear()
    os.environ.update(environment)
    task, storage, url, options, arguments = pickle.loads(job)
    try:
        result = True, task(Place.of(storage, url, options), *arguments)
    except BaseException:
        result = False, traceback.format_exc()
    answer.send_bytes(cloudpickle.dumps(result))


class Forked:
    """A fork of this process that runs `task()`, once `go` is closed if that is given."""

    def __init__(self, task: Callable[[], Any], go: tuple[int, int] | None = None) -> None:
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(read)
                if go is not None:
                    os.close(go[1])
                    os.read(go[0], 1)
                try:
                    result = True, task()
                except BaseException:
                    result = False, traceback.format_exc()
                with os.fdopen(write, "wb") as pipe:
                    pipe.write(cloudpickle.dumps(result))
            finally:
                os._exit(0)
        os.close(write)
        self._read = read

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, or is about to, within so many seconds."""
        ready, _, _ = select.select([self._read], [], [], seconds)
        return bool(ready)

    def result(self) -> Any:
        """What it returned; None if it was killed. Raises `AssertionError` for what it raised."""
        with os.fdopen(self._read, "rb") as pipe:
            data = pipe.read()
        os.waitpid(self.pid, 0)
        if not data:
            return None
        succeeded, result = pickle.loads(data)
        if not succeeded:
            raise AssertionError(result)
        return result


def fork(task: Callable[[], Any]) -> Any:
    """What `task` returns in a fork of this process; None if it was killed. Only in a process that `apart` has made:
    it has no threads."""
    return Forked(task).result()


def forks(tasks: list[Callable[[], Any]]) -> list[Any]:
    """As `fork`, all tasks begun at one moment."""
    go = os.pipe()
    children = [Forked(task, go) for task in tasks]
    os.close(go[0])
    os.close(go[1])
    return [child.result() for child in children]


@contextmanager
def steady(make: Callable[[], Callable[[], Any]]) -> Iterator[Callable[[], Any]]:
    """A fork that stays for the block: it has what `make()` returns there, and each call is done by it."""
    ours, theirs = multiprocessing.Pipe()

    def serve() -> None:
        ours.close()
        task = make()
        with suppress(EOFError):  # the end of the other side
            while True:
                theirs.recv()
                theirs.send(task())

    def call() -> Any:
        ours.send(None)
        return ours.recv()

    child = Forked(serve)
    theirs.close()
    try:
        yield call
    finally:
        ours.close()
        child.result()
