"""Whether a README says of a plugin what the plugin says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mad_prefect_core.contracts import FormatLike, Options, ReadOptions, StorageLike

__all__ = ["readme_faults"]

_OPTION = re.compile(r"^\| *`(\w+)` *\| *(?:`([^`]*)`|([^|\n]*?)) *\|", re.MULTILINE)
_DIGITS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


def readme_faults(text: str, plugin: FormatLike[Any, Any] | StorageLike[Options]) -> list[str]:
    """What the README of a format or storage leaves out, or says otherwise, in words.

    It names each suffix or protocol, the types that a format refuses, what a storage can't hold, and in a table each
    option with its default, as
    ``| `compression` | `zstd` | what it does |``. The options that all formats read by need not be there.
    """
    return list(_faults(text, plugin))


def _faults(text: str, plugin: FormatLike[Any, Any] | StorageLike[Options]) -> Iterator[str]:
    rows = {name: (default, words) for name, default, words in _OPTION.findall(text)}
    shown = {name: _plain(default) for name, (default, _) in rows.items()}
    options = _options(plugin)
    for name, default in options.items():
        if name not in shown:
            yield f"The option {name} is left out"
        elif rows[name][1] and default:
            yield f"The option {name} has no default in backticks in its row: write `{default}`"
        elif shown[name] != _plain(default):
            yield f"The option {name} is {default} unless given, and not {shown[name] or 'without a default'}"
    yield from (f"There is no option {name}" for name in shown.keys() - options.keys() if not rows[name][1])
    yield from (f"{name} is left out" for name in _names(plugin) if name not in text)


def _plain(default: str) -> str:
    """A default without the commas in a number."""
    return default.replace(",", "") if _DIGITS.fullmatch(default) else default


def _options(plugin: FormatLike[Any, Any] | StorageLike[Options]) -> dict[str, str]:
    """The defaults of all options, by name."""
    models = [model for name in ("read_options", "write_options", "options") if (model := getattr(plugin, name, None))]
    return {
        name: "" if field.default is None else str(field.default)
        for model in models
        for name, field in model.model_fields.items()
        if name not in ReadOptions.model_fields
    }


def _names(plugin: FormatLike[Any, Any] | StorageLike[Options]) -> Iterator[str]:
    """What has to be named: suffixes, protocols, and what can't be kept."""
    yield from getattr(plugin, "suffixes", ())
    yield from (f"{protocol}://" for protocol in getattr(plugin, "protocols", ()))
    for kind in getattr(plugin.capabilities, "refuses", None) or ():
        if found := re.match(r"[A-Z]+( [A-Z]+)*", kind):
            yield found[0]
    yield from (f"`{character}`" for character in getattr(plugin.capabilities, "refused_characters", ""))
    if largest := getattr(plugin.capabilities, "largest_object", None):
        yield f"{largest:,}"
