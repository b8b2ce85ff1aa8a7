"""Fault injection: the N-th storage operation fails, before or after it took effect, once or for ever.

::

    with faults(store.fs, fail_at=3) as injected:          # an fsspec filesystem, its class, or a local folder
        store.publish(staged, path)
    injected.operations                              # what was done, in order; injected.failed: which of it failed

To try every N, go on until there was no N-th operation any more: `for injected in every_fault(fs): with injected: …`.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import inspect
import io
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias, cast

__all__ = [
    "Action",
    "Faults",
    "Operation",
    "Target",
    "When",
    "every_fault",
    "faults",
    "kill",
    "raising",
    "refuse",
    "stop",
]

When: TypeAlias = Literal["before", "after"]


@dataclass(frozen=True)
class Operation:
    """One storage operation. `number` counts from 1; `path` is its first path, "" where it has none."""

    number: int
    name: str
    path: str


Action: TypeAlias = Callable[[Operation], None]
"""What is done at the operation that is to fail: it raises, or ends the process."""

Target: TypeAlias = Any
"""Where operations are counted and fail:

- an fsspec filesystem: its methods, synchronous and not, and those of the files that it opens;
- a class of fsspec filesystems: as above for all its instances, also those made later;
- a `Path`: what Python does through `os` and `open` to this local folder and all below. DuckDB's and Arrow's own files
  are not seen;
