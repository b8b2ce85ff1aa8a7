"""One schema for all batches of a run: it grows as they come, and refuses what would lose something."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from copy import copy
from functools import lru_cache
from typing import Any

import pyarrow as pa

from mad_prefect_core.batch.maps import AUTOMATIC, Dicts, MapRule
from mad_prefect_core.batch.names import check_names
from mad_prefect_core.batch.numbers import Numbers
from mad_prefect_core.batch.text import TEXT
from mad_prefect_core.batch.values import Path, column_name
from mad_prefect_core.errors import SchemaError

__all__ = ["SchemaGrowth", "is_string", "map_type", "settled"]

_TEXT_TYPES: Mapping[str, pa.DataType] = {
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", tz="UTC"),
    "UUID": pa.uuid(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
}
_KNOWN = 16  # schemas for which answers are kept: the batches of a run usually have one, else perhaps many wide ones
_NO_NUMBERS: Mapping[Path, Numbers] = {}


class SchemaGrowth:
    """The schema so far. `add` each batch; one that does not fit raises, and nothing has changed.

    In whatever batches rows come, the outcome is that of all of them in one: what batches need is joined, place by
    place, and only what is joined decides on types.

    Args:
        declared: Columns whose type the user has named; they may hold anything.
    """

    def __init__(self, declared: Collection[str] = ()) -> None:
        self._schema = pa.schema([])
        self._declared = declared
        self._text: dict[Path, str] = {}
        self._numbers: dict[Path, Numbers] = {}
        self._dicts: dict[Path, Dicts] = {}
        self._fixed: set[Path] = set()  # structs that came as such, which are never maps
        self._open: frozenset[str] = frozenset()  # columns of text without any value so far
        self._batches = 0
        self._last: tuple[Any, ...] | None = None  # a batch like it changes nothing

    @property
    def names(self) -> list[str]:
        """The columns, in order of appearance."""
        return list(self._schema.names)

    def add(
        self,
        schema: pa.Schema,
        text: Mapping[Path, str],
        numbers: Mapping[Path, Numbers] = _NO_NUMBERS,
        dicts: Mapping[Path, Dicts] | None = None,
        empty: Collection[str] = (),
    ) -> None:
        """Take a batch's schema in. Raises `SchemaError` naming column, types and batch.

        `text` says what its strings look like, by place; `numbers` what its numbers need, where that is less than what
        their type in `schema` can hold; `dicts` how many keys its dicts have, where its structs are those of rows;
        `empty` are columns without values: of text, they take any type that others have.
        """
        if (schema, text, numbers, empty) == self._last:
            self._batches += 1
            self._count(schema, dicts)
            return
        given = schema
        if self._declared:
            given = _opened(given, [name for name in given.names if name in self._declared])
        known_schema = self._schema
        if self._open or empty:
            known_schema, given = self._without_open_text(given, empty)
        try:
            joined = {
                path: numbers.get(path, needed) if (known := self._numbers.get(path)) is None
                else known.join(numbers.get(path, needed))
                for path, needed in _numbers_in(given).items()
            }  # fmt: skip
            wider = {
                path: kind
                for path, needed in joined.items()
                if (known := self._numbers.get(path, needed)) != needed
                and (kind := needed.type(path)) != known.type(path)
            }
            grown = _unify(known_schema, given)
            if wider:
                grown = _with_types(grown, wider)
        except SchemaError as error:
            error.batch = self._batches
            raise
        if self._open or empty:
            self._open = self._still_open(given, empty)
        self._schema = grown
        self._numbers |= joined
        for path in _strings_in(schema):
            kind = text.get(path, TEXT)
            if self._text.setdefault(path, kind) != kind:
                self._text[path] = TEXT
        self._batches += 1
        self._last = schema, text, numbers, empty
        self._count(schema, dicts)

    def _without_open_text(self, given: pa.Schema, empty: Collection[str]) -> tuple[pa.Schema, pa.Schema]:
        """The known and the given schema. A column of text without any value has no type in one where the other has
        another type."""
        meet = self._open.union(empty).intersection(self._schema.names).intersection(given.names)
        kinds = {name: (self._schema.field(name).type, given.field(name).type) for name in meet}
        known = [name for name, pair in kinds.items() if name in self._open and _is_text_beside(*pair)]
        new = [name for name, pair in kinds.items() if name in empty and _is_text_beside(*pair[::-1])]
        return _opened(self._schema, known), _opened(given, new)

    def _still_open(self, given: pa.Schema, empty: Collection[str]) -> frozenset[str]:
        """The columns of text, after a batch, of which no batch had a value."""
        known = {field.name for field in self._schema if not pa.types.is_null(field.type)}
        typed = {field.name: is_string(field.type) for field in given if not pa.types.is_null(field.type)}
        new = {name for name, is_text in typed.items() if is_text and name in empty and name not in known}
        return frozenset(new) | {name for name in self._open if name not in typed or name in empty}

    def add_batch(self, batch: Any, numbers: Mapping[Path, Numbers] | None = None) -> None:
        """Take a batch in, or what became known of its numbers. Raises as `add` does."""
        schema = getattr(batch, "open_schema", batch.schema)
        numbers = batch.numbers if numbers is None else numbers
        self.add(schema, batch.text, numbers, getattr(batch, "dicts", None), getattr(batch, "empty", ()))

    def holds_text(self, name: str) -> bool:
        """Whether a column is of text that may have values."""
        return name in self._schema.names and name not in self._open and is_string(self._schema.field(name).type)

    def without_values(self, name: str) -> SchemaGrowth:
        """A copy that knows that a column of text has no value."""
        opened = copy(self)
        opened._open = self._open | {name}
        return opened

    def _count(self, schema: pa.Schema, dicts: Mapping[Path, Dicts] | None) -> None:
        if dicts is None:
            self._fixed.update(_structs_in(schema))
            return
        for path, found in dicts.items():
            known = self._dicts.get(path)
            self._dicts[path] = found if known is None else known.join(found)

    def add_to_last(
        self,
        schema: pa.Schema,
        text: Mapping[Path, str],
        numbers: Mapping[Path, Numbers],
        empty: Collection[str] = (),
    ) -> None:
        """Take in what became known of the last batch while it was read. Raises as `add` does."""
        self._batches -= 1
        self.add(schema, text, numbers, empty=empty)

    def join(self, other: SchemaGrowth) -> None:
        """Take in all that another has seen. Raises `SchemaError` as `add` does."""
        text = {path: other._text.get(path, TEXT) for path in _strings_in(other._schema)}
        self.add(other._schema, text, other._numbers, other._dicts, other._open)
        self._fixed |= other._fixed

    def result(self, infers_text: Collection[str] = (), rule: MapRule = AUTOMATIC) -> pa.Schema:
        """The schema of all batches: strings that all look like one of `infers_text` are of that type, and dicts are
        maps by the rule."""
        text = {path: _TEXT_TYPES[kind] for path, kind in self._text.items() if kind in infers_text}
        types = text | dict(self._maps(infers_text, rule))
        return settled(_with_types(self._schema, types) if types else self._schema)

    def maps(self, rule: MapRule = AUTOMATIC) -> dict[Path, tuple[Dicts, int]]:
        """The places whose dicts are maps by the rule: what was counted of them, and how many different keys."""
        found: dict[Path, tuple[Dicts, int]] = {}
        if not any(rule.is_map(counted, counted.keys) for counted in self._dicts.values()):
            return found  # not even if all keys were different
        for path, names in _structs_in(self._schema).items():
            counted = self._dicts.get(path)
            if counted is not None and path not in self._fixed and rule.is_map(counted, names):
                found[path] = counted, names
        return found

    def _maps(self, infers_text: Collection[str], rule: MapRule) -> Iterator[tuple[Path, pa.DataType]]:
        outer: list[Path] = []
        for path in self.maps(rule):
            if any(path[: len(other)] == other for other in outer):
                continue  # in another map, which has told its type
            outer.append(path)
            kind = _at(self._schema, path)
            yield path, map_type(kind, path, self._text, self._numbers, self._dicts, infers_text, rule)


def map_type(
    kind: pa.StructType,
    path: Path,
    text: Mapping[Path, str],
    numbers: Mapping[Path, Numbers],
    dicts: Mapping[Path, Dicts],
    infers_text: Collection[str] = (),
    rule: MapRule = AUTOMATIC,
) -> pa.DataType:
    """The map that holds dicts of a struct's type, which are at `path`: of JSON where its values have no type for
    all."""
    growth = SchemaGrowth()
    of_text, of_numbers, of_dicts = (_by_member(places, path) for places in (text, numbers, dicts))
    last: Any = None
    try:
        for member in kind:
            name = member.name
            given = member.type, of_text.get(name, {}), of_numbers.get(name, {}), of_dicts.get(name, {})
            if given != last or given[3]:
                growth.add(pa.schema([("value", given[0])]), *given[1:])
            last = given
    except SchemaError:
        return pa.map_(pa.string(), pa.json_(pa.string()))
    return pa.map_(pa.string(), growth.result(infers_text, rule).field("value").type)


def _by_member(places: Mapping[Path, Any], path: Path) -> dict[str, dict[Path, Any]]:
    """What is known of places in the members of a struct, by member, as if each were a column `value`."""
    depth = len(path)
    found: dict[str, dict[Path, Any]] = {}
    for place, known in places.items():
        if len(place) > depth and place[:depth] == path:
            found.setdefault(place[depth], {})[("value", *place[depth + 1 :])] = known
    return found


@lru_cache(_KNOWN)
def _structs_in(schema: pa.Schema) -> Mapping[Path, int]:
    """How many members each struct has, by place, outer ones first."""
    found: dict[Path, int] = {}

    def look(kind: pa.DataType, path: Path) -> None:
        if pa.types.is_struct(kind):
            found[path] = kind.num_fields
        if pa.types.is_nested(kind):
            for part, member in _members(kind):
                look(member, (*path, part))

    for column in schema:
        look(column.type, (column.name,))
    return found


def _at(schema: pa.Schema, path: Path) -> pa.DataType:
    kind = schema.field(path[0]).type
    for part in path[1:]:
        kind = dict(_members(kind))[part]
    return kind


@lru_cache(_KNOWN)
def _numbers_in(schema: pa.Schema) -> Mapping[Path, Numbers]:
    """What numbers need of which no more is known than their types, by place."""
    found: dict[Path, Numbers] = {}

    def look(kind: pa.DataType, path: Path) -> None:
        if (numbers := Numbers.of_type(kind)) is not None:
            found[path] = numbers
        for part, member in _members(kind):
            look(member, (*path, part))

    for column in schema:
        look(column.type, (column.name,))
    return found


def _opened(schema: pa.Schema, names: Collection[str]) -> pa.Schema:
    """The schema with columns of no type."""
    return pa.schema([pa.field(f.name, pa.null()) if f.name in names else f for f in schema]) if names else schema


def _is_text_beside(one: pa.DataType, other: pa.DataType) -> bool:
    return is_string(one) and not is_string(other) and not pa.types.is_null(other)


def _members(kind: pa.DataType) -> list[tuple[str, pa.DataType]]:
    """The types inside a type, each with its part of a path."""
    if pa.types.is_struct(kind):
        return [(member.name, member.type) for member in kind]
    if _is_list(kind):
        return [("[]", kind.value_type)]
    if pa.types.is_map(kind):
        return [("key", kind.key_type), ("value", kind.item_type)]
    return []


@lru_cache(_KNOWN)
def _strings_in(schema: pa.Schema) -> tuple[Path, ...]:
    found: list[Path] = []

    def look(kind: pa.DataType, path: Path) -> None:
        if is_string(kind):
            found.append(path)
        elif pa.types.is_struct(kind):
            for member in kind:
                look(member.type, (*path, member.name))
        elif _is_list(kind):
            look(kind.value_type, (*path, "[]"))

    for column in schema:
        look(column.type, (column.name,))
    return tuple(found)


def _unify(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    """All columns of both, in order of appearance, each as wide as the two need. Raises `SchemaError`."""
    if one.equals(other):
        return one
    types = _joined(one, other, ())
    return one if types is None else pa.schema(list(types.items()))


def _joined(one: Any, other: Any, path: Path) -> dict[str, pa.DataType] | None:
    """The types of the columns of two schemas, or of the members of two structs; None where `one` has all of them.

    A batch that brings nothing new to a wide struct costs what it has itself, not what the struct has.
    """
    grown = {}
    known = True
    for field in other:
        place = one.get_field_index(field.name)
        if place < 0:
            grown[field.name], known = field.type, False
            continue
        before = one.field(place)
        kind = _unify_types(before.type, field.type, (*path, field.name))
        if not before.nullable or not kind.equals(before.type):
            grown[field.name] = kind
    if not grown:
        return None
    types = {field.name: field.type for field in one} | grown
    if not known:
        check_names(types, path)
    return types


def _unify_types(one: pa.DataType, other: pa.DataType, path: Path) -> pa.DataType:
    """The narrowest type that holds every value of both exactly. Raises `SchemaError` where there is none.

    Of numbers it is only seen that both are some: `Numbers` decides on their type.
    """
    if one.equals(other) or (Numbers.of_type(one) and Numbers.of_type(other)):
        return one
    if pa.types.is_null(one) or pa.types.is_null(other):
        return other if pa.types.is_null(one) else one
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        types = _joined(one, other, path)
        return one if types is None else pa.struct(list(types.items()))
    if pa.types.is_fixed_size_list(one) and pa.types.is_fixed_size_list(other) and one.list_size == other.list_size:
        return pa.list_(_unify_types(one.value_type, other.value_type, (*path, "[]")), one.list_size)
    if _is_list(one) and _is_list(other):
        return pa.list_(_unify_types(one.value_type, other.value_type, (*path, "[]")))
    if pa.types.is_map(one) and pa.types.is_map(other):
        key = _unify_types(one.key_type, other.key_type, (*path, "key"))
        return pa.map_(key, _unify_types(one.item_type, other.item_type, (*path, "value")))
    for is_kind, wide in ((is_string, pa.string()), (_is_binary, pa.binary()), (pa.types.is_date, pa.date32())):
        if is_kind(one) and is_kind(other):
            return wide
    if (widened := _temporal(one, other)) is not None:
        return widened
    raise SchemaError(
        f"One batch holds {one}, another {other}, which no type keeps both of exactly",
        column=column_name(path),
        hint="Make them one type before yielding, or name the column's type in the read options (`columns`).",
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_string(kind: pa.DataType) -> bool:
    """Whether a column of the type holds text, however it is laid out."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or (pa.types.is_dictionary(kind) and is_string(kind.value_type))
    )


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


