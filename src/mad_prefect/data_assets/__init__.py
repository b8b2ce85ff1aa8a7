"""`asset`, as in mad-prefect 2.x."""

from typing import Any

from mad_prefect.data_assets.asset_decorator import ARTIFACT_FILE_TYPES, AssetDecorator, asset
from mad_prefect_core.settings import get_settings

__all__ = ["ARTIFACT_FILE_TYPES", "ASSET_METADATA_LOCATION", "AssetDecorator", "asset"]

ASSET_METADATA_LOCATION: str


def __getattr__(name: str) -> Any:
    if name == "ASSET_METADATA_LOCATION":  # read when used, not when imported
        return get_settings().asset_metadata_location
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
