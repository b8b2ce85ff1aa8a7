"""What a storage can really do: tried out in a folder of its own, and compared with what the storage declares."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mad_prefect_core.errors import MadPrefectError, StorageConflictError, StorageError
from mad_prefect_core.mounts import Mount
from mad_prefect_core.paths import escape_glob
from mad_prefect_core.session import DuckSession
from mad_prefect_core.stores import duckdb_files, stage

__all__ = ["CHECKS", "Finding", "Probe", "probe", "unlike_one_file"]

_DATA = bytes(range(256)) * 256  # 64 KiB: more than one read of any reader
_OTHER = _DATA[::-1]
_REPLACEMENTS = 8


@dataclass(frozen=True)
class Finding:
    """One thing that was tried. `declared` is what the storage says of itself, or what every storage must do."""

    check: str
    declared: bool
    found: bool
    detail: str = ""
    """What was seen where it was not found; else empty."""

    @property
    def broken(self) -> bool:
        """Whether the storage promises more than it does."""
        return self.declared and not self.found


@dataclass(frozen=True)
class Probe:
    """What was found, in the order of `CHECKS`."""

    findings: tuple[Finding, ...]
    left_behind: str | None = None
    """The scratch folder, where it could not be removed."""

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Those that the storage promises and does not do."""
        return tuple(finding for finding in self.findings if finding.broken)


def probe(base: Mount, checks: Collection[str] | None = None) -> Probe:
    """Try what a storage can do, in a folder with a random name inside a base, which is removed afterwards.

    A check that fails, also with an exception, is a finding. That nothing was seen to be torn is no proof that it
    never is; that something was torn is.

    Args:
        base: Where. Its folder is made if it is not there, and then removed again.
        checks: Some of `CHECKS`; all if None.

    Raises `StorageError` where the folder can't be reached or written at all. It takes as long as the storage's own
    timeouts let it.
    """
    fs = base.fs
    missing = _missing(fs, base.root)
    scratch = _Scratch(base, base.path(f"_mad_prefect_probe_{uuid.uuid4().hex}"))
    left_behind = None
    try:
        scratch.first_write()
        wanted = CHECKS if checks is None else [name for name in CHECKS if name in checks]
        findings = tuple(_finding(name, scratch) for name in wanted)
    finally:
        try:
            fs.rm(scratch.folder, recursive=True)
        except FileNotFoundError:
            pass
        except Exception:  # whatever it is, it must not hide what was found
            left_behind = scratch.folder
        for path in missing:
            with suppress(Exception):  # object stores have no folders to remove
                fs.rmdir(path)
    return Probe(findings, left_behind)


def _missing(fs: Any, folder: str) -> list[str]:
    """`folder` and those it is in, as far as they are not there, the innermost first. Never a bucket."""
    found = []
    path = folder.rstrip("/")
    with suppress(Exception):  # where this fails, so does the first write, which says why
        while "/" in path.strip("/") and not fs.exists(path):
            found.append(path)
            path = path.rpartition("/")[0]
    return found


class _Scratch:
    def __init__(self, base: Mount, folder: str) -> None:
        self.base = base
        self.storage, self.store, self.fs = base.storage, base.store, base.fs
        self.folder = folder

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def first_write(self) -> None:
        path = self.path("first")
        try:
            if self.store.stat(path) is not None:
                raise StorageError("It says that a file is there that is not")
            self.publish(path, _DATA)
            found = self.store.stat(path)
        except Exception as error:
            raise StorageError(
                f"The storage '{self.storage.name}' can't be read and written: {_said(error)}",
                path=self.base.root,
                hint=error.hint if isinstance(error, MadPrefectError) else None,
            ) from error
        if found is None or found.size != len(_DATA):
            raise StorageError(f"The storage '{self.storage.name}' does not keep what is written", path=self.base.root)

    def publish(self, path: str, data: bytes) -> None:
        staged = stage(self.store, path)
        try:
            staged.write_bytes(data)
            self.store.publish(staged, path, durable=False)
        finally:
            staged.unlink(missing_ok=True)

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        return self.store.replace(path, data, expected)

    def token(self, path: str) -> str | None:
        found = self.store.read(path)
        return found.token if found else None

    def holds(self, path: str, data: bytes) -> bool:
        found = self.store.read(path)
        return found is not None and found.data == data

    def lists(self, folder: str, name: str) -> bool:
        try:
            listed = self.fs.ls(folder, detail=False)
        except FileNotFoundError:
            return False
        return any(path.rstrip("/").rpartition("/")[2] == name for path in listed)


# Each returns what is wrong, in words; empty where nothing is.


def _conditional_create(scratch: _Scratch) -> str:
    path = scratch.path("create")
    scratch.replace(path, b"first", None)
    try:
        scratch.replace(path, b"second", None)
    except StorageConflictError:
        return "" if scratch.holds(path, b"first") else "a refused create changed what was there"
    return "a second create of the same key was not refused"


