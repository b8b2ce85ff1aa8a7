"""`DataAssetOptions`, as in mad-prefect 2.x."""

from mad_prefect_core.assets.options import DataAssetOptions

__all__ = ["DataAssetOptions"]
