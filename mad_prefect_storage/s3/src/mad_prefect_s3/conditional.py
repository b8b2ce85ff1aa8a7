"""Compare-and-swap by conditional writes, and finding out whether the server knows what these are."""

from __future__ import annotations

import hashlib
import logging
import os
from typing import TYPE_CHECKING, Any

from mad_prefect_core.sdk import OutcomeUnknownError, StorageConflictError, StorageError
from mad_prefect_s3.answers import MARK, Failure, etag_of, md5, said, token_of

if TYPE_CHECKING:
    from mad_prefect_s3.client import S3Files

__all__ = ["remember", "replace"]

logger = logging.getLogger(__name__)

_AFTER = "mad-prefect-after"
"""The name of the metadata that tells which versions an object had before, by their marks, the last one first."""
_NONE = "-"
"""What was there before the first version."""
_HISTORY = 16  # versions
_KNOWN = 256  # objects
_NOBODYS_ETAG = "0" * 32
_NOT_NOW = (404, 409, 412)  # the object is another one, or there is none, or another write to it is under way


async def replace(fs: S3Files, path: str, data: bytes, expected: str | None) -> str:
    """As `S3Files.replace`."""
    if not await _keeps_conditions(fs, path):
        return await _replace_unprotected(fs, path, data, expected)
    mark = os.urandom(16).hex()  # by which our own write is known where its answer was lost
    before = etag_of(expected) if expected else ""
    replaced = _names(fs, path, before)
    unclear = False
    attempts = fs.retrying.attempts()
    for attempt in attempts:
        try:
            return await _put(fs, path, data, mark, expected, replaced)
        except OSError as error:
            failure = Failure.of(error)
            unclear |= failure.unclear
            if not (failure.passes or failure.status in _NOT_NOW) or failure.code == "NoSuchBucket":
                raise
            found = await _after(fs, path, error, unclear)
            if found is not None and found["Metadata"].get(MARK) == mark:
                return token_of(found)
            current, since = (
                (etag_of(token_of(found)), found["Metadata"].get(_AFTER, "").split()) if found else ("", [])
            )
            if mark in since:  # it came through, and was replaced already
                return hashlib.md5(data, usedforsecurity=False).hexdigest()
            if replaced[0] in since or (current == before and not failure.unanswered):
                unclear = False  # somebody else replaced that version, or nobody did
            if failure.passes or failure.code == "ConditionalRequestConflict":
                if not attempts.last:
                    await fs.retrying.pause(attempt, f"{fs.server()}: {said(error)}")
                    continue
                fs.retrying.gave_up()
                if not unclear:
                    raise
            elif current == before and fs.quotes_etags:
                fs.quotes_etags = False  # it compares ours in quotes with its own without: older Ceph
                continue
            if unclear:
                raise _unknown(path, error) from error
            raise _lost(path, found) from error
    raise StorageConflictError(f"Others wrote {attempt} times in a row", path=f"s3://{path}")


async def _put(fs: S3Files, path: str, data: bytes, mark: str, expected: str | None, replaced: list[str]) -> str:
    etag = etag_of(expected) if expected else ""
    condition = {"IfMatch": f'"{etag}"' if fs.quotes_etags else etag} if expected else {"IfNoneMatch": "*"}
    metadata = {MARK: mark, _AFTER: " ".join(replaced)}
    more: dict[str, Any] = {"Metadata": metadata, **condition}
    answer = await fs.once("put_object", path, Body=data, ContentMD5=await md5(data), **more)
    remember(fs, path, {**answer, "Metadata": metadata})
    return token_of(answer)


def remember(fs: S3Files, path: str, answer: dict[str, Any]) -> None:
    """Note which versions the object had before the one in an answer."""
    if mark := answer.get("Metadata", {}).get(MARK):
        names = [mark, *answer["Metadata"].get(_AFTER, "").split()][:_HISTORY]
        fs.history.pop(path, None)
        fs.history[path] = etag_of(token_of(answer)), names
        if len(fs.history) > _KNOWN:
            fs.history.pop(next(iter(fs.history)))


