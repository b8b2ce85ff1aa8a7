"""Whole objects to a server and within it: in one request where that is allowed, else in parts that become one at the
end."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mad_prefect_core.errors import StorageConflictError, StorageError
from mad_prefect_core.object_stores import conditional
from mad_prefect_core.object_stores.client import Body
from mad_prefect_core.object_stores.conditional import MARK, new_mark

if TYPE_CHECKING:
    from mad_prefect_core.object_stores.files import ObjectFiles

__all__ = ["copy", "part_length", "upload", "write"]

logger = logging.getLogger(__name__)

_AT_ONCE = 128 * 2**20  # bytes of parts that are in memory


async def upload(files: ObjectFiles, local: Path, path: str, create: bool = False) -> None:
    """Bring a local file to a key: whole, or not at all."""
    size = local.stat().st_size
    client = files.client
    if size <= client.single:
        await write(files, path, await asyncio.to_thread(local.read_bytes), create)
        return
    length = part_length(size, client.part, client.most_parts)

    async def send(begun: Any, number: int, start: int) -> Any:
        data = await asyncio.to_thread(_read, local, start, min(length, size - start))
        return await files.ask("send", path, begun, number, start, Body(data))

    async def md5() -> bytes:
        with local.open("rb") as file:
            digest = await asyncio.to_thread(hashlib.file_digest, file, lambda: hashlib.md5(usedforsecurity=False))
        return digest.digest()

    at_once = max(1, min(client.parts_at_once, _AT_ONCE // length))
    attempts = files.retries.attempts()
    for attempt in attempts:
        mark = new_mark()
        begun = await files.ask("begin", path, size, {MARK: mark}, create, md5)
        try:
            await _in_parts(files, path, mark, begun, range(0, size, length), at_once, send)
        except StorageError as error:
            said = client.failure(error.__cause__ or error)
            if said is None or said.code not in client.discarded or attempts.last:
                raise
            await files.pause(attempt, error)
        else:
            return


async def write(files: ObjectFiles, path: str, data: bytes, create: bool = False) -> None:
    """Write an object in one request. With `create`, raises `FileExistsError` where it is."""
    if not create:
        files.pinned.written(path, await files.ask("put", path, Body(data), {}, None), data)
        return
    try:
        await conditional.replace(files, path, data, None)  # which knows its own write again where the answer was lost
    except StorageConflictError as error:
        raise FileExistsError(path) from error


def part_length(size: int, least: int, most: int) -> int:
    """Bytes of each part but the last, so that as many as are allowed suffice."""
    return max(least, -(-size // most))


async def copy(files: ObjectFiles, source: str, path: str) -> str | None:
    """Copy an object on the server. Returns the token of the copy, where the server tells it. Raises
    `FileNotFoundError`."""
    client = files.client
    if source == path:  # which servers refuse
        found = await files.find_object(path)
        if found is None:
            raise FileNotFoundError(path)
        return found.token
    try:
        token: str | None = await files.ask("copy", path, source)
    except StorageError as error:
        found = (
            await files.find_object(source) if client.copy_part and client.failure(error.__cause__ or error) else None
        )
        if found is None or client.copy_part is None or found.size <= client.copy_part:
            raise
        of = found
    else:
        return token
    length = part_length(of.size, client.copy_part, client.most_parts)

    async def send(begun: Any, number: int, start: int) -> Any:
        return await files.ask("send_copy", path, begun, number, source, of, (start, min(start + length, of.size)))

    mark = new_mark()
    begun = await files.ask("begin", path, of.size, {MARK: mark}, False, None)
    await _in_parts(files, path, mark, begun, range(0, of.size, length), client.parts_at_once, send)
    return None


async def _in_parts(
    files: ObjectFiles,
    path: str,
    mark: str,
    begun: Any,
    starts: range,
    at_once: int,
    send: Callable[[Any, int, int], Awaitable[Any]],
) -> None:
    slots = asyncio.Semaphore(at_once)

    async def part(number: int, start: int) -> Any:
        async with slots:
            return await send(begun, number, start)

    tasks = [asyncio.ensure_future(part(number, start)) for number, start in enumerate(starts, 1)]
    try:
        await _finish(files, path, mark, begun, await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await files.ask("abandon", path, begun)
        except OSError as problem:
            logger.warning("Parts of an upload to %s://%s could not be discarded: %s", files.protocol, path, problem)
        raise


async def _finish(files: ObjectFiles, path: str, mark: str, begun: Any, parts: list[Any]) -> None:
    try:
        await files.ask("finish", path, begun, parts)
    except OSError:
        # The answer to the first attempt may have been lost; to the next, there is no such upload any more.
        found = await files.find_object(path)
        if found is None or found.metadata.get(MARK) != mark:
            raise


def _read(local: Path, start: int, length: int) -> bytes:
    with local.open("rb") as file:
        file.seek(start)
        return file.read(length)
