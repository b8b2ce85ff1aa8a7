"""Paths: what a template's value may become, and what a relative path may be. Nothing here touches a storage."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from numbers import Rational
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote

from fsspec.registry import known_implementations

from mad_prefect_core.errors import PathError, TemplateError
from mad_prefect_core.plugins import get_host
from mad_prefect_core.redaction import MASK, has_secret, has_url_secrets, is_secret_name

__all__ = [
    "another_name",
    "check_base",
    "check_plain",
    "check_url",
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
_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_MAY_BE_SECRET = re.compile(r"[@?&#%]|^[^/]*:")
_CONVERSIONS: dict[str, Callable[[object], str]] = {"r": repr, "s": str, "a": ascii}
_ENCODED = {"%": "%25", "/": "%2F", "=": "%3D", "\\": "%5C"}
_MAX_FORMATTED = 255  # characters that a format may add; a segment of a path has fewer
_MAX_SEGMENT = 240  # bytes; most file systems stop at 255, and a temporary name adds a little


def is_url(path: str) -> bool:
    """Whether a path names its own storage."""
    return _URL.match(path) is not None


def split_url(url: str, *, user: bool = True) -> tuple[str, str]:
    """Protocol and the rest. A plain path is of protocol "file".

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


_CHAINED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*::")
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
_ONE_SLASH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]")
_NEARLY_URL = re.compile(r"(?![./~])(\W*[A-Za-z][A-Za-z0-9+.-]*\W{1,3}[/\\]{2}|:|[^/\\]*@[^/\\]*:)")
_NAME_BEFORE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)([/\\]{2}|:)")
_VARIABLE = re.compile(r"^\$\w|\$\{|^%[A-Za-z_]\w*%")
_AROUND = " \t\r\n'\""


@lru_cache(maxsize=256)
def check_base(url: str) -> None:
    """Raise `PathError` for a base that is misspelt, and would be a folder in the working directory."""
    if not url.strip(_AROUND) or url in ("None", "null"):
        raise PathError(
            f"The base is {url!r}, which names no folder",
            hint="Name a folder or a URL, such as file:///data/lake or s3://bucket/lake.",
        )
    if url != url.strip(_AROUND):
        _refuse_url("base", url, "has blanks or quotes around it", url.strip(_AROUND))
    if is_url(url):
        split_url(url)  # refuses secrets in it
    if _CONTROL.search(url):
        raise PathError("The base has control characters", path=url, hint="Take them out.")
    if _VARIABLE.search(url):
        raise PathError("The base has a variable that nobody has filled in", path=url, hint="Write its value.")
    if url.startswith("file:/") and not is_url(url):
        return  # a URL all the same
    check_url(url, "base")
    if not is_url(url) and (_NEARLY_URL.match(url) or _begins_with_storage(url)):
        _refuse_url("base", url, "is nearly a URL", _as_url(url))
    if "\\" in url and os.name != "nt":
        _refuse_url("base", url, "has backslashes, which are part of a name here", url.replace("\\", "/"))
    home = re.sub(r"^(file|local)://", "", url)
    if home.startswith("~") and os.path.expanduser(home) == home:
        raise PathError("The base is in the home of a user that is not there", path=url, hint="Write the whole path.")


def _begins_with_storage(url: str) -> bool:
    """Whether `//` or `:` is behind the name of a storage: a folder may be called anything else."""
    if not (found := _NAME_BEFORE.match(url)):
        return False
    # Inline data, which fsspec calls `data`, is no place to write to.
    return found[1].lower() in {"mad", *get_host().known_protocols(), *known_implementations} - {"data"}


def check_url(url: str, what: str = "path") -> None:
    """Raise `PathError` for a path that was meant to be a URL, and would be a folder with a colon in its name."""
    if ":" not in url:
        return
    split_url(url)  # refuses secrets in it
    found = _URL.match(url)
    protocol, rest = (found[1], url[found.end() :]) if found else ("", url)
    if _CHAINED.match(url):
        _refuse_url(what, url, "chains several filesystems, which is not supported", _as_url(url.rpartition("::")[2]))
    if protocol != protocol.lower():
        _refuse_url(what, url, "has capital letters in its protocol", f"{protocol.lower()}://{rest}")
    drive = rest.removeprefix("/") if protocol else rest
    if protocol in ("", "file", "local") and _DRIVE.match(drive) and os.name != "nt":
        raise PathError(f"The {what} is of Windows, and this is no Windows", path=url, hint="Write a path of this one.")
    if protocol in ("file", "local"):
        host, slash, path = rest.partition("/")
        if host.lower() in ("localhost", "127.0.0.1"):
            _refuse_url(what, url, f"names {host}, which would be a folder", f"file:///{path}")
        if not host and not slash:
            _refuse_url(what, url, "names no folder", "file:///data/lake")
    if not protocol and _ONE_SLASH.match(url) and not _DRIVE.match(url):
        _refuse_url(what, url, "is nearly a URL", _as_url(url))


def check_plain(path: str) -> None:
    """Raise `PathError` for a path of an asset that the shell, or Windows, would understand otherwise than it is meant
    here: as names of folders below the base."""
    if is_url(path):
        return
    if "\\" in path and os.name != "nt":
        _refuse_url("path", path, "has backslashes, which are part of a name here", path.replace("\\", "/"))
    if _VARIABLE.search(path):
        raise PathError("The path has a variable that nobody has filled in", path=path, hint="Write its value.")
    if path.startswith("~/"):
        raise PathError(
            "The path begins with '~', and paths are below the base",
            path=path,
            hint=f"Write {path[2:]!r}, or file://{path} for another storage than the base.",
        )


def _as_url(url: str) -> str:
    if not (found := re.match(r"\W*([A-Za-z][A-Za-z0-9+.-]*)\W+(.*)", url, re.DOTALL)):
        return "s3://bucket/lake"
    protocol, rest = found[1].lower(), found[2]
    return f"{protocol}:///{rest}" if protocol in ("file", "local") else f"{protocol}://{rest}"


def _refuse_url(what: str, url: str, problem: str, meant: str) -> NoReturn:
    if has_url_secrets(meant, user=True):
        hint = "Correct it, and give secrets as options of the storage, or in the environment variables that it reads."
        raise PathError(f"The {what} {problem}, and it has a secret in it", hint=hint)
    raise PathError(f"The {what} {problem}", path=url, hint=f"Did you mean {meant!r}?")


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
