"""Arguments as records may show them: no secret in them, and nothing long."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mad_prefect_core.redaction import MASK, is_secret_name, is_secret_value, mask, recorded_text, secrets_in

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
        if is_secret_name(name) or is_secret_value(value):
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
    return _without_pairs(mask(text, secrets_in(arguments)))


def recorded_error(error: BaseException, arguments: Mapping[str, Any]) -> str:
    """An error as a run record tells it, without the secrets that are among the arguments."""
    return _without_pairs(recorded_text(error, secrets_in(arguments)))


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
