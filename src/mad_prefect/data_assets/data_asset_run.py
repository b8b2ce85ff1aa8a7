"""`DataAssetRun`, as in mad-prefect 2.x."""

from mad_prefect_core.runs import DataAssetRun

__all__ = ["DataAssetRun"]
