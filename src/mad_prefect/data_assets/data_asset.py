"""`DataAsset`, as in mad-prefect 2.x."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from mad_prefect.data_assets.data_asset_callable import DataAssetCallable
from mad_prefect_core.assets.asset import CACHE_FIRST_CACHE_EXPIRATION
from mad_prefect_core.assets.asset import DataAsset as CoreAsset
from mad_prefect_core.assets.options import DataAssetOptions
from mad_prefect_core.errors import NoResultError, OptionError
from mad_prefect_core.relations import Relation

__all__ = ["CACHE_FIRST_CACHE_EXPIRATION", "DataAsset"]

P = ParamSpec("P")
R = TypeVar("R")


class DataAsset(CoreAsset[P, R]):
    """An asset whose query gives None where a run gave no rows and no columns.

    Args:
        fn, path, name, options: As in `mad_prefect_core.DataAsset`.
        given: Options by name, as before 2.3, instead of `options`; `artifacts_dir` and `name` also by position.
    """

    def __init__(
        self,
        fn: Callable[P, R],
        path: str,
        name: str | None = None,
        options: DataAssetOptions | str | None = None,
        *more: Any,
        **given: Any,
    ) -> None:
        if isinstance(options, str) or more:  # before 2.3: (fn, path, artifacts_dir, name, snapshot_artifacts, …)
            given = {"artifacts_dir": name or "", **dict(zip(_BEFORE_2_3, more, strict=False)), **given}
            name, options = options if isinstance(options, str) else None, None
        if given and options is not None:
            raise OptionError(
                f"Options are given both in options= and by name: {', '.join(given)}", hint="Give all in options=."
            )
        super().__init__(fn, path, name, DataAssetOptions(**given) if given else options)

    @property
    def _fn(self) -> Callable[..., Any]:
        return self.bound_function

    @property
    def _callable(self) -> DataAssetCallable[P, R]:
        return DataAssetCallable(self)

    async def _query(self, *args: Any, **kwargs: Any) -> Relation:
        try:
            return await super()._query(*args, **kwargs)
        except NoResultError:
            return None  # type: ignore[return-value]  # as 2.x, whose users test for it


_BEFORE_2_3 = ("snapshot_artifacts", "artifact_filetype", "read_json_options", "cache_expiration")
