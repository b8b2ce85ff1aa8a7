"""What is known of fsspec's filesystems by their code. What depends on the server is found out by trying."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem

from mad_prefect_core.sdk import StorageCapabilities

__all__ = ["Kind", "kind_of"]

_READ_ONLY = frozenset({
    "data", "git", "gist", "github", "http", "http_sync", "libarchive", "reference", "tar", "zip"
})  # fmt: skip
"""Modules of `fsspec.implementations`. An archive is written as a whole, which no asset does."""
_OBJECT_STORES = frozenset({"adlfs", "gcsfs", "ocifs", "ossfs", "s3fs", "tosfs"})
_RENAMING = frozenset({"fsspec.implementations.sftp", "sshfs"})
"""They rename by OpenSSH's posix-rename, which replaces a file at one moment."""
_CACHES = frozenset({"blockcache", "cached", "filecache", "simplecache"})


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A filesystem class of fsspec, or several chained, by what the code of the last one does."""

    writes: bool = True
    uploads_whole: bool = False
    """A file appears at its path when all of it was sent."""
    renames_at_once: bool = False
    """Its `mv` is one request, which replaces a file that is there."""
    in_process: bool = False
    """Its files are in the memory of this process, all in one place."""
    renames: bool = False
    """Its `mv` is a rename, not a copy and a deletion."""
    refused: str = ""
    """Characters that names can't have: it takes them for something else."""
    downloads: bool = False
    """Parts of a file are slow to get, so that it is fetched whole."""
    block_size: int | None = None
    """Bytes of a block, where its own are too small: with FTP each is a transfer of its own."""
    several_at_once: bool = False
    """Threads may use one client at the same time."""

    @property
    def capabilities(self) -> StorageCapabilities:
        """What it can promise if the server does all that the code asks of it."""
        return StorageCapabilities(
            atomic_replace=self.writes and (self.uploads_whole or self.renames_at_once),
            conditional_create=self.in_process,
            conditional_replace=self.in_process,
            strong_listing=self.writes,
            refused_characters=self.refused,
        )


def is_cache(protocol: str) -> bool:
    """Whether it keeps copies of another filesystem's files."""
    return protocol in _CACHES


def kind_of(filesystem: type[Any]) -> Kind:
    """What is known of a filesystem class, or of the nearest that it is made from."""
    for base in filesystem.__mro__:
        package, _, name = base.__module__.rpartition(".")
        if package == "fsspec.implementations" and name in _READ_ONLY:
            return Kind(writes=False, several_at_once=filesystem.async_impl)
        if base.__module__ == "fsspec.implementations.memory":
            return Kind(uploads_whole=True, in_process=True)
        if base.__module__ == "fsspec.implementations.ftp":
            return Kind(downloads=True, renames=True, block_size=8 * 2**20)
        if base.__module__ == "webdav4.fsspec":
            return Kind(downloads=True, refused="#%;?")
        root = base.__module__.partition(".")[0]
        if root in _OBJECT_STORES:
            return Kind(uploads_whole=True, several_at_once=filesystem.async_impl)
        if base.__module__ in _RENAMING or root in _RENAMING:
            return Kind(renames=True, renames_at_once=True, several_at_once=filesystem.async_impl)
    own = getattr(filesystem, "_mv", filesystem.mv)
    return Kind(
        renames=own not in (AbstractFileSystem.mv, getattr(AsyncFileSystem, "_mv", None)),
        several_at_once=filesystem.async_impl,
    )
