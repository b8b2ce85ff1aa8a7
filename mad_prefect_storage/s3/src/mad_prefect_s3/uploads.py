"""Bytes on their way to a server, for which aiohttp would wait without end where the server stops to take them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

__all__ = ["sending"]


@asynccontextmanager
async def sending(data: bytes, patience: float) -> AsyncIterator[io.BytesIO]:
    """A body to send. Raises `TimeoutError` where for so many seconds nothing is taken of it, or nothing is answered
    after all of it was."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(patience) as limit:

            def move() -> None:
                with suppress(RuntimeError):  # it is over
                    limit.reschedule(loop.time() + patience)

            yield _Body(data, lambda: loop.call_soon_threadsafe(move))
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"it took nothing, and said nothing, for {patience:g} seconds") from error


class _Body(io.BytesIO):
    def __init__(self, data: bytes, taken: Callable[[], object]) -> None:
        super().__init__(data)
        self._taken = taken

    def read(self, size: int | None = -1) -> bytes:
        self._taken()
        return super().read(size)
