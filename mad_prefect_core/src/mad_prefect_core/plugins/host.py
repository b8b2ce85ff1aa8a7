"""The plugin host: finds plugins, keeps what they bring, and says what went wrong with which.

This is the only module that touches pluggy's manager.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.metadata
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Literal, cast

import pluggy

from mad_prefect_core.contracts import FormatLike, StorageLike
from mad_prefect_core.errors import (
    MadPrefectError,
    PluginApiError,
    PluginConflictError,
    PluginError,
    PluginLoadError,
)
from mad_prefect_core.hookspecs import ENTRY_POINT_GROUP, PLUGIN_API, PROJECT, HookSpecs
from mad_prefect_core.plugins.calls import ask, in_time, listed, taking, wrong
from mad_prefect_core.plugins.faults import format_faults, storage_faults
from mad_prefect_core.plugins.records import PluginRecord, canonical, failed, new_record, summary
from mad_prefect_core.plugins.registry import Conflict, Registry, catalogue
from mad_prefect_core.settings import get_settings

__all__ = ["PluginHost", "get_host", "use_host"]

logger = logging.getLogger(__name__)

_HOOKS = tuple(name for name in vars(HookSpecs) if name.startswith("mad_prefect_"))

_loading: ContextVar[PluginHost | None] = ContextVar("mad_prefect_loading", default=None)
"""The host whose plugins are being loaded, as the plugins' own code sees it."""


