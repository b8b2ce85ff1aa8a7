"""Which runs' files somebody in this process still holds: they are not swept while he does."""

from __future__ import annotations

import threading
import weakref

from mad_prefect_core.mounts import Location

__all__ = ["Pin", "is_pinned", "pin"]


class Pin:
    """Lives as long as the artifacts and relations that read the file it stands for."""


_lock = threading.Lock()
_pins: weakref.WeakValueDictionary[str, Pin] = weakref.WeakValueDictionary()


def pin(location: Location) -> Pin:
    """Hold a file: it stays for as long as what is returned does."""
    with _lock:
        held = _pins.get(location.path)
        if held is None:
            held = _pins[location.path] = Pin()
        return held


def is_pinned(location: Location) -> bool:
    """Whether anybody in this process holds a file."""
    with _lock:
        return location.path in _pins
