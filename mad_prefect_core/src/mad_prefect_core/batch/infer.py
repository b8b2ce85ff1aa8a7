"""The schema of Python rows, found column by column, and the rows as plain values.

A column's values are looked at together (`set(map(type, column))` runs at C speed), nested ones by laying their
members out as columns again, so the cost of a row is a few dozen nanoseconds a value.
"""

from __future__ import annotations

import datetime as dt
import reprlib
import uuid
from collections import UserList, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from operator import is_not, itemgetter
from typing import Any, TypeAlias

import pyarrow as pa

from mad_prefect_core.batch.growth import map_type
from mad_prefect_core.batch.maps import AUTOMATIC, Dicts
from mad_prefect_core.batch.names import check_names, check_text
from mad_prefect_core.batch.numbers import MAX_DIGITS, Numbers
from mad_prefect_core.batch.text import text_kind
from mad_prefect_core.batch.values import PLAIN, Path, as_row, column_key, column_name, plain
from mad_prefect_core.errors import SchemaError, UnsupportedDataError, UnsupportedValueError

__all__ = ["Inferred", "infer_column", "infer_rows"]

_MOST_DEPTH = 40  # of values in each other; what DuckDB's Parquet reader takes grows by half with each more
_CHECKED_DEPTH = 6  # where it is looked whether they contain themselves: few that do not are nested so deep
_MANY = 1 << 20  # items of lists in lists, as a few that contain themselves soon have
_SPARSE = 4  # times as many values as there are, if dicts had all keys of each other: they are laid out key by key
_NONE = type(None)
_SCALARS = PLAIN - {list, dict}
_FLOATS = Numbers(floats=64)


@dataclass
class Inferred:
    """A column: its Arrow type, its values made plain, and what decides on the types of its strings and numbers."""

    type: pa.DataType
    values: list[Any]
    text: dict[Path, str] = field(default_factory=dict)
    numbers: dict[Path, Numbers] = field(default_factory=dict)
    """What its numbers need, by place in the column."""
    changed: bool = False
    """Whether `values` are other objects than those given."""
    keys: int = 0
    """How many keys the dicts in it have."""
    dicts: dict[Path, Dicts] = field(default_factory=dict)
    """How many dicts there are at a place in the column, and how many keys they have."""
    structs: pa.DataType | None = None
    """The type with a struct for dicts that are laid out as a map; None where there are none."""

    @property
    def open_type(self) -> pa.DataType:
        """The type with a struct for all dicts, by which it can be told what is a map among all batches."""
        return self.type if self.structs is None else self.structs


_Infer: TypeAlias = Callable[[list[Any], list[Any], Path], Inferred]
"""Of a column's values, those of them that are not None (one at least), and where they are."""


def infer_rows(
    rows: Sequence[dict[str, Any]], declared: Collection[str] = ()
) -> tuple[dict[str, Inferred], list[dict[str, Any]]]:
    """The columns of rows, in order of first appearance, and the rows with plain values.

    A column that is `declared`, whose type the user has named, may hold a mix.
    Raises `UnsupportedDataError`, `UnsupportedValueError` or `SchemaError`, each naming the column.
    """
    columns = {}
    if rows and not any(rows):
        raise SchemaError(
            "There are rows, but none has a column", hint="Yield dicts with at least one key, or nothing."
        )
    pivot = _pivot(rows, ())
    if pivot.sparse:
        pivot.fill(rows)
    for name, values in pivot.columns.items():
        try:
            columns[name] = infer_column(values, (name,))
        except SchemaError:
            if name not in declared:
                raise
            made = [plain(value, (name,)) for value in values]
            columns[name] = Inferred(pa.null(), made, changed=any(map(is_not, made, values)))
    if pivot.renamed or any(column.changed for column in columns.values()):
        names = list(columns)
        rows = [
            dict(zip(names, values, strict=True)) for values in zip(*(c.values for c in columns.values()), strict=True)
        ]
    return columns, rows if isinstance(rows, list) else list(rows)


