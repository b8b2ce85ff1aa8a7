"""What object stores have in common. A storage for one is an `ObjectClient`, which asks its server; all else is here:
requests that are sent again, uploads in parts, compare-and-swap, reads of one version, and what fsspec and DuckDB want.
"""

from mad_prefect_core.object_stores.client import (
    Body,
    Failure,
    ObjectClient,
    ObjectInfo,
    Page,
    without_password,
)
from mad_prefect_core.object_stores.files import ObjectFiles
from mad_prefect_core.object_stores.options import ObjectStoreOptions
from mad_prefect_core.object_stores.staged import StagedUpload
from mad_prefect_core.object_stores.storage import ObjectStorage, ObjectStore

__all__ = [
    "Body",
    "Failure",
    "ObjectClient",
    "ObjectFiles",
    "ObjectInfo",
    "ObjectStorage",
    "ObjectStore",
    "ObjectStoreOptions",
    "Page",
    "StagedUpload",
    "without_password",
]
