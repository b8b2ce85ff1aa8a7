"""The plugin: what the entry point `azure` of the group `mad_prefect` names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mad_prefect_azure.storage import AzureStorage
from mad_prefect_core.sdk import StorageLike, hookimpl

requires_plugin_api = (1, 1)


@hookimpl
def mad_prefect_storages() -> Iterable[StorageLike[Any]]:
    return [AzureStorage()]
