"""Columns to the bytes of Avro's rows, a column at a time.

The bytes of a value are those of its parts, one after the other: which branch of a union it is, how long it is, its
text. So each column becomes pieces, each a column of bytes or the same bytes in all rows, and all pieces of all columns
are joined row by row at the end. No row is ever a Python object.
"""

from __future__ import annotations

import decimal
import struct
from collections.abc import Iterable
from itertools import groupby
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from mad_prefect_avro.columns import of_buffer, uuid_bytes
from mad_prefect_avro.container import number
from mad_prefect_avro.schema import Node
from mad_prefect_core.sdk import UnsupportedValueError

__all__ = ["Piece", "encode", "join"]

Piece: TypeAlias = "bytes | pa.LargeBinaryArray"
"""Some of the bytes of each value: the same for all, or their own."""

_BYTES = pa.large_binary()
_NOTHING = pa.scalar(b"", _BYTES)
_END = b"\0"  # of a list
_WIDE = decimal.Context(prec=10_000)
_DURATION = struct.Struct("<III")  # months, days, milliseconds, as Avro has them
_MILLISECOND = 1_000_000  # nanoseconds
_DECIMAL = 16  # bytes of a decimal in Arrow


def encode(node: Node, array: Any, column: str, branch: int | None = None) -> list[Piece]:
    """A column of Arrow as Avro has it.

    Args:
        node: What it is in Avro. Where that is a union of several types, all values are of one of them.
        array: Of the type that `node` has in Arrow, or the nearest one of DuckDB's.
        column: Its name, for errors.
        branch: Which of the union's types.

    Raises:
        UnsupportedValueError: A value that Avro can't hold, or null where the schema has none; names the column.
    """
    if node.kind == "null" and not node.union:
        return [b""]
    branches = len(node.members) if node.kind == "union" else 1
    before = number((branch or 0) + (node.union == "first")) if node.union else b""
    of_value = node if branch is None else node.members[branch].node
    if not array.null_count:
        return [before, *_pieces(of_value, array, column)]
    if not node.nullable:
        raise UnsupportedValueError("The Avro schema has no null where the data has one", column=column)
    present = array.is_valid()
    values = join([before, *_pieces(of_value, array.filter(present), column)], len(array) - array.null_count)
    missing = pa.repeat(pa.scalar(number(branches if node.union == "last" else 0), _BYTES), len(array))
    return [pc.replace_with_mask(missing, present, values)]


def join(pieces: Iterable[Piece], rows: int) -> pa.LargeBinaryArray:
    """All pieces of each row, put together."""
    parts: list[Any] = []
    for constant, group in groupby(pieces, key=lambda piece: isinstance(piece, bytes)):
        alike = list(group)
        parts += [pa.scalar(b"".join(alike), _BYTES)] if constant else alike
    if len(parts) == 1:
        return parts[0] if isinstance(parts[0], pa.Array) else pa.repeat(parts[0], rows)
    return pc.binary_join_element_wise(*parts, _NOTHING)


def _pieces(node: Node, array: Any, column: str) -> list[Piece]:
    """Those of values, none of which is null."""
    if node.kind == "record":
        found = zip(node.members, array.flatten(), strict=True)
        return [piece for member, values in found for piece in encode(member.node, values, column)]
    if node.kind in ("array", "map"):
        return _lists(node, array, column)
    if node.kind == "boolean":
        return [pc.if_else(array, pa.scalar(b"\1", _BYTES), pa.scalar(b"\0", _BYTES))]
    if node.kind == "enum":
        symbols = pa.array(node.symbols, pa.string())
        return [_numbers(pc.index_in(array.cast(pa.string()), symbols))]
    stored = _stored(node, array, column)
    if node.kind in ("int", "long"):
        return [_numbers(stored)]
    if node.kind in ("string", "bytes"):
        return [_numbers(pc.binary_length(stored)), stored.cast(_BYTES)]
    return [(stored if node.kind == "fixed" else stored.view(pa.binary(stored.type.byte_width))).cast(_BYTES)]


def _lists(node: Node, array: Any, column: str) -> list[Piece]:
    """How many items, the items, and an end; of a list without items the end alone."""
    offsets = array.offsets
    first, last = offsets[0].as_py(), offsets[-1].as_py()
    inner = node.members[0].node
    if pa.types.is_map(array.type):
        _refuse_repeated(array.keys.slice(first, last - first), pc.subtract(offsets, first), column)
    if node.kind == "map":
        keys, values = (part.slice(first, last - first) for part in (array.keys, array.items))
        items = [*encode(Node("string"), keys, column), *encode(inner, values, column)]
    else:
        names = [member.name for member in inner.members]
        values = pa.StructArray.from_arrays([array.keys, array.items], names) if node.logical else array.values
        items = encode(inner, values.slice(first, last - first), column)
    joined = join(items, last - first)
    # The bytes of a list are those from its first item's to its last's: no byte is moved.
    ends = pa.Array.from_buffers(pa.int64(), len(joined) + 1, [None, joined.buffers()[1]], offset=joined.offset)
    body = _of_offsets(ends.take(pc.subtract(offsets, first)), joined.buffers()[2])
    counts = pc.subtract(offsets[1:], offsets[:-1])
    end = pc.if_else(pc.greater(counts, 0), pa.scalar(_END, _BYTES), _NOTHING)
    return [_numbers(counts), body, end]


