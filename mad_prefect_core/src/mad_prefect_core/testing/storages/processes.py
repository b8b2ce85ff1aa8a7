"""Work on a place in other processes: a fresh one, and forks of it that begin together or are killed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from mad_prefect_core.testing.storages.place import SECONDS, Place

__all__ = ["Forked", "apart", "beside", "fork", "forks"]

_START = "from mad_prefect_core.testing.storages.processes import _main; _main()"


def apart(task: Callable[..., Any], place: Place, *arguments: Any, seconds: float = SECONDS) -> Any:
    """What `task(place, *arguments)` returns in a fresh Python process, where `place` is another client's.

    The storage gets there by pickling. Its module, and that of a method among the arguments, goes along if a fresh
    process could not import it, as one of tests.
    """
    with beside(task, place, *arguments) as process:
        output, _ = process.communicate(timeout=seconds)
    succeeded, result = pickle.loads(output) if output else (False, f"it ended with status {process.returncode}")
    if not succeeded:
        raise AssertionError(f"In another process: {result}")
    return result


@contextmanager
def beside(task: Callable[..., Any], place: Place, *arguments: Any) -> Iterator[subprocess.Popen[bytes]]:
    """`apart`, while this process goes on. At the end of the block it is killed if it is there still."""
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {_START}"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        try:
            assert process.stdin is not None
            process.stdin.write(_packed((task, place.storage, place.url, dict(place.given), arguments)))
            process.stdin.close()
            process.stdin = None
            yield process
        finally:
            process.kill()


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


def _main() -> None:
    output, sys.stdout = sys.stdout.buffer, sys.stderr  # what a storage prints is no result
    task, storage, url, options, arguments = pickle.load(sys.stdin.buffer)
    try:
        result = True, task(Place.of(storage, url, options), *arguments)
    except BaseException:
        result = False, traceback.format_exc()
    output.write(cloudpickle.dumps(result))
    output.flush()


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
