"""From whatever a function returned to batches."""

from __future__ import annotations

import inspect
import itertools
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Collection, ItemsView, Iterator, KeysView, ValuesView
from contextlib import aclosing
from io import IOBase
from itertools import islice
from typing import Any

import duckdb

from mad_prefect_core.batch.batches import ColumnBatch, RowBatch
from mad_prefect_core.batch.numpy_values import is_numpy
from mad_prefect_core.batch.records import as_row, is_model, serialized
from mad_prefect_core.batch.relations import RelationBatch
from mad_prefect_core.batch.responses import ResponseBody, is_response
from mad_prefect_core.batch.sequences import parts_of
from mad_prefect_core.batch.values import plain
from mad_prefect_core.contracts import Artifact, Asset, Batch, PortableRelation
from mad_prefect_core.errors import MissingFileError, SchemaError, UnsupportedDataError, located
from mad_prefect_core.plugins import get_host
from mad_prefect_core.translation import BatchesCall, user_code

__all__ = ["iter_batches", "may_be_several", "missing_file", "only_batch", "together", "yield_data_batches"]

_END, _UNREAD = object(), object()
_LISTED = 10_000  # items of an iterator in one batch


async def yield_data_batches(data: object) -> AsyncGenerator[Any, None]:
    """What a coroutine returns, or each item that a generator or async generator yields; else the object itself."""
    if inspect.isawaitable(data) and not isinstance(data, Asset):
        with user_code():
            data = await data
    if inspect.isasyncgen(data):
        with user_code():
            try:
                async for item in data:
                    yield item
            finally:
                await data.aclose()
    elif inspect.isgenerator(data):
        with user_code():
            try:
                for item in data:
                    yield item
            finally:
                data.close()
    else:
        yield data


async def together(
    items: AsyncGenerator[Any, None], rows: int, declared: Collection[str] = ()
) -> AsyncGenerator[Any, None]:
    """The items with those put together that have fewer than `rows` rows, in order; artifacts stay as they are.

    What is put together is an async generator, to be read to its end before the next. The items go on only when what
    came of them was taken, and the next is asked for only where it may still belong. Rows and columns do not mix, and
    what is columns already is put together with nothing. Raises as `iter_batches` does, naming the item.
    """
    following: Any = _UNREAD

    async def group(batch: Any) -> AsyncGenerator[Batch, None]:
        nonlocal following
        count = 0
        while True:
            yield batch
            count += len(batch) if isinstance(batch, RowBatch) else rows
            following = _UNREAD if count >= rows else await anext(parts, _END)
            if following is _UNREAD or not isinstance(following, RowBatch):
                return
            batch = following

    async with aclosing(_parts(items, declared)) as parts:
        while True:
            part = await anext(parts, _END) if following is _UNREAD else following
            following = _UNREAD
            if part is _END:
                return
            yield part if isinstance(part, Artifact) else group(part)


async def _parts(items: AsyncGenerator[Any, None], declared: Collection[str]) -> AsyncGenerator[Any, None]:
    """The artifacts among the items, and the batches of all others, in order."""
    async with aclosing(items):
        for number in itertools.count():
            with located(batch=number):
                item = await anext(items, _END)
                only: Any = only_batch(item, declared)
            if item is _END:
                return
            if only is not None:  # most often: to ask whether it is an artifact takes longer than all this
                only.item = number
                yield only
                continue
            if isinstance(item, Artifact):
                yield item
                continue
            async with aclosing(iter_batches(item, declared)) as batches:
                while True:
                    with located(batch=number):
                        batch: Any = await anext(batches, None)
                    if batch is None:
                        break
                    batch.item = number  # for errors
                    yield batch


def only_batch(data: object, declared: Collection[str] = ()) -> Batch | None:
    """The one batch that these data are, where that is plain to see; None where `iter_batches` has to find out."""
    if isinstance(data, RowBatch | ColumnBatch):
        return data
    if type(data) is list and set(map(type, data)) == {dict}:
        return RowBatch(list(data), declared)  # the user's own list may grow while its rows are written
    return None


def may_be_several(data: object) -> bool:
    """Whether `iter_batches` may find more than one batch in these data: not in a dict, frame, table or relation."""
    is_table = hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__")
    return not (is_table or isinstance(data, dict | duckdb.DuckDBPyRelation | PortableRelation))


