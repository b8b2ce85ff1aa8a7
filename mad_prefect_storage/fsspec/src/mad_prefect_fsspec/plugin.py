"""The plugin: what the entry point `fsspec` of the group `mad_prefect` names."""

from __future__ import annotations

from typing import Any

from mad_prefect_core.sdk import StorageLike, hookimpl
from mad_prefect_fsspec.storage import storage_for

requires_plugin_api = (1, 1)


@hookimpl(trylast=True)
def mad_prefect_storage_for(protocol: str) -> StorageLike[Any] | None:
    return storage_for(protocol)
