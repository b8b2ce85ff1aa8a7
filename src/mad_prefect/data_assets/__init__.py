"""`asset`, as in mad-prefect 2.x."""

from mad_prefect._constants import settable
from mad_prefect.data_assets.asset_decorator import ARTIFACT_FILE_TYPES, AssetDecorator, asset

__all__ = ["ARTIFACT_FILE_TYPES", "ASSET_METADATA_LOCATION", "AssetDecorator", "asset"]

ASSET_METADATA_LOCATION: str
settable(__name__, "ASSET_METADATA_LOCATION")
