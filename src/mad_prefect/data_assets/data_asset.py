"""`DataAsset`, as in mad-prefect 2.x."""

from mad_prefect_core.assets.asset import CACHE_FIRST_CACHE_EXPIRATION, DataAsset

__all__ = ["CACHE_FIRST_CACHE_EXPIRATION", "DataAsset"]
