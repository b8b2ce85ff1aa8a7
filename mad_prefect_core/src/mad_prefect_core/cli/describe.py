"""Plugins and what they bring, as data: what `list`, `show` and `doctor` print."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo

from mad_prefect_core.contracts import FormatLike, Options, StorageLike
from mad_prefect_core.errors import MadPrefectError
from mad_prefect_core.plugins import Conflict, PluginHost, PluginRecord
from mad_prefect_core.redaction import is_secret_name

__all__ = ["error_data", "format_data", "options_data", "plugin_data", "storage_data"]

_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
"""The name of an environment variable. Descriptions give it after the word "environment"."""


def plugin_data(host: PluginHost, record: PluginRecord) -> dict[str, Any]:
    """One entry point: where it comes from, what became of it, and the names of what it brings."""
    formats, storages = host.brought(record)
    conflicts = [conflict for conflict in host.conflicts() if record in conflict.records]
    return {
        "name": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "module": record.module,
        "status": "conflict" if conflicts else record.status,
        "formats": [{"name": format.name, "suffixes": list(format.suffixes)} for format in formats],
        "storages": [{"name": storage.name, "protocols": list(storage.protocols)} for storage in storages],
        "hooks": record.hooks,
        "problems": _problems(record, conflicts),
    }


def _problems(record: PluginRecord, conflicts: list[Conflict]) -> list[dict[str, Any]]:
    failed = [error_data(record.label, record.error)] if record.error else []
    return failed + [error_data(f"{found.kind} {found.name}", found.error) for found in conflicts]


def error_data(where: str, error: MadPrefectError) -> dict[str, Any]:
    """What failed, where, and what would mend it."""
    return {"where": where, "error": type(error).__name__, "message": error.message, "hint": error.hint}


def format_data(format: FormatLike[Any, Any]) -> dict[str, Any]:
    """A format whole: what it can do and which options it takes."""
    return {
        "name": format.name,
        "suffixes": list(format.suffixes),
        "capabilities": _capabilities(format.capabilities),
        "read_options": options_data(format.read_options),
        "write_options": options_data(format.write_options),
    }


def storage_data(storage: StorageLike[Any]) -> dict[str, Any]:
    """A storage whole: what it promises and which options it takes."""
    return {
        "name": storage.name,
        "protocols": list(storage.protocols),
        "capabilities": _capabilities(storage.capabilities),
        "options": options_data(storage.options),
    }


def options_data(model: type[Options]) -> list[dict[str, Any]]:
    """The fields of an option model. A default that is a secret, or that is only known when made, is not said."""
    return [_option(name, field) for name, field in model.model_fields.items()]


def _option(name: str, field: FieldInfo) -> dict[str, Any]:
    kind = _type_name(field.annotation)
    secret = "Secret" in kind or is_secret_name(name)
    description = field.description or ""
    shown = not secret and not field.is_required() and field.default_factory is None
    return {
        "name": name,
        "type": kind,
        "required": field.is_required(),
        "default": _plain(field.default) if shown else None,
        "secret": secret,
        "environment": _VARIABLE.findall(description.partition("nvironment")[2]),
        "description": description,
    }


def _type_name(annotation: Any) -> str:
    plain = isinstance(annotation, type) and not hasattr(annotation, "__args__")
    return re.sub(r"\b[a-z_]\w*\.(?=\w)", "", annotation.__name__ if plain else str(annotation))


def _capabilities(capabilities: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(capabilities, field.name)) for field in dataclasses.fields(capabilities)}


def _plain(value: Any) -> Any:
    """As JSON has it; sets sorted."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)
