"""Arguments as records may show them: no secret in them, and nothing long."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

__all__ = ["described", "redacted"]

_MASK = "**********"
_SECRET_NAME = re.compile(r"secret|token|passw|api_?key|credential|auth", re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)[^/\s?#@]+(?=@)|(?<=[?&#])([^=&#\s]+)=([^&#\s'\"]+)")
"""What a URL may hold that is secret: user and password, and the values of some of its keys."""
_MAX = 200  # characters of one argument


def described(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Each argument as a short text; those whose name or type says that they are secret are masked."""
    return {name: _MASK if _SECRET_NAME.search(name) else _short(value) for name, value in arguments.items()}


def _short(value: object) -> str:
    if isinstance(value, str):
        text = repr(_without_urls_secrets(value))
    elif isinstance(value, bytes | bool | int | float | type(None)):
        text = repr(value)
    elif type(value).__module__ in ("datetime", "decimal", "uuid", "pathlib"):
        text = str(value)
    else:
        text = type(value).__qualname__  # a repr of anybody's class may show anything
    return text if len(text) <= _MAX else f"{text[: _MAX - 3]}..."


def _without_urls_secrets(text: str) -> str:
    def masked(found: re.Match[str]) -> str:
        if found[1] is None:
            return _MASK
        return f"{found[1]}={_MASK}" if _SECRET_NAME.search(found[1]) else found[0]

    return _IN_URL.sub(masked, text) if "://" in text else text


def _urls_secrets(text: str) -> Iterator[str]:
    for found in _IN_URL.finditer(text) if "://" in text else ():
        if found[1] is None:
            yield found[0].partition(":")[2]
        elif _SECRET_NAME.search(found[1]):
            yield found[2]


def redacted(text: str, arguments: Mapping[str, Any]) -> str:
    """A text without the secrets that are among the arguments."""
    for name, value in arguments.items():
        if isinstance(value, str) and _SECRET_NAME.search(name) and value:
            text = text.replace(value, _MASK)
        for secret in filter(None, _secrets(value)):
            text = text.replace(secret, _MASK)
    return _without_urls_secrets(text)


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        if secret := value.get_secret_value():
            yield secret
    elif isinstance(value, SecretBytes):
        if raw := value.get_secret_value():
            yield raw.decode(errors="replace")
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _secrets(getattr(value, field))
    elif isinstance(value, str):
        yield from _urls_secrets(value)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(item, str) and _SECRET_NAME.search(str(name)):
                yield item
            yield from _secrets(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _secrets(item)
