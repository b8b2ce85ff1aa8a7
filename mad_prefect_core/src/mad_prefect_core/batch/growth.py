"""One schema for all batches of a run: it grows as they come, and refuses what would lose something."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import pyarrow as pa

from mad_prefect_core.batch.text import TEXT
from mad_prefect_core.batch.values import Path, column_name
from mad_prefect_core.errors import SchemaError

__all__ = ["SchemaGrowth", "settled", "unify", "unify_types"]

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
_MAX_DIGITS = 38
_KNOWN = 16  # schemas for which answers are kept: the batches of a run usually have one, else perhaps many wide ones


class SchemaGrowth:
    """The schema so far. `add` each batch in order; one that does not fit raises, and nothing has changed.

    Args:
        declared: Columns whose type the user has named; they may hold anything.
    """

    def __init__(self, declared: Collection[str] = ()) -> None:
        self.schema = pa.schema([])
        self._declared = declared
        self._text: dict[Path, str] = {}
        self._wide: set[Path] = set()
        self._batches = 0
        self._last: tuple[pa.Schema, Mapping[Path, str]] | None = None  # a batch like it changes nothing

    def add(self, schema: pa.Schema, text: Mapping[Path, str], wide: Collection[Path] = ()) -> None:
        """Take a batch's schema in. Raises `SchemaError` naming column, types and batch.

        `text` says what its strings look like, `wide` where it has integers beyond 2**53, by place.
        """
        if not wide and (schema, text) == self._last:
            self._batches += 1
            return
        given = schema
        if self._declared:
            given = pa.schema([pa.field(f.name, pa.null()) if f.name in self._declared else f for f in schema])
        try:
            grown = unify(self.schema, given)
            for path in self._wide.union(wide):
                if pa.types.is_floating(_type_at(grown, path)):
                    raise SchemaError(
                        "One batch holds floats, another integers beyond 2**53, which a float can't hold exactly",
                        column=column_name(path),
                        hint="Use decimal.Decimal, or integers alone.",
                    )
        except SchemaError as error:
            error.batch = self._batches
            raise
        self.schema = grown
        self._wide.update(wide)
        for path in _strings_in(schema):
            kind = text.get(path, TEXT)
            if self._text.setdefault(path, kind) != kind:
                self._text[path] = TEXT
        self._batches += 1
        self._last = schema, dict(text)

    def join(self, other: SchemaGrowth) -> None:
        """Take in all that another has seen. Raises `SchemaError` as `add` does."""
        text = {path: other._text.get(path, TEXT) for path in _strings_in(other.schema)}
        self.add(other.schema, text, other._wide)

    def result(self, infers_text: Collection[str] = ()) -> pa.Schema:
        """The schema of all batches: strings that all look like one of `infers_text` are of that type."""
        text = {path: kind for path, kind in self._text.items() if kind in infers_text}
        if not text:
            return settled(self.schema)
        return settled(pa.schema([pa.field(f.name, _with_text(f.type, (f.name,), text)) for f in self.schema]))


@lru_cache(_KNOWN)
def _strings_in(schema: pa.Schema) -> tuple[Path, ...]:
    found: list[Path] = []

    def look(kind: pa.DataType, path: Path) -> None:
        if _is_string(kind):
            found.append(path)
        elif pa.types.is_struct(kind):
            for member in kind:
                look(member.type, (*path, member.name))
        elif _is_list(kind):
            look(kind.value_type, (*path, "[]"))

    for column in schema:
        look(column.type, (column.name,))
    return tuple(found)


def _type_at(schema: pa.Schema, path: Path) -> pa.DataType:
    kind = schema.field(path[0]).type
    for part in path[1:]:
        kind = kind.value_type if part == "[]" else kind.field(part).type
    return kind


def unify(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    """All columns of both, in order of appearance, each as wide as the two need. Raises `SchemaError`."""
    if one.equals(other):
        return one
    fields = {field.name: field.type for field in one}
    names = {name.lower(): name for name in fields}
    seen: set[str] = set()
    for field in other:
        if not field.name:
            raise SchemaError("A column has no name", hint="Name it.")
        known = names.setdefault(field.name.lower(), field.name)
        if known != field.name or field.name in seen:
            raise SchemaError(
                f"The columns {known!r} and {field.name!r} are one to DuckDB, whose names know no case",
                column=field.name,
                hint="Rename one of them before yielding.",
            )
        seen.add(field.name)
        before = fields.get(field.name)
        fields[field.name] = field.type if before is None else unify_types(before, field.type, (field.name,))
    return pa.schema(list(fields.items()))


def unify_types(one: pa.DataType, other: pa.DataType, path: Path) -> pa.DataType:
    """The narrowest type that holds every value of both exactly. Raises `SchemaError` where there is none.

    Whether integers beyond 2**53 meet floats is not seen here: it depends on the values, and is checked where the
    two are brought together.
    """
    if one.equals(other):
        return one
    if pa.types.is_null(one) or pa.types.is_null(other):
        return other if pa.types.is_null(one) else one
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        return pa.struct(list(_unify_members(one, other, path)))
    if pa.types.is_fixed_size_list(one) and pa.types.is_fixed_size_list(other) and one.list_size == other.list_size:
        return pa.list_(unify_types(one.value_type, other.value_type, (*path, "[]")), one.list_size)
    if _is_list(one) and _is_list(other):
        return pa.list_(unify_types(one.value_type, other.value_type, (*path, "[]")))
    if pa.types.is_map(one) and pa.types.is_map(other):
        key = unify_types(one.key_type, other.key_type, (*path, "key"))
        return pa.map_(key, unify_types(one.item_type, other.item_type, (*path, "value")))
    for is_kind, wide in ((_is_string, pa.string()), (_is_binary, pa.binary()), (pa.types.is_date, pa.date32())):
        if is_kind(one) and is_kind(other):
            return wide
    if (widened := _numeric(one, other) or _temporal(one, other)) is not None:
        return widened
    raise SchemaError(
        f"One batch holds {one}, another {other}, which no type keeps both of exactly",
        column=column_name(path),
        hint="Make them one type before yielding, or name the column's type in the read options (`columns`).",
    )


def _unify_members(one: pa.StructType, other: pa.StructType, path: Path) -> Any:
    types = {field.name: field.type for field in one}
    names = {name.lower(): name for name in types}
    for field in other:
        known = names.setdefault(field.name.lower(), field.name)
        if known != field.name:
            raise SchemaError(
                f"The members {known!r} and {field.name!r} are one to DuckDB, whose names know no case",
                column=column_name((*path, field.name)),
            )
        before = types.get(field.name)
        types[field.name] = field.type if before is None else unify_types(before, field.type, (*path, field.name))
    return types.items()


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_string(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or (pa.types.is_dictionary(kind) and _is_string(kind.value_type))
    )


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _digits(kind: pa.DataType) -> tuple[int, int] | None:
    """Digits before and after the point that the type may hold."""
    if pa.types.is_decimal(kind):
        return kind.precision - kind.scale, kind.scale
    if pa.types.is_integer(kind):
        return {8: 3, 16: 5, 32: 10, 64: 19 if pa.types.is_signed_integer(kind) else 20}[kind.bit_width], 0
    return None


def _numeric(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if pa.types.is_integer(one) and pa.types.is_integer(other):
        signed = {bool(pa.types.is_signed_integer(kind)) for kind in (one, other)}
        if len(signed) == 1:
            return max(one, other, key=lambda kind: kind.bit_width)
        unsigned = next(kind for kind in (one, other) if pa.types.is_unsigned_integer(kind))
        needed = max(2 * unsigned.bit_width, one.bit_width, other.bit_width)
        return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}.get(needed) or pa.decimal128(20, 0)
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (one, other)):
        return pa.float64()
    digits = _digits(one), _digits(other)
    if digits[0] and digits[1]:
        whole, scale = max(digits[0][0], digits[1][0]), max(digits[0][1], digits[1][1])
        return pa.decimal128(whole + scale, scale) if whole + scale <= _MAX_DIGITS else None
    return None


_UNITS = ("s", "ms", "us", "ns")


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
    for is_one, make in ((pa.types.is_time, _time), (pa.types.is_duration, pa.duration)):
        if is_one(one) and is_one(other):
            return make(finest(one))
    return None


def _time(unit: str) -> pa.DataType:
    return pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)


@lru_cache(_KNOWN)
def settled(schema: pa.Schema) -> pa.Schema:
    """The schema with nothing left open: a column that never had a value is JSON, as DuckDB's reader has it, and a
    dict that never had a key is an empty map."""
    return pa.schema([pa.field(field.name, _settle(field.type)) for field in schema])


def _settle(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_null(kind):
        return pa.json_(pa.string())
    if pa.types.is_struct(kind):
        if not kind.num_fields:
            return pa.map_(pa.string(), pa.string())
        return pa.struct([(kind.field(i).name, _settle(kind.field(i).type)) for i in range(kind.num_fields)])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_settle(kind.value_type), kind.list_size)
    if _is_list(kind):
        return pa.list_(_settle(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(_settle(kind.key_type), _settle(kind.item_type))
    return kind


def _with_text(kind: pa.DataType, path: Path, text: Mapping[Path, str]) -> pa.DataType:
    if path in text:
        return _TEXT_TYPES[text[path]]
    if pa.types.is_struct(kind):
        return pa.struct([(f.name, _with_text(f.type, (*path, f.name), text)) for f in kind])
    if pa.types.is_list(kind):
        return pa.list_(_with_text(kind.value_type, (*path, "[]"), text))
    return kind
