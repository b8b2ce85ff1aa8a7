"""Whole objects to S3 and within it: in one request where that is allowed, else in parts that become one at the end."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mad_prefect_core.sdk import StorageConflictError, StorageError
from mad_prefect_s3.answers import MARK, code_of, md5, place, token_of

if TYPE_CHECKING:
    from mad_prefect_s3.client import S3Files

__all__ = ["copy", "part_length", "upload"]

logger = logging.getLogger(__name__)

_PART = 8 * 2**20  # bytes
_SINGLE = 16 * 2**20  # what is larger goes up in parts
_MAX_PARTS = 10_000
_COPY_PART = 128 * 2**20  # what is larger is copied in parts, where the server refuses to copy it at once
_PARALLEL = 8
_AT_ONCE = 128 * 2**20  # bytes of parts that are in memory


async def upload(fs: S3Files, local: Path, path: str, create: bool = False) -> None:
    """Bring a local file to a key: whole, or not at all. The server checks the bytes by their MD5."""
    size = local.stat().st_size
    if size <= _SINGLE:
        data = await asyncio.to_thread(local.read_bytes)
        if create:
            await _create(fs, path, data)
            return
        answer = await fs.call("put_object", path, Body=data, ContentMD5=await md5(data))
        fs.pinned.written(path, token_of(answer), data)
        return
    length = part_length(size, _PART)

    async def send(upload: str, number: int, start: int) -> str:
        data = await asyncio.to_thread(_read, local, start, min(length, size - start))
        more = {"UploadId": upload, "PartNumber": number, "Body": data, "ContentMD5": await md5(data)}
        return str((await fs.call("upload_part", path, **more))["ETag"])

    slots = max(1, min(_PARALLEL, _AT_ONCE // length))
    await _in_parts(fs, path, size, length, slots, send, {"IfNoneMatch": "*"} if create else {})


def part_length(size: int, least: int) -> int:
    """Bytes of each part but the last, so that as many as are allowed suffice."""
    return max(least, -(-size // _MAX_PARTS))


async def _create(fs: S3Files, path: str, data: bytes) -> None:
    try:
        await fs.replace(path, data, None)  # which knows its own write again where the answer was lost
    except StorageConflictError as error:
        raise FileExistsError(path) from error


async def copy(fs: S3Files, source: str, path: str) -> str | None:
    """Copy an object on the server. Returns the token of the copy, where the server tells it. Raises
    `FileNotFoundError`."""
    if source == path:  # which servers refuse
        found = await fs.head_object(path)
        if found is None:
            raise FileNotFoundError(path)
        return token_of(found)
    try:
        answer = await fs.call("copy_object", path, CopySource=place(source))
    except StorageError as error:
        if code_of(error) not in ("InvalidRequest", "EntityTooLarge"):
            raise
        found = await fs.head_object(source)
        if found is None or found["ContentLength"] <= _COPY_PART:
            raise
        await _copy_in_parts(fs, source, path, found)
        return None
    etag = answer.get("CopyObjectResult", {}).get("ETag")
    return token_of({**answer, "ETag": etag}) if etag else None


async def _copy_in_parts(fs: S3Files, source: str, path: str, found: dict[str, Any]) -> None:
    size = int(found["ContentLength"])
    length = part_length(size, _COPY_PART)

    async def send(upload: str, number: int, start: int) -> str:
        answer = await fs.call(
            "upload_part_copy",
            path,
            UploadId=upload,
            PartNumber=number,
            CopySource=place(source),
            CopySourceRange=f"bytes={start}-{min(start + length, size) - 1}",
            CopySourceIfMatch=found["ETag"],
        )
        return str(answer["CopyPartResult"]["ETag"])

    await _in_parts(fs, path, size, length, _PARALLEL, send, {})


async def _in_parts(
    fs: S3Files,
    path: str,
    size: int,
    length: int,
    at_once: int,
    send: Callable[[str, int, int], Awaitable[str]],
    condition: dict[str, str],
) -> None:
    mark = os.urandom(16).hex()
    upload = (await fs.call("create_multipart_upload", path, Metadata={MARK: mark}))["UploadId"]
    slots = asyncio.Semaphore(at_once)

    async def part(number: int, start: int) -> dict[str, Any]:
        async with slots:
            return {"PartNumber": number, "ETag": await send(upload, number, start)}

    tasks = [asyncio.ensure_future(part(number, start)) for number, start in enumerate(range(0, size, length), 1)]
    try:
        parts = await asyncio.gather(*tasks)
        await _complete(fs, path, mark, UploadId=upload, MultipartUpload={"Parts": parts}, **condition)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await fs.call("abort_multipart_upload", path, UploadId=upload)
        except OSError as problem:
            logger.warning("Parts of an upload to s3://%s could not be discarded: %s", path, problem)
        raise


async def _complete(fs: S3Files, path: str, mark: str, **upload: Any) -> None:
    try:
        await fs.call("complete_multipart_upload", path, **upload)
    except OSError:
        # The answer to the first attempt may have been lost; to the next, there is no such upload any more.
        found = await fs.head_object(path)
        if found is None or found.get("Metadata", {}).get(MARK) != mark:
            raise


def _read(local: Path, start: int, length: int) -> bytes:
    with local.open("rb") as file:
        file.seek(start)
        return file.read(length)
