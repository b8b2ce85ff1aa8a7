"""Paths and bases that were meant otherwise than they are written: told, rather than taken for names of folders."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import NoReturn

from fsspec.registry import known_implementations

from mad_prefect_core.errors import PathError
from mad_prefect_core.paths import is_url, split_url
from mad_prefect_core.plugins import get_host
from mad_prefect_core.redaction import has_url_secrets

__all__ = ["check_base", "check_plain", "check_url"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*(?:::[A-Za-z][A-Za-z0-9+.-]*)*)://")
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
    if not found and _CHAINED.match(url):
        _refuse_url(what, url, "chains filesystems without a URL at the end", url.replace("::/", "::file:///"))
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
