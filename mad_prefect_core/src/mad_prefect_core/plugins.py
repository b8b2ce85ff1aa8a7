"""The plugin host: finds plugins, keeps what they bring, and says what went wrong with which.

This is the only module that touches pluggy's manager.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.metadata
import logging
import threading
import tomllib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal, TypeVar

import pluggy

from mad_prefect_core.contracts import Batch, Format, Storage
from mad_prefect_core.errors import (
    PluginApiError,
    PluginConflictError,
    PluginError,
    PluginLoadError,
    UnknownFormatError,
    UnknownStorageError,
)
from mad_prefect_core.hookspecs import ENTRY_POINT_GROUP, PLUGIN_API, PROJECT, HookSpecs
from mad_prefect_core.settings import get_settings

__all__ = ["PluginHost", "PluginRecord", "get_host", "use_host"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass
class PluginRecord:
    """One entry point: where it comes from, and what became of it."""

    name: str
    distribution: str
    version: str
    module: str
    status: Literal["loaded", "blocked", "failed"] = "loaded"
    error: PluginError | None = None
    formats: list[str] = field(default_factory=list)
    storages: list[str] = field(default_factory=list)

    @property
    def source(self) -> str:
        """The distribution and its version, as error messages name them."""
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True)
class _Claim:
    record: PluginRecord
    value: Any


class PluginHost:
    """Loads every entry point of the group `mad_prefect` by itself, once, when first asked.

    Args:
        entry_points: What to load instead of what is installed.
    """

    def __init__(self, entry_points: Iterable[importlib.metadata.EntryPoint] | None = None) -> None:
        self._given = None if entry_points is None else list(entry_points)
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._records: list[PluginRecord] = []
        self._by_plugin: dict[int, PluginRecord] = {}
        self._formats: dict[str, list[_Claim]] = {}
        self._suffixes: dict[str, list[_Claim]] = {}
        self._protocols: dict[str, list[_Claim]] = {}
        self._loaded = False
        self._lock = threading.RLock()

    # -- what is there -------------------------------------------------------------------------------------------

    def plugins(self) -> list[PluginRecord]:
        """Every entry point found, also those that failed or are blocked, sorted by name."""
        self._load()
        return sorted(self._records, key=lambda record: (record.name, record.distribution))

    def formats(self) -> list[Format]:
        """Every format that one plugin alone claims, sorted by name."""
        self._load()
        return [claims[0].value for _, claims in sorted(self._formats.items()) if len(claims) == 1]

    def storages(self) -> list[Storage]:
        """Every storage, sorted by name."""
        self._load()
        found = {id(c.value): c.value for claims in self._protocols.values() for c in claims if len(claims) == 1}
        return sorted(found.values(), key=lambda storage: storage.name)

    # -- lookups -------------------------------------------------------------------------------------------------

    def format_named(self, name: str) -> Format:
        """The format of this name, or of this suffix without its dot ("jsonl").

        Raises `UnknownFormatError` with what is known and what to install; `PluginConflictError` if two claim it.
        """
        self._load()
        wanted = name.lower().lstrip(".")
        claims = self._formats.get(wanted) or self._suffixes.get(f".{wanted}")
        if claims:
            return self._only(claims, "format", wanted)
        raise self._unknown_format(f"{name!r}", wanted)

    def format_of(self, path: str) -> tuple[Format, str]:
        """The format of a path by its longest known suffix, in any case of letters, and that suffix as written.

        Raises `UnknownFormatError`, `PluginConflictError`.
        """
        self._load()
        file_name = path.rsplit("/", 1)[-1]
        start = file_name.find(".", 1)
        while start != -1:
            suffix = file_name[start:]
            if claims := self._suffixes.get(suffix.lower()):
                return self._only(claims, "suffix", suffix.lower()), suffix
            start = file_name.find(".", start + 1)
        _, dot, last = file_name.rpartition(".")
        if not dot:
            known = ", ".join(sorted(self._suffixes)) or "none"
            raise UnknownFormatError(
                f"{file_name!r} has no file suffix, so its format is not known",
                path=path,
                hint=f"End the path with one of: {known}.",
            )
        error = self._unknown_format(f"suffix '.{last}'", last.lower())
        error.path = path
        raise error

    def format_for(self, kind: Literal["rows", "columns"]) -> Format:
        """The format that says it is best for fragments of this kind; any, if none does.

        Raises `UnknownFormatError` where no format is installed at all.
        """
        formats = self.formats()
        for candidate in formats:
            if candidate.capabilities.best_for == kind:
                return candidate
        if formats:
            return formats[0]
        raise UnknownFormatError("No format plugin is installed", hint="Run `pip install mad-prefect` for the usual four.")

    def storage_for(self, protocol: str) -> Storage:
        """The storage that serves this URL scheme.

        Raises `UnknownStorageError` with what is known and what to install; `PluginConflictError` if two claim it.
        """
        self._load()
        if claims := self._protocols.get(protocol):
            return self._only(claims, "protocol", protocol)
        known = sorted(self._protocols)
        raise UnknownStorageError(
            f"No installed plugin brings the protocol '{protocol}://'",
            hint=self._advice("protocols", protocol, known),
        )

    # -- calls ---------------------------------------------------------------------------------------------------

    def batches(self, data: object) -> Iterator[Batch] | AsyncIterator[Batch] | None:
        """What the first plugin that knows this object makes of it."""
        return self._first("mad_prefect_batches", data=data)

    def base(self, settings: Any) -> tuple[str, dict[str, Any]] | None:
        """The base that a plugin names, if one does."""
        return self._first("mad_prefect_base", settings=settings)

    def notify(self, hook: Literal["mad_prefect_run_finished", "mad_prefect_cache_hit"], run: Any) -> None:
        """Tell every observer. One that raises is logged and costs nothing."""
        for record, call in self._implementations(hook):
            try:
                call(run=run)
            except Exception:
                logger.exception("The plugin %r (%s) failed in %s; the run is not affected.", record.name, record.source, hook)

    def _first(self, hook: str, **arguments: Any) -> Any:
        for record, call in self._implementations(hook):
            try:
                answer = call(**arguments)
            except PluginError:
                raise
            except Exception as error:
                raise PluginLoadError(
                    f"The plugin's hook {hook} failed: {_summary(error)}", plugin=f"{record.name} ({record.source})"
                ) from error
            if answer is not None:
                return answer
        return None

    def _implementations(self, hook: str) -> Iterator[tuple[PluginRecord, Callable[..., Any]]]:
        self._load()
        # pluggy calls the last registered first; so do we.
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            names = implementation.argnames

            def call(_function: Any = implementation.function, _names: Any = names, **arguments: Any) -> Any:
                return _function(**{name: arguments[name] for name in _names})

            yield self._by_plugin[id(implementation.plugin)], call

    # -- loading -------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        with self._lock:
            if self._loaded:
                return
            self._loaded = True
            found = self._given
            if found is None:
                found = list(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
            settings = get_settings()
            allow, deny = _names(settings.plugins_allow), _names(settings.plugins_deny)
            for entry_point in sorted(set(found), key=lambda e: (e.name, e.value)):
                record = _record(entry_point)
                self._records.append(record)
                if entry_point.name in deny or (allow and entry_point.name not in allow):
                    record.status = "blocked"
                    continue
                try:
                    self._load_one(entry_point, record)
                except PluginError as error:
                    record.status, record.error = "failed", error
                    logger.warning("%s", error)
            self._collect("mad_prefect_formats", self._claim_format)
            self._collect("mad_prefect_storages", self._claim_storage)

    def _load_one(self, entry_point: importlib.metadata.EntryPoint, record: PluginRecord) -> None:
        label = f"{record.name} ({record.source})"
        try:
            plugin = entry_point.load()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise PluginLoadError(f"The plugin failed to import: {_summary(error)}", plugin=label) from error
        wanted = getattr(plugin, "requires_plugin_api", None)
        if not (isinstance(wanted, tuple) and len(wanted) == 2 and all(isinstance(n, int) for n in wanted)):
            raise PluginApiError(
                f"The plugin does not say which plugin API it was built for (this core has {PLUGIN_API})",
                plugin=label,
                hint="Its module needs `requires_plugin_api = (first, last)`.",
            )
        if not wanted[0] <= PLUGIN_API <= wanted[1]:
            raise PluginApiError(
                f"The plugin was built for plugin API {wanted[0]} to {wanted[1]}, this core has {PLUGIN_API}",
                plugin=label,
                hint="Install versions of the two that go together.",
            )
        try:
            self._manager.register(plugin, name=f"{record.distribution}:{record.name}")
            self._manager.check_pending()
        except Exception as error:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            hooks = [name for name in dir(HookSpecs) if name.startswith("mad_prefect_")]
            wrong = [n for n in dir(plugin) if n.startswith("mad_prefect_") and n not in hooks]
            near = [match for name in wrong for match in difflib.get_close_matches(name, hooks, 1)]
            raise PluginLoadError(
                f"The plugin has a hook that does not fit: {_summary(error)}",
                plugin=label,
                hint=f"Did you mean {near[0]}?" if near else None,
            ) from error
        self._by_plugin[id(plugin)] = record

    def _collect(self, hook: str, claim: Callable[[PluginRecord, Any], None]) -> None:
        for record, call in self._implementations(hook):
            try:
                for value in call():  # a generator raises only here
                    claim(record, value)
            except Exception as error:
                record.status = "failed"
                record.error = (
                    error
                    if isinstance(error, PluginError)
                    else PluginLoadError(
                        f"The plugin's hook {hook} failed: {_summary(error)}", plugin=f"{record.name} ({record.source})"
                    )
                )
                logger.warning("%s", record.error)

    def _claim_format(self, record: PluginRecord, value: Any) -> None:
        if not isinstance(value, Format):
            raise _not_a("format", Format, record, value)
        record.formats.append(value.name)
        self._formats.setdefault(value.name.lower(), []).append(_Claim(record, value))
        for suffix in value.suffixes:
            self._suffixes.setdefault(suffix.lower(), []).append(_Claim(record, value))

    def _claim_storage(self, record: PluginRecord, value: Any) -> None:
        if not isinstance(value, Storage):
            raise _not_a("storage", Storage, record, value)
        record.storages.append(value.name)
        for protocol in value.protocols:
            self._protocols.setdefault(protocol, []).append(_Claim(record, value))

    # -- messages ------------------------------------------------------------------------------------------------

    def _only(self, claims: list[_Claim], kind: str, name: str) -> Any:
        if len(claims) == 1:
            return claims[0].value
        sources = " and ".join(sorted(f"{c.record.source} (plugin {c.record.name!r})" for c in claims))
        raise PluginConflictError(
            f"The {kind} {name!r} is claimed by {sources}",
            hint="Uninstall one of them, or name one in MAD_PREFECT_PLUGINS_DENY.",
        )

    def _unknown_format(self, what: str, name: str) -> UnknownFormatError:
        known = sorted({*self._formats, *(suffix.lstrip(".") for suffix in self._suffixes)})
        return UnknownFormatError(
            f"No installed plugin brings the format {what}", hint=self._advice("formats", name, known)
        )

    def _advice(self, kind: str, name: str, known: list[str]) -> str:
        parts = []
        if distribution := _catalogue()[kind].get(name):
            failed = [r for r in self._records if r.distribution == distribution and r.status != "loaded"]
            if failed:
                parts.append(f"{failed[0].source} would, but it is {failed[0].status}: {failed[0].error or 'by setting'}")
            else:
                parts.append(f"Run `pip install {distribution}`.")
        elif near := difflib.get_close_matches(name, known, 1):
            parts.append(f"Did you mean {near[0]!r}?")
        parts.append(f"Installed: {', '.join(known) or 'none'}.")
        broken = [f"{r.name} ({r.source}): {r.error.message}" for r in self._records if r.error]
        if broken and not any("would, but" in part for part in parts):
            parts.append(f"Plugins that failed to load: {'; '.join(broken)}.")
        return " ".join(parts)


def _record(entry_point: importlib.metadata.EntryPoint) -> PluginRecord:
    distribution = entry_point.dist
    return PluginRecord(
        name=entry_point.name,
        distribution=distribution.name if distribution else "unknown distribution",
        version=distribution.version if distribution else "",
        module=entry_point.value,
    )


def _names(setting: str) -> set[str]:
    return {name.strip() for name in setting.split(",") if name.strip()}


def _summary(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _not_a(kind: str, protocol: type, record: PluginRecord, value: Any) -> PluginLoadError:
    missing = [name for name in sorted(protocol.__protocol_attrs__) if not hasattr(value, name)]  # type: ignore[attr-defined]
    return PluginLoadError(
        f"What the plugin returned as a {kind} is {type(value).__name__}, which lacks {', '.join(missing)}",
        plugin=f"{record.name} ({record.source})",
    )


def _catalogue() -> dict[str, dict[str, str]]:
    """Which distribution brings what. For the text of error messages alone: nothing is looked up here to be used."""
    text = files("mad_prefect_core").joinpath("known_plugins.toml").read_text("utf-8")
    return tomllib.loads(text)


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
