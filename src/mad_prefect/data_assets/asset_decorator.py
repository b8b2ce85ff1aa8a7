"""The decorator, as in mad-prefect 2.x."""

from typing import Any, ClassVar, TypeAlias

from mad_prefect._constants import settable
from mad_prefect.data_assets.data_asset import DataAsset
from mad_prefect_core.assets.decorator import AssetDecorator as CoreDecorator

__all__ = ["ARTIFACT_FILE_TYPES", "ASSET_METADATA_LOCATION", "AssetDecorator", "asset"]

ARTIFACT_FILE_TYPES: TypeAlias = str
"""The name of any installed format; in 2.x one of three."""

ASSET_METADATA_LOCATION: str
settable(__name__, "ASSET_METADATA_LOCATION")


class AssetDecorator(CoreDecorator):
    """As `mad_prefect_core.asset`, for assets with what 2.x's had."""

    asset_class: ClassVar[type[DataAsset[..., Any]]] = DataAsset


asset = AssetDecorator()
