"""What the items of a list or tuple are: rows, values of one column, or more lists of these."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from mad_prefect_core.batch.batches import RowBatch
from mad_prefect_core.batch.numpy_values import is_numpy
from mad_prefect_core.batch.records import as_row, is_model, row_maker, serialized
from mad_prefect_core.batch.values import plain
from mad_prefect_core.errors import SchemaError, UnsupportedDataError
from mad_prefect_core.translation import user_code

__all__ = ["is_value", "parts_of"]

_BARE = "json"
"""The column that DuckDB's JSON reader puts bare values into, and 2.x with it."""

_VALUES = (str, bytes, bytearray, bool, int, float, Decimal, dt.date, dt.time, dt.timedelta, uuid.UUID, enum.Enum)
_ROW, _VALUE, _MANY, _NOTHING = "a row", "a value", "several rows", "None"

Kinds: TypeAlias = dict[type, str]


def is_value(kind: type) -> bool:
    """Whether objects of a class are values, rather than rows or what gives batches itself."""
    return issubclass(kind, _VALUES)


def parts_of(data: list[Any] | tuple[Any, ...], declared: Collection[str]) -> Iterator[Any]:
    """Batches of the rows in a list or tuple, and whatever else in it gives batches itself, in order.

    Values alone are one column; None beside rows gives nothing. Tuples and lists of values are rows where the user has
    named the columns. Raises `UnsupportedDataError` or `SchemaError` for what can't be rows together.
    """
    items, kinds = _looked_at(data)
    found = set(kinds.values())
    names: Sequence[str] = getattr(declared, "names", ())
    if isinstance(data, tuple) and (_VALUE in found or found == {_NOTHING}):
        yield RowBatch([_named(items, names, kinds)], declared)
    elif isinstance(data, tuple) and len(found) > 1:
        raise _mixture("tuple", items)
    elif found == {_NOTHING}:
        return
    elif found - {_NOTHING} == {_VALUE} or _are_bare(items, names):
        if names and _BARE not in names:
            raise _without_names("A list of values is no rows", names)
        yield RowBatch([{_BARE: item} for item in items], declared)
    elif _VALUE in found:
        raise _mixture("list", items)
    else:
        yield from _of_rows(items, kinds, names, declared)


def _looked_at(data: Sequence[Any]) -> tuple[list[Any], Kinds]:
    """The items, those of pydantic and numpy as what these make of them, and what those of each class are."""
    items = list(data)
    classes = set(map(type, items))
    if any(is_model(kind) or is_numpy(kind) for kind in classes):
        items = list(map(_unwrapped, items))
        classes = set(map(type, items))
    return items, {kind: _kind(kind) for kind in classes}


def _unwrapped(item: Any) -> Any:
    kind = type(item)
    if is_model(kind):
        return serialized(item)
    return plain(item, ()) if is_numpy(kind) else item


def _kind(kind: type) -> str:
    if kind is type(None):
        return _NOTHING
    if row_maker(kind) is not None:
        return _ROW
    return _VALUE if is_value(kind) else _MANY


def _are_bare(items: list[Any], names: Sequence[str]) -> bool:
    """Whether lists are the values of the column that the user has named for bare ones."""
    return tuple(names) == (_BARE,) and all(isinstance(item, list) for item in items)


def _of_rows(items: list[Any], kinds: Kinds, names: Sequence[str], declared: Collection[str]) -> Iterator[Any]:
    """Of items none of which is a value."""
    rows: list[dict[Any, Any]] = []
    for item in items:
        kind = kinds[type(item)]
        if kind == _ROW:
            with user_code():  # properties of the user's own classes
                row = as_row(item)
            rows.append({} if row is None else row)
        elif isinstance(item, list | tuple):
            if (row := _row_of_values(item, names)) is not None:
                rows.append(row)
            elif _ROW in kinds.values():
                raise _mixture("list", items)
            else:
                if rows:
                    yield RowBatch(rows, declared)
                    rows = []
                yield item
        elif kind == _MANY:
            if rows:
                yield RowBatch(rows, declared)
                rows = []
            yield item
    if rows:
        yield RowBatch(rows, declared)


def _row_of_values(item: list[Any] | tuple[Any, ...], names: Sequence[str]) -> dict[str, Any] | None:
    """A row of a list or tuple in a list, or None if it holds rows itself. Raises where there are no names for it."""
    kinds = {kind: _kind(kind) for kind in set(map(type, item))}
    if _VALUE in kinds.values() or (names and isinstance(item, tuple) and item):
        return _named(item, names, kinds)
    return None


def _named(values: Sequence[Any], names: Sequence[str], kinds: Kinds) -> dict[str, Any]:
    if names:
        if len(values) != len(names):
            raise SchemaError(
                f"A row of {len(values)} values came as a tuple or list, and the read options name {len(names)} "
                f"columns: {', '.join(names)}",
                hint="Name all columns, in the order of the values.",
            )
        return dict(zip(names, values, strict=True))
    if not set(kinds.values()) <= {_VALUE, _NOTHING}:
        raise _mixture("tuple", values)
    raise _without_names(f"A row of {len(values)} values came as a tuple or list, without the names of its columns")


def _without_names(what: str, names: Sequence[str] = ()) -> UnsupportedDataError:
    where = "the names that the read options give (`columns`)" if names else "names"
    return UnsupportedDataError(
        f"{what}, which would need {where}" if names else what,
        hint="Yield dicts, named tuples or a driver's rows that have keys; or tuples, and name the columns in order: "
        "read_json_options=ReadJsonOptions(columns={'id': 'BIGINT', 'name': 'VARCHAR'}).",
    )


def _mixture(what: str, items: Sequence[Any]) -> UnsupportedDataError:
    shown = " and ".join(dict.fromkeys(type(item).__name__ for item in items))
    return UnsupportedDataError(
        f"A {what} holds {shown}, which are not rows together",
        hint="Return or yield the rows alone, without a status, a count or metadata beside them.",
    )
