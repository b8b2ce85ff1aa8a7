"""Which process runs something, and whether it is gone: known for processes of this machine alone."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import lru_cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Process"]

_UNKNOWN = "alive"
"""The start of a process of which the machine says no more than that it is there."""


class Process(BaseModel):
    """A process, told from any other at any time."""

    model_config = ConfigDict(frozen=True)

    host: str
    """The machine's name, for people."""
    place: str
    """Where `pid` counts: this boot of the machine, and the container."""
    pid: Annotated[int, Field(ge=0, lt=2**31)]
    born: str
    """When it started, as the machine says it: process ids are used again."""

    @classmethod
    def this(cls) -> Process:
        """The process that asks."""
        return cls(host=socket.gethostname(), place=_place(), pid=os.getpid(), born=_born(os.getpid()) or "")

    def is_gone(self) -> bool:
        """Whether it has certainly ended. Of a process elsewhere, or where the machine does not tell, that can't be
        known from here: False."""
        if self.place != _place():
            return False
        born = _born(self.pid)
        return born is None or (_UNKNOWN not in (born, self.born) and born != self.born)

    def is_here(self) -> bool:
        """Whether it is where this one is, so that `is_gone` knows."""
        return self.place == _place()


@lru_cache(maxsize=1)
def _place() -> str:
    parts = [socket.gethostname()]
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        parts.append(file.read().strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _born(pid: int) -> str | None:
    """What tells a process from a later one of the same id: its start time, where the machine says it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return _UNKNOWN
