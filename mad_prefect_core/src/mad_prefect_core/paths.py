"""Paths: what a template's value may become, and what a relative path may be. Nothing here touches a storage."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from numbers import Rational
from pathlib import Path
from urllib.parse import unquote

from mad_prefect_core.errors import PathError, TemplateError
from mad_prefect_core.redaction import MASK, has_secret, has_url_secrets, is_secret_name

__all__ = [
    "another_name",
    "escape_glob",
    "format_value",
    "hive_keys",
    "is_temporary",
    "is_url",
    "is_written_once",
    "relative_key",
    "safe_part",
    "safe_segment",
    "split_url",
    "temporary_name",
    "unescape_glob",
]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*(?:::[A-Za-z][A-Za-z0-9+.-]*)*)://")
_MAY_BE_SECRET = re.compile(r"[@?&#%]|^[^/]*:")
_CONVERSIONS: dict[str, Callable[[object], str]] = {"r": repr, "s": str, "a": ascii}
_ENCODED = {"%": "%25", "/": "%2F", "=": "%3D", "\\": "%5C"}
_MAX_FORMATTED = 255  # characters that a format may add; a segment of a path has fewer
_MAX_SEGMENT = 240  # bytes; most file systems stop at 255, and a temporary name adds a little


def is_url(path: str) -> bool:
    """Whether a path names its own storage."""
    return _URL.match(path) is not None


def split_url(url: str, *, user: bool = True) -> tuple[str, str]:
    """Protocol and the rest. A plain path is of protocol "file"; that of `simplecache::sftp://host/x`, which chains
    filesystems as fsspec does, is `simplecache::sftp`.

    Refused with `PathError`: a URL with a password or a parameter that is secret, since URLs are logged, recorded and
    shown. Also one with a user, if `user` is false: the storage knows none.
    """
    match = _URL.match(url)
    if not match:
        return "file", url
    protocol, rest = match[1].lower(), url[match.end() :]
    if _MAY_BE_SECRET.search(rest) and has_url_secrets(url, user=not user):
        raise PathError(
            f"A URL has {'a password' if user else 'a user, a password'} or a secret parameter in it",
            path=f"{protocol}://{MASK}",
            hint="URLs are recorded and shown: give secrets as options of the storage, or in the environment variables "
            "that it reads.",
        )
    return protocol, rest


def format_value(value: object, spec: str | None, conversion: str | None, *, key: str) -> str:
    """A template's value as text, by `str.format`'s rules: `{key!conversion:spec}`.

    Refused with `TemplateError`: a secret, or what has one in it, whose text is the same for all secrets; a width, a
    precision or a number that makes a text of more than some hundred characters; a spec that means nothing.
    """
    if has_secret(value):
        raise TemplateError(
            f"The value of {key!r} is a secret, or has one in it, which can't be part of a path or a name",
            hint="Secrets show as stars, so all would share one file. Use a user, a tenant or another name instead.",
        )
    if not _is_bounded(value, spec or ""):
        raise TemplateError(
            f"The format {spec!r} of {key!r} makes a text of more than {_MAX_FORMATTED} characters",
            hint="Give a smaller width or precision.",
        )
    if conversion and conversion not in _CONVERSIONS:
        raise TemplateError(f"The conversion {conversion!r} of {key!r} is none of 'r', 's' and 'a'")
    try:
        shown = _CONVERSIONS[conversion](value) if conversion else value
        return format(shown, spec) if spec else str(shown)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise TemplateError(f"The value of {key!r} can't be formatted by {spec or ''!r}: {error}") from error


def _is_bounded(value: object, spec: str) -> bool:
    if len(spec) > _MAX_FORMATTED:
        return False
    # A date's spec is text, in which just what follows a % is a width.
    numbers = re.findall(r"%[^A-Za-z%]*?(\d+)" if hasattr(value, "strftime") else r"\d+", spec)
    if any(len(number) > 9 or int(number) > _MAX_FORMATTED for number in numbers):
        return False
    if isinstance(value, Decimal):  # 1E+999999999 as `f` has as many digits
        return not value.is_finite() or abs(value.adjusted()) <= _MAX_FORMATTED
    return not isinstance(value, Rational) or int(value.numerator).bit_length() <= 3 * _MAX_FORMATTED


def safe_segment(value: object, *, key: str = "") -> str:
    """A value as one path segment: as `safe_part`, and an empty one is refused too."""
    text = safe_part(value, key=key)
    if not text.strip():
        raise PathError(f"{_named(text, key)} is empty, so it can't be part of a path")
    return text


def safe_part(value: object, *, key: str = "") -> str:
    """A template value as part of one path segment, whatever is in it; it may be empty.

    Separators are percent-encoded, so that a value never adds a folder, and so are `=` and `%`: it adds no key either,
    and `hive_keys` gives it back. Refused with `PathError`: a value that climbs (`..`, also percent-encoded), is
    absolute, or has control characters. A message shows the value unless its key is a secret's name.
    """
    text = str(value)
    named = _named(text, key)
    if _CONTROL.search(text):
        raise PathError(f"{named} has control characters, so it can't be part of a path")
    if not _is_text(text):
        raise PathError(f"{named} has characters that are no text, so it can't be part of a path")
    decoded = text
    while (again := unquote(decoded)) != decoded:
        decoded = again
    parts = re.split(r"[/\\]", decoded)
    if any(part.strip() in (".", "..") for part in parts) or (decoded and parts[0] == "") or _URL.match(decoded):
        raise PathError(
            f"{named} would leave the folder it is put in",
            hint="A template value is one path segment; put folders into the template itself.",
        )
    return "".join(_ENCODED.get(character, character) for character in text)


def _is_text(text: str) -> bool:
    """Whether it has a form in UTF-8: lone surrogates have none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _named(text: str, key: str) -> str:
    if is_secret_name(key):
        return f"The value of {key!r}"
    return f"The value {text!r} of {key!r}" if key else f"The value {text!r}"


