"""What mad-prefect's entry point loads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mad_prefect_core.sdk import StorageLike, hookimpl
from mad_prefect_sftp.storage import SFTPStorage

__all__ = ["mad_prefect_storages", "requires_plugin_api"]

requires_plugin_api = (1, 1)


@hookimpl
def mad_prefect_storages() -> Iterable[StorageLike[Any]]:
    """The storage of this plugin."""
    return [SFTPStorage()]
