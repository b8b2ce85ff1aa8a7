"""`DataAssetRun`, as in mad-prefect 2.x."""

from mad_prefect._constants import settable
from mad_prefect_core.runs import DataAssetRun

__all__ = ["ASSET_METADATA_LOCATION", "DataAssetRun"]

ASSET_METADATA_LOCATION: str
settable(__name__, "ASSET_METADATA_LOCATION")
