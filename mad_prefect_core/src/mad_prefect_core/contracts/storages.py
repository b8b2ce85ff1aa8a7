"""The contract of a storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mad_prefect_core.contracts.options import Options
from mad_prefect_core.contracts.session import Session

__all__ = ["FileStat", "Storage", "StorageCapabilities", "Versioned"]


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

    `fs` is what `filesystem` returned; `path` is a path of that filesystem (no protocol).
    Any I/O failure is raised as `OSError` or one of its subclasses (`StorageError` is one).
    """

    name: str
    protocols: tuple[str, ...]
    """URL schemes; the first is canonical."""
    capabilities: StorageCapabilities
    options: type[Options]

    def filesystem(self, url: str, options: Options) -> tuple[Any, str]:
        """The fsspec filesystem for `url`, and the path of `url` on it."""

    def duckdb_files(self, session: Session, fs: Any, paths: Sequence[str]) -> list[str]:
        """What DuckDB on this session is given to read exactly these files: native paths or URLs, glob characters
        escaped, secrets or filesystems registered on the connection as needed."""

    def stage(self, fs: Any, path: str) -> Path:
        """A local path, its folder made, where a file is written that `publish` will bring to `path`.

        Neither a reader's `*.suffix` nor a listing by suffix matches it."""

    def publish(self, fs: Any, staged: Path, path: str, *, durable: bool = True) -> None:
        """Bring a finished staged file to `path`, whole or not at all, replacing what was there.

        When it returns the file outlives this process; if `durable`, also a machine that loses power."""

    def link(self, fs: Any, source: str, path: str) -> None:
        """Make `path` have the bytes of `source`, whole or not at all, replacing what was there; without copying
        where the storage can."""

    def stat(self, fs: Any, path: str) -> FileStat | None:
        """Size and token of a file; None where there is none."""

    def read(self, fs: Any, path: str) -> Versioned | None:
        """A small object and its version; None where there is none."""

    def replace(self, fs: Any, path: str, data: bytes, expected: str | None) -> str:
        """Write a small object if it is still at version `expected` (None: if it does not exist). Returns its new
        token. Raises `StorageConflictError` if it is at another version; then nothing was written."""
