"""Data assets: functions whose results are durable, cached and queryable."""

from mad_prefect_core.assets.asset import DataAsset
from mad_prefect_core.assets.decorator import AssetDecorator, asset
from mad_prefect_core.assets.options import DataAssetOptions

__all__ = ["AssetDecorator", "DataAsset", "DataAssetOptions", "asset"]
