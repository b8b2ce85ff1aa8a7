"""Where temporary files go: one private folder a process, with a name that nobody can guess.

It is removed when the process ends. The folder of a process that was killed is removed by the next one that makes its
own, which knows from the name what process it was of.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import stat
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from mad_prefect_core.process import Process

__all__ = ["process_folder"]

_NAME = re.compile(r"mad_prefect_(?P<pid>[0-9]+)_(?P<born>[0-9a-z]*)_(?P<place>[0-9a-f]{16})_[0-9a-z_]{8}")
_lock = threading.Lock()
_folders: dict[int, Path] = {}  # by process id: a forked child has a folder of its own


def process_folder() -> Path:
    """Return this process's folder, which no other user can enter. The first call removes those of dead processes.

    The folder changes if something else, such as a cleaner of old temporary files, has deleted it: somebody could have
    made one of that name since.
    """
    process = os.getpid()
    if (folder := _folders.get(process)) is not None and _is_private(folder):
        return folder
    with _lock:
        folder = _folders.get(process)
        if folder is None or not _is_private(folder):
            _remove_those_of_dead_processes()
            folder = _folders[process] = Path(tempfile.mkdtemp(prefix=_prefix(Process.this())))
        return folder


def _prefix(process: Process) -> str:
    return f"mad_prefect_{process.pid}_{process.born}_{_digest(process.place)}_"


def _digest(place: str) -> str:
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def _remove_those_of_dead_processes() -> None:
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if (match := _NAME.fullmatch(entry.name)) and _is_gone(match) and _is_private(entry):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_gone(match: re.Match[str]) -> bool:
    here = Process.this()
    if match["place"] != _digest(here.place):
        return False
    return here.model_copy(update={"pid": int(match["pid"]), "born": match["born"]}).is_gone()


def _is_private(path: str | os.PathLike[str]) -> bool:
    """Whether it is a folder, not a link to one, as this user's processes make it."""
    with suppress(OSError):
        found = os.lstat(path)
        return stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700 and found.st_uid == os.geteuid()
    return False


@atexit.register
def _remove_own() -> None:
    """At the end of the process, after the functions that modules above this one have registered."""
    with _lock:
        if (folder := _folders.pop(os.getpid(), None)) is not None and _is_private(folder):
            shutil.rmtree(folder, ignore_errors=True)
