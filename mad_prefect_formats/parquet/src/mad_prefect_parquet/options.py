"""How Parquet is read and written."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import Field

from mad_prefect_core.sdk import Options, ReadOptions

__all__ = ["COMPRESSIONS", "ReadParquetOptions", "WriteParquetOptions"]

COMPRESSIONS = ("brotli", "gzip", "lz4_raw", "snappy", "uncompressed", "zstd")


class ReadParquetOptions(ReadOptions):
    """Options of DuckDB's `read_parquet`, by its names. None leaves DuckDB's own default in force."""

    binary_as_string: bool | None = Field(
        None, description="Read plain binary columns as text: old writers did not mark their text as such."
    )
    filename: bool | None = Field(None, description="Add a column `filename` that says where each row came from.")

    def only_for_files(self) -> Collection[str]:
        """As `ReadOptions.only_for_files`."""
        return self._set_otherwise("union_by_name", "binary_as_string", "filename")


class WriteParquetOptions(Options):
    """Options of DuckDB's `COPY … TO`, by its names."""

    compression: Literal["brotli", "gzip", "lz4_raw", "snappy", "uncompressed", "zstd"] = Field(
        "snappy", description="The codec. `zstd` makes smaller files, and takes a little longer."
    )
    row_group_size: int = Field(
        122_880, gt=0, description="Rows in one row group. A reader skips, or takes on a thread, a group at a time."
    )
