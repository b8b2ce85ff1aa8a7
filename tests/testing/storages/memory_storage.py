"""A storage in this process's memory: what a storage is at its smallest, and one that DuckDB can't read by itself."""

from __future__ import annotations

import hashlib
import itertools
import threading
from pathlib import Path
from typing import Any

from fsspec.implementations.memory import MemoryFileSystem

from mad_prefect_core.contracts import FileStat, Options, Storage, StorageCapabilities, Store, Versioned
from mad_prefect_core.errors import StorageConflictError


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


class MemoryStore(Store):
    """See `mad_prefect_core.contracts.Store`."""

    def path(self, url: str) -> str:
        return str(self.fs._strip_protocol(url))

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        self.fs.write_whole(path, staged.read_bytes())
        staged.unlink()

    def stat(self, path: str) -> FileStat | None:
        with self.fs.lock:
            try:
                found = self.fs.info(path)
            except FileNotFoundError:
                return None
            return FileStat(found["size"], f"v{self.fs.versions[path]}") if found["type"] == "file" else None

    def read(self, path: str) -> Versioned | None:
        try:
            data = self.fs.cat_file(path)
        except FileNotFoundError:
            return None
        return Versioned(data, _digest(data))

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        with self.fs.lock:
            current = self.read(path)
            if (current.token if current else None) != expected:
                raise StorageConflictError("Another writer was faster", path=path, hint="Read it again.")
            self.fs.write_whole(path, data)
        return _digest(data)


class MemoryStorage(Storage[Options]):
    """Opens stores in memory."""

    name = "memory"
    protocols = ("memory",)
    capabilities = StorageCapabilities(
        atomic_replace=True, conditional_create=True, conditional_replace=True, strong_listing=True
    )
    store = MemoryStore

    def open(self, url: str, options: Options) -> MemoryStore:
        return MemoryStore(MemoryFiles())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
