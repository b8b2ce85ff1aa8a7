"""Arguments as records may show them: no secret in them, and nothing long."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, SecretBytes, SecretStr

from mad_prefect_core.redaction import MASK, is_secret_name, mask, recorded_text, url_secrets

__all__ = ["described", "recorded_error", "redacted"]

_PLAIN = re.compile(r"[\w.:+-]{0,40}")
_NAME = re.compile(r"""(?<![\w-])([\w-]+)[\\"'\]]*\s*(?:=(?!=)|:(?!:))\s*""")
_VALUE = re.compile(
    r"""
      [bru]? (?P<quote> \\* ["'] ) (?: \\. | [^\\] )*? (?P=quote)
    | (?: (?: bearer | basic | digest | token ) \s+ )? [^\s,;&]+
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
"""After a `_NAME`, as in `name=value`, `name: value`, `'name': 'value'`; also a header's scheme and value."""
_NO_NAME = re.compile(r"(error|exception|warning)$", re.IGNORECASE)  # of `KeyError: ...`
_MAX = 200  # characters of one argument


def described(arguments: Mapping[str, Any], secret_digest: Callable[[object], str]) -> dict[str, str]:
    """Each argument as a short text; of those whose name or type says that they are secret, a digest with a key."""

    def text(name: str, value: object) -> str:
        if is_secret_name(name) or isinstance(value, SecretStr | SecretBytes):
            return f"{MASK} {secret_digest(value)}".rstrip()
        return _short(value)

    return {name: text(name, value) for name, value in arguments.items()}


def _short(value: object) -> str:
    if isinstance(value, str):
        text = str.__repr__(value) if _PLAIN.fullmatch(value) else f"str of {len(value)} characters"
    elif isinstance(value, bytes):
        text = f"bytes of length {len(value)}"
    elif isinstance(value, bool | int | float | type(None)):
        text = repr(value)
    elif type(value).__module__ in ("datetime", "decimal", "uuid", "pathlib"):
        text = str(value)
    else:
        text = type(value).__qualname__  # a repr of anybody's class may show anything
    return text if len(text) <= _MAX else f"{text[: _MAX - 3]}..."


def redacted(text: str, arguments: Mapping[str, Any]) -> str:
    """A text without the secrets that are among the arguments, and without what it names as secrets itself."""
    return _without_pairs(mask(text, _secrets(arguments)))


def recorded_error(error: BaseException, arguments: Mapping[str, Any]) -> str:
    """An error as a run record tells it, without the secrets that are among the arguments."""
    return _without_pairs(recorded_text(error, _secrets(arguments)))


def _without_pairs(text: str) -> str:
    parts, at = [], 0
    while found := _NAME.search(text, at):
        parts.append(text[at : found.end()])
        at = found.end()
        is_secret = is_secret_name(found[1]) and not _NO_NAME.search(found[1])
        if is_secret and (value := _VALUE.match(text, at)):
            quote = value["quote"] or ""
            parts.append(f"{quote}{MASK}{quote}")
            at = value.end()
    return "".join(parts) + text[at:]


def _secrets(value: object, secret: bool = False) -> Iterator[str]:
    """The secrets in a value; with `secret` every text in it is one."""
    if isinstance(value, SecretStr | SecretBytes):
        yield from _secrets(value.get_secret_value(), True)
    elif isinstance(value, bytes):
        yield from _secrets(value.decode(errors="replace"), secret)
    elif isinstance(value, str):
        yield from (value,) if secret else url_secrets(value)
    elif isinstance(value, int | float | Decimal | UUID | dt.date) and not isinstance(value, bool):
        yield from (str(value),) if secret else ()
    elif isinstance(value, list | set | frozenset) or (isinstance(value, tuple) and not hasattr(value, "_fields")):
        for item in value:
            yield from _secrets(item, secret)
    else:
        for name, item in _named(value).items():
            yield from _secrets(item, secret or is_secret_name(str(name)))


def _named(value: object) -> Mapping[Any, Any]:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields} | (value.__pydantic_extra__ or {})
    if isinstance(value, tuple):  # a named one
        return dict(zip(value._fields, value, strict=False))  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    return {}