def _refuse_repeated(keys: pa.Array, offsets: pa.Array, column: str) -> None:
    """Raises `UnsupportedValueError` where a map has a key twice: readers of Avro keep the last alone."""
    rows = pc.list_parent_indices(pa.ListArray.from_arrays(offsets.cast(pa.int32()), keys))
    if pa.types.is_nested(keys.type):  # which Arrow groups nothing by
        keys = pa.array(map(repr, keys.to_pylist()), pa.string())
    entries = pa.table({"row": rows, "key": keys}).group_by(["row", "key"], use_threads=False).aggregate([])
    if len(entries) != len(keys):
        raise UnsupportedValueError(
            "A map has one key twice, of which Avro keeps one", column=column, hint="Make it a list of entries."
        )


def _numbers(array: Any) -> Piece:
    """Whole numbers: seven bits in each byte, low bits first, the sign lowest of all."""
    array = array.cast(pa.int64())
    extremes = pc.min_max(array)
    if extremes["min"] == extremes["max"]:
        return number(extremes["min"].as_py() or 0)
    doubled = pc.shift_left(array, 1)
    zigzag = pc.if_else(pc.less(array, 0), pc.bit_wise_not(doubled), doubled).view(pa.uint64())
    size = (pc.max(zigzag).as_py().bit_length() + 6) // 7
    if size == 1:
        return zigzag.cast(pa.uint8()).view(pa.binary(1)).cast(_BYTES)
    # Room for all the bytes that the longest has, of which those are kept that a number needs.
    octets, needed = bytearray(size * len(array)), bytearray(size * len(array))
    lengths = pa.array([0] * len(array), pa.int64())
    for place in range(size):
        rest = pc.shift_right(zigzag, _uint64(7 * place))
        low = pc.bit_wise_and(rest, _uint64(0x7F))
        more = pc.greater(rest, _uint64(0x7F))
        octets[place::size] = _octets(pc.if_else(more, pc.bit_wise_or(low, _uint64(0x80)), low))
        has = pc.greater(rest, _uint64(0)) if place else pa.repeat(True, len(array))
        needed[place::size] = _octets(has)
        lengths = pc.add(lengths, has.cast(pa.int64()))
    kept = pc.greater(_of_octets(needed), pa.scalar(0, pa.uint8()))
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
    return _of_offsets(offsets, _of_octets(octets).filter(kept).buffers()[1])


def _uint64(value: int) -> pa.Scalar:
    return pa.scalar(value, pa.uint64())


def _octets(array: Any) -> bytes:
    return bytes(array.cast(pa.uint8()).buffers()[1])[: len(array)]


def _of_octets(data: bytearray) -> pa.Array:
    return pa.Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)])


def _of_offsets(offsets: pa.Array, data: pa.Buffer | None) -> pa.LargeBinaryArray:
    """Values that are the bytes between offsets."""
    return pa.Array.from_buffers(_BYTES, len(offsets) - 1, [None, offsets.buffers()[1], data or pa.py_buffer(b"")])


def _stored(node: Node, array: Any, column: str) -> pa.Array:
    """Values as plain numbers, bytes and text."""
    if node.logical == "decimal":
        return _decimals(node, array, column)
    if node.logical == "duration":
        return _durations(array, column)
    if node.logical == "uuid" and node.kind == "fixed":
        return of_buffer(node.stored, array, uuid_bytes(array))
    if node.logical and node.logical != "uuid":
        return array.cast(node.arrow).view(node.stored)
    return array.cast(node.stored)


def _decimals(node: Node, array: Any, column: str) -> pa.Array:
    if pa.types.is_decimal128(array.type) and node.kind == "fixed" and node.size <= _DECIMAL:
        lowest_first = bytes(memoryview(array.buffers()[1])[array.offset * _DECIMAL :][: len(array) * _DECIMAL])
        found = bytearray(node.size * len(array))
        for place in range(node.size):
            found[node.size - 1 - place :: node.size] = lowest_first[place::_DECIMAL]
        return of_buffer(node.stored, array, bytes(found))
    numbers: list[bytes] = []
    for value in array.to_pylist():
        scaled = decimal.Decimal(value).scaleb(node.scale, _WIDE)
        if scaled != scaled.to_integral_value() or abs(scaled) >= 10**node.precision:
            raise UnsupportedValueError(
                f"The value {value} is not one of {node.precision} digits, {node.scale} of them after the point",
                column=column,
            )
        size = node.size or int(scaled).bit_length() // 8 + 1
        numbers.append(int(scaled).to_bytes(size, "big", signed=True))
    return pa.array(numbers, node.stored)


def _durations(array: Any, column: str) -> pa.Array:
    found = []
    for months, days, nanoseconds in array.to_pylist():
        milliseconds, rest = divmod(nanoseconds, _MILLISECOND)
        try:
            if rest:
                raise struct.error
            found.append(_DURATION.pack(months, days, milliseconds))
        except struct.error:
            raise UnsupportedValueError(
                "Avro's durations are whole milliseconds and not negative, and there is one of "
                f"{months} months, {days} days and {nanoseconds} nanoseconds",
                column=column,
                hint="Cast the column to VARCHAR, or choose another format.",
            ) from None
    return pa.array(found, pa.binary(_DURATION.size))