def relative_key(path: str) -> str:
    """A path relative to its base, without leading, trailing or doubled separators.

    As in 2.x, a leading `/` means the base, not the machine's root. Refused with `PathError`: `..`, control
    characters, nothing at all, and segments too long for a file name.
    """
    if _CONTROL.search(path):
        raise PathError("A path has control characters", path=path, hint="Take them out.")
    if not _is_text(path):
        raise PathError("A path has characters that are no text", path=path, hint="Lone surrogates have no UTF-8.")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise PathError("A path may not climb with '..'", path=path, hint="Paths are relative to the base path.")
    if not parts:
        raise PathError("A path is empty", path=path, hint="Name a file, relative to the base path.")
    for part in parts:
        if len(part.encode()) > _MAX_SEGMENT:
            raise PathError(
                f"A path segment has {len(part.encode())} bytes, more than {_MAX_SEGMENT}",
                path=path,
                hint="Shorten it.",
            )
    return "/".join(parts)


def escape_glob(path: str) -> str:
    """A path as a pattern that matches just itself, in DuckDB's globs and in fsspec's."""
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", path)


def unescape_glob(pattern: str) -> str:
    """The path that `escape_glob` made the pattern of."""
    return re.sub(r"\[([*?\[])\]", r"\1", pattern)


_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def hive_keys(path: str) -> dict[str, str | None]:
    """The `key=value` folders of a path, decoded, None for Hive's name of NULL; the file name is not one.

    Names know no case. Refused with `PathError`: two values of one key, and what is no text when decoded.
    """
    found: dict[str, tuple[str, str | None]] = {}
    for part in path.split("/")[:-1]:
        key, equals, value = part.partition("=")
        if not (equals and key):
            continue
        try:
            name = unquote(key, errors="strict")
            text = None if value == _HIVE_NULL else unquote(value, errors="strict")
        except UnicodeDecodeError as error:
            raise PathError(f"The folder {part!r} is no text when decoded: {error.reason}", hint=_UNREAD) from None
        if found.setdefault(name.lower(), (name, text))[1] != text:
            raise PathError(f"Two folders of a path give the key {name!r} two values", path=path, hint=_UNREAD)
    return dict(found.values())


_UNREAD = "Read the file with hive_partitioning=False in its read options, which makes no columns of folders."


_WRITTEN_ONCE = re.compile(
    r"(.*/)?_artifacts/asset=[^/]+/(.*/)?[0-9a-f]{32}/(fragment=\d+\.[^/]*|[^/]*\.run)", re.DOTALL
)


def is_written_once(path: str) -> bool:
    """Whether it is a run's own file, by the name: the run's id is in it, so nobody writes other bytes to it later."""
    return _WRITTEN_ONCE.fullmatch(path) is not None


def temporary_name(name: str) -> str:
    """A name beside `name` that no reader's `*.suffix` matches."""
    return f".{_end(name)}.{uuid.uuid4().hex}.tmp"


def another_name(path: Path) -> Path:
    """A temporary name beside a file that has one itself. Nobody guesses one from the other: others may see what is
    made in the folder, and could put a link where something is about to be made."""
    found = re.fullmatch(r"\.(.*)\.[0-9a-f]{32}\.tmp", path.name, re.DOTALL)
    return path.with_name(temporary_name(found[1] if found else path.name))


def is_temporary(found: str, name: str) -> bool:
    """Whether a file name is one that `temporary_name` gives beside `name`."""
    return re.fullmatch(rf"\.{re.escape(_end(name))}\.[0-9a-f]{{32}}\.tmp", found, re.DOTALL) is not None


def _end(name: str) -> str:
    return name.encode()[-100:].decode(errors="ignore")  # file systems count bytes