def _names(fs: S3Files, path: str, etag: str) -> list[str]:
    """The marks of a version and those before it, as far as they are known."""
    if not etag:
        return [_NONE]
    known, names = fs.history.get(path, ("", []))
    return names if known == etag else [etag]


async def _after(fs: S3Files, path: str, failed: OSError, unclear: bool) -> dict[str, Any] | None:
    try:
        return await fs.head_object(path)
    except OSError as error:
        if unclear:
            raise _unknown(path, failed) from error
        raise


def _lost(path: str, found: dict[str, Any] | None) -> StorageConflictError:
    return StorageConflictError(
        "Another writer was faster" if found else "The object to replace is gone",
        path=f"s3://{path}",
        hint="Read it again, and decide anew.",
    )


def _unknown(path: str, error: Exception) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"Whether a write came through is not known: {error}", path=f"s3://{path}", hint="Nothing was deleted."
    )


# -- servers that ignore conditions -----------------------------------------------------------------------------------


async def _keeps_conditions(fs: S3Files, path: str) -> bool:
    """Whether the server keeps conditions: found out once for each bucket, by writes that it must refuse."""
    bucket, _, key = path.partition("/")
    async with fs.probing:
        if bucket not in fs.conditions:
            fs.conditions[bucket] = (
                fs.options.conditional_writes == "trust" or fs.is_amazon() or await _probe(fs, bucket, key)
            )
        if fs.conditions[bucket]:
            return True
    if fs.options.conditional_writes == "require":
        raise StorageError(
            f"{fs.server()} ignores the conditions of writes (If-Match, If-None-Match)",
            path=f"s3://{path}",
            hint="Use another server, or set the option conditional_writes to 'probe' for the weaker mode.",
        )
    return False


async def _probe(fs: S3Files, bucket: str, key: str) -> bool:
    folder = key.rpartition("/")[0]
    path = f"{bucket}/{folder}/.mad-prefect-probe-{os.urandom(8).hex()}".replace("//", "/")
    mark = os.urandom(16).hex()
    try:
        kept = await _refused(fs, path, mark, None, first=True)
        kept = kept and await _refused(fs, path, mark, None) and await _refused(fs, path, mark, _NOBODYS_ETAG)
    finally:
        await fs.call("delete_object", path)
    if not kept and fs.options.conditional_writes == "probe":
        logger.warning(
            "%s ignores the conditions of writes (If-Match, If-None-Match). Writers to s3://%s compare before they "
            "write instead, so of two that write at the very same moment one may be overwritten unseen. The option "
            "conditional_writes='require' refuses such a server.",
            fs.server(),
            bucket,
        )
    return kept


async def _refused(fs: S3Files, path: str, mark: str, expected: str | None, *, first: bool = False) -> bool:
    """Whether a write is refused; the first of all must not be, unless the server knows no conditions."""
    attempts = fs.retrying.attempts()
    for attempt in attempts:
        try:
            await _put(fs, path, b"", mark, expected, [_NONE])
        except OSError as error:
            failure = Failure.of(error)
            if failure.status in (404, 409, 412) and failure.code != "NoSuchBucket":
                return True
            if failure.status == 501:  # it says itself that it knows no conditions
                return False
            if attempts.last or not failure.passes:
                raise
            await fs.retrying.pause(attempt, f"{fs.server()}: {said(error)}")
        else:
            return first
    raise AssertionError("not reached")


async def _replace_unprotected(fs: S3Files, path: str, data: bytes, expected: str | None) -> str:
    found = await fs.head_object(path)
    if (token_of(found) if found else None) != expected:
        raise _lost(path, found)
    return token_of(await fs.call("put_object", path, Body=data, ContentMD5=await md5(data)))
