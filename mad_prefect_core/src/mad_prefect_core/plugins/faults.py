"""What is wrong with an object that a plugin brings as a format or a storage."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from mad_prefect_core.contracts import (
    DuckDBStore,
    FormatCapabilities,
    FormatLike,
    LinkingStore,
    Options,
    PrivateFiles,
    ProbedStore,
    ReadOptions,
    StagingStore,
    StorageCapabilities,
    StorageLike,
    StoreLike,
    SyncingStore,
)

__all__ = ["format_faults", "storage_faults"]

_STORE_ABILITIES = (DuckDBStore, LinkingStore, PrivateFiles, ProbedStore, StagingStore, SyncingStore)
_SET_WHEN_MADE = frozenset({"fs"})
"""Attributes that a class need not have: its objects get them."""


def format_faults(value: Any) -> Iterator[str]:
    yield from _contract_faults(value, FormatLike, FormatCapabilities)
    yield from _name_faults(value, "suffixes", re.compile(r"(\.[a-z0-9_+-]+)+"), '(".toml",)')
    for attribute, kind in (("read_options", ReadOptions), ("write_options", Options)):
        if not _is_kind(getattr(value, attribute, kind), kind):
            yield f"has {attribute} that are not a subclass of {kind.__name__}"


def storage_faults(value: Any) -> Iterator[str]:
    yield from _contract_faults(value, StorageLike, StorageCapabilities)
    yield from _name_faults(value, "protocols", re.compile(r"[a-z][a-z0-9+.-]*(::[a-z][a-z0-9+.-]*)*"), '("sftp",)')
    if not _is_kind(getattr(value, "options", Options), Options):
        yield "has options that are not a subclass of Options"
    store = getattr(value, "store", None)
    if store is not None:
        yield from (f"has a store, {fault}" for fault in _store_faults(store))


def _store_faults(store: Any) -> Iterator[str]:
    if not isinstance(store, type):
        yield f"{type(store).__name__}, which is an object where its class was expected"
        return
    name = store.__name__
    if missing := [member for member in _missing(store, StoreLike) if member not in _SET_WHEN_MADE]:
        yield f"{name}, that lacks {', '.join(missing)}"
    abilities = (ability for ability in _STORE_ABILITIES if not _missing(store, ability))
    for contract in (StoreLike, *abilities):
        yield from (f"{name}, whose {fault}" for fault in _call_faults(store, contract))


def _contract_faults(value: Any, contract: type, capabilities: type) -> Iterator[str]:
    if isinstance(value, type):
        yield "is a class where an instance was expected"
    if missing := _missing(value, contract):
        yield f"lacks {', '.join(missing)}"
    if not isinstance(value, type):
        yield from (f"has a method that does not fit: its {fault}" for fault in _call_faults(value, contract))
    if hasattr(value, "capabilities") and not isinstance(value.capabilities, capabilities):
        yield f"has capabilities that are not {capabilities.__name__}"
    if hasattr(value, "name") and not (isinstance(value.name, str) and value.name):
        yield "has a name that is not text"


def _missing(value: Any, contract: type) -> list[str]:
    """The members of a contract that an object or class has not, or has only as abstract ones."""
    members = {*contract.__annotations__, *(name for name in vars(contract) if not name.startswith("_"))}
    abstract: frozenset[str] = getattr(value, "__abstractmethods__", frozenset())
    return sorted(name for name in members if not hasattr(value, name) or name in abstract)


def _call_faults(value: Any, contract: type) -> Iterator[str]:
    """The methods that can't be called as the core calls them: by position, and what is behind a `*` by name."""
    for name, method in inspect.getmembers(contract, inspect.isfunction):
        found = getattr(value, name, None)
        if name.startswith("_") or found is None:
            continue
        if not callable(found):
            yield f"{name} is no method"
            continue
        parameters = list(inspect.signature(method).parameters.values())
        own = parameters[:] if isinstance(value, type) else parameters[1:]
        by_name = {each.name: None for each in own if each.kind is each.KEYWORD_ONLY}
        by_position = [None for each in own if each.kind is not each.KEYWORD_ONLY]
        try:
            inspect.signature(found).bind(*by_position, **by_name)
        except TypeError as error:
            shown = ", ".join(str(each.replace(annotation=each.empty)) for each in parameters)
            yield f"{name} can't be called as {name}({shown}): {error}"
        except ValueError:  # something built in, which does not tell
            continue
        if inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found):
            yield f"{name} is async, and methods here are plain functions"


def _name_faults(value: Any, attribute: str, pattern: re.Pattern[str], example: str) -> Iterator[str]:
    names = getattr(value, attribute, None)
    if names is None:
        return
    fits = isinstance(names, tuple) and names and all(isinstance(n, str) and pattern.fullmatch(n) for n in names)
    if not fits:
        yield f"has {attribute} {names!r} where something like {example} was expected"


def _is_kind(value: Any, kind: type) -> bool:
    return isinstance(value, type) and issubclass(value, kind)
