"""Files that a run has put at a path. The records of runs are above this room: they say how such a file is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from mad_prefect_core.artifacts.files import DataFile
from mad_prefect_core.mounts import Location

__all__ = ["Lookup", "find_recorded", "look_up_with"]

Lookup: TypeAlias = Callable[[str, Location], DataFile | None]
"""From a path as the user wrote it, and where that is, to the file as its run recorded it; None for one of others."""

_lookups: list[Lookup] = []


def look_up_with(lookup: Lookup) -> Lookup:
    """Have `find_recorded` ask this function too."""
    _lookups.append(lookup)
    return lookup


def find_recorded(path: str, location: Location) -> DataFile | None:
    """The file that is at a path, as the run that put it there has recorded it; None for one of others."""
    found = (lookup(path, location) for lookup in _lookups)
    return next((file for file in found if file is not None), None)
