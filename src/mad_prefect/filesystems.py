"""`FsspecFileSystem` and `get_fs`, as in mad-prefect 2.x."""

from typing import Any

from mad_prefect_core.prefect_support.blocks import FsspecFileSystem, get_fs
from mad_prefect_core.settings import get_settings

__all__ = ["FILESYSTEM_BLOCK_NAME", "FILESYSTEM_URL", "FsspecFileSystem", "get_fs"]

FILESYSTEM_URL: str
FILESYSTEM_BLOCK_NAME: str | None


def __getattr__(name: str) -> Any:
    # Read when used, not when imported.
    if name == "FILESYSTEM_URL":
        return get_settings().filesystem_url
    if name == "FILESYSTEM_BLOCK_NAME":
        return get_settings().filesystem_block_name
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
