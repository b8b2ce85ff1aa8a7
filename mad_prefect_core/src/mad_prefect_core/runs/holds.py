"""Which runs' files somebody in this process still holds: they are not swept while he does."""

from __future__ import annotations

import threading
import weakref

from mad_prefect_core.mounts import Location

__all__ = ["Hold", "hold", "is_held"]


class Hold:
    """Lives as long as the artifacts and relations that read the file it stands for."""


_lock = threading.Lock()
_holds: weakref.WeakValueDictionary[str, Hold] = weakref.WeakValueDictionary()


def hold(location: Location) -> Hold:
    """Hold a file: it stays for as long as what is returned does."""
    with _lock:
        held = _holds.get(location.path)
        if held is None:
            held = _holds[location.path] = Hold()
        return held


def is_held(location: Location) -> bool:
    """Whether anybody in this process holds a file."""
    with _lock:
        return location.path in _holds