class PluginHost:
    """Loads every entry point of the group `mad_prefect` by itself, once, when first asked.

    Args:
        entry_points: What to load instead of what is installed.
    """

    def __init__(self, entry_points: Iterable[importlib.metadata.EntryPoint] | None = None) -> None:
        self._given = None if entry_points is None else list(entry_points)
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._records: list[PluginRecord] = []
        self._by_plugin: dict[int, PluginRecord] = {}
        self._registry = Registry([])
        self._others: dict[str, StorageLike[Any]] = {}
        self._loaded = False

    # -- what is there -------------------------------------------------------------------------------------------

    def plugins(self) -> list[PluginRecord]:
        """Every entry point found, also those that failed or are blocked, sorted by name."""
        self._load()
        return sorted(self._records, key=lambda record: (record.name, record.distribution))

    def formats(self) -> list[FormatLike[Any, Any]]:
        """Every format that one plugin alone claims, sorted by name."""
        return self._loaded_registry().formats()

    def known_formats(self) -> list[str]:
        """Names and suffixes of all formats that are installed, and of those of our own that are not."""
        return self._loaded_registry().known_formats()

    def known_protocols(self) -> list[str]:
        """Protocols of all storages that are installed, and of those of our own that are not."""
        return self._loaded_registry().known_protocols()

    def storages(self) -> list[StorageLike[Any]]:
        """Every storage with a protocol that one plugin alone claims, sorted by name."""
        return self._loaded_registry().storages()

    def brought(self, record: PluginRecord) -> tuple[list[FormatLike[Any, Any]], list[StorageLike[Any]]]:
        """The formats and storages of one plugin, also those whose names another plugin claims too."""
        return self._loaded_registry().brought(record)

    def conflicts(self) -> list[Conflict]:
        """Every format name, suffix and protocol that several plugins claim."""
        return self._loaded_registry().conflicts()

    def format_named(self, name: str, suffix: str | None = None) -> FormatLike[Any, Any]:
        """The format of this name, or of this suffix without its dot ("jsonl").

        `suffix` says which one is meant where several formats have the name. Raises `UnknownFormatError` with what is
        known and what to install; `PluginConflictError` if two claim it.
        """
        return self._loaded_registry().format_named(name, suffix)

    def format_of(self, path: str) -> tuple[FormatLike[Any, Any], str]:
        """The format of a path by its longest known suffix, in any case of letters, and that suffix as written.

        Raises `UnknownFormatError`, `PluginConflictError`.
        """
        return self._loaded_registry().format_of(path)

    def format_for(self, kind: Literal["rows", "columns"]) -> FormatLike[Any, Any]:
        """The format that says it is best for fragments of this kind; any, if none does.

        Raises `UnknownFormatError` where no format is installed at all, `PluginConflictError` if two claim its name.
        """
        return self._loaded_registry().format_for(kind)

    def storage_for(self, protocol: str) -> StorageLike[Any]:
        """The storage that serves this URL scheme: the plugin's that claims it, or else the first that serves it by the
        hook `mad_prefect_storage_for`.

        Raises `UnknownStorageError` with what is known and what to install; `PluginConflictError` if two claim it.
        """
        registry, wanted = self._loaded_registry(), protocol.lower()
        if (found := registry.claimed_storage(wanted) or self._others.get(wanted)) is not None:
            return found
        # Where a plugin of ours is missing or has failed, no other takes its place unseen.
        if wanted not in catalogue()["protocols"] and (found := self._storage_of_others(wanted)) is not None:
            return self._others.setdefault(wanted, found)  # always the same: what it opens is kept by its identity
        return registry.storage_for(wanted)

    def _storage_of_others(self, protocol: str) -> StorageLike[Any] | None:
        """The storage of a protocol that no plugin claims, if one serves it all the same."""
        for record, call in self._implementations("mad_prefect_storage_for"):
            answer = ask(record, "mad_prefect_storage_for", call, protocol=protocol)
            if answer is None:
                continue
            if problems := list(storage_faults(answer)):
                what = f"{type(answer).__name__}, which {'; '.join(problems)},"
                raise PluginLoadError(
                    f"The plugin's hook mad_prefect_storage_for returned {what} for {protocol!r}", plugin=record.label
                )
            return cast(StorageLike[Any], answer)
        return None

    def _loaded_registry(self) -> Registry:
        self._load()
        return self._registry

    # -- calls ---------------------------------------------------------------------------------------------------

    def batches(self, data: object) -> Iterator[object] | AsyncIterator[object] | None:
        """What the first plugin that knows this object makes of it.

        A plugin that fails is passed over if another one answers. If none does, its failure is raised: the object
        may be one of its own.
        """
        failure: MadPrefectError | None = None
        for record, call in self._implementations("mad_prefect_batches"):
            try:
                answer = ask(record, "mad_prefect_batches", call, data=data)
                if answer is not None and not isinstance(answer, Iterator | AsyncIterator):
                    raise wrong(record, "mad_prefect_batches", answer, "an iterator of batches, or None")
            except MadPrefectError as error:
                logger.warning("%s", error)
                failure = failure or error
                continue
            if answer is not None:
                return answer
        if failure is not None:
            raise failure
        return None

    def base(self, settings: Any) -> tuple[str, dict[str, Any]] | None:
        """The base that a plugin names, if one does.

        A plugin that fails is an error, and nobody else is asked: data would go to another place than was meant.
        """
        for record, call in self._implementations("mad_prefect_base"):
            answer = ask(record, "mad_prefect_base", call, settings=settings)
            if answer is None:
                continue
            if isinstance(answer, tuple) and [type(part) for part in answer] == [str, dict]:
                return cast("tuple[str, dict[str, Any]]", answer)
            raise wrong(record, "mad_prefect_base", answer, "a URL and a dict of storage options, or None")
        return None

    def notify(self, hook: Literal["mad_prefect_run_finished", "mad_prefect_cache_hit"], run: Any) -> None:
        """Tell every observer. One that raises is logged and costs nothing."""
        for record, call in self._implementations(hook):
            try:
                ask(record, hook, call, run=run)
            except MadPrefectError as error:
                cause = error.__cause__ or error
                logger.error("%s The run is not affected.", error, exc_info=cause)

    def _implementations(self, hook: str) -> Iterator[tuple[PluginRecord, Callable[..., Any]]]:
        """Those that implement `hook`: first the ones that ask to be tried first, then by entry-point name."""
        self._load()
        # pluggy calls the last registered first; so do we.
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            yield self._by_plugin[id(implementation.plugin)], taking(implementation)

    # -- loading -------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        if _loading.get() is self:
            return  # a plugin that asks the host while it is being loaded
        with self._lock:
            if self._loaded:
                return
            token = _loading.set(self)
            try:
                self._load_all()
            except BaseException:  # an interrupt: the next to ask begins anew
                self._reset()
                raise
            finally:
                _loading.reset(token)
            self._loaded = True

    def _load_all(self) -> None:
        found = self._given
        if found is None:
            found = list(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
        # Two entry points are equal to Python if only their distributions differ, so a set would lose one of them.
        # The last registered is called first: in reverse order of names, calls come in the order of names.
        pairs = {(e.name, r.distribution, e.value): (e, r) for e in found for r in [new_record(e)]}
        self._records = [record for _, (_, record) in sorted(pairs.items(), key=lambda pair: pair[0])]
        self._registry = Registry(self._records)
        settings = get_settings()
        allow, deny = _names(settings.plugins_allow), _names(settings.plugins_deny)
        self._warn_of_entry_points(allow)
        for _, (entry_point, record) in sorted(pairs.items(), key=lambda pair: pair[0], reverse=True):
            if {canonical(record.name), canonical(record.distribution)} & deny or not _allowed(record, allow):
                record.status = "blocked"
                continue
            try:
                plugin = self._load_one(entry_point, record)
                try:
                    self._claim(record, plugin)
                except MadPrefectError:
                    self._drop(plugin)
                    raise
            except MadPrefectError as error:
                known = error if isinstance(error, PluginError) else failed(record, "The plugin failed", error)
                record.status, record.error = "failed", known
                logger.warning("%s", known)
        for conflict in self._registry.conflicts():
            logger.warning("%s", conflict.error)

    def _warn_of_entry_points(self, allow: set[str]) -> None:
        """Say so where an entry point's name is allowed, which any distribution can claim."""
        for name in sorted(allow - {canonical(record.distribution) for record in self._records}):
            if sources := sorted({r.distribution for r in self._records if canonical(r.name) == name}):
                logger.warning(
                    "MAD_PREFECT_PLUGINS_ALLOW names distributions, and %r is an entry point of %s. "
                    "Allow the distribution by its name if you trust it.",
                    name,
                    " and ".join(sources),
                )

    def _load_one(self, entry_point: importlib.metadata.EntryPoint, record: PluginRecord) -> Any:
        def load() -> tuple[Any, Any]:
            try:
                plugin = entry_point.load()
                return plugin, getattr(plugin, "requires_plugin_api", None)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # also a plugin that calls sys.exit()
                raise failed(record, "The plugin failed to import", error) from error

        plugin, wanted = in_time(record, "import", load)
        self._check_api(record, wanted)
        if (other := self._by_plugin.get(id(plugin))) is not None:
            raise PluginConflictError(
                f"{record.module!r} is the plugin of both {other.source} and {record.source}; "
                f"it is used as that of {other.source}",
                plugin=record.label,
                hint="Uninstall one of them.",
            )
        self._by_plugin[id(plugin)] = record
        try:
            self._manager.register(plugin, name=f"{record.distribution}: {record.name} = {record.module}")
            self._manager.check_pending()
            self._check_hooks(plugin)
        except Exception as error:
            self._drop(plugin)
            problem = str(error) if isinstance(error, PluginLoadError) else summary(error)
            raise PluginLoadError(
                f"The plugin has a hook that does not fit: {problem}", plugin=record.label, hint=_near_hook(plugin)
            ) from error
        return plugin

    def _drop(self, plugin: Any) -> None:
        self._by_plugin.pop(id(plugin), None)
        if self._manager.is_registered(plugin):
            self._manager.unregister(plugin)

    def _check_api(self, record: PluginRecord, wanted: Any) -> None:
        if not (isinstance(wanted, tuple) and [type(n) for n in wanted] == [int, int] and wanted[0] <= wanted[1]):
            said = "does not say" if wanted is None else f"says {wanted!r} where it is to say"
            raise PluginApiError(
                f"The plugin {said} which plugin API it was built for; this core has {PLUGIN_API}",
                plugin=record.label,
                hint="Its module needs `requires_plugin_api = (first, last)`.",
            )
        if not wanted[0] <= PLUGIN_API <= wanted[1]:
            old = record.distribution if wanted[1] < PLUGIN_API else "mad-prefect-core"
            raise PluginApiError(
                f"The plugin was built for plugin API {wanted[0]} to {wanted[1]}, this core has {PLUGIN_API}",
                plugin=record.label,
                hint=f"Update {old}.",
            )

    def _check_hooks(self, plugin: Any) -> None:
        for caller in self._manager.get_hookcallers(plugin) or ():
            own = next(i for i in caller.get_hookimpls() if i.plugin is plugin)
            if own.wrapper or own.hookwrapper:
                raise PluginLoadError(f"{caller.name} is a wrapper, and hooks here are called one by one")
            # It would answer for every object there is, and give no batch for those it does not know.
            generates = inspect.isgeneratorfunction(own.function) or inspect.isasyncgenfunction(own.function)
            if generates and caller.name == "mad_prefect_batches":
                raise PluginLoadError(f"{caller.name} is a generator function, which can't answer None")
        for name in _HOOKS:
            function = inspect.getattr_static(plugin, name, None)
            if inspect.isroutine(function) and not hasattr(function, f"{PROJECT}_impl"):
                raise PluginLoadError(f"{name} is not marked with @hookimpl, so nothing would call it")

    def _claim(self, record: PluginRecord, plugin: Any) -> None:
        """Take over what a plugin brings: all of it, or nothing where any of it is unfit."""
        formats = self._brought(record, plugin, "mad_prefect_formats", format_faults)
        storages = self._brought(record, plugin, "mad_prefect_storages", storage_faults)
        self._registry.add(record, formats, storages)
        record.hooks = sorted(caller.name for caller in self._manager.get_hookcallers(plugin) or ())

    def _brought(
        self, record: PluginRecord, plugin: Any, hook: str, faults: Callable[[Any], Iterator[str]]
    ) -> list[Any]:
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        implementation = next((i for i in implementations if i.plugin is plugin), None)
        if implementation is None:
            return []
        call = taking(implementation)

        def brought() -> list[Any]:
            values: list[Any] = ask(record, hook, lambda: listed(call()))
            for value in values:
                if problems := list(faults(value)):
                    what = value.__name__ if isinstance(value, type) else type(value).__name__
                    kind = hook.removeprefix("mad_prefect_").removesuffix("s")
                    raise PluginLoadError(
                        f"What the plugin's hook {hook} returned, {what}, {'; '.join(problems)}",
                        plugin=record.label,
                        hint=f"docs/how-to/write-a-{kind}-plugin.md says what a {kind} must have.",
                    )
            return values

        return in_time(record, f"hook {hook}", brought)


def _allowed(record: PluginRecord, allow: set[str]) -> bool:
    """The core's own plugin always is: without it, FILESYSTEM_BLOCK_NAME would name no base."""
    return not allow or canonical(record.distribution) in allow or record.package == __name__.partition(".")[0]


def _names(setting: str) -> set[str]:
    return {canonical(name) for name in setting.split(",") if name.strip()}


def _near_hook(plugin: Any) -> str | None:
    """The hook that a misspelt one was to be, as a hint."""
    for name in dir(plugin):
        if name.startswith(f"{PROJECT}_") and name not in _HOOKS and inspect.isroutine(getattr(plugin, name, None)):
            for match in difflib.get_close_matches(name, _HOOKS, 1):
                return f"Did you mean {match}?"
    return None


_host: PluginHost | None = None
_host_lock = threading.Lock()


def get_host() -> PluginHost:
    """The process's host, made when first asked for."""
    global _host
    with _host_lock:
        if _host is None:
            _host = PluginHost()
        return _host


@contextlib.contextmanager
def use_host(host: PluginHost) -> Iterator[PluginHost]:
    """Have `host` be the process's host inside the block; for tests and tools."""
    global _host
    with _host_lock:
        before, _host = _host, host
    try:
        yield host
    finally:
        with _host_lock:
            _host = before
