"""When dicts whose keys are data, such as prices by article, are a map rather than a struct of all their keys."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["AUTOMATIC", "Dicts", "MapRule"]

_KEYS = 100
_SHARE = 10  # a key is in less than one of so many dicts


class Dicts(NamedTuple):
    """How many dicts there are at a place, and how many keys all of them have together."""

    number: int
    keys: int

    def join(self, other: Dicts) -> Dicts:
        """Of both."""
        return Dicts(self.number + other.number, self.keys + other.keys)


class MapRule(NamedTuple):
    """What decides: how many different keys the dicts of a place have, and how many of these a dict has.

    It is the same for all rows of a run, in whatever batches they come.
    """

    more_than: int | None = None
    """Different keys above which dicts are a map, -1 for never; None: above 100, of which a dict has less than a tenth
    on average."""

    def is_map(self, dicts: Dicts, names: int) -> bool:
        """Whether dicts that have these different keys are a map."""
        if self.more_than is not None:
            return 0 <= self.more_than < names
        return names > _KEYS and dicts.keys * _SHARE < dicts.number * names


AUTOMATIC = MapRule()