@dataclass
class _Pivot:
    """Dicts by key."""

    names: dict[Any, str] = field(default_factory=dict)
    """The columns' names, by key."""
    columns: dict[str, list[Any]] = field(default_factory=dict)
    renamed: bool = False
    """Whether some key is another object than its name."""
    same: bool = True
    """Whether all dicts have the same keys."""
    sparse: bool = False
    """Whether a column has the values of those dicts alone that have its key."""

    def fill(self, rows: Sequence[dict[Any, Any]]) -> None:
        """Give all columns a value for each dict."""
        self.columns = {name: [row.get(key) for row in rows] for key, name in self.names.items()}
        self.sparse = False


def _pivot(rows: Sequence[dict[Any, Any]], path: Path) -> _Pivot:
    if not rows:
        return _Pivot()
    keys = list(rows[0])
    same, sparse = True, False
    try:
        if any(map(len(keys).__ne__, map(len, rows))):
            raise KeyError
        columns = {key: list(map(itemgetter(key), rows)) for key in keys}
    except KeyError:  # not all have the same keys
        keys = list(dict.fromkeys(chain.from_iterable(rows)))
        same, sparse = False, len(keys) * len(rows) > _SPARSE * sum(map(len, rows))
        if sparse:
            columns = {key: [] for key in keys}
            for key, value in chain.from_iterable(map(dict.items, rows)):
                columns[key].append(value)
        else:
            columns = {key: [row.get(key) for row in rows] for key in keys}
    renamed = not set(map(type, keys)) <= {str}
    names = [column_key(key, path) for key in keys] if renamed else keys
    check_names(names, path)
    named = dict(zip(names, columns.values(), strict=True))
    return _Pivot(dict(zip(keys, names, strict=True)), named, renamed, same, sparse)


def infer_column(values: list[Any], path: Path) -> Inferred:
    """One column, or the members of one."""
    if len(path) > _MOST_DEPTH:
        raise _too_deep(path)
    kinds = set(map(type, values))
    if not kinds <= PLAIN:
        inferred = infer_column([plain(value, path) for value in values], path)
        inferred.changed = True
        return inferred
    present = values
    if _NONE in kinds:
        kinds.remove(_NONE)
        present = [value for value in values if value is not None]
    if not kinds:
        return Inferred(pa.null(), values)
    if len(kinds) == 1:
        (kind,) = kinds
        return _BY_KIND[kind](values, present, path)
    if kinds in ({int, float}, {int, Decimal}):
        return _mixed(values, present, path)
    if kinds == {dt.date, dt.datetime}:
        midnight = dt.time()
        values = [dt.datetime.combine(v, midnight) if type(v) is dt.date else v for v in values]
        return _datetimes(values, [value for value in values if value is not None], path, changed=True)
    examples = {kind.__name__: next(v for v in values if type(v) is kind) for kind in kinds}
    shown = " and ".join(f"{name} ({_shown(example)!r})" for name, example in sorted(examples.items()))
    raise SchemaError(
        f"One column holds {shown} in one batch, which no type keeps apart",
        column=column_name(path),
        hint="Make them one type before yielding, or name the column's type in the read options (`columns`).",
    )


def _shown(value: Any) -> str:
    # Of what is nested without end, `str` has none either.
    return (reprlib.repr(value) if isinstance(value, list | dict) else str(value))[:40]


def _too_deep(path: Path) -> UnsupportedDataError:
    return UnsupportedDataError(
        f"A value is nested more than {_MOST_DEPTH} deep, or contains itself",
        column=path[0],
        hint="Store it as text, for example as JSON.",
    )


def _refuse_cycles(values: list[Any], path: Path) -> None:
    """Raise `UnsupportedDataError` if one of these contains itself: laid out as columns, it would have no end."""
    open_ids: set[int] = set()
    seen: set[int] = set()
    stack = [iter(values)]
    entered: list[int] = []
    while stack:
        value = next(stack[-1], stack)
        if value is stack:
            stack.pop()
            if entered:
                open_ids.discard(entered.pop())
            continue
        members = _members(value)
        if members is None or (id(value) in seen and id(value) not in open_ids):
            continue
        if id(value) in open_ids or len(stack) > _MOST_DEPTH:
            raise _too_deep(path)
        seen.add(id(value))
        open_ids.add(id(value))
        entered.append(id(value))
        stack.append(iter(members))