def _conditional_replace(scratch: _Scratch) -> str:
    path = scratch.path("replace")
    scratch.replace(path, b"first", None)
    stale = scratch.token(path)
    scratch.replace(path, b"second", stale)
    if scratch.token(path) == stale:
        return "two versions have the same token"
    try:
        scratch.replace(path, b"third", stale)
    except StorageConflictError:
        return "" if scratch.holds(path, b"second") else "a refused replacement changed what was there"
    return "a replacement with a stale token was not refused"


def _atomic_replace(scratch: _Scratch) -> str:
    path = scratch.path("atomic/x.bin")
    scratch.publish(path, _DATA)
    torn: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set() and not torn:
            try:
                seen = scratch.fs.cat_file(path)
            except Exception as error:
                torn.append(f"a reader got {_said(error)}")
            else:
                if seen not in (_DATA, _OTHER):
                    torn.append(f"a reader saw {len(seen)} bytes that nobody wrote")

    def look() -> None:
        while not done.is_set() and not torn:
            torn.extend(f"while it was replaced {wrong}" for wrong in unlike_one_file(scratch.fs, path, len(_DATA)))

    readers = [threading.Thread(target=target, daemon=True) for target in (read, look)]
    for reader in readers:
        reader.start()
    try:
        for number in range(_REPLACEMENTS):
            scratch.publish(path, _DATA if number % 2 else _OTHER)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    return torn[0] if torn else ""


def unlike_one_file(fs: Any, path: str, size: int) -> list[str]:
    """Where fsspec's ways to look do not show one file of that size, alone with its suffix in its folder. In words."""
    folder, _, name = path.rpartition("/")
    suffix = f".{name.rpartition('.')[2]}"

    def names(listed: Any) -> list[str]:
        found = (str(each).rstrip("/").rpartition("/")[2] for each in listed)
        return sorted(each for each in found if each.endswith(suffix))

    ways: dict[str, tuple[Callable[[], Any], Any]] = {
        "ls()": (lambda: names(fs.ls(folder, detail=False)), [name]),
        "find()": (lambda: names(fs.find(folder)), [name]),
        "glob()": (lambda: names(fs.glob(f"{escape_glob(folder)}/*{suffix}")), [name]),
        "exists()": (lambda: fs.exists(path), True),
        "isfile()": (lambda: fs.isfile(path), True),
        "info()": (lambda: fs.info(path)["size"], size),
    }
    wrong = []
    for way, (look, expected) in ways.items():
        try:
            seen = look()
        except Exception as error:  # whatever the client raises
            wrong.append(f"{way} raised {type(error).__name__}")
        else:
            if seen != expected:
                wrong.append(f"{way} gave {seen}")
    return wrong


def _strong_listing(scratch: _Scratch) -> str:
    folder = scratch.path("listing")
    if scratch.lists(folder, "a"):  # and whatever caches listings has an empty one now
        return "a file is listed that was never written"
    scratch.publish(f"{folder}/a", _DATA)
    if not scratch.lists(folder, "a"):
        return "a file just written was not listed"
    scratch.publish(f"{folder}/b", _DATA)
    if not scratch.lists(folder, "b"):
        return "a file just written beside another was not listed"
    scratch.fs.rm_file(f"{folder}/a")
    return "a file just deleted was listed" if scratch.lists(folder, "a") else ""


def _duckdb_reads(scratch: _Scratch) -> str:
    path = scratch.path("duckdb")
    scratch.publish(path, _DATA)
    with DuckSession() as session:
        files = duckdb_files(scratch.store, session, [path])
        rows = session.sql("SELECT content FROM read_blob($1)", [files]).fetchall()
    return "" if rows == [(_DATA,)] else "DuckDB reads other bytes than were written"


def _delete(scratch: _Scratch) -> str:
    path = scratch.path("delete")
    scratch.publish(path, _DATA)
    scratch.fs.rm_file(path)
    return "" if scratch.store.stat(path) is None else "a file just deleted is still there"


_TRIED: dict[str, Callable[[_Scratch], str]] = {
    "conditional_create": _conditional_create,
    "conditional_replace": _conditional_replace,
    "atomic_replace": _atomic_replace,
    "strong_listing": _strong_listing,
    "duckdb_reads": _duckdb_reads,
    "delete": _delete,
}

CHECKS: tuple[str, ...] = tuple(_TRIED)
"""What can be tried. Those that are not among the fields of `StorageCapabilities` are what every storage must do."""


def _finding(name: str, scratch: _Scratch) -> Finding:
    declared = bool(getattr(scratch.storage.capabilities, name, True))
    try:
        wrong = _TRIED[name](scratch)
    except Exception as error:  # of whatever SDK the storage is made of
        wrong = _said(error)
    return Finding(name, declared, not wrong, wrong)


def _said(error: BaseException) -> str:
    if isinstance(error, MadPrefectError):
        return error.message
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
