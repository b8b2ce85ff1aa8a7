"""What local files were seen to hold: a run reads the same file several times, and looks at all of it once."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

from mad_prefect_core.sdk import is_url, unescape_glob

__all__ = ["remembered"]

T = TypeVar("T")
_MOST = 256  # files, or groups of them
_lock = threading.Lock()
_seen: OrderedDict[tuple[object, ...], object] = OrderedDict()


def remembered(files: Sequence[str], options: str, look: Callable[[], T]) -> T:
    """What `look` gives for files that are read with these options; it is not called again before one of them changes.

    It must give a plain value: DuckDB's objects live no longer than their connection.
    """
    key = _key(files, options)
    if key is None:
        return look()
    with _lock:
        if key in _seen:
            _seen.move_to_end(key)
            return _seen[key]  # type: ignore[return-value]
    found = look()
    with _lock:
        _seen[key] = found
        if len(_seen) > _MOST:
            _seen.popitem(last=False)
    return found


def _key(files: Sequence[str], options: str) -> tuple[object, ...] | None:
    """What changes with the files; None where they are not all local."""
    stamps: list[object] = []
    for file in files:
        if is_url(file):
            return None
        try:
            stat = os.stat(unescape_glob(file))
        except OSError:
            return None
        stamps += [file, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    return (options, *stamps)