def _members(value: Any) -> Iterable[Any] | None:
    if type(value) in _SCALARS:
        return None
    if isinstance(value, list | tuple | deque | UserList):
        return value
    row = as_row(value)
    return None if row is None else row.values()


def _same(arrow_type: pa.DataType) -> _Infer:
    return lambda values, present, path: Inferred(arrow_type, values)


def _integers(values: list[Any], present: list[Any], path: Path) -> Inferred:
    numbers = _of_integers(present, path)
    kind = numbers.type(path)
    if pa.types.is_decimal(kind):
        return _converted(Decimal, kind, values, path, numbers)
    return Inferred(kind, values, numbers={path: numbers})


def _floats(values: list[Any], present: list[Any], path: Path) -> Inferred:
    return Inferred(pa.float64(), values, numbers={path: _FLOATS})


def _decimals(values: list[Any], present: list[Any], path: Path) -> Inferred:
    try:
        numbers = _of_decimals(present, path)
    except UnsupportedValueError:
        if not all(value.is_finite() and Decimal(float(value)) == value for value in present):
            raise
        # Made of floats, as Decimal(1.1) is: floats hold them exactly.
        floats = [None if value is None else float(value) for value in values]
        return Inferred(pa.float64(), floats, numbers={path: _FLOATS}, changed=True)
    return Inferred(numbers.type(path), values, numbers={path: numbers})


def _mixed(values: list[Any], present: list[Any], path: Path) -> Inferred:
    """Integers, beside either floats or decimals."""
    others = [value for value in present if type(value) is not int]
    joined = _of_integers([value for value in present if type(value) is int], path).join(
        _FLOATS if type(others[0]) is float else _of_decimals(others, path)
    )
    return _converted(type(others[0]), joined.type(path), values, path, joined)


def _converted(make: type, kind: pa.DataType, values: list[Any], path: Path, numbers: Numbers) -> Inferred:
    converted = [make(value) if type(value) is int else value for value in values]
    return Inferred(kind, converted, numbers={path: numbers}, changed=True)


def _of_integers(present: list[Any], path: Path) -> Numbers:
    low, high = min(present), max(present)
    if max(-low, high) >= 10**MAX_DIGITS:
        raise UnsupportedValueError(
            f"An integer has more than {MAX_DIGITS} digits: {high if high > -low else low}",
            column=column_name(path),
            hint="Store it as text.",
        )
    return Numbers.of_integers(low, high)


def _of_decimals(present: list[Any], path: Path) -> Numbers:
    whole = scale = 0
    for value in _widest_decimals(present):
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            raise UnsupportedValueError(f"A decimal is not a number: {value}", column=column_name(path))
        if exponent < 0:
            before, after = max(0, len(digits) + exponent), -exponent
        else:
            before, after = (len(digits) + exponent if any(digits) else 1), 0
        if before + after > MAX_DIGITS:
            raise UnsupportedValueError(
                f"A decimal has {before} digits before and {after} after the point, together more than {MAX_DIGITS}",
                column=column_name(path),
                hint="Round it, or store it as text.",
            )
        whole, scale = max(whole, before), max(scale, after)
    return Numbers(whole=whole, scale=scale)


def _widest_decimals(present: list[Any]) -> Iterable[Any]:
    """Decimals that need as many digits as all of them together: a few, where all have the same number of decimal
    places, as money has; else all of them."""
    first = present[0]
    if not first.is_finite() or not all(map(first.same_quantum, present)):
        return present
    return min(present), max(present)


def _strings(values: list[Any], present: list[Any], path: Path) -> Inferred:
    check_text("A text", "".join(present), path)
    kind = text_kind(present)
    return Inferred(pa.string(), values, {path: kind} if kind else {})


