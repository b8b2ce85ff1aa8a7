"""How DuckDB reads objects.

DuckDB is given names that hold an object's version and size. So opening one asks the store nothing, and every read
can demand that very version: a relation sees the bytes that it was made on, or an error, never a mix of two.
"""

from __future__ import annotations

import datetime as dt
import itertools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from fsspec import AbstractFileSystem

from mad_prefect_core.addresses import address, listed, opened
from mad_prefect_core.contracts import Session
from mad_prefect_core.object_stores.client import ObjectInfo
from mad_prefect_core.paths import is_written_once
from mad_prefect_core.shared_files import SharedFile, registering

if TYPE_CHECKING:
    from mad_prefect_core.object_stores.files import ObjectFiles

__all__ = ["PinnedFiles"]

_TAIL = 512 * 2**10  # bytes; small objects whole, and the footers of large ones, in the request that looks them up
_AHEAD = 8 * 2**20
_KEPT = 64 * 2**20
_LONGEST = 32 * 2**20  # bytes of a piece that is kept
_LEAST = 64 * 2**10  # what a piece counts for, however short
_KNOWN = 4096  # objects
_PARALLEL = 8
_numbers = itertools.count(1)


class _Pieces:
    """The bytes of objects that were read last, 64 MiB of them. Each piece is of one version, so it stays right."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pieces: OrderedDict[tuple[str, str, int], bytes] = OrderedDict()
        self._size = 0

    def find(self, path: str, version: str, start: int, end: int) -> bytes | None:
        with self._lock:
            for key, data in self._pieces.items():
                if key[:2] == (path, version) and key[2] <= start and end <= key[2] + len(data):
                    self._pieces.move_to_end(key)
                    return data[start - key[2] : end - key[2]]
        return None

    def keep(self, path: str, version: str, start: int, data: bytes) -> None:
        if len(data) > _LONGEST:
            return
        with self._lock:
            if (before := self._pieces.pop((path, version, start), None)) is not None:
                self._size -= max(len(before), _LEAST)
            self._pieces[path, version, start] = data
            self._size += max(len(data), _LEAST)
            while self._size > _KEPT:
                self._size -= max(len(self._pieces.popitem(last=False)[1]), _LEAST)


class PinnedFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec is not typed
    """The filesystem that is registered with DuckDB for one store.

    What was read last is kept, 64 MiB of it: to read it again takes one request, which says whether it is still that
    version. A run's own files need none: they are written once.
    """

    cachable = False

    def __init__(self, reader: ObjectFiles, name: str) -> None:
        super().__init__()
        self.protocol = f"mad-{name}-{next(_numbers)}"
        self._reader = reader
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[str, int]] = OrderedDict()
        """Version and size of the objects that were looked up last."""
        self._pieces = _Pieces()

    def urls(self, session: Session, paths: Sequence[str]) -> list[str]:
        """What DuckDB on this session reads the objects by, as they are now. Raises `FileNotFoundError`."""
        if len(paths) == 1:
            found = [self._look(paths[0])]
        else:
            with ThreadPoolExecutor(_PARALLEL) as threads:
                found = list(threads.map(self._look, paths))
        with registering:
            if not session.connection.filesystem_is_registered(self.protocol):
                session.connection.register_filesystem(self)
        pinned = zip(paths, found, strict=True)
        names = (f"{quote(version, safe='')}.{size}/{path}" for path, (version, size) in pinned)
        return [address(self.protocol, session.id, name) for name in names]

    def open_now(self, path: str) -> SharedFile:
        """The object as it is now, for reading. Raises `FileNotFoundError`."""
        return self._shared(path, *self._look(path))

    def written(self, path: str, version: str, data: bytes) -> None:
        """Know an object that this process has just written, all of it."""
        self._know(path, data, ObjectInfo(len(data), version))

    def _look(self, path: str) -> tuple[str, int]:
        with self._lock:
            known = self._known.get(path)
        if known is not None and is_written_once(path):
            return known
        tail = self._reader.tail(path, _TAIL, known[0] if known else None)
        if tail is None:
            assert known is not None  # None is answered only if it is the version that is known
            return known
        return self._know(path, *tail)

    def _know(self, path: str, tail: bytes, info: ObjectInfo) -> tuple[str, int]:
        with self._lock:
            self._known.pop(path, None)
            self._known[path] = found = info.token, info.size
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        self._pieces.keep(path, info.token, info.size - len(tail), tail)
        return found

    def _pinned(self, name: str) -> tuple[str, str, int]:
        version, _, path = opened(self.protocol, name).partition("/")
        version, _, size = version.rpartition(".")
        return path, unquote(version), int(size)

    def open(self, path: str, mode: str = "rb", *args: Any, **kwargs: Any) -> SharedFile:
        """A file of the version that the name says."""
        if mode != "rb":
            raise PermissionError(f"{path} is only for reading")
        return self._shared(*self._pinned(path))

    def _shared(self, path: str, version: str, size: int) -> SharedFile:
        def fetch(start: int, end: int) -> bytes:
            if start >= end:
                return b""
            data = self._pieces.find(path, version, start, end)
            if data is not None:
                return data
            first, last = (0, size) if size <= _TAIL else (start, end)
            try:
                data = self._reader.fetch(path, version, first, last)
            except OSError:
                with self._lock:  # it may be there in another version, or not at all
                    self._known.pop(path, None)
                raise
            self._pieces.keep(path, version, first, data)
            return data[start - first : end - first]

        return SharedFile(fetch, size, ahead=_AHEAD)

    def glob(self, path: str, **kwargs: Any) -> list[str]:
        """What is opened: an address stands for one object, whatever characters it has."""
        found = listed(self.protocol, path)
        return [found[1]] if found else []

    def isfile(self, path: str) -> bool:
        """It was there when the address was made."""
        self._pinned(path)
        return True

    def size(self, path: str) -> int:
        """In bytes."""
        return self._pinned(path)[2]

    def modified(self, path: str) -> dt.datetime:
        """Always the same: what the name stands for does not change."""
        return dt.datetime.fromtimestamp(0, dt.UTC)
