"""Filesystems as DuckDB may have them: with file objects that several threads can read.

DuckDB 2.0 reads one open file from several threads by `seek` then `read`, without a lock between the two. On ordinary
file objects these positions mix, and a large Parquet, CSV or JSON file reads as garbage. Every filesystem that is
registered with DuckDB is therefore wrapped: by `serve`, for the files of a storage, or by `for_duckdb`.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractBufferedFile

from mad_prefect_core.addresses import address, listed, opened
from mad_prefect_core.contracts import Session

__all__ = ["SharedFile", "SharedFileSystem", "for_duckdb", "registering", "serve"]

_AHEAD = 4 * 2**20  # bytes fetched at once where small reads follow each other, each a request otherwise


class SharedFile(io.RawIOBase):
    """A file for reading whose position several threads can share.

    A `seek` holds for the thread that made it, until that thread's next `read`, so seek-then-read pairs of several
    threads do not meet. A `read` without a `seek` before it goes on where the last one in the file ended, in
    whatever thread, so readers that take turns get all bytes once. In one thread it is an ordinary file.

    Args:
        fetch: The bytes from a start to an end within the file; called by several threads at once.
        size: Length of the file in bytes.
        ahead: How many bytes to fetch where reads without a `seek` want fewer.
        release: Called once when the file is closed.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], bytes],
        size: int,
        *,
        ahead: int = 0,
        release: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__()
        self.size = size
        self._fetch = fetch
        self._ahead = ahead
        self._release = release
        self._lock = threading.Lock()
        self._position = 0
        # By thread identifier: DuckDB's own threads get a new threading.local at each call into Python.
        self._sought: dict[int, int] = {}
        self._sought_last: int | None = None
        self._buffer = (0, b"")

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Where this thread's next `read` begins. Raises `ValueError` for a place before the start."""
        with self._lock:
            base = {io.SEEK_SET: 0, io.SEEK_CUR: self._here(), io.SEEK_END: self.size}[whence]
            if base + offset < 0:
                raise ValueError(f"negative seek position {base + offset}")
            self._sought[threading.get_ident()] = self._position = base + offset
            self._sought_last = threading.get_ident()
            return self._position

    def tell(self) -> int:
        """Where this thread's next `read` begins."""
        with self._lock:
            return self._here()

    def read(self, size: int | None = -1) -> bytes:
        """Exactly `size` bytes, fewer only at the end of the file; all the rest if negative or None."""
        self._check_open()
        with self._lock:
            start = self._sought.pop(threading.get_ident(), None)
            if start is None:
                return self._read_on(size)
            end = self._position = self._end(start, size)
        return self._fetch(start, end) if start < end else b""

    def readinto(self, buffer: Any) -> int:
        """As `read`, into a writable buffer. Returns the number of bytes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """All from here to the end."""
        return self.read()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._release()

    def _here(self) -> int:
        return self._sought.get(threading.get_ident(), self._position)

    def _end(self, start: int, size: int | None) -> int:
        end = self.size if size is None or size < 0 else start + size
        return max(start, min(end, self.size))

    def _read_on(self, size: int | None) -> bytes:
        # The last seek moved the shared position and is used up by this read, whichever thread made it.
        if self._sought_last is not None:
            self._sought.pop(self._sought_last, None)
            self._sought_last = None
        start, end = self._position, self._end(self._position, size)
        if start == end:
            return b""
        first, buffered = self._buffer
        if not first <= start <= end <= first + len(buffered):
            first = start
            buffered = self._fetch(start, max(end, min(start + self._ahead, self.size)))
            self._buffer = (first, buffered if len(buffered) <= self._ahead else b"")
        self._position = end
        return buffered[start - first : end - first]

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")


def _open_shared(fs: Any, path: str) -> SharedFile:
    handle = fs.open(path, "rb")
    if isinstance(fs, LocalFileSystem) and hasattr(os, "pread"):
        size = os.fstat(handle.fileno()).st_size
        return SharedFile(lambda start, end: _pread(handle, start, end), size, release=handle.close)
    if isinstance(handle, SharedFile):
        return handle
    if isinstance(handle, AbstractBufferedFile):
        # Its range reads keep no position, and some hold on to the object's version: s3fs raises FileExpired where
        # the object was replaced meanwhile, rather than mixing the bytes of two.
        return SharedFile(handle._fetch_range, handle.size, ahead=_AHEAD, release=handle.close)
    handle.close()
    return SharedFile(lambda start, end: fs.cat_file(path, start=start, end=end), fs.size(path), ahead=_AHEAD)


def _pread(file: Any, start: int, end: int) -> bytes:
    parts = []
    while start < end and (part := os.pread(file.fileno(), end - start, start)):  # one call gives at most 2 GiB
        parts.append(part)
        start += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class SharedFileSystem(DirFileSystem):  # type: ignore[misc]  # fsspec is not typed
    """Another filesystem, below a path of it, with what DuckDB needs."""

    cachable = False  # where a relative base leads is decided anew each time

    def __init__(self, fs: Any, root: str = "") -> None:
        super().__init__(path=fs.root_marker or "/", fs=fs)
        self.path = root  # fsspec's constructor would take "" for the working folder

    def _within(self, path: str) -> str:
        """The path below the root that a path or URL from DuckDB means."""
        protocols = (self.protocol,) if isinstance(self.protocol, str) else self.protocol
        for protocol in protocols:
            path = path.removeprefix(f"{protocol}://")
        return path

    def _join(self, path: Any) -> Any:
        if not isinstance(path, str):
            return super()._join(path)
        path = self._within(path)
        return f"{self.path}/{path}".rstrip("/") if self.path else path

    def open(self, path: str, mode: str = "rb", *args: Any, **kwargs: Any) -> Any:
        """As fsspec, except: reading bytes gives a `SharedFile`, and writing makes the folder."""
        full = self._join(path)
        if mode == "rb" and not kwargs.get("compression"):
            return _open_shared(self.fs, full)
        if mode[:1] in ("w", "x", "a"):
            self.fs.makedirs(self.fs._parent(full), exist_ok=True)
        return self.fs.open(full, mode, *args, **kwargs)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        """As fsspec, except that a folder which is not there has no files: object stores have no empty folders, and
        DuckDB lists a folder before it writes partitions to it."""
        try:
            return super().ls(path, detail=detail, **kwargs)
        except FileNotFoundError:
            return []


def for_duckdb(fs: Any, protocol: str | None = None) -> Any:
    """Any fsspec filesystem, as it may be given to `register_filesystem` of a DuckDB connection.

    Args:
        fs: The filesystem. Paths and URLs that it understands are understood still.
        protocol: The protocol to serve; the filesystem's own if None.
    """
    wrapped = SharedFileSystem(fs)
    wrapped.protocol = protocol or fs.protocol
    return wrapped


registering = threading.Lock()


class _ExactFiles(SharedFileSystem):
    """The files of another filesystem, each by an address that stands for itself, whatever characters it has."""

    def glob(self, path: str, **kwargs: Any) -> list[str]:
        """What is opened, if there is such a file; what looks like a pattern is none."""
        found = listed(self.protocol, path)
        return [found[1]] if found and self.fs.isfile(found[0]) else []

    def _within(self, path: str) -> str:
        return opened(self.protocol, path)


_served: dict[int, _ExactFiles] = {}  # by the id of a filesystem, which is kept


def serve(session: Session, fs: Any, paths: Sequence[str]) -> list[str]:
    """What DuckDB on a session is given to read exactly these files of any fsspec filesystem.

    It is all that `Storage.duckdb_files` needs where DuckDB has no way of its own: the filesystem is registered with
    the session's database, under a protocol that no other filesystem has, so two of one kind with different
    credentials do not meet.
    """
    with registering:
        # By identity: filesystems are equal to fsspec whose arguments print alike, as all secrets do.
        if id(fs) not in _served:
            _served[id(fs)] = _ExactFiles(fs)
            _served[id(fs)].protocol = f"mad-files-{len(_served)}"
        files = _served[id(fs)]
        if not session.connection.filesystem_is_registered(files.protocol):
            session.connection.register_filesystem(files)
    return [address(files.protocol, session.id, path) for path in paths]
