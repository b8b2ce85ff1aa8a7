"""The storage in memory as a plugin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from memory_storage import MemoryStorage

from mad_prefect_core import hookimpl
from mad_prefect_core.contracts import StorageLike

requires_plugin_api = (1, 1)


@hookimpl
def mad_prefect_storages() -> Iterable[StorageLike[Any]]:
    return [MemoryStorage()]
