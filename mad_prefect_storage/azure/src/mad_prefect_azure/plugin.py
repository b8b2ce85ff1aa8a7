"""The plugin: what the entry point `azure` of the group `mad_prefect` names."""

from __future__ import annotations

from mad_prefect_azure.storage import AzureStorage
from mad_prefect_core.sdk import hookimpl

requires_plugin_api = (1, 1)


@hookimpl
def mad_prefect_storages() -> list[AzureStorage]:
    return [AzureStorage()]
