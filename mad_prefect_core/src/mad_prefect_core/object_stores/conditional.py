"""Compare-and-swap by conditional writes, the one answer to "was that write, whose reply was lost, mine?", and finding
out whether a server knows conditions.

Each write has a mark in its metadata, and the marks of the versions that were there before it. So it is known again
where its answer was lost, also after others have replaced it, if they have read it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal

from mad_prefect_core.contracts import Fault
from mad_prefect_core.errors import OutcomeUnknownError, StorageConflictError, StorageError
from mad_prefect_core.object_stores.client import MARK, Body, ObjectInfo, new_mark

if TYPE_CHECKING:
    from mad_prefect_core.object_stores.files import ObjectFiles

__all__ = ["Conditions", "replace"]

logger = logging.getLogger(__name__)

_AFTER = "madprefectafter"
"""The name of the metadata that tells which versions an object had before, by token and mark, the last one first."""
_NONE = "-"
"""What was there before the first version."""
_HISTORY = 32  # names
_KNOWN = 256  # objects


class Conditions:
    """What is known of the conditions of one account's writes."""

    def __init__(self, mode: Literal["probe", "require", "trust"]) -> None:
        self.mode = mode
        self.kept: dict[str, bool] = {}
        """By bucket, whether the server keeps them."""
        self.probing = asyncio.Lock()
        self._marks: OrderedDict[str, tuple[str, list[str]]] = OrderedDict()
        """By path, a token, the mark of that version, and the names of those before it."""

    def remember(self, path: str, found: ObjectInfo) -> None:
        """Note which versions an object had before the one found."""
        if (marks := _marks(found))[0]:
            self._marks.pop(path, None)
            self._marks[path] = found.token, marks
            if len(self._marks) > _KNOWN:
                self._marks.popitem(last=False)

    def before(self, path: str, token: str | None) -> list[str]:
        """The names of a version, its token first, and of those before it, as far as they are known."""
        known, names = self._marks.get(path, ("", []))
        return [token or _NONE, *(names if known == token else ())][:_HISTORY]


async def replace(files: ObjectFiles, path: str, data: bytes, expected: str | None) -> str:
    """Write an object if it is still at version `expected` (None: if there is none). Returns its new token.

    Raises `StorageConflictError` where it is not, and `OutcomeUnknownError` where the answer was lost and what is there
    now does not tell either.
    """
    if not await _keeps_conditions(files, path):
        return await _replace_unprotected(files, path, data, expected)
    mark = new_mark()
    replaced = files.conditions.before(path, expected)
    lost = False  # a request that the server may carry out yet
    attempts = files.retries.attempts()
    for attempt in attempts:
        try:
            return await _put(files, path, data, mark, expected, replaced)
        except Exception as error:
            fault = files.client.fault(error)
            if fault in (None, Fault.REFUSED):
                files.give_up(error, "put", path, attempt)
            lost |= fault is Fault.AMBIGUOUS
            passes = fault in (Fault.TRANSIENT, Fault.AMBIGUOUS)
            found = await _after(files, path, error, lost or passes)
            now, marks = found.token if found else None, _marks(found)
            if mark in marks:  # it came through, and may have been replaced already
                return now if now and marks[0] == mark else files.client.nobodys
            if replaced[0] in marks[1:]:
                lost = unclear = False  # another write has replaced that version, so ours never will
            else:
                unclear = lost or (passes and now != expected)
            if now == expected and passes:
                if not attempts.last:
                    await files.pause(attempt, error)
                    continue
                if not unclear:
                    files.give_up(error, "put", path, attempt)
                files.retries.gave_up()
            elif now == expected and files.client.disputed():
                continue
            if unclear:
                raise _unknown(files, path, error) from error
            raise _conflict(files, path, found) from error
    raise StorageConflictError(f"Others wrote {attempt} times in a row", path=files.url(path))


async def _put(files: ObjectFiles, path: str, data: bytes, mark: str, expected: str | None, replaced: list[str]) -> str:
    metadata = {MARK: mark, _AFTER: " ".join(replaced)}
    token: str = await files.once("put", path, Body(data), metadata, expected or "")
    files.conditions.remember(path, ObjectInfo(len(data), token, metadata))
    return token


def _marks(found: ObjectInfo | None) -> list[str]:
    """The mark of a version, "" without one, and those of the versions before it."""
    said = found.metadata if found else {}
    return [said.get(MARK, ""), *said.get(_AFTER, "").split()]


async def _after(files: ObjectFiles, path: str, failed: Exception, unclear: bool) -> ObjectInfo | None:
    try:
        return await files.find_object(path)
    except OSError as error:
        if unclear:
            raise _unknown(files, path, failed) from error
        raise


def _conflict(files: ObjectFiles, path: str, found: ObjectInfo | None) -> StorageConflictError:
    text = "Another writer was faster" if found else "The object to replace is gone"
    return StorageConflictError(text, path=files.url(path), hint="Read it again, and decide anew.")


def _unknown(files: ObjectFiles, path: str, error: Exception) -> OutcomeUnknownError:
    text = f"Whether a write came through is not known: {files.client.told(error, 'put', path, 1)}"
    return OutcomeUnknownError(text, path=files.url(path), hint="Nothing was deleted.")


async def _keeps_conditions(files: ObjectFiles, path: str) -> bool:
    """Whether the server keeps conditions: found out once for each bucket, by writes that it must refuse."""
    conditions, (bucket, _, key) = files.conditions, path.partition("/")
    async with conditions.probing:
        if bucket not in conditions.kept:
            known = conditions.mode == "trust" or re.search(files.client.conditional, files.client.server())
            conditions.kept[bucket] = bool(known) or await _probe(files, bucket, key)
    if not conditions.kept[bucket] and conditions.mode == "require":
        hint = "Use another server, or set the option conditional_writes to 'probe' for the weaker mode."
        text = f"{files.client.server()} ignores the conditions of writes"
        raise StorageError(text, path=files.url(path), hint=hint)
    return conditions.kept[bucket]


async def _probe(files: ObjectFiles, bucket: str, key: str) -> bool:
    folder = key.rpartition("/")[0]
    path = f"{bucket}/{folder}/.mad-prefect-probe-{os.urandom(8).hex()}".replace("//", "/")
    try:
        kept = await _refused(files, path, "", otherwise=True)  # but by a server that says it knows no conditions
        kept = kept and await _refused(files, path, "")
        kept = kept and await _refused(files, path, files.client.nobodys)
    finally:
        await files.ask("delete", path)
    if not kept and files.conditions.mode == "probe":
        logger.warning(
            "%s ignores the conditions of writes. Writers to %s compare before they write instead: of two at one time "
            "one may be overwritten unseen. The option conditional_writes='require' refuses such a server.",
            files.client.server(),
            files.url(bucket),
        )
    return kept


async def _refused(files: ObjectFiles, path: str, expected: str, *, otherwise: bool = False) -> bool:
    """Whether a write is refused, since it is on a condition that is not met; `otherwise` if it is not."""
    try:
        await files.ask("put", path, Body(b""), {}, expected)
    except (FileNotFoundError, FileExistsError):
        return True
    except StorageError as error:
        said = files.answer(error)
        if said is None or said.status != 501:  # it says itself that it knows no conditions
            raise
        return False
    return otherwise


async def _replace_unprotected(files: ObjectFiles, path: str, data: bytes, expected: str | None) -> str:
    found = await files.find_object(path)
    if (found.token if found else None) != expected:
        raise _conflict(files, path, found)
    return str(await files.ask("put", path, Body(data), {}, None))
