"""Templates in paths and names: `{param}`, `{param.attribute}`, `{param[key]}`, with format specs.

Only the template is a template: what a value holds is put in as it is, and never formatted again.
"""

from __future__ import annotations

import inspect
import re
import string
from collections.abc import Callable, Mapping
from typing import Any

from mad_prefect_core.contracts import Asset
from mad_prefect_core.errors import PathError, TemplateError
from mad_prefect_core.overrides import refuse_uncalled
from mad_prefect_core.paths import format_value, hive_keys, safe_part

__all__ = ["AssetTemplateFormatter", "field_names", "has_fields", "without_fields", "written_hive_keys"]

_MISSING = object()
_FIELD = re.compile(r"\{[^{}]*\}")
_ACCESS = re.compile(r"\.([^.\[]+)|\[([^\]]*)\]")

_UNCALLED = (
    "_collect_nested_asset_arguments", "_has_unresolved_fields", "_prepare_format_kwargs", "_safe_format",
)  # fmt: skip
"""Methods of 2.x."""


def has_fields(template: str) -> bool:
    """Whether a template has anything to fill in."""
    return any(field is not None for _, field, _, _ in _parsed(template))


def field_names(template: str) -> list[str]:
    """The names that a template's fields begin with; numbers, and "" for the next one, where they go by position."""
    return [re.split(r"[.\[]", field, maxsplit=1)[0] for _, field, _, _ in _parsed(template) if field is not None]


def without_fields(template: str) -> str:
    """A template with a letter in the place of each field."""
    return "".join(f"{literal}{'' if field is None else 'x'}" for literal, field, _, _ in _parsed(template))


def _parsed(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    """The pieces of a template. Raises `TemplateError` for a brace without its other."""
    try:
        return list(string.Formatter().parse(template))
    except ValueError as error:
        raise TemplateError(
            f"The template {template!r} can't be read: {error}", hint="Write '{{' or '}}' for a brace that is just one."
        ) from None


def written_hive_keys(template: str, rendered: str) -> dict[str, str | None]:
    """The `key=value` folders of a rendered template whose `=` its author wrote: a value never adds a column."""
    found: dict[str, str | None] = {}
    folders = _FIELD.sub("", template).split("/")  # a format spec may have separators: they made no folder
    for written, folder in zip(folders, rendered.split("/"), strict=True):
        if "=" in written:
            found |= hive_keys(f"{folder}/")
    return found


class _AssetPath(str):
    """The path of an asset among the arguments: its folders are folders here too."""

    __slots__ = ()


class AssetTemplateFormatter:
    """Renders templates with bound arguments; the arguments of assets among them are known by their names too.

    Args:
        format_args: Positional values, for `{0}`.
        bound_arguments: The arguments of the asset's function.
    """

    def __init__(self, format_args: tuple[Any, ...], bound_arguments: inspect.BoundArguments) -> None:
        self._args = format_args
        self._values = dict(bound_arguments.arguments)
        for value in bound_arguments.arguments.values():
            _add_nested(value, self._values, set())

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        instead = "Override format or format_kwargs: assets fill in their templates themselves."
        uncalled = (
            "_collect_nested_asset_arguments",
            "_has_unresolved_fields",
            "_prepare_format_kwargs",
            "_safe_format",
        )
        refuse_uncalled(cls, AssetTemplateFormatter, dict.fromkeys(uncalled, instead))

    @property
    def format_kwargs(self) -> dict[str, Any]:
        """The keys that templates may use, with their values."""
        return dict(self._values)

    def format(
        self, template: str | None, allow_partial: bool = False, *, as_text: Callable[..., str] | None = None
    ) -> str | None:
        """The template filled in. With `allow_partial` a field whose key is unknown stays as it is written.

        Each value becomes part of one path segment (`safe_part`); or the template is no path, and each value becomes
        what `as_text` makes of it. Raises `TemplateError` for an unknown key, listing those that are known;
        `PathError` for a value that can't be in a path, or leaves nothing of its segment.
        """
        if template is None:
            return None
        automatic = 0
        parts = []
        blank = []  # where a value is nothing by itself, and its key
        for literal, field, spec, conversion in _parsed(template):
            parts.append(literal)
            if field is None:
                continue
            if not field:
                field, automatic = str(automatic), automatic + 1
            value = self._look_up(field)
            if value is _MISSING:
                if not allow_partial:
                    self._refuse(field, template)
                parts.append(_as_written(field, spec, conversion))
            elif isinstance(value, _AssetPath) and as_text is None and not spec and not conversion:
                if not allow_partial and (open_fields := _FIELD.findall(value)):
                    self._refuse(open_fields[0].strip("{}"), template)
                parts.append(value)  # of segments that are safe already
            else:
                shown = value.name if isinstance(value, Asset) else value
                text = (as_text or safe_part)(format_value(shown, spec, conversion, key=field), key=field)
                if not text.strip():
                    blank.append((len(parts), field))
                parts.append(text)
        if as_text is None:
            for position, field in blank:
                _check_segment(parts, position, field)
        return "".join(parts)

    def _look_up(self, field: str) -> Any:
        name = re.split(r"[.\[]", field, maxsplit=1)[0]
        value: Any
        if name.isdecimal():
            value = _item(self._args, name)
        else:
            value = self._values.get(name, _MISSING)
        for attribute, key in _ACCESS.findall(field[len(name) :]):
            if value is _MISSING or attribute.startswith("_"):
                return _MISSING  # a template reads values, never an object's insides
            found = getattr(value, attribute, _MISSING) if attribute else _item(value, key)
            of_asset = isinstance(value, Asset) and attribute in ("path", "artifacts_dir") and isinstance(found, str)
            value = _AssetPath(found) if of_asset else found
        return value

    def _refuse(self, field: str, template: str) -> None:
        known = ", ".join(sorted(self._values)) or "<none>"
        raise TemplateError(
            f"Missing format key '{field}' while formatting asset template '{template}'. Available keys: {known}",
            hint="Bind it with with_arguments(...) or pass it in the call.",
        )


def _check_segment(parts: list[str], position: int, field: str) -> None:
    """Refuses an empty value that leaves nothing of its segment, or nothing but dots or a suffix."""
    before = "".join(parts[:position]).rpartition("/")[2].strip()
    after = "".join(parts[position:]).partition("/")[0].strip()
    if not (before + after).strip(".") or (not before and after.startswith(".")):
        raise PathError(f"The value of {field!r} is empty, so its path segment has no name")


def _add_nested(value: Any, values: dict[str, Any], seen: set[int]) -> None:
    if not isinstance(value, Asset) or id(value) in seen:
        return
    seen.add(id(value))
    nested: Mapping[str, Any] = getattr(value, "arguments", {})
    for key, inner in nested.items():
        values.setdefault(key, inner)
        _add_nested(inner, values, seen)


def _item(value: Any, key: str) -> Any:
    try:
        return value[int(key) if key.isdecimal() else key]
    except (KeyError, IndexError, TypeError, ValueError):
        return _MISSING


def _as_written(field: str, spec: str | None, conversion: str | None) -> str:
    return "{" + field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "") + "}"
