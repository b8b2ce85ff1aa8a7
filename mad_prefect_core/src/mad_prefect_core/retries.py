"""Requests to a server that are sent again: how often, and after how long."""

from __future__ import annotations

import asyncio
import logging
import random
import time

__all__ = ["Retries"]

logger = logging.getLogger(__name__)

_FIRST = 0.25  # seconds
_LONGEST = 20
_DOWN = 30


class Retries:
    """Of the requests to one server: bounded attempts, with growing pauses of random length between them.

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

    def attempts(self) -> int:
        """How often to try a request that begins now."""
        down = self._down is not None and time.monotonic() - self._down < _DOWN
        return 1 if down else self._attempts

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
        await asyncio.sleep(random.uniform(0, min(_FIRST * 2 ** (attempt - 1), _LONGEST)))
