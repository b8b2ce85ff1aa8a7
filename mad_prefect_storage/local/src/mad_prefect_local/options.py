"""What can be said about a local disk beside its path."""

from __future__ import annotations

from pydantic import Field

from mad_prefect_core.sdk import Options

__all__ = ["LocalOptions"]


class LocalOptions(Options):
    """Options of the storage `local`. It has no secrets and reads no environment variables."""

    auto_mkdir: bool = Field(
        False,
        description="Have fsspec make missing folders where a user writes through the filesystem itself. "
        "Assets make theirs in any case.",
    )
