"""`DataAssetCallable`, as in mad-prefect 2.x: an asset's function with the arguments that are bound to it."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

from mad_prefect_core.artifacts import DataArtifact
from mad_prefect_core.assets import DataAsset
from mad_prefect_core.overrides import refuse_uncalled
from mad_prefect_core.runs import get_asset_metadata, load_asset_manifest

__all__ = ["DataAssetCallable"]

_UNCALLED = (
    "_cached_result", "_check_asset_resolution", "_create_result_artifacts", "_format_with_called_args",
    "_generate_asset_iteration_guid", "_get_artifact_base_path", "_sync_formatted_asset",
    "get_result_artifact_filetypes",
)  # fmt: skip
"""Methods of 2.x."""

P = ParamSpec("P")
R = TypeVar("R")


class DataAssetCallable(Generic[P, R]):
    """Calling it calls the asset."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_uncalled(cls, DataAssetCallable, dict.fromkeys(_UNCALLED, "Override DataAsset.__call__."))

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

    async def _get_last_materialized(self, asset: DataAsset[..., Any]) -> dt.datetime | None:
        manifest = await load_asset_manifest(asset.name, asset.id)
        if manifest is not None and manifest.last_materialized is not None:
            return manifest.last_materialized
        records = await get_asset_metadata(asset.name, asset.id)
        if records is None or "materialized" not in records.columns:
            return None
        found = [moment for (moment,) in records.project("materialized").fetchall() if moment is not None]
        return max((m if m.tzinfo else m.replace(tzinfo=dt.UTC) for m in found), default=None)
