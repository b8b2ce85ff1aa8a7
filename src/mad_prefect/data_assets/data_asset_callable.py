"""`DataAssetCallable`, as in mad-prefect 2.x: an asset's function with the arguments that are bound to it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

from mad_prefect_core.artifacts import DataArtifact
from mad_prefect_core.assets import DataAsset

__all__ = ["DataAssetCallable"]

P = ParamSpec("P")
R = TypeVar("R")


class DataAssetCallable(Generic[P, R]):
    """Calling it calls the asset."""

    def __init__(self, asset: DataAsset[P, R]) -> None:
        self.asset = asset

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments that are bound."""
        bound = self.asset.bound_function
        return bound.args if isinstance(bound, partial) else ()

    @property
    def keywords(self) -> dict[str, Any]:
        """Keyword arguments that are bound."""
        bound = self.asset.bound_function
        return bound.keywords if isinstance(bound, partial) else {}

    @property
    def fn(self) -> Callable[..., Any]:
        """The function without them."""
        return self.asset.fn

    def get_bound_arguments(self) -> inspect.BoundArguments:
        """All bound arguments, defaults included."""
        bound = inspect.signature(self.fn).bind_partial(*self.args, **self.keywords)
        bound.apply_defaults()
        return bound

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> DataArtifact:
        """Call the asset."""
        return await self.asset(*args, **kwargs)
