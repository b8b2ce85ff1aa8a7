"""Objects on Google Cloud Storage: whole uploads, server-side copies, and compare-and-swap by generation."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mad_prefect_core.sdk import (
    FileStat,
    PathError,
    Session,
    Storage,
    StorageCapabilities,
    Store,
    Versioned,
    saved_block_account,
    split_url,
)
from mad_prefect_gcs.options import GCSOptions

if TYPE_CHECKING:
    from mad_prefect_gcs.client import GCSFiles

__all__ = ["GCSStorage", "GCSStore"]

_ENVIRONMENT = ("CLOUDSDK_", "GOOGLE_", "STORAGE_EMULATOR_HOST")


class GCSStore(Store):
    """`mad_prefect_core.contracts.Store` for Google Cloud Storage. A path is `bucket/key`. Beside what each method
    there says:

    - A failure is a `StorageError` that names URL and server, after the attempts that the options allow.
    - A missing bucket is an error everywhere; none is ever made.
    - A token is the object's generation.
    """

    fs: GCSFiles

    def path(self, url: str) -> str:
        """As the contract says. Raises `PathError` for a URL without a bucket."""
        path = split_url(url, user=False)[1].strip("/")
        if not path:
            raise PathError("The URL names no bucket", path=url, hint="Write gs://bucket, or gs://bucket/folder.")
        return path

    def duckdb_files(self, session: Session, paths: Sequence[str]) -> list[str]:
        """As the contract says. A relation over them sees the generations of this moment, or raises. A file that is not
        there is a `FileNotFoundError`."""
        return list(self.fs.pinned.urls(session, paths))

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        """As the contract says: in one request, or by a resumable upload, whose object appears at its end."""
        self.fs.run(self.fs.insert, staged, path)
        staged.unlink()

    def link(self, source: str, path: str) -> str:
        """As the contract says: a copy that the server makes."""
        return str(self.fs.run(self.fs.rewrite, source, path))

    def stat(self, path: str) -> FileStat | None:
        """As the contract says."""
        found = self.fs.run(self.fs.resource, path)
        return FileStat(found["size"], found["generation"]) if found else None

    def read(self, path: str) -> Versioned | None:
        try:
            answer = self.fs.run(self.fs.media, path)
        except FileNotFoundError:
            return None
        return Versioned(answer.data, answer.generation)

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        """As the contract says; a server that ignores conditions is dealt with as the options say."""
        return str(self.fs.run(self.fs.replace, path, data, expected))


class GCSStorage(Storage[GCSOptions]):
    """Google Cloud Storage: one client serves all that have equal options and see the same environment."""

    name = "gcs"
    protocols = ("gs", "gcs")
    capabilities = StorageCapabilities(
        atomic_replace=True, conditional_create=True, conditional_replace=True, strong_listing=True
    )
    options = GCSOptions
    store = GCSStore

    def account(self, url: str, options: GCSOptions) -> Hashable:
        environment = sorted((name, value) for name, value in os.environ.items() if name.startswith(_ENVIRONMENT))
        return options.fingerprint(), tuple(environment), saved_block_account(options.credentials)

    def open(self, url: str, options: GCSOptions) -> GCSStore:
        from mad_prefect_gcs.client import GCSFiles  # noqa: PLC0415  two seconds, which listing plugins must not cost

        return GCSStore(GCSFiles(options))
