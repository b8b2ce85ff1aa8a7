"""Objects on S3."""

from __future__ import annotations

from collections.abc import Sequence

from mad_prefect_core.sdk import ObjectFiles, ObjectStorage, ObjectStore, Session
from mad_prefect_s3.native import native_urls
from mad_prefect_s3.options import S3Options

__all__ = ["S3Storage", "S3Store"]


class S3Store(ObjectStore):
    """S3, which DuckDB may read in two ways."""

    def duckdb_files(self, session: Session, paths: Sequence[str]) -> list[str]:
        """As the base says, unless the options say httpfs."""
        options = self.fs.client.options
        if isinstance(options, S3Options) and options.duckdb == "httpfs":
            return native_urls(session, self.fs, paths)
        return super().duckdb_files(session, paths)


class S3Storage(ObjectStorage[S3Options]):
    """S3 and what speaks its language."""

    name = "s3"
    protocols = ("s3", "s3a")
    environment = ("AWS_",)
    options = S3Options
    store = S3Store

    def open(self, url: str, options: S3Options) -> S3Store:
        from mad_prefect_s3.client import S3Client  # noqa: PLC0415  it takes long, and listing plugins must cost nothing

        return S3Store(ObjectFiles(S3Client(options)))
