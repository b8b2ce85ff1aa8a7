"""Objects on S3: whole uploads, server-side copies, and compare-and-swap by conditional writes."""

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
from mad_prefect_s3.native import native_urls
from mad_prefect_s3.options import S3Options

if TYPE_CHECKING:
    from mad_prefect_s3.client import S3Files

__all__ = ["S3Storage", "S3Store"]


class S3Store(Store):
    """`mad_prefect_core.contracts.Store` for S3. A path is `bucket/key`. Beside what each method there says:

    - A failure is a `StorageError` that names URL and server, after the attempts that the options allow.
    - A missing bucket is an error everywhere; none is ever made.
    """

    fs: S3Files

    def path(self, url: str) -> str:
        """As the contract says. Raises `PathError` for a URL without a bucket."""
        path = split_url(url, user=False)[1].strip("/")
        if not path:
            raise PathError("The URL names no bucket", path=url, hint="Write s3://bucket, or s3://bucket/folder.")
        return path

    def duckdb_files(self, session: Session, paths: Sequence[str]) -> list[str]:
        """As the contract says. Pinned, a relation over them sees the versions of this moment, or raises, and a file
        that is not there is a `FileNotFoundError`."""
        if self.fs.options.duckdb == "httpfs":
            return native_urls(session, self.fs, paths)
        return list(self.fs.pinned.urls(session, paths))

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        """As the contract says: in one request, or in parts that become one object at the end."""
        self.fs.run(self.fs.put_object, staged, path)
        staged.unlink()

    def link(self, source: str, path: str) -> str | None:
        """As the contract says: a copy that the server makes."""
        token: str | None = self.fs.run(self.fs.copy_object, source, path)
        return token

    def stat(self, path: str) -> FileStat | None:
        """As the contract says. The token is the ETag, and the version's id where the bucket keeps versions."""
        from mad_prefect_s3.answers import token_of  # noqa: PLC0415  as in S3Storage.open

        found = self.fs.run(self.fs.head_object, path)
        return FileStat(found["ContentLength"], token_of(found)) if found else None

    def read(self, path: str) -> Versioned | None:
        from mad_prefect_s3.answers import token_of  # noqa: PLC0415  as in S3Storage.open

        try:
            data, answer = self.fs.run(self.fs.get_object, path)
        except FileNotFoundError:
            return None
        return Versioned(data, token_of(answer))

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        """As the contract says; a server that ignores conditions is dealt with as the options say."""
        return str(self.fs.run(self.fs.replace, path, data, expected))


class S3Storage(Storage[S3Options]):
    """S3: one client serves all that have equal options and see the same `AWS_*` variables."""

    name = "s3"
    protocols = ("s3", "s3a")
    capabilities = StorageCapabilities(
        atomic_replace=True, conditional_create=True, conditional_replace=True, strong_listing=True
    )
    options = S3Options
    store = S3Store

    def account(self, url: str, options: S3Options) -> Hashable:
        environment = sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
        return options.fingerprint(), tuple(environment), saved_block_account(options.credentials)

    def open(self, url: str, options: S3Options) -> S3Store:
        from mad_prefect_s3.client import S3Files  # noqa: PLC0415  half a second, which listing plugins must not cost

        return S3Store(S3Files(options))
