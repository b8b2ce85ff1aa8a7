"""The plugin: what the entry point `s3` of the group `mad_prefect` names."""

from __future__ import annotations

from mad_prefect_core.sdk import hookimpl
from mad_prefect_s3.storage import S3Storage

requires_plugin_api = (1, 1)


@hookimpl
def mad_prefect_storages() -> list[S3Storage]:
    return [S3Storage()]