- a pair of any object and the names of its methods, for a client that is not fsspec's.
"""


def refuse(operation: Operation) -> None:
    """The usual action: an `OSError` as of a broken disk or line."""
    raise OSError(errno.EIO, f"Injected fault at operation {operation.number}, {operation.name}", operation.path)


def raising(error: Callable[[str], Exception]) -> Action:
    """The action of raising what a client library raises: a class of exceptions, or a function that makes one of a
    message."""

    def action(operation: Operation) -> None:
        raise error(f"Injected fault at operation {operation.number}, {operation.name}")

    return action


def kill(operation: Operation) -> None:
    """An action: SIGKILL for this very process, where the system has it."""
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def stop(operation: Operation) -> None:
    """An action: SIGSTOP for this very process, where the system has it, until another one has it go on."""
    os.kill(os.getpid(), getattr(signal, "SIGSTOP", signal.SIGTERM))


class Faults:
    """A context manager: see `faults`. Calls of all threads are counted. It can be entered once."""

    def __init__(
        self,
        targets: Sequence[Target],
        fail_at: int | None,
        forever: bool,
        when: When,
        action: Action,
    ) -> None:
        self.operations: list[Operation] = []
        """All operations so far, also those that failed."""
        self.failed: list[Operation] = []
        """Those at which the action was taken."""
        self._targets = targets
        self._fail_at = fail_at
        self._forever = forever
        self._when = when
        self._action = action
        self._lock = threading.Lock()
        self._patches = contextlib.ExitStack()
        self._handles: dict[int, Any] = {}
        self._over = False

    def __enter__(self) -> Faults:
        for target in self._targets:
            if isinstance(target, Path):
                _patch_system(self, self._patches, target)
            elif isinstance(target, tuple):
                _patch_methods(self, self._patches, *target)
            else:
                _patch_filesystem(self, self._patches, target)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._patches.close()
        self._handles.clear()

    def begin(self, name: str, path: object) -> Operation | None:
        """Count an operation, and fail it if that is to be before it takes effect. Returns it if it is to fail."""
        with self._lock:
            if self._over:  # a file that outlives the block
                return None
            operation = Operation(len(self.operations) + 1, name, _text(path))
            self.operations.append(operation)
            at = self._fail_at
            if at is None or not (operation.number == at or (self._forever and operation.number > at)):
                return None
            self.failed.append(operation)
        if self._when == "before":
            self._action(operation)
        return operation

    def handle(self, opened: Any, names: Sequence[str], path: object) -> Any:
        """Count what is done to a file as well."""
        if id(opened) not in self._handles:  # some filesystems give the same object to all who open a file
            self._handles[id(opened)] = opened
            _patch_methods(self, self._patches, opened, names, path)
        return opened

    def end(self, operation: Operation | None) -> None:
        """Fail an operation that has taken effect, if it is to."""
        if operation is not None and self._when == "after":
            self._action(operation)


def faults(
    *targets: Target,
    fail_at: int | None = None,
    forever: bool = False,
    when: When = "before",
    action: Action = refuse,
) -> Faults:
    """Have the `fail_at`-th operation on the targets fail inside the block.

    Args:
        *targets: See `Target`; they are counted together.
        fail_at: Counted from 1; None only counts.
        forever: Have all later operations fail as well, as when a line is cut.
        when: Before it takes effect, or after: as when only the reply is lost.
        action: What failing is: `refuse`, `kill`, or a function of the `Operation`.
    """
    return Faults(targets, fail_at, forever, when, action)


def every_fault(
    *targets: Target,
    forever: bool = False,
    when: When = "before",
    action: Action = refuse,
    first: int = 1,
    step: int = 1,
) -> Iterator[Faults]:
    """`faults` for the first operation, the second, and so on, until a block is left that had not so many; with `first`
    and `step`, for some of them.

    Enter each that is given before asking for the next.
    """
    for number in itertools.count(first, step):
        injected = faults(*targets, fail_at=number, forever=forever, when=when, action=action)
        yield injected
        if len(injected.operations) < number:
            return


def _text(path: object) -> str:
    if isinstance(path, str | bytes | os.PathLike):
        return os.fsdecode(path)
    return ""


# -- fsspec ----------------------------------------------------------------------------------------------------------

# fmt: off
_SURFACE = (
    "cat", "cat_file", "cat_ranges", "copy", "cp_file", "created", "delete", "exists", "find", "get", "get_file",
    "glob", "info", "isdir", "isfile", "ls", "makedirs", "mkdir", "mkdirs", "modified", "mv", "open", "pipe",
    "pipe_file", "put", "put_file", "rm", "rm_file", "rmdir", "size", "touch"
)
# fmt: on
_HANDLE = ("read", "readinto", "write", "flush", "commit", "_fetch_range", "_initiate_upload", "_upload_chunk")


def _patch_filesystem(injected: Faults, patches: contextlib.ExitStack, target: Any) -> None:
    owners = [target, *cast(Any, target)._cache.values()] if isinstance(target, type) else [target]
    for owner in owners:
        kind = owner if isinstance(owner, type) else type(owner)
        asynchronous = {
            name
            for name in dir(kind)
            if not name.startswith("__") and inspect.iscoroutinefunction(inspect.getattr_static(kind, name))
        }
        names = [*_SURFACE, *sorted(asynchronous - set(_SURFACE))]
        if owner is not target:  # the class counts for it, but for methods that it has for itself
            names = [name for name in names if name in vars(owner)]
        _patch_methods(injected, patches, owner, names)


def _patch_methods(
    injected: Faults, patches: contextlib.ExitStack, owner: Any, names: Sequence[str], path: object = None
) -> None:
    for name in names:
        if callable(found := getattr(owner, name, None)):
            _patch(patches, owner, name, _counting(injected, name, found, path))


def _counting(injected: Faults, name: str, found: Any, path: object) -> Any:
    """`found`, counted as an operation on `path`, or on its first argument that can be one."""

    def path_of(args: Sequence[Any]) -> object:
        return path if path is not None else next((arg for arg in args if isinstance(arg, str | os.PathLike)), "")

    if inspect.iscoroutinefunction(found):

        async def counted_later(*args: Any, **kwargs: Any) -> Any:
            operation = injected.begin(name, path_of(args))
            result = await found(*args, **kwargs)
            injected.end(operation)
            return result

        return counted_later

    def counted(*args: Any, **kwargs: Any) -> Any:
        operation = injected.begin(name, path_of(args))
        if name == "open" and operation is not None:
            injected.end(operation)  # before: opening has no effect, and nobody would close the file
        result = found(*args, **kwargs)
        if name == "open":
            return injected.handle(result, _HANDLE, path_of(args))
        injected.end(operation)
        return result

    return counted


_MISSING = object()


def _patch(patches: contextlib.ExitStack, owner: Any, name: str, value: Any) -> None:
    before = vars(owner).get(name, _MISSING) if hasattr(owner, "__dict__") else _MISSING
    setattr(owner, name, value)
    if before is _MISSING:
        patches.callback(delattr, owner, name)
    else:
        patches.callback(setattr, owner, name, before)


# -- the system ------------------------------------------------------------------------------------------------------

# fmt: off
_BY_PATH = (
    "access", "chmod", "link", "listdir", "lstat", "mkdir", "open", "readlink", "remove", "rename", "replace",
    "rmdir", "scandir", "stat", "symlink", "truncate", "unlink", "utime"
)
# fmt: on
_BY_DESCRIPTOR = ("fdatasync", "fsync", "ftruncate", "pread", "pwrite", "read", "sendfile", "write")
_FILE = ("read", "readinto", "write", "truncate")


class _Below:
    """Which paths and descriptors are of a folder. Descriptors are known by what was opened, until they are another
    file's."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.path.realpath(folder)
        self._stat = os.fstat
        self._opened: dict[tuple[int, int], str] = {}

    def path(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        full = os.path.abspath(os.fsdecode(path))
        return full == self._folder or full.startswith(self._folder.rstrip(os.sep) + os.sep)

    def note(self, descriptor: int, path: object) -> None:
        found = self._stat(descriptor)
        self._opened[found.st_dev, found.st_ino] = _text(path)

    def opened(self, descriptor: object) -> str | None:
        """The path that a descriptor was opened by; None for one that is not of the folder."""
        if not isinstance(descriptor, int):
            return None
        try:
            found = self._stat(descriptor)
        except OSError:
            return None
        return self._opened.get((found.st_dev, found.st_ino))


def _patch_system(injected: Faults, patches: contextlib.ExitStack, folder: Path) -> None:
    below = _Below(folder)

    def by_path(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            path = next((arg for arg in args[:2] if below.path(arg)), None)
            if path is None:
                return call(*args, **kwargs)
            operation = injected.begin(name, path)
            result = call(*args, **kwargs)
            if name == "open":
                below.note(result, path)
            try:
                injected.end(operation)
            except BaseException:
                if name == "open":
                    os.close(result)
                elif hasattr(result, "close"):  # of scandir
                    result.close()
                raise
            return result

        return counted

    def by_descriptor(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            path = next((found for arg in args[:2] if (found := below.opened(arg)) is not None), None)
            if path is None:
                return call(*args, **kwargs)
            operation = injected.begin(name, path)
            result = call(*args, **kwargs)
            injected.end(operation)
            return result

        return counted

    def counted_open(file: Any, *args: Any, **kwargs: Any) -> Any:
        if not below.path(file):
            return really_open(file, *args, **kwargs)
        operation = injected.begin("open", file)
        opened = really_open(file, *args, **kwargs)
        below.note(opened.fileno(), file)
        try:
            injected.end(operation)
        except BaseException:
            opened.close()
            raise
        return injected.handle(opened, _FILE, file)

    really_open = builtins.open
    for name in _BY_PATH:
        _patch(patches, os, name, by_path(name, getattr(os, name)))
    for name in _BY_DESCRIPTOR:
        if call := getattr(os, name, None):
            _patch(patches, os, name, by_descriptor(name, call))
    _patch(patches, builtins, "open", counted_open)
    _patch(patches, io, "open", counted_open)
