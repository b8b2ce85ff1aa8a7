"""The contract of a storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mad_prefect_core.contracts.options import Options
from mad_prefect_core.contracts.session import Session

__all__ = ["FileStat", "PrivateFiles", "Storage", "StorageCapabilities", "SyncingStorage", "Versioned"]


@dataclass(frozen=True)
class StorageCapabilities:
    """What a storage promises, as data that the core consults."""

    atomic_replace: bool
    """A published file appears whole at its key, or not at all, also over an older one."""
    conditional_create: bool
    """Of several writers that create one key, one wins and the others are told."""
    conditional_replace: bool
    """A small object can be replaced only if it is still the version that was read."""
    strong_listing: bool
    """What was published is listed at once."""
    native_duckdb: bool
    """DuckDB reads it without a Python filesystem in between."""


@dataclass(frozen=True)
class FileStat:
    """Size in bytes, and a token that is different whenever the bytes at the key may be different."""

    size: int
    token: str


@dataclass(frozen=True)
class Versioned:
    """The bytes of a small object, with the token to replace it by."""

    data: bytes
    token: str


@runtime_checkable
class Storage(Protocol):
    """A place for files, reached by URL. Stateless: what it needs comes with each call.

    `fs` is what `filesystem` returned; `path` is a path of that filesystem (no protocol). Names are literal, whatever
    characters they have. Any I/O failure is raised as `OSError` or one of its subclasses (`StorageError` is one): then
    what was there is there still, or the new bytes are, whole, as where only the answer was lost. What can't be read is
    never taken for missing.

    `mad_prefect_core.testing.storages.StorageContract` holds a storage to all this.
    """

    name: str
    protocols: tuple[str, ...]
    """URL schemes; the first is canonical."""
    capabilities: StorageCapabilities
    options: type[Options]

    def filesystem(self, url: str, options: Options) -> tuple[Any, str]:
        """The fsspec filesystem for `url`, and the path of `url` on it: a protocol, `://` and that path are the file's
        URL. The same filesystem object for equal options, since DuckDB keeps it, and another one for others.

        Used by several threads at once. Of it are asked: `open` for reading, `info`, `exists`, `isfile`, `isdir`, `ls`,
        `find`, `glob`, `rm_file` and `rmdir`; `mad://` and blocks also write through it. No listing may be stale, and
        neither its `repr` nor a log shows a secret. One that sends requests again may count them in its attribute
        `retried`, which run records tell."""

    def duckdb_files(self, session: Session, fs: Any, paths: Sequence[str]) -> list[str]:
        """What DuckDB on this session is given to read exactly these files, one for each, in order: native paths or
        URLs, glob characters escaped, secrets or filesystems registered on the connection as needed.
        `shared_files.serve` does all of it where DuckDB needs a Python filesystem.

        A file that is not there is a `FileNotFoundError` here, or an error of DuckDB when it is read."""

    def stage(self, fs: Any, path: str) -> Path:
        """A local path, its folder made, where a file is written that `publish` will bring to `path`.

        Neither a reader's `*.suffix` nor a listing by suffix matches it."""

    def publish(self, fs: Any, staged: Path, path: str, *, durable: bool = True) -> None:
        """Bring a finished staged file to `path`, whole or not at all, replacing what was there.

        When it returns the staged file is gone, and the file outlives this process; if `durable`, also a machine that
        loses power. It is always true but for a `SyncingStorage`."""

    def link(self, fs: Any, source: str, path: str) -> str | None:
        """Make `path` have the bytes of `source`, whole or not at all, replacing what was there; without copying
        where the storage can. `source` may be `path`. What is published at either later does not change the other.
        Returns the token of `path` as `stat` gives it, where it is known without asking; else None.

        Raises `FileNotFoundError` where there is no `source`."""

    def stat(self, fs: Any, path: str) -> FileStat | None:
        """Size and token of a file; None where there is none, or a folder."""

    def read(self, fs: Any, path: str) -> Versioned | None:
        """A small object and its version; None where there is none."""

    def replace(self, fs: Any, path: str, data: bytes, expected: str | None) -> str:
        """Write a small object if it is still at version `expected` (None: if it does not exist). Returns its new
        token. No two writers write the same bytes.

        Raises `StorageConflictError` if it is at another version, or gone; then nothing was written. A request whose
        answer was lost may have been carried out: to repeat it and report that as a conflict is wrong."""


@runtime_checkable
class SyncingStorage(Storage, Protocol):
    """A storage on which a file that need not survive a power cut is published faster. None has to be: it is for speed
    alone. Fragments are published so, and synced together where a record promises them."""

    def sync(self, fs: Any, paths: Sequence[str]) -> None:
        """Make files that were published without `durable` survive a machine that loses power, with their names and
        those of their folders. Raises `FileNotFoundError` where one is not there."""


@runtime_checkable
class PrivateFiles(Protocol):
    """A storage whose files belong to users, and that can make one which no other user may read."""

    def create_private(self, fs: Any, path: str, data: bytes) -> None:
        """Make a small object that only this process's user can read, whole or not at all.

        Raises `StorageConflictError` if there is one."""
