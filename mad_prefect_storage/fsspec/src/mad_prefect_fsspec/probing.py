"""What a server can do, found out by writing in the folder where files are to be written."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from mad_prefect_core.sdk import StorageError, staged_file
from mad_prefect_fsspec.client import FsspecFiles

__all__ = ["Found", "try_out"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found."""

    replaces: bool
    """A rename over a file that is there is done, and the bytes are the new ones."""
    at_once: bool
    """A file is replaced at one moment, as far as is known of the filesystem's code."""
    excludes: bool
    """Of several who make one folder, one does."""
    lists: bool
    """What was written is listed at once."""


def try_out(files: FsspecFiles, folder: str) -> Found:
    """Find out. Leaves nothing. Raises `StorageError` where nothing can be written."""
    kind = files.kind
    if kind.in_process:
        return Found(replaces=True, at_once=True, excludes=True, lists=True)
    scratch = f"{folder}/.mad-prefect-probe-{os.urandom(8).hex()}".lstrip("/" if not folder else "")
    one, two, inner = f"{scratch}/one", f"{scratch}/two", f"{scratch}/inner"
    try:
        _write(files, one, b"one")
        _write(files, two, b"two")
        if files.cat_file(two) != b"two":
            raise StorageError(f"{files.server} does not keep what is written", path=folder)
        lists = {entry["name"].rpartition("/")[2] for entry in files.ls(scratch)} == {"one", "two"}
        files.renames = kind.renames and _renames(files, one, f"{scratch}/three")
        replaces = kind.uploads_whole or (files.renames and _renames_over(files, f"{scratch}/three", two))
        at_once = kind.uploads_whole or (kind.renames_at_once and replaces and _renames_folders(files, inner))
        return Found(
            replaces=replaces, at_once=at_once, lists=lists, excludes=not kind.uploads_whole and _excludes(files, inner)
        )
    finally:
        with contextlib.suppress(Exception):  # it must not hide what was found
            files.remove(scratch, recursive=True)


def _write(files: FsspecFiles, path: str, data: bytes) -> None:
    staged = staged_file(path)
    try:
        staged.write_bytes(data)
        files.put_file(str(staged), path)
    finally:
        staged.unlink(missing_ok=True)


def _renames(files: FsspecFiles, one: str, two: str) -> bool:
    with contextlib.suppress(OSError):
        files.rename(one, two)
    return files.isfile(two) and not files.exists(one)


def _renames_over(files: FsspecFiles, one: str, two: str) -> bool:
    return _renames(files, one, two) and files.cat_file(two) == b"one"


def _renames_folders(files: FsspecFiles, folder: str) -> bool:
    """A copy in place of a rename, as some make it where the server refuses, can't do this."""
    try:
        files.mkdir(folder, create_parents=False)
        files.rename(folder, f"{folder}2")
        return files.isdir(f"{folder}2") and not files.exists(folder)
    except OSError:
        return False


def _excludes(files: FsspecFiles, folder: str) -> bool:
    try:
        files.mkdir(folder, create_parents=False)
    except OSError:
        return False
    try:
        files.mkdir(folder, create_parents=False)
    except OSError:
        return files.isdir(folder)
    return False
