"""How ORC files are read and written."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mad_prefect_core.sdk import Options, ReadOptions

__all__ = ["ReadOrcOptions", "WriteOrcOptions"]


class ReadOrcOptions(ReadOptions):
    """Those that all formats have: a file says by itself how it is laid out and compressed."""


class WriteOrcOptions(Options):
    """How a file is written."""

    compression: Literal["uncompressed", "lz4", "snappy", "zlib", "zstd"] = Field(
        "zstd", description="The codec of the columns. Every reader knows `zlib` and `snappy`."
    )
    stripe_size: int = Field(1 << 23, gt=0, description="Bytes of one stripe: what the writer holds at a time.")
