"""The asset itself: a function, where its results go, and its arguments. A value: nothing that is done with it
changes it."""

from __future__ import annotations

import copy
import inspect
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import cached_property, partial, update_wrapper
from pathlib import PurePath
from typing import Any, Generic, ParamSpec, TypeVar

from mad_prefect_core.artifacts import DataArtifact
from mad_prefect_core.artifacts.query import as_table, relation_over
from mad_prefect_core.assets.awaiting import FinishedArtifact, in_sync_flow, told_apart
from mad_prefect_core.assets.cache import Explanation, explained, latest
from mad_prefect_core.assets.checks import (
    bound_arguments,
    check_artifacts_dir,
    check_fields,
    check_formats,
    check_formats_of,
    check_path,
    checked_function,
    checked_name,
    checked_template,
    warn_of_left_out,
)
from mad_prefect_core.assets.definitions import claim, default_name, plain_name
from mad_prefect_core.assets.earlier import as_stored
from mad_prefect_core.assets.engine import execute, note_read
from mad_prefect_core.assets.formats import require_formats
from mad_prefect_core.assets.identity import digest, id_in_2x
from mad_prefect_core.assets.modules import as_before, global_of, is_before, is_called_by_cloudpickle, module_of
from mad_prefect_core.assets.options import (
    UNSET,
    CacheOn,
    Compat,
    DataAssetOptions,
    ManyReadOptions,
    ManyWriteOptions,
    OnRunning,
    Unset,
    check_known,
    checked_options,
)
from mad_prefect_core.assets.past import WithHistory
from mad_prefect_core.assets.plan import Plan
from mad_prefect_core.assets.templates import AssetTemplateFormatter, has_fields
from mad_prefect_core.contracts import Asset, ReadOptions
from mad_prefect_core.errors import (
    ArgumentError,
    NoResultError,
    QueryError,
    ResultGoneError,
    UnknownFormatError,
    located,
)
from mad_prefect_core.paths import split_url
from mad_prefect_core.plugins import get_host
from mad_prefect_core.queries import check_query, table_names
from mad_prefect_core.redaction import mask_urls
from mad_prefect_core.relations import Relation
from mad_prefect_core.runs.history import History
from mad_prefect_core.runs.manifest import read_manifest
from mad_prefect_core.runs.retention import Retention
from mad_prefect_core.runs.stored import reaching
from mad_prefect_core.threads import in_thread, run_sync
from mad_prefect_core.translation import translated
from mad_prefect_core.untrusted import Limits, limits_of

