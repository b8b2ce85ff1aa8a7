"""Columns of values in Arrow, of what a reader of Avro gives.

Readers handle plain values alone: numbers, bytes and text. What logical types make of them is here, once, for whole
columns, so that it is the same whoever read them.
"""

from __future__ import annotations

import binascii
import contextlib
import decimal
import itertools
import struct
import uuid
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mad_prefect_avro.schema import MAX_DIGITS, Node

__all__ = ["from_objects", "from_stored", "of_buffer", "uuid_bytes"]

_WIDE = decimal.Context(prec=10_000)
_INTERVAL = struct.Struct("=iiq")  # months, days, nanoseconds, as Arrow has them
_DURATION = struct.Struct("<III")  # months, days, milliseconds, as Avro has them
_MILLISECOND = 1_000_000  # nanoseconds
_OFFSET = struct.Struct("=i")  # of a value's bytes, as Arrow has them
_NO_UUID = str(uuid.UUID(int=0))
_SMALL = 64  # bytes of a fixed value that may be laid out as such
_DECIMAL = 16  # bytes of a decimal in Arrow
_PLUS, _MINUS = (pa.array([sign * count for count in range(_DECIMAL + 1)], pa.binary()) for sign in (b"\0", b"\xff"))
# A time is within a day, of which 24:00 is the end; an instant is one that DuckDB has.
_BOUNDS = {
    "time-millis": (0, 86_400_000),
    "time-micros": (0, 86_400_000_000),
    "time-nanos": (0, 86_400_000_000_000),
    "timestamp-millis": (-9_223_372_022_400_000, 9_223_372_036_854_775),
}
_DASHES = (8, 13, 18, 23)  # where they are in the text of a UUID


def from_objects(node: Node, values: Sequence[Any], tagged: bool) -> pa.Array:
    """A column of Python objects, as fastavro reads them under `node.physical()`.

    `tagged`: in unions, a value of a type that has a name is a tuple of that and the value.
    """
    if node.kind == "union":
        return _union(node, values)
    if tagged and node.union and node.label:
        values = [value and value[1] for value in values]
    if node.kind == "record":
        members = [
            from_objects(member.node, [value and value[member.name] for value in values], tagged)
            for member in node.members
        ]
        return pa.StructArray.from_arrays(members, fields=list(node.arrow), mask=_missing(values))
    if node.logical == "map":
        key, item = (member.node for member in node.members[0].node.members)
        entries = list(itertools.chain.from_iterable(filter(None, values)))
        keys = from_objects(key, [entry["key"] for entry in entries], tagged)
        items = from_objects(item, [entry["value"] for entry in entries], tagged)
        return pa.MapArray.from_arrays(_offsets(values), keys, items)
    if node.kind == "array":
        inner = from_objects(node.members[0].node, list(itertools.chain.from_iterable(filter(None, values))), tagged)
        return pa.ListArray.from_arrays(_offsets(values), inner, type=node.arrow)
    if node.kind == "map":
        present = [value for value in values if value]
        keys = pa.array(itertools.chain.from_iterable(present), pa.string())
        flat = list(itertools.chain.from_iterable(value.values() for value in present))
        return pa.MapArray.from_arrays(_offsets(values), keys, from_objects(node.members[0].node, flat, tagged))
    # Arrow makes room for each value of a fixed size, also where it is null.
    kind = pa.binary() if node.kind == "fixed" and node.size > _SMALL else node.stored
    return _logical(node, pa.array(values, kind))


def from_stored(node: Node, array: pa.Array) -> pa.Array:
    """A column of plain values in Arrow, enums as numbers. Neither maps nor unions."""
    if node.kind == "record":
        members = [from_stored(member.node, array.field(index)) for index, member in enumerate(node.members)]
        return pa.StructArray.from_arrays(members, fields=list(node.arrow), mask=array.is_null())
    if node.kind == "array":
        # Of null lists, as of all others, the values are between the offsets.
        values = array.values.slice(array.offsets[0].as_py(), array.offsets[-1].as_py() - array.offsets[0].as_py())
        offsets = pc.subtract(array.offsets, array.offsets[0]).cast(pa.int32())
        inner = from_stored(node.members[0].node, values)
        return pa.ListArray.from_arrays(offsets, inner, type=node.arrow, mask=array.is_null())
    if node.kind == "enum":
        symbols = pa.array(node.symbols, pa.string())
        return pa.DictionaryArray.from_arrays(array.cast(pa.int32()), symbols).cast(pa.string())
    return _logical(node, array.cast(node.stored))


def _missing(values: Sequence[Any]) -> pa.Array:
    return pa.array([value is None for value in values], pa.bool_())


def _offsets(values: Sequence[Any]) -> pa.Array:
    """Where the items of each list begin; null where there is none."""
    ends = list(itertools.accumulate((len(value) if value else 0 for value in values), initial=0))
    starts = [None if value is None else start for value, start in zip(values, ends, strict=False)]
    return pa.array([*starts, ends[-1]], pa.int32())


def _union(node: Node, values: Sequence[Any]) -> pa.Array:
    """Null, which DuckDB keeps in no place of its own, is a null of the first member."""
    branches = [member.node for member in node.members]
    named = {branch.label: index for index, branch in enumerate(branches) if branch.label}
    kinds = {branch.kind: index for index, branch in enumerate(branches) if not branch.label}
    members: list[list[Any]] = [[None] * len(values) for _ in branches]
    tags = []
    for place, value in enumerate(values):
        if type(value) is tuple:
            tag, value = named[value[0]], value[1]
            # Members of a union are no unions themselves, so nothing in them is a tuple.
        else:
            tag = 0 if value is None else _tag(kinds, value)
        tags.append(tag)
        members[tag][place] = value
    arrays = [from_objects(branch, member, True) for branch, member in zip(branches, members, strict=True)]
    return pa.UnionArray.from_sparse(pa.array(tags, pa.int8()), arrays, [member.column for member in node.members])


