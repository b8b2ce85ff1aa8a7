"""The decorator, as in mad-prefect 2.x."""

from typing import Any, TypeAlias

from mad_prefect_core.assets.decorator import AssetDecorator, asset
from mad_prefect_core.settings import get_settings

__all__ = ["ARTIFACT_FILE_TYPES", "ASSET_METADATA_LOCATION", "AssetDecorator", "asset"]

ARTIFACT_FILE_TYPES: TypeAlias = str
"""The name of any installed format; in 2.x one of three."""

ASSET_METADATA_LOCATION: str


def __getattr__(name: str) -> Any:
    if name == "ASSET_METADATA_LOCATION":  # read when used, not when imported
        return get_settings().asset_metadata_location
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