_UNITS = ("s", "ms", "us", "ns")
_INTERVAL = pa.month_day_nano_interval()


def _temporal(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    def finest(kind: Any) -> str:
        return str(max((kind.unit for kind in (one, other) if is_one(kind)), key=_UNITS.index))

    is_one = pa.types.is_timestamp
    if pa.types.is_timestamp(one) and pa.types.is_timestamp(other):
        if (one.tz is None) != (other.tz is None):
            return None
        return pa.timestamp(finest(one), tz=one.tz and "UTC")
    if {pa.types.is_timestamp(one), pa.types.is_timestamp(other)} == {True, False}:
        stamp, day = (one, other) if pa.types.is_timestamp(one) else (other, one)
        return stamp if pa.types.is_date(day) and stamp.tz is None else None
    if {one.id, other.id} == {_INTERVAL.id, pa.duration("us").id}:
        return _INTERVAL
    for is_one, make in ((pa.types.is_time, _time), (pa.types.is_duration, pa.duration)):
        if is_one(one) and is_one(other):
            return make(finest(one))
    return None


def _time(unit: str) -> pa.DataType:
    return pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)


@lru_cache(_KNOWN)
def settled(schema: pa.Schema) -> pa.Schema:
    """The schema with a type for dicts that never had a key: empty maps, of no type. A column that never had a value
    stays one of no type, so that it takes any where it meets others."""
    return pa.schema([pa.field(field.name, _settle(field.type)) for field in schema])


def _settle(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        if not kind.num_fields:
            return pa.map_(pa.string(), pa.null())
        return pa.struct([(kind.field(i).name, _settle(kind.field(i).type)) for i in range(kind.num_fields)])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_settle(kind.value_type), kind.list_size)
    if _is_list(kind):
        return pa.list_(_settle(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(_settle(kind.key_type), _settle(kind.item_type))
    return kind


def _with_types(schema: pa.Schema, types: Mapping[Path, pa.DataType]) -> pa.Schema:
    """The schema with other types at some places."""
    return pa.schema([pa.field(field.name, _with_type(field.type, (field.name,), types)) for field in schema])


def _with_type(kind: pa.DataType, path: Path, types: Mapping[Path, pa.DataType]) -> pa.DataType:
    if path in types:
        return types[path]
    inner = [_with_type(member, (*path, part), types) for part, member in _members(kind)]
    if pa.types.is_struct(kind):
        return pa.struct([(member.name, found) for member, found in zip(kind, inner, strict=True)])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(inner[0], kind.list_size)
    if _is_list(kind):
        return pa.list_(inner[0])
    return pa.map_(*inner) if pa.types.is_map(kind) else kind
