"""The plugin: what the entry point `local` of the group `mad_prefect` names."""

from __future__ import annotations

from mad_prefect_core.sdk import hookimpl
from mad_prefect_local.storage import LocalStorage

requires_plugin_api = (1, 1)


@hookimpl
def mad_prefect_storages() -> list[LocalStorage]:
    return [LocalStorage()]
