"""The files and connections that this process has open."""

from __future__ import annotations

import gc
import os
from contextlib import suppress

__all__ = ["open_handles"]


def open_handles() -> list[str] | None:
    """What each descriptor is, after garbage was collected; None where the system does not tell."""
    gc.collect()
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return sorted(_target(f"{folder}/{name}") for name in os.listdir(folder))
    return None


def _target(path: str) -> str:
    with suppress(OSError):
        target = os.readlink(path)
        return target.partition(":")[0] if target.startswith(("socket:", "pipe:", "anon_inode:")) else target
    return "a file"
