"""What is wrong with an object that a plugin brings as a format or a storage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mad_prefect_core.contracts import (
    Format,
    FormatCapabilities,
    Options,
    ReadOptions,
    Storage,
    StorageCapabilities,
)

__all__ = ["format_faults", "storage_faults"]


def format_faults(value: Any) -> Iterator[str]:
    yield from _contract_faults(value, Format, FormatCapabilities)
    yield from _name_faults(value, "suffixes", re.compile(r"(\.[a-z0-9_+-]+)+"), '(".toml",)')
    for attribute, kind in (("read_options", ReadOptions), ("write_options", Options)):
        if not _is_kind(getattr(value, attribute, kind), kind):
            yield f"has {attribute} that are not a subclass of {kind.__name__}"


def storage_faults(value: Any) -> Iterator[str]:
    yield from _contract_faults(value, Storage, StorageCapabilities)
    yield from _name_faults(value, "protocols", re.compile(r"[a-z][a-z0-9+.-]*"), '("sftp",)')
    if not _is_kind(getattr(value, "options", Options), Options):
        yield "has options that are not a subclass of Options"


def _contract_faults(value: Any, contract: type, capabilities: type) -> Iterator[str]:
    if isinstance(value, type):
        yield "is a class where an instance was expected"
    members = {*contract.__annotations__, *(name for name in vars(contract) if not name.startswith("_"))}
    if missing := sorted(name for name in members if not hasattr(value, name)):
        yield f"lacks {', '.join(missing)}"
    if hasattr(value, "capabilities") and not isinstance(value.capabilities, capabilities):
        yield f"has capabilities that are not {capabilities.__name__}"
    if hasattr(value, "name") and not (isinstance(value.name, str) and value.name):
        yield "has a name that is not text"


def _name_faults(value: Any, attribute: str, pattern: re.Pattern[str], example: str) -> Iterator[str]:
    names = getattr(value, attribute, None)
    if names is None:
        return
    fits = isinstance(names, tuple) and names and all(isinstance(n, str) and pattern.fullmatch(n) for n in names)
    if not fits:
        yield f"has {attribute} {names!r} where something like {example} was expected"


def _is_kind(value: Any, kind: type) -> bool:
    return isinstance(value, type) and issubclass(value, kind)
