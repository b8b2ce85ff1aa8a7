"""Whole objects to a server and within it: in one request where that is allowed, else in parts that become one at the
end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mad_prefect_core.errors import StorageConflictError, StorageError
from mad_prefect_core.object_stores import conditional
from mad_prefect_core.object_stores.client import MARK, Body, ReadRequest, Upload

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

    async def send(begun: Upload, number: int, start: int) -> Any:
        data = await asyncio.to_thread(_read, local, start, min(length, size - start))
        return await files.ask("send", path, begun, number, start, Body(data))

    async def md5() -> str:
        with local.open("rb") as file:
            digest = await asyncio.to_thread(hashlib.file_digest, file, lambda: hashlib.md5(usedforsecurity=False))
        return base64.b64encode(digest.digest()).decode()

    at_once = max(1, min(client.parts_at_once, _AT_ONCE // length))
    attempts = files.retries.attempts()
    for attempt in attempts:
        try:
            await _in_parts(files, path, Upload(size, create, md5), length, at_once, send)
        except StorageError as error:
            said = files.answer(error)
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
        return str((await files.ask("head", path)).token)
    try:
        token: str | None = await files.ask("copy", path, source)
    except StorageError as error:
        of = await files.find_object(source) if client.copy_part and files.answer(error) else None
        if of is None or of.size <= client.copy_part:
            raise
    else:
        return token
    size, version, length = of.size, of.token, part_length(of.size, client.copy_part, client.most_parts)

    async def send(begun: Upload, number: int, start: int) -> Any:
        wanted = ReadRequest(span=(start, min(start + length, size)), version=version)
        return await files.ask("send_copy", path, begun, number, source, wanted)

    await _in_parts(files, path, Upload(size), length, client.parts_at_once, send)
    return None


async def _in_parts(
    files: ObjectFiles, path: str, begun: Upload, length: int, at_once: int, send: Callable[..., Awaitable[Any]]
) -> None:
    await files.ask("begin", path, begun)
    slots = asyncio.Semaphore(at_once)

    async def part(number: int, start: int) -> Any:
        async with slots:
            return await send(begun, number, start)

    tasks = [asyncio.ensure_future(part(*each)) for each in enumerate(range(0, begun.size, length), 1)]
    try:
        parts = await asyncio.gather(*tasks)
        try:
            await files.ask("finish", path, begun, parts)
        except OSError:
            # The answer to the first attempt may have been lost; to the next, there is no such upload any more.
            found = await files.find_object(path)
            if found is None or found.metadata.get(MARK) != begun.mark:
                raise
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await files.ask("abandon", path, begun)
        except OSError as problem:
            logger.warning("Parts of an upload to %s could not be discarded: %s", files.url(path), problem)
        raise


def _read(local: Path, start: int, length: int) -> bytes:
    with local.open("rb") as file:
        file.seek(start)
        return file.read(length)
