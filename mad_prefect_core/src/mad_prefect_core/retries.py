"""Requests to a server that are sent again: how often, and after how long."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterator

__all__ = ["Attempts", "Retries"]

logger = logging.getLogger(__name__)

_FIRST = 0.25  # seconds
_LONGEST = 20
_DOWN = 30
_PATIENCE = 90
_chance = random.SystemRandom()  # users may seed the module's own, and all their processes alike


class Attempts:
    """Those of one request: an iterator over their numbers, from 1."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._begun = time.monotonic()
        self._number = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if self._number == self._most:
            raise StopIteration
        self._number += 1
        return self._number

    @property
    def last(self) -> bool:
        """Whether there is none after the one that is under way."""
        return self._number == self._most or time.monotonic() - self._begun > _PATIENCE


class Retries:
    """Of the requests to one server: bounded attempts, with growing pauses of random length between them.

    A request that was first sent more than 90 seconds ago is not sent again: a server that says nothing takes as long
    as its timeout each time.

    Where all attempts of a request have failed, those of the next 30 seconds are tried once: what is left to do of a
    run ends soon then, rather than after as many pauses again for each. An answer ends that.

    Args:
        attempts: How often a request is tried, the first time included.
    """

    def __init__(self, attempts: int) -> None:
        self.retried = 0
        """Requests that had to be sent again, so far."""
        self._attempts = attempts
        self._down: float | None = None

    def attempts(self) -> Attempts:
        """Of a request that begins now."""
        down = self._down is not None and time.monotonic() - self._down < _DOWN
        return Attempts(1 if down else self._attempts)

    def gave_up(self) -> None:
        """All attempts of a request have failed."""
        self._down = time.monotonic()

    def answered(self) -> None:
        """A request has succeeded, or was refused for good."""
        self._down = None

    async def pause(self, attempt: int, why: str) -> None:
        """Wait after a failed attempt, counted from 1: longer each time, and a random part of that, so that those who
        were turned away together do not come back together."""
        self.retried += 1
        logger.info("Attempt %d failed, another follows: %s", attempt, why)
        await asyncio.sleep(_chance.uniform(0, min(_FIRST * 2 ** (attempt - 1), _LONGEST)))
