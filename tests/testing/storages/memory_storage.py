"""A storage in this process's memory: what a storage is at its smallest, and one that DuckDB can't read by itself."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fsspec.implementations.memory import MemoryFileSystem

from mad_prefect_core.contracts import FileStat, Options, Session, StorageCapabilities, Versioned
from mad_prefect_core.errors import StorageConflictError
from mad_prefect_core.paths import temporary_name
from mad_prefect_core.shared_files import serve


class MemoryFiles(MemoryFileSystem):
    """fsspec's memory filesystem, for several threads and any name, with a version for every write."""

    protocol = "memory"
    cachable = False
    lock = threading.RLock()
    versions: dict[str, int] = {}
    numbers = itertools.count(1)

    def write_whole(self, path: str, data: bytes) -> None:
        with self.lock:
            self.makedirs(self._parent(path), exist_ok=True)
            self.pipe_file(path, data)
            self.versions[path] = next(self.numbers)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        with self.lock:  # fsspec's own gives all who read a file one position
            if not self.isfile(path):
                raise FileNotFoundError(path)
            return bytes(self.store[self._strip_protocol(path)].getbuffer()[start:end])


class MemoryStorage:
    """See `mad_prefect_core.contracts.Storage`."""

    name = "memory"
    protocols: tuple[str, ...] = ("memory",)
    capabilities = StorageCapabilities(
        atomic_replace=True,
        conditional_create=True,
        conditional_replace=True,
        strong_listing=True,
        native_duckdb=False,
    )
    options: type[Options] = Options

    def filesystem(self, url: str, options: Options) -> tuple[Any, str]:
        fs = MemoryFiles()
        return fs, fs._strip_protocol(url)

    def duckdb_files(self, session: Session, fs: Any, paths: Sequence[str]) -> list[str]:
        return serve(session, fs, paths)

    def stage(self, fs: Any, path: str) -> Path:
        return Path(tempfile.gettempdir()) / temporary_name(path.rpartition("/")[2])

    def publish(self, fs: Any, staged: Path, path: str, *, durable: bool = True) -> None:
        fs.write_whole(path, staged.read_bytes())
        staged.unlink()

    def link(self, fs: Any, source: str, path: str) -> None:
        fs.write_whole(path, fs.cat_file(source))

    def stat(self, fs: Any, path: str) -> FileStat | None:
        with fs.lock:
            try:
                found = fs.info(path)
            except FileNotFoundError:
                return None
            return FileStat(found["size"], f"v{fs.versions[path]}") if found["type"] == "file" else None

    def read(self, fs: Any, path: str) -> Versioned | None:
        try:
            data = fs.cat_file(path)
        except FileNotFoundError:
            return None
        return Versioned(data, _digest(data))

    def replace(self, fs: Any, path: str, data: bytes, expected: str | None) -> str:
        with fs.lock:
            current = self.read(fs, path)
            if (current.token if current else None) != expected:
                raise StorageConflictError("Another writer was faster", path=path, hint="Read it again.")
            fs.write_whole(path, data)
        return _digest(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
