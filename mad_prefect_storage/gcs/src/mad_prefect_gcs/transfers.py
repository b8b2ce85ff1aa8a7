"""Whole objects to the server and within it: in one request where they are small, else by a resumable upload."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mad_prefect_core.sdk import StorageConflictError

if TYPE_CHECKING:
    from mad_prefect_gcs.answers import Answer
    from mad_prefect_gcs.client import GCSFiles

__all__ = ["copy", "insertion", "upload", "write"]

logger = logging.getLogger(__name__)

_SINGLE = 8 * 2**20  # bytes; what is larger can be resumed
_CHUNK = 16 * 2**20  # a multiple of 256 KiB


async def upload(fs: GCSFiles, local: Path, path: str, create: bool = False) -> None:
    """Bring a local file to a key: whole, or not at all. The server checks the bytes by their MD5."""
    size = local.stat().st_size
    if size <= _SINGLE:
        await write(fs, path, await asyncio.to_thread(local.read_bytes), create)
        return
    condition = {"ifGenerationMatch": "0"} if create else {}
    with local.open("rb") as file:
        digest = await asyncio.to_thread(hashlib.file_digest, file, _md5)
        resource = json.dumps(_resource(path, digest.digest())).encode()
        begun = await fs.ask(
            "POST", fs.upload_url(path), path, params={"uploadType": "resumable", **condition}, data=resource,
            headers={"Content-Type": "application/json", "X-Upload-Content-Length": str(size)},
        )  # fmt: skip
        session = begun.says("Location")
        try:
            await _send(fs, session, path, file, size)
        except BaseException:
            await _discard(fs, session, path)
            raise


async def _send(fs: GCSFiles, session: str, path: str, file: BinaryIO, size: int) -> None:
    """Send all bytes of a resumable upload, each part as often as the attempts allow."""
    start, asks = 0, False
    attempts = fs.retries.attempts()
    attempt = next(attempts)
    while True:
        if asks:  # how much it has got is known to the server alone
            said, data = f"bytes */{size}", b""
        else:
            data = await asyncio.to_thread(_read, file, start)
            said = f"bytes {start}-{start + len(data) - 1}/{size}"
        answer = await fs.once("PUT", session, headers={"Content-Range": said}, data=data)
        if answer.good and answer.status != 308:
            fs.retries.answered()
            return
        reached = _received(answer) if answer.status == 308 else start
        if reached > start:
            start, asks = reached, False
            attempts = fs.retries.attempts()
            attempt = next(attempts)
        elif asks and answer.status == 308:
            asks = False
        elif answer.passes or answer.status == 308:
            if attempts.last:
                raise fs.failure(answer, "an upload", path, attempt)
            await fs.retries.pause(attempt, f"gs://{path}: {answer}")
            attempt, asks = next(attempts), True
        else:
            raise fs.failure(answer, "an upload", path, attempt)


def _read(file: BinaryIO, start: int) -> bytes:
    file.seek(start)
    return file.read(_CHUNK)


def _received(answer: Answer) -> int:
    said = answer.headers.get("Range")
    return int(said.rpartition("-")[2]) + 1 if said else 0


async def _discard(fs: GCSFiles, session: str, path: str) -> None:
    answer = await fs.once("DELETE", session)
    if answer.status != 499 and not answer.good:  # 499 is how the server says that it is discarded
        logger.warning("An upload to gs://%s could not be discarded; it ends by itself after a week.", path)


async def write(fs: GCSFiles, path: str, data: bytes, create: bool = False) -> None:
    """Write an object in one request. With `create`, raises `FileExistsError` where it is."""
    if not create:
        answer = await fs.ask(path=path, **insertion(fs, path, data), params={"uploadType": "multipart"})
        fs.pinned.written(path, str(answer.json["generation"]), data)
        return
    try:
        await fs.replace(path, data, None)  # which knows its own write again where the answer was lost
    except StorageConflictError as error:
        raise FileExistsError(path) from error


def insertion(fs: GCSFiles, path: str, data: bytes, metadata: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Method, URL, headers and body of the one request that writes a whole object."""
    resource = _resource(path, _md5(data).digest(), metadata)
    boundary = os.urandom(16).hex()
    body = b"\r\n".join(
        (
            f"--{boundary}\r\nContent-Type: application/json\r\n".encode(),
            json.dumps(resource).encode(),
            f"--{boundary}\r\nContent-Type: application/octet-stream\r\n".encode(),
            data,
            f"--{boundary}--\r\n".encode(),
        )
    )
    headers = {"Content-Type": f"multipart/related; boundary={boundary}"}
    return {"method": "POST", "url": fs.upload_url(path), "headers": headers, "data": body}


def _md5(data: bytes = b"") -> Any:
    return hashlib.md5(data, usedforsecurity=False)


def _resource(path: str, digest: bytes, metadata: Mapping[str, str] | None = None) -> dict[str, Any]:
    said = {"name": path.partition("/")[2], "md5Hash": base64.b64encode(digest).decode()}
    return {**said, "contentType": "application/octet-stream", **({"metadata": metadata} if metadata else {})}


async def copy(fs: GCSFiles, source: str, path: str) -> str:
    """Copy an object on the server. Returns the generation of the copy. Raises `FileNotFoundError`."""
    if source == path:
        found = await fs.resource(path)
        if found is None:
            raise FileNotFoundError(path)
        return str(found["generation"])
    url = f"{fs.object_url(source)}/rewriteTo/{fs.object_url(path).partition('/storage/v1/')[2]}"
    answer = await fs.ask("POST", url, source)
    while not answer.json.get("done"):  # large objects between places take several requests
        answer = await fs.ask("POST", url, source, params={"rewriteToken": answer.says("rewriteToken")})
    return str(answer.json["resource"]["generation"])
