"""Compare-and-swap by generation, and finding out whether the server knows conditions."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from mad_prefect_core.sdk import OutcomeUnknownError, StorageConflictError, StorageError
from mad_prefect_gcs.transfers import insertion

if TYPE_CHECKING:
    from mad_prefect_gcs.answers import Answer
    from mad_prefect_gcs.client import GCSFiles

__all__ = ["replace"]

logger = logging.getLogger(__name__)

_MARK = "mad-prefect-write"
"""The name of the metadata by which a write is known again where its answer was lost."""
_AFTER = "mad-prefect-after"
"""The name of the metadata that tells which generation a write replaced."""
_NONE = "0"
"""The generation of an object that is not there."""
_NOBODYS = "1"


async def replace(fs: GCSFiles, path: str, data: bytes, expected: str | None) -> str:
    """As `GCSFiles.replace`."""
    if not await _keeps_conditions(fs, path):
        return await _replace_unprotected(fs, path, data, expected)
    before = expected or _NONE
    mark = os.urandom(16).hex()
    lost = False  # a request that the server may carry out yet
    attempts = fs.retries.attempts()
    for attempt in attempts:
        answer = await _put(fs, path, data, mark, before)
        if answer.good:
            fs.retries.answered()
            return answer.generation
        if not answer.passes and answer.status != 412:
            raise fs.failure(answer, "an upload", path, attempt)
        lost |= answer.lost
        found = await _after(fs, path, answer, lost)
        said, now = (found.get("metadata", {}), found["generation"]) if found else ({}, _NONE)
        if said.get(_MARK) == mark:
            return str(now)
        if said.get(_AFTER) == before:
            lost = unclear = False  # another write has replaced that generation, so ours never will
        else:
            unclear = lost or (answer.unclear and now != before)
        if answer.passes and now == before:
            if not attempts.last:
                await fs.retries.pause(attempt, f"gs://{path}: {answer}")
                continue
            failure = fs.failure(answer, "an upload", path, attempt)
            if not unclear:
                raise failure
        if unclear:
            raise _unknown(path, answer)
        raise _conflict(path, found)
    raise AssertionError("not reached")


async def _put(fs: GCSFiles, path: str, data: bytes, mark: str, before: str) -> Answer:
    request = insertion(fs, path, data, {_MARK: mark, _AFTER: before})
    return await fs.once(**request, params={"uploadType": "multipart", "ifGenerationMatch": before})


async def _after(fs: GCSFiles, path: str, failed: Answer, lost: bool) -> dict[str, Any] | None:
    try:
        return await fs.resource(path)
    except StorageError as error:
        if lost or failed.unclear:
            raise _unknown(path, failed) from error
        raise


def _conflict(path: str, found: dict[str, Any] | None) -> StorageConflictError:
    return StorageConflictError(
        "Another writer was faster" if found else "The object to replace is gone",
        path=f"gs://{path}",
        hint="Read it again, and decide anew.",
    )


def _unknown(path: str, answer: Answer) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"Whether a write came through is not known: {answer}", path=f"gs://{path}", hint="Nothing was deleted."
    )


# -- servers that ignore conditions -----------------------------------------------------------------------------------


async def _keeps_conditions(fs: GCSFiles, path: str) -> bool:
    """Whether the server keeps conditions. Google's does; another is asked once, by writes that it must refuse."""
    if fs.conditions is None:
        async with fs.probing:
            if fs.conditions is None:
                trusted = fs.options.conditional_writes == "trust" or fs.is_google()
                fs.conditions = trusted or await _probe(fs, path)
    if not fs.conditions and fs.options.conditional_writes == "require":
        raise StorageError(
            f"{fs.server()} ignores the conditions of writes (ifGenerationMatch)",
            path=f"gs://{path}",
            hint="Use another server, or set the option conditional_writes to 'probe' for the weaker mode.",
        )
    return fs.conditions


async def _probe(fs: GCSFiles, path: str) -> bool:
    beside = f"{path.rpartition('/')[0]}/.mad-prefect-probe-{os.urandom(8).hex()}"
    request = insertion(fs, beside, b"")
    await fs.ask(path=beside, **request, params={"uploadType": "multipart"})
    kept = True
    try:
        for generation in (_NONE, _NOBODYS):
            params = {"uploadType": "multipart", "ifGenerationMatch": generation}
            try:
                await fs.ask(path=beside, **request, params=params)
                kept = False
            except FileExistsError:
                pass
    finally:
        await fs.ask("DELETE", fs.object_url(beside), beside)
    if not kept and fs.options.conditional_writes == "probe":
        logger.warning(
            "%s ignores the conditions of writes (ifGenerationMatch). Writers compare before they write instead, so of "
            "two that write at the very same moment one may be overwritten unseen. The option "
            "conditional_writes='require' refuses such a server.",
            fs.server(),
        )
    return kept


async def _replace_unprotected(fs: GCSFiles, path: str, data: bytes, expected: str | None) -> str:
    found = await fs.resource(path)
    if (found["generation"] if found else None) != expected:
        raise _conflict(path, found)
    return (await fs.ask(path=path, **insertion(fs, path, data), params={"uploadType": "multipart"})).generation
