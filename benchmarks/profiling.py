"""Where the CPU time of a measurement goes, function by function, in all its threads."""

from __future__ import annotations

import cProfile
import io
import pstats
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["profiled"]

_LINES = 30


class _Profile(cProfile.Profile):
    """That of one thread, in CPU time."""

    def __init__(self) -> None:
        super().__init__(time.thread_time)

    def create_stats(self) -> None:
        # Without ending it: another thread's clock would count for the call that this one is in.
        self.snapshot_stats()  # type: ignore[attr-defined]  # typeshed lacks it


def profiled(step: Callable[[], object]) -> str:
    """The functions that took most of the CPU time of `step`, as text. Looking at them makes Python's functions slower
    than they are; threads that are not Python's, such as DuckDB's, are not seen."""
    profiles: list[_Profile] = []

    def begin(*_: Any) -> None:
        profiles.append(_Profile())
        profiles[-1].enable()

    threading.setprofile(begin)  # of the threads that start from now on: each calls it once, and is looked at then
    begin()
    try:
        step()
    finally:
        profiles[0].disable()
        threading.setprofile(None)
    text = io.StringIO()
    pstats.Stats(*profiles, stream=text).strip_dirs().sort_stats("tottime").print_stats(_LINES)
    return text.getvalue()
