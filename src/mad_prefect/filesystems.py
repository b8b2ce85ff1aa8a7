"""`FsspecFileSystem` and `get_fs`, as in mad-prefect 2.x."""

from __future__ import annotations

import sys
import types

from mad_prefect._constants import settable
from mad_prefect_core.prefect_support.blocks import FsspecFileSystem, assign_block, assigned_block, get_fs

__all__ = ["FILESYSTEM_BLOCK_NAME", "FILESYSTEM_URL", "FsspecFileSystem", "get_fs"]

FILESYSTEM_URL: str
FILESYSTEM_BLOCK_NAME: str | None
_get_fs_result: FsspecFileSystem | None


class _Module(types.ModuleType):
    @property
    def _get_fs_result(self) -> FsspecFileSystem | None:
        """What `get_fs` gives, if it was assigned: assets are on that base then."""
        return assigned_block()

    @_get_fs_result.setter
    def _get_fs_result(self, block: FsspecFileSystem | None) -> None:
        assign_block(block)


sys.modules[__name__].__class__ = _Module
settable(__name__, "FILESYSTEM_URL", "FILESYSTEM_BLOCK_NAME")