def _datetimes(values: list[Any], present: list[Any], path: Path, changed: bool = False) -> Inferred:
    aware = {value.tzinfo is not None and value.utcoffset() is not None for value in present}
    if len(aware) > 1:
        raise SchemaError(
            "One column holds datetimes with and without a time zone",
            column=column_name(path),
            hint="Give all of them a time zone, or none.",
        )
    return Inferred(pa.timestamp("us", tz="UTC" if aware == {True} else None), values, changed=changed)


def _times(values: list[Any], present: list[Any], path: Path) -> Inferred:
    if any(value.tzinfo is not None for value in present):
        raise UnsupportedValueError(
            "A time of day has a time zone, which no format here keeps", column=column_name(path)
        )
    return Inferred(pa.time64("us"), values)


def _lists(values: list[Any], present: list[Any], path: Path) -> Inferred:
    if len(path) == _CHECKED_DEPTH or (len(path) > 2 and sum(map(len, present)) > _MANY):
        _refuse_cycles(present, path)
    members = infer_column(list(chain.from_iterable(present)), (*path, "[]"))
    if members.changed:
        following = iter(members.values)
        values = [v if v is None else [next(following) for _ in v] for v in values]
    structs = members.structs and pa.list_(members.structs)
    return Inferred(
        pa.list_(members.type),
        values,
        members.text,
        members.numbers,
        members.changed,
        members.keys,
        members.dicts,
        structs,
    )


def _dicts(values: list[Any], present: list[Any], path: Path) -> Inferred:
    if len(path) == _CHECKED_DEPTH:
        _refuse_cycles(present, path)
    pivot = _pivot(present, path)
    members = {name: infer_column(column, (*path, name)) for name, column in pivot.columns.items()}
    changed = pivot.renamed or any(member.changed for member in members.values())
    if changed:
        rebuilt = iter(_rebuilt(present, pivot, members))
        values = [v if v is None else next(rebuilt) for v in values]
    text = {place: kind for member in members.values() for place, kind in member.text.items()}
    numbers = {place: needed for member in members.values() for place, needed in member.numbers.items()}
    dicts = {place: counted for member in members.values() for place, counted in member.dicts.items()}
    own = Dicts(len(present), sum(map(len, present)))
    dicts[path] = own
    keys = own.keys + sum(member.keys for member in members.values())
    kind: pa.DataType = pa.struct([(name, member.type) for name, member in members.items()])
    structs = None
    if AUTOMATIC.is_map(own, len(members)) or any(member.structs is not None for member in members.values()):
        structs = pa.struct([(name, member.open_type) for name, member in members.items()])
        if AUTOMATIC.is_map(own, len(members)):
            kind = map_type(structs, path, text, numbers, dicts)
    return Inferred(kind, values, text, numbers, changed, keys, dicts, structs)


def _rebuilt(present: list[Any], pivot: _Pivot, members: dict[str, Inferred]) -> Iterable[dict[str, Any]]:
    """The dicts with plain values: each with the keys that it has, since there may be a map of them."""
    if pivot.sparse:
        following = {key: iter(members[name].values) for key, name in pivot.names.items()}
        return [{pivot.names[key]: next(following[key]) for key in row} for row in present]
    rows = zip(*(member.values for member in members.values()), strict=True)
    if pivot.same:
        return [dict(zip(members, row, strict=True)) for row in rows]
    named = list(pivot.names.items())
    return [
        {name: value for (key, name), value in zip(named, row, strict=True) if key in of}
        for of, row in zip(present, rows, strict=True)
    ]


_BY_KIND: dict[type, _Infer] = {
    bool: _same(pa.bool_()),
    int: _integers,
    float: _floats,
    str: _strings,
    bytes: _same(pa.binary()),
    Decimal: _decimals,
    dt.date: _same(pa.date32()),
    dt.datetime: _datetimes,
    dt.time: _times,
    dt.timedelta: _same(pa.duration("us")),
    uuid.UUID: _same(pa.uuid()),
    list: _lists,
    dict: _dicts,
}