__all__ = ["CACHE_FIRST_CACHE_EXPIRATION", "DataAsset"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

CACHE_FIRST_CACHE_EXPIRATION = timedelta(days=9999)

_defined: weakref.WeakValueDictionary[str, DataAsset[..., Any]] = weakref.WeakValueDictionary()


class DataAsset(WithHistory, Generic[P, R]):
    """A function whose result is durable, cached and queryable. `@asset` makes one.

    Args:
        fn: Returns or yields data; plain, async, generator or async generator.
        path: Of the result, relative to the base or a URL; `x.parquet|csv` for several. A template.
        name: Of the asset. A template.
        options: The rest.

    Raises:
        UnknownFormatError: No installed plugin brings a suffix of the path, or the fragments' format.
    """

    fn: Callable[..., Any]
    """The function, without bound arguments."""
    bound_function: Callable[..., Any]
    """The function with them: a `functools.partial` where there are any."""

    def __init__(
        self, fn: Callable[P, R], path: str | PurePath, name: str | None = None, options: DataAssetOptions | None = None
    ) -> None:
        fn = checked_function(fn)
        self.fn = fn.func if isinstance(fn, partial) else fn
        self.bound_function = fn
        self._default_name = default_name(self.fn)
        with located(asset=self._default_name):
            self.template_name = checked_name(name) or self._default_name
            self.template_path = checked_template("path", path)
            self.base_options = checked_options(options)
        self.template_artifacts_dir = self.base_options.artifacts_dir
        update_wrapper(self, self.fn, updated=())
        self.signature = inspect.signature(self.fn)
        args, keywords = (fn.args, fn.keywords) if isinstance(fn, partial) else ((), {})
        self._bound = bound_arguments(self.template_name, self.signature, args, keywords)
        self._bound.apply_defaults()
        self._missing = [
            parameter.name
            for parameter in self.signature.parameters.values()
            if parameter.name not in self._bound.arguments
        ]
        self._formatter = AssetTemplateFormatter(args, self._bound)
        with located(asset=self.name):
            self._check()

    def _check(self) -> None:
        if self.template_path in self.base_options.checked_with:
            return  # by the asset that this one is derived from
        paths = result_paths(self.template_path)
        check_formats_of(self.template_path, paths)
        for path in paths:
            check_path(path)
        check_artifacts_dir(self.template_artifacts_dir)
        check_formats(self.base_options, paths, self.fn)
        self.base_options.checked_with.add(self.template_path)

    # -- what it is ----------------------------------------------------------------------------------------------

    @cached_property
    def name(self) -> str:
        """The name, as far as the bound arguments tell it; what no path segment should have is `_` in it."""
        rendered = self._formatter.format(self.template_name, allow_partial=True, as_text=_any_text)
        return self._sanitize_name(rendered or "")

    def _sanitize_name(self, name: str) -> str:
        return plain_name(name)

    @cached_property
    def path(self) -> str:
        """The path, as far as the bound arguments tell it."""
        return self._formatter.format(self.template_path, allow_partial=True) or ""

    @cached_property
    def artifacts_dir(self) -> str:
        """The folder of fragments, as far as the bound arguments tell it."""
        return self._formatter.format(self.template_artifacts_dir, allow_partial=True) or ""

    @cached_property
    def options(self) -> DataAssetOptions:
        """The options, their folder of fragments as far as the bound arguments tell it."""
        return replace(self.base_options, artifacts_dir=self.artifacts_dir)

    @property
    def artifact_filetype(self) -> str | None:
        """Format of fragments; None where each item decides."""
        return self.options.artifact_filetype

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The bound arguments by name, defaults included."""
        return dict(self._bound.arguments)

    @cached_property
    def id(self) -> str:
        """Identity of the asset with its arguments: 32 hexadecimal digits. Raises `ArgumentError`."""
        with located(asset=self.name):
            return self.id_by_modules()

    def id_by_modules(self) -> str:
        """The id by what modules are called, within `as_before` by what they were called then."""
        template = self.template_name
        if is_before() and template == self._default_name:
            template = f"{module_of(self.fn)}.{template.rpartition('.')[2]}"
        name = self._formatter.format(template, allow_partial=True, as_text=_any_text)
        return digest(name, self.path, self.artifacts_dir, **self._bound.arguments)

    def __repr__(self) -> str:
        return f"DataAsset({self.name!r}, {mask_urls(self.path)!r})"

    # -- derived assets ------------------------------------------------------------------------------------------

    def with_arguments(self, *args: Any, **kwargs: Any) -> DataAsset[P, R]:
        """The asset with these arguments bound, besides those that are. Raises `TypeError` for what the function
        does not take."""
        return self._derived(
            partial(self.bound_function, *args, **kwargs), self.template_path, self.template_name, self.base_options
        )

    def _derived(self, fn: Callable[..., Any], path: Any, name: str, options: DataAssetOptions) -> DataAsset[P, R]:
        """A copy with another function, path, name or options: of a subclass with all that it has besides, whatever
        its constructor takes."""
        made = copy.copy(self)
        for cached in ("name", "path", "artifacts_dir", "options", "id"):
            made.__dict__.pop(cached, None)
        initialise: Any = DataAsset.__init__
        initialise(made, fn, path, name, options)
        return made

    def with_options(
        self,
        path: str | PurePath | Unset = UNSET,
        artifacts_dir: str | PurePath | Unset = UNSET,
        name: str | Unset = UNSET,
        snapshot_artifacts: bool | Unset = UNSET,
        artifact_filetype: str | Unset | None = UNSET,
        read_json_options: ReadOptions | Unset | None = UNSET,
        read_csv_options: ReadOptions | Unset | None = UNSET,
        cache_expiration: timedelta | Unset | None = UNSET,
        read_options: ManyReadOptions | Unset = UNSET,
        write_options: ManyWriteOptions | Unset = UNSET,
        on_running: OnRunning | Unset = UNSET,
        fragment_rows: int | Unset | None = UNSET,
        retention: Retention | Unset | None = UNSET,
        cache_on: tuple[CacheOn, ...] | Unset = UNSET,
        compat: Compat | Unset | None = UNSET,
        **unknown: Any,
    ) -> DataAsset[P, R]:
        """The asset with other options; those not given stay. Raises `OptionError` for one that can't be."""
        given: dict[str, Any] = {
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
        with located(asset=self.name):
            check_known(unknown)
            wanted = {key: value for key, value in given.items() if not isinstance(value, Unset)}
            options = replace(self.base_options, **wanted)
        return self._derived(
            self.bound_function,
            self.template_path if isinstance(path, Unset) else path,
            self.template_name if isinstance(name, Unset) else name,
            options,
        )

    def cache_first(self, expiration: timedelta | None = None) -> DataAsset[P, R]:
        """The asset with any result that is there preferred to a new run, or any not older than `expiration`."""
        return self.with_options(cache_expiration=CACHE_FIRST_CACHE_EXPIRATION if expiration is None else expiration)

    # -- running and reading -------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, DataArtifact]:
        """Run the function and publish its result, or find the result in the cache.

        To be awaited; in a Prefect flow or task that is not async it runs at once, as a task would, and gives an
        artifact that may be awaited still. Gives the first result. Raises what the function raises, with a note that
        says which asset and phase; `MadPrefectError` for everything else. What was there before is untouched then.
        """
        asset = self.with_arguments(*args, **kwargs) if args or kwargs else self
        if in_sync_flow():
            return FinishedArtifact(run_sync(asset._run))
        return told_apart(asset._run(), f"{self.name}()", "await it, or write call_sync() in code that is not async")

    async def _run(self) -> DataArtifact:
        return await execute(self.plan())

    async def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Whether a call with these arguments would run or be answered from the cache, and why. Nothing is run."""
        asset = self.with_arguments(*args, **kwargs) if args or kwargs else self
        plan = asset.plan()

        def told() -> Explanation:
            found, stored = as_stored(plan)
            return explained(found, (stored or read_manifest(found.name, found.id)).manifest)[0]

        with translated(asset=plan.name, path=plan.paths[0], phase="explain"), reaching(plan.folders()):
            return await in_thread(told)

    def query(
        self,
        query_str: str | None = None,
        params: Any = None,
        *,
        tables: Mapping[str, Any] | None = None,
        untrusted: bool | Limits = False,
        assets: Sequence[str] | None = None,
    ) -> Coroutine[Any, Any, Relation]:
        """Run or find the result, and query it. Where the function needs arguments that are not bound, the asset's
        latest result is queried.

        Args:
            query_str: A clause that goes on from `FROM data` ("WHERE id > 1"), or a whole statement over `data`.
                Other assets may be joined by name: their results as they are, run first if they never were.
            params: Values for `?`, `$1` or `$name` in it.
            tables: More tables by name: assets, artifacts, relations, frames, anything that speaks Arrow.
            untrusted: Whether somebody else wrote the SQL. It can then read `data`, `tables` and `assets` alone,
                within limits, and its rows are read at once. See `Limits`.
            assets: The names of the assets that the SQL may join. None stands for all, and for no asset where the SQL
                is untrusted.

        To be awaited. Gives a lazy relation over the rows of that run.
        Raises `NoResultError` where it has no result file, `QueryError`, and what a call raises.
        """
        asking = self._query(query_str, params, tables or {}, untrusted, assets)
        return told_apart(asking, f"{self.name}.query()", "await it, or write query_sync() in code that is not async")

    async def _query(
        self,
        query_str: str | None,
        params: Any,
        tables: Mapping[str, Any],
        untrusted: bool | Limits,
        assets: Sequence[str] | None,
    ) -> Relation:
        with translated(asset=self.name, path=self.path, phase="query"):
            check_query(query_str, tables)
            artifact = await self._latest() if self._missing else await self()
            file = artifact.stored
            if file is None:
                raise NoResultError(
                    "The run gave no rows and no columns, and there was no result before it: nothing can be queried",
                    hint="Return a typed empty frame where there may be no rows, or see artifact.exists() first.",
                )
            if assets is None and limits_of(query_str, untrusted) is not None:
                assets = ()
            named = await self._tables(query_str, tables, assets)
            over = partial(
                relation_over,
                options=self.base_options.formats(),
                schema=file.schema,
                untrusted=untrusted,
                known=_known,
            )
            try:
                return await in_thread(over, [file], query_str=query_str, params=params, tables=named)
            except ResultGoneError:
                await in_thread(artifact.file)  # makes it again where that can be, or raises
                return await in_thread(over, [file], query_str=query_str, params=params, tables=named)

    async def _latest(self) -> DataArtifact:
        if isinstance(self.bound_function, partial):
            raise ArgumentError(
                f"The asset needs {', '.join(self._missing)} besides the arguments that are bound",
                asset=self.name,
                path=self.path,
                hint="Bind all of them, or none for the latest result whichever it was made with.",
            )
        plan = self.plan()
        with located(asset=plan.name, path=plan.paths[0]), reaching(plan.folders()):
            artifact = await latest(plan, self._missing)
        note_read(artifact)
        return artifact

    async def _history(self, *, to_change: bool = False) -> History:
        if to_change and self._missing:
            raise ArgumentError(
                f"The asset needs {', '.join(self._missing)} to say whose history is meant",
                asset=self.name,
                hint="Bind the arguments with with_arguments(...).",
            )
        if self._missing:
            run = (await self._latest()).run
            return History(run.asset_name, run.asset_id, self.base_options.formats())
        plan, _ = await in_thread(as_stored, self.plan())
        return History(plan.name, plan.id, self.base_options.formats())

    def _folders(self) -> list[str]:
        return [self.path.rpartition("/")[0], self.artifacts_dir]

    def _during(self, phase: str) -> translated:
        return translated(asset=self.name, path=self.path, phase=phase)

    def _retention(self) -> Retention | None:
        return self.options.retention

    async def _tables(
        self, query_str: str | None, given: Mapping[str, Any], assets: Sequence[str] | None
    ) -> dict[str, Any]:
        found: dict[str, Any] = dict(given)
        if query_str and _may_name_assets(query_str):
            listed = None if assets is None else {name.lower() for name in assets}
            wanted = {name for name in table_names(query_str) if listed is None or name.lower() in listed}
            wanted -= {"data", *given}
            found |= {name: asset for name in wanted if (asset := _asset_named(name)) is not None}
        return {name: await _read(name, table) for name, table in found.items()}

    def call_sync(self, *args: Any, **kwargs: Any) -> DataArtifact:
        """As a call, from code that is not async: a plain function or a sync flow."""
        return run_sync(lambda: self(*args, **kwargs))

    def query_sync(
        self,
        query_str: str | None = None,
        params: Any = None,
        *,
        tables: Mapping[str, Any] | None = None,
        untrusted: bool | Limits = False,
        assets: Sequence[str] | None = None,
    ) -> Relation:
        """As `query`, from code that is not async."""
        given: dict[str, Any] = {"tables": tables, "untrusted": untrusted or None, "assets": assets}
        # A subclass that overrides `query` as in 2.x takes none of these.
        return run_sync(partial(self.query, query_str, params, **{k: v for k, v in given.items() if v is not None}))

    def plan(self) -> Plan:
        """Everything that a run needs, all templates filled in strictly. Raises `TemplateError`, `PathError`."""
        with located(asset=self.name, phase="plan"):
            self._formatter.format(self.template_name, as_text=_any_text)
            paths = result_paths(self._formatter.format(self.template_path) or "", self.template_path)
            artifacts_dir = self._formatter.format(self.template_artifacts_dir) or ""
            for url in (*paths, artifacts_dir):
                split_url(url)  # refuses secrets in it
            plan = Plan(
                name=self.name,
                id=self.id,
                paths=paths,
                artifacts_dir=artifacts_dir,
                options=self.base_options,
                call=self.bound_function,
                arguments=self.arguments,
                in_2x=self._id_in_2x,
                earlier=None if self.template_name != self._default_name else self._id_as,
            )
            require_formats(plan)
            return plan

    def _id_in_2x(self, name: str) -> str | None:
        bound = self.bound_function
        args, keywords = (bound.args, bound.keywords) if isinstance(bound, partial) else ((), {})
        return id_in_2x(name, self.path, self.artifacts_dir, args, keywords)

    def _id_as(self, module: str) -> str:
        """The id that the asset had when its function's module was called so."""
        with as_before(module_of(self.fn), module):
            return self.id_by_modules()

    # -- between processes -----------------------------------------------------------------------------------------

    def __copy__(self) -> DataAsset[P, R]:
        """Another one: by its name, as below, it would be the same."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        """By the name of its function, as functions go, where that leads back to it. Not for cloudpickle, which is for
        workers that do not have the module: there an asset goes whole."""
        root = None if is_called_by_cloudpickle() else global_of(self.fn)
        if not isinstance(root, DataAsset) or root.fn is not self.fn:
            return super().__reduce_ex__(protocol)
        if root is self:
            return self.fn.__qualname__
        bound = self.bound_function
        args, keywords = (bound.args, bound.keywords) if isinstance(bound, partial) else ((), {})
        return _derived, (root, args, keywords, self.template_path, self.template_name, self.base_options)


def _derived(
    root: DataAsset[..., Any],
    args: tuple[Any, ...],
    keywords: dict[str, Any],
    path: str,
    name: str,
    options: DataAssetOptions,
) -> DataAsset[..., Any]:
    fn: Callable[..., Any] = partial(root.fn, *args, **keywords) if args or keywords else root.fn
    return root._derived(fn, path, name, options)


def _any_text(value: object, *, key: str) -> str:
    return str(value)


def result_paths(path: str, template: str | None = None) -> list[str]:
    """`bronze/orders.parquet|csv` as the paths it stands for. A `|` in an argument's value is just a character."""
    count = (template or path).count("|")
    if not count:
        return [path]
    first, *more = path.rsplit("|", count)
    suffix = f".{first.rpartition('.')[2]}"
    if template is not None or not has_fields(first):
        with suppress(UnknownFormatError):  # which is told where the file is to be written
            suffix = get_host().format_of(first)[1]
    return [first, *(f"{first.removesuffix(suffix)}.{other.strip().lstrip('.')}" for other in more)]


def define(asset: DataAsset[..., Any]) -> None:
    """Have an asset known by name in SQL: by its full name, also as the module was loaded, and by its function's.

    Raises `OptionError` where another asset has its path or name; warns of arguments that its path leaves out.
    """
    with located(asset=asset.template_name):
        check_fields([asset.template_path, asset.template_name, asset.template_artifacts_dir], asset.signature)
        claim(asset, result_paths(asset.template_path))
    warn_of_left_out(asset.template_name, asset.template_path, asset.signature, list(asset.arguments))
    for name in {asset.template_name, asset.fn.__name__, f"{asset.fn.__module__}.{asset.fn.__name__}"}:
        _defined[f"{name}\0{asset.template_name}"] = asset


def _may_name_assets(query: str) -> bool:
    """Whether the text of any asset's name is in a query, so that it is worth taking apart."""
    text = query.lower().replace('""', '"')  # as names are written within double quotes
    return any(key.partition("\0")[0].lower() in text for key in list(_defined))


def _known() -> set[str]:
    """The names of all assets that a query may use."""
    return {key.partition("\0")[0] for key in list(_defined)}


def _asset_named(name: str) -> DataAsset[..., Any] | None:
    found: dict[str, DataAsset[..., Any]] = {}
    for key, asset in list(_defined.items()):
        short, _, full = key.partition("\0")
        if short.lower() == name.lower():  # SQL's names know no case
            found[full] = asset
    if len(found) > 1:
        raise QueryError(
            f"The table {name!r} may be any of the assets {', '.join(sorted(found))}",
            hint="Use the full name in double quotes, or pass tables={...}.",
        )
    return next(iter(found.values()), None)


async def _read(name: str, table: Any) -> Any:
    """A table of a query as something that a session can read."""
    if isinstance(table, DataAsset):
        return await table.cache_first().query()
    if isinstance(table, Asset):
        table = await table.query()
    return await as_table(name, table)
