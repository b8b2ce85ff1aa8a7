"""`@asset`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import PurePath
from typing import Any, ClassVar, ParamSpec, TypeVar, cast

from mad_prefect_core.assets.asset import DataAsset, define
from mad_prefect_core.assets.definitions import label
from mad_prefect_core.assets.options import (
    CacheOn,
    Compat,
    DataAssetOptions,
    ManyReadOptions,
    ManyWriteOptions,
    OnRunning,
    check_known,
)
from mad_prefect_core.contracts import ReadOptions
from mad_prefect_core.errors import OptionError, located
from mad_prefect_core.runs.retention import Retention

__all__ = ["AssetDecorator", "asset"]

P = ParamSpec("P")
R = TypeVar("R")


class AssetDecorator:
    """The type of `asset`."""

    asset_class: ClassVar[type[DataAsset[..., Any]]] = DataAsset
    """What it makes."""

    def __call__(
        self,
        path: str | PurePath | None = None,  # it has to be given, and its lack is told as all else is
        artifacts_dir: str | PurePath = "",
        name: str | None = None,
        snapshot_artifacts: bool = False,
        artifact_filetype: str | None = None,
        read_json_options: ReadOptions | None = None,
        read_csv_options: ReadOptions | None = None,
        cache_expiration: timedelta | None = None,
        *,
        read_options: ManyReadOptions = None,
        write_options: ManyWriteOptions = None,
        on_running: OnRunning = "wait",
        fragment_rows: int | None = None,
        retention: Retention | None = None,
        cache_on: tuple[CacheOn, ...] = (),
        compat: Compat | None = None,
        **unknown: Any,
    ) -> Callable[[Callable[P, R]], DataAsset[P, R]]:
        """Make a function a data asset.

        Args:
            path: Of the result: relative to the base path, or a URL. `x.parquet|csv` stores two files of one run.
                `{param}`, `{param.attribute}` and the parameters of assets among the arguments are filled in.
            artifacts_dir: Folder of the fragments; `_artifacts/asset=<name>` beside the result if empty. Its
                `key=value` folders become columns.
            name: Of the asset; `module.function` if not given.
            snapshot_artifacts: Keep the fragments of every run, under the time it ran, and its results as history.
            artifact_filetype: Format of the fragments; if not given, the one best for rows or for columns.
            read_json_options, read_csv_options: As in 2.x; short for two entries of `read_options`.
            cache_expiration: A result not older than this answers a call; None and zero run it every time.
            read_options, write_options: Option objects of any formats' plugins.
            on_running: What a call does while another run writes to the same paths, wherever it runs: "wait" until it
                is over, then find its result in the cache or run; "reuse" its result, whatever `cache_expiration`
                says; or "fail" with `AssetRunningError`.
            fragment_rows: Put what is yielded together until a fragment has so many rows, which makes many small items
                faster; what is not yet a fragment is not stored yet. A fragment a yield if not given.
            retention: Keep the results of earlier runs as history, those that it wants.
            cache_on: What else makes a cached call run again: "code", when the function or a helper of it has changed;
                "upstream", when an asset that the function read has a newer result.
            compat: 2 for results as 2.x made them where the difference is no error, 3 for those described here; None
                for what MAD_PREFECT_COMPAT says.

        Raises:
            UnknownFormatError: No installed plugin brings a suffix of the path, or the fragments' format.
            OptionError, PathError: An option or the path can't be.
        """
        if callable(path):
            raise OptionError(
                f"@asset stands before {getattr(path, '__qualname__', 'a function')!r} without the path of its result",
                hint='Write @asset("orders.parquet").',
            )
        given = {
            "artifacts_dir": artifacts_dir,
            "snapshot_artifacts": snapshot_artifacts,
            "artifact_filetype": artifact_filetype,
            "read_json_options": read_json_options,
            "read_csv_options": read_csv_options,
            "cache_expiration": cache_expiration,
            "read_options": read_options,
            "write_options": write_options,
            "on_running": on_running,
            "fragment_rows": fragment_rows,
            "retention": retention,
            "cache_on": cache_on,
            "compat": compat,
        }

        def decorate(fn: Callable[P, R]) -> DataAsset[P, R]:
            with located(asset=name if isinstance(name, str) else label(fn)):
                check_known(unknown)
                options = DataAssetOptions(**given)  # type: ignore[arg-type]  # they are checked there
            where: Any = path
            made = cast(DataAsset[P, R], self.asset_class(fn, where, name, options))
            define(made)
            return made

        return decorate


asset = AssetDecorator()
"""The decorator: see `AssetDecorator.__call__`."""
