"""The plugin: what the entry point `gcs` of the group `mad_prefect` names."""

from __future__ import annotations

from mad_prefect_core.sdk import hookimpl
from mad_prefect_gcs.storage import GCSStorage

requires_plugin_api = (1, 1)


@hookimpl
def mad_prefect_storages() -> list[GCSStorage]:
    return [GCSStorage()]
