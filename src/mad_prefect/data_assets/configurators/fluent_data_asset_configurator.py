"""The fluent methods of an asset as an object of their own, as in mad-prefect 2.x."""

from __future__ import annotations

from typing import Generic, ParamSpec, TypeVar

from mad_prefect_core.assets import DataAsset
from mad_prefect_core.assets.options import UNSET, Unset

__all__ = ["UNSET", "FluentDataAssetConfigurator", "Unset"]

P = ParamSpec("P")
R = TypeVar("R")


class FluentDataAssetConfigurator(Generic[P, R]):
    """`with_arguments`, `with_options` and `cache_first` of `asset`."""

    def __init__(self, asset: DataAsset[P, R]) -> None:
        self.asset = asset
        self.with_arguments = asset.with_arguments
        self.with_options = asset.with_options
        self.cache_first = asset.cache_first