_INT = range(-(2**31), 2**31)


def _tag(kinds: dict[str, int], value: Any) -> int:
    """The branch that a value without a name is of. Of two that hold the same numbers, it is the one that fits."""
    if type(value) is int:
        return kinds["int"] if "int" in kinds and (value in _INT or "long" not in kinds) else kinds["long"]
    if type(value) is float:
        return kinds["double"] if "double" in kinds else kinds["float"]
    return kinds[{bool: "boolean", str: "string", bytes: "bytes", list: "array", dict: "map"}[type(value)]]


def _logical(node: Node, array: pa.Array) -> pa.Array:
    if node.logical == "decimal":
        return _decimals(node, array)
    if node.logical == "uuid":
        return _uuids(array)
    if node.logical == "duration":
        parts = (_DURATION.unpack(value) if value else (0, 0, 0) for value in array.to_pylist())
        data = b"".join(_INTERVAL.pack(months, days, ms * _MILLISECOND) for months, days, ms in parts)
        return of_buffer(node.arrow, array, data)
    if node.logical in _BOUNDS:
        _refuse_beyond(*_BOUNDS[node.logical], node, array)
    if node.logical.endswith("timestamp-nanos"):
        return array.view(pa.timestamp("ns", tz=node.arrow.tz)).cast(node.arrow)
    if node.logical:
        return array.view(node.arrow)
    return array.cast(pa.binary()) if node.kind == "fixed" else array


def _refuse_beyond(least: int, most: int, node: Node, array: pa.Array) -> None:
    found = pc.min_max(array).as_py()
    for value in found.values():
        if value is not None and not least <= value <= most:
            raise ValueError(f"no {node.logical} is {value}: they are from {least} to {most}")


def _decimals(node: Node, array: pa.Array) -> pa.Array:
    if node.precision <= MAX_DIGITS and (data := _sixteen_bytes(array)) is not None:
        found = of_buffer(node.arrow, array, data)
        found.validate(full=True)  # raises ArrowInvalid, a ValueError, for a number of more digits
        return found
    numbers = [None if value is None else int.from_bytes(value, "big", signed=True) for value in array.to_pylist()]
    most = 10**node.precision
    if any(number is not None and abs(number) >= most for number in numbers):
        raise ValueError(f"a decimal of {node.precision} digits has more")
    if node.precision > MAX_DIGITS:
        texts = [
            None if number is None else format(decimal.Decimal(number).scaleb(-node.scale, _WIDE), "f")
            for number in numbers
        ]
        return pa.array(texts, pa.string())
    data = b"".join((number or 0).to_bytes(_DECIMAL, "little", signed=True) for number in numbers)
    return of_buffer(node.arrow, array, data)


def _sixteen_bytes(array: pa.Array) -> bytes | None:
    """Numbers of at most 16 bytes, highest first, as Arrow has decimals; None if there are any of more."""
    numbers = pc.fill_null(array.cast(pa.binary()), b"")
    missing = pc.subtract(_DECIMAL, pc.binary_length(numbers))
    if pc.any(pc.less(missing, 0)).as_py():
        return None
    negative = pc.greater_equal(pc.binary_slice(numbers, 0, 1), b"\x80")
    before = pc.if_else(negative, pc.take(_MINUS, missing), pc.take(_PLUS, missing))
    highest_first = _bytes_of(pc.binary_join_element_wise(before, numbers, b""), _DECIMAL)
    found = bytearray(len(highest_first))
    for place in range(_DECIMAL):
        found[place::_DECIMAL] = highest_first[_DECIMAL - 1 - place :: _DECIMAL]
    return bytes(found)


def _uuids(array: pa.Array) -> pa.Array:
    if pa.types.is_string(array.type):
        array = of_buffer(pa.binary(16), array, uuid_bytes(array))
    return pa.ExtensionArray.from_storage(pa.uuid(), array)


def uuid_bytes(texts: pa.Array) -> bytes:
    """16 bytes for each text: at once if all are in the usual form, one by one if any is in another."""
    filled = pc.fill_null(texts, _NO_UUID)
    if pc.all(pc.equal(pc.binary_length(filled), len(_NO_UUID))).as_py():
        dashed = _bytes_of(filled, len(_NO_UUID))
        digits, dashes = dashed.replace(b"-", b""), b"-" * len(texts)
        if len(digits) == 32 * len(texts) and all(dashed[place :: len(_NO_UUID)] == dashes for place in _DASHES):
            with contextlib.suppress(binascii.Error):
                return binascii.unhexlify(digits)
    return b"".join(uuid.UUID(text).bytes for text in filled.to_pylist())


def _bytes_of(array: pa.Array, size: int) -> bytes:
    """The bytes of values that are `size` bytes each, none of them null."""
    if not len(array):
        return b""
    _, offsets, data = array.buffers()
    (start,) = _OFFSET.unpack_from(offsets, array.offset * _OFFSET.size)
    return bytes(memoryview(data)[start : start + len(array) * size])


def of_buffer(kind: pa.DataType, like: pa.Array, data: bytes) -> pa.Array:
    """An array of fixed-size values, null where `like` is."""
    valid = pa.array(like.is_valid()).buffers()[1] if like.null_count else None
    return pa.Array.from_buffers(kind, len(like), [valid, pa.py_buffer(data)])