async def iter_batches(data: object, declared: Collection[str] = ()) -> AsyncGenerator[Batch, None]:
    """Batches of anything that a function may return or yield, nested to any depth, in order.

    Nothing comes of None, of an empty list, and of a frame without columns and rows. Columns that are `declared` may
    hold a mix; if they have names, tuples are rows. Raises `UnsupportedDataError` for what can't be rows.
    """
    if data is None:
        return
    if isinstance(data, RowBatch | ColumnBatch):
        yield data
    elif inspect.isawaitable(data) or inspect.isasyncgen(data) or inspect.isgenerator(data):
        async for item in yield_data_batches(data):
            async for batch in iter_batches(item, declared):
                yield batch
    elif is_model(type(data)):
        async for batch in iter_batches(serialized(data), declared):
            yield batch
    elif (row := _row(data)) is not None:
        if row:
            yield RowBatch([row], declared)
    elif isinstance(data, list | tuple):
        for part in parts_of(data, declared):
            async for batch in iter_batches(part, declared):
                yield batch
    elif isinstance(data, duckdb.DuckDBPyRelation | PortableRelation):
        yield RelationBatch(data)
    elif hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        if (columns := _columns(data)) is not None:
            yield columns
    elif isinstance(data, Asset):
        async for batch in iter_batches(await data(), declared):
            yield batch
    elif isinstance(data, Artifact):
        relation = await data.query()
        if relation is None and not getattr(data, "may_have_no_file", True):
            raise missing_file(data.path)
        if (is_blank := getattr(data, "is_blank", None)) and await is_blank():
            return
        async for batch in iter_batches(relation):
            yield batch
    elif is_response(data):
        async for batch in _of_response(data, declared):
            yield batch
    elif is_numpy(type(data)) and isinstance(array := plain(data, ()), list):
        async for batch in iter_batches(array, declared):
            yield batch
    else:
        async for batch in _of_plugin(data, declared):
            yield batch


def missing_file(path: str) -> MissingFileError:
    """The error of an artifact that is used as data and has no file."""
    return MissingFileError(
        "There is no file at the path of an artifact",
        path=path,
        hint="Correct the path, or give the artifact missing_ok=True if no file means no rows.",
    )


def _row(value: object) -> dict[Any, Any] | None:
    with user_code():  # properties of the user's own classes
        return as_row(value)


def _columns(data: object) -> ColumnBatch | None:
    batch = ColumnBatch(data)
    if batch.schema.names:
        return batch
    if batch.rows():
        raise SchemaError("There are rows, but none has a column", hint="Return a frame with at least one column.")
    return None


async def _of_response(response: object, declared: Collection[str]) -> AsyncIterator[Batch]:
    body = ResponseBody(response)
    keys = 0
    async for batch in iter_batches(body.data, declared):
        keys += getattr(batch, "keys", 0)
        yield batch
    body.refuse_repeated_keys(keys)


async def _of_plugin(data: object, declared: Collection[str]) -> AsyncIterator[Batch]:
    items: Any = get_host().batches(data)
    if items is None:
        async for batch in iter_batches(_listed(data), declared):
            yield batch
        return
    async for item in _answers(items, _kind(data)):
        async for batch in iter_batches(item, declared):
            yield batch


def _listed(data: Any) -> Iterator[list[Any]]:
    """What can be gone through once, such as a `map`, a `csv.DictReader` or a deque, as lists."""
    if not isinstance(data, Iterator | deque | KeysView | ValuesView | ItemsView) or isinstance(data, IOBase):
        lazy = hasattr(data, "collect") and "frame" in type(data).__name__.lower()
        raise UnsupportedDataError(
            f"A {_kind(data)} can't be made rows of",
            hint="Return what its .collect() gives."
            if lazy
            else "Return None, dicts, lists of them, dataclasses, pydantic models, an httpx.Response, "
            "anything that speaks Arrow (frames, tables, relations), or generators of these.",
        )
    items: Any = iter(data)
    while part := list(islice(items, _LISTED)):
        yield part


async def _answers(items: Any, kind: str) -> AsyncIterator[Any]:
    with BatchesCall(kind):
        if hasattr(items, "__aiter__"):
            async for item in items:
                yield item
        else:
            for item in items:
                yield item


def _kind(data: object) -> str:
    kind = type(data)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
