"""How Arrow IPC files are read and written."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mad_prefect_core.sdk import Options, ReadOptions

__all__ = ["ReadIpcOptions", "WriteIpcOptions"]


class ReadIpcOptions(ReadOptions):
    """Those that all formats have: a file says by itself how it is laid out and compressed."""


class WriteIpcOptions(Options):
    """How a file is written."""

    compression: Literal["uncompressed", "lz4", "zstd"] = Field("lz4", description="The codec of the columns.")
    batch_rows: int = Field(65_536, gt=0, description="Rows of one record batch: what a reader holds at a time.")
