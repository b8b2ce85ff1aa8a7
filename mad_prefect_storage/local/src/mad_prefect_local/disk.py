"""What survives a power cut: the bytes of a file once it is synced, and a name once the folder that has it is."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable
from pathlib import Path

__all__ = ["force_to_disk", "make_folders"]

_new: dict[str, None] = {}
"""Folders that this process has made, whose names in the folders above may not survive a power cut yet."""
_AT_MOST = 4096  # of them; those of runs that published nothing durable are never asked for
_lock = threading.Lock()


def make_folders(folder: str) -> None:
    """Make a folder and those above it, as far as they are missing. Raises `FileExistsError` for a file there."""
    with _lock:
        _new[folder] = None
        if len(_new) > _AT_MOST:
            del _new[next(iter(_new))]
    try:
        os.mkdir(folder)
    except FileNotFoundError:
        above = os.path.dirname(folder)
        if above in ("", folder):
            raise
        make_folders(above)
        make_folders(folder)
    except FileExistsError:
        if not os.path.isdir(folder):
            raise


def force_to_disk(paths: Iterable[str | Path]) -> None:
    """fsync files, and the names in folders; the names of new folders, too, as far up as this process has made them."""
    for path in paths:
        _fsync(path)
        folder = str(path)
        while folder in _new:
            above = os.path.dirname(folder) or os.curdir
            _fsync(above)
            with _lock:
                _new.pop(folder, None)
            folder = above


def _fsync(path: str | Path) -> None:
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows can't open folders
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that has no such thing
            raise
    finally:
        os.close(descriptor)
