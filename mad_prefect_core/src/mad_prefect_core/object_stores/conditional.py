"""Compare-and-swap by conditional writes, the one answer to "was that write, whose reply was lost, mine?", and finding
out whether a server knows conditions.

Each write has a mark in its metadata, and the marks of the versions that were there before it. So it is known again
where its answer was lost, also after others have replaced it, if they have read it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Literal

from mad_prefect_core.contracts import Fault
from mad_prefect_core.errors import OutcomeUnknownError, StorageConflictError, StorageError
from mad_prefect_core.object_stores.client import Body, ObjectInfo

if TYPE_CHECKING:
    from mad_prefect_core.object_stores.files import ObjectFiles

__all__ = ["MARK", "Conditions", "new_mark", "replace"]

logger = logging.getLogger(__name__)

# Letters only: Azure takes no others in names of metadata.
MARK = "madprefectwrite"
"""The name of the metadata by which a write is known again where its answer was lost."""
_AFTER = "madprefectafter"
"""The name of the metadata that tells which versions an object had before, by token and mark, the last one first."""
_NONE = "-"
"""What was there before the first version."""
_HISTORY = 32  # names
_KNOWN = 256  # objects


def new_mark() -> str:
    """One that nobody else has."""
    return os.urandom(16).hex()


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
        if mark := found.metadata.get(MARK):
            self._marks.pop(path, None)
            self._marks[path] = found.token, [mark, *found.metadata.get(_AFTER, "").split()]
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
            now, marks = _seen(found)
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
    raise StorageConflictError(f"Others wrote {attempt} times in a row", path=_url(files, path))


async def _put(files: ObjectFiles, path: str, data: bytes, mark: str, expected: str | None, replaced: list[str]) -> str:
    metadata = {MARK: mark, _AFTER: " ".join(replaced)}
    token: str = await files.once("put", path, Body(data), metadata, expected or "")
    files.conditions.remember(path, ObjectInfo(len(data), token, metadata))
    return token


def _seen(found: ObjectInfo | None) -> tuple[str | None, list[str]]:
    """The token of what is there now, its mark and those of the versions before it."""
    if found is None:
        return None, [""]
    return found.token, [found.metadata.get(MARK, ""), *found.metadata.get(_AFTER, "").split()]


async def _after(files: ObjectFiles, path: str, failed: Exception, unclear: bool) -> ObjectInfo | None:
    try:
        return await files.find_object(path)
    except OSError as error:
        if unclear:
            raise _unknown(files, path, failed) from error
        raise


def _conflict(files: ObjectFiles, path: str, found: ObjectInfo | None) -> StorageConflictError:
    return StorageConflictError(
        "Another writer was faster" if found else "The object to replace is gone",
        path=_url(files, path),
        hint="Read it again, and decide anew.",
    )


def _unknown(files: ObjectFiles, path: str, error: Exception) -> OutcomeUnknownError:
    told = files.client.told(error, "put", path, 1)
    return OutcomeUnknownError(
        f"Whether a write came through is not known: {told}", path=_url(files, path), hint="Nothing was deleted."
    )


def _url(files: ObjectFiles, path: str) -> str:
    return f"{files.client.scheme}://{path}"


# -- servers that ignore conditions -----------------------------------------------------------------------------------


async def _keeps_conditions(files: ObjectFiles, path: str) -> bool:
    """Whether the server keeps conditions: found out once for each bucket, by writes that it must refuse."""
    conditions, (bucket, _, key) = files.conditions, path.partition("/")
    async with conditions.probing:
        if bucket not in conditions.kept:
            known = conditions.mode == "trust" or files.client.knows_conditions(bucket)
            conditions.kept[bucket] = known or await _probe(files, bucket, key)
    if not conditions.kept[bucket] and conditions.mode == "require":
        raise StorageError(
            f"{files.client.server()} ignores the conditions of writes",
            path=_url(files, path),
            hint="Use another server, or set the option conditional_writes to 'probe' for the weaker mode.",
        )
    return conditions.kept[bucket]


async def _probe(files: ObjectFiles, bucket: str, key: str) -> bool:
    folder = key.rpartition("/")[0]
    path = f"{bucket}/{folder}/.mad-prefect-probe-{os.urandom(8).hex()}".replace("//", "/")
    mark = new_mark()
    try:
        kept = await _refused(files, path, mark, None, first=True)
        kept = kept and await _refused(files, path, mark, None)
        kept = kept and await _refused(files, path, mark, files.client.nobodys)
    finally:
        await files.ask("delete", path)
    if not kept and files.conditions.mode == "probe":
        logger.warning(
            "%s ignores the conditions of writes. Writers to %s compare before they write instead, so of two that "
            "write at the very same moment one may be overwritten unseen. The option conditional_writes='require' "
            "refuses such a server.",
            files.client.server(),
            _url(files, bucket),
        )
    return kept


async def _refused(files: ObjectFiles, path: str, mark: str, expected: str | None, *, first: bool = False) -> bool:
    """Whether a write is refused; the first of all must not be, unless the server knows no conditions."""
    attempts = files.retries.attempts()
    for attempt in attempts:
        try:
            await _put(files, path, b"", mark, expected, [_NONE])
        except Exception as error:
            fault, said = files.client.fault(error), files.client.failure(error)
            if fault in (Fault.MISSING, Fault.CONFLICT):
                return True
            if said is not None and said.status == 501:  # it says itself that it knows no conditions
                return False
            if attempts.last or fault not in (Fault.TRANSIENT, Fault.AMBIGUOUS):
                files.give_up(error, "put", path, attempt)
            await files.pause(attempt, error)
        else:
            return first
    raise AssertionError("not reached")


async def _replace_unprotected(files: ObjectFiles, path: str, data: bytes, expected: str | None) -> str:
    found = await files.find_object(path)
    if (found.token if found else None) != expected:
        raise _conflict(files, path, found)
    token: str = await files.ask("put", path, Body(data), {}, None)
    return token
