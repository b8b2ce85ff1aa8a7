"""Thrift's compact protocol, in which Parquet's footers are written: as plain Python values, and back.

Structures are read without knowing their members' names, and what is not changed is written again as it was.
Source: the Thrift project's `doc/specs/thrift-compact-protocol.md`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["I16", "I64", "LIST", "STRUCT", "Member", "Structure", "read", "written"]

_TRUE, _FALSE, _BYTE, I16, I32, I64, _DOUBLE, _BINARY, LIST, _SET, _MAP, STRUCT = range(1, 13)


class Member(NamedTuple):
    """A value and the type that it is written as."""

    kind: int
    value: Any
    """An int, bytes, a bool, a list of values of one kind with that kind, or a `Structure` (or what `written` made of
    one)."""


Structure = dict[int, Member]
"""Members by their numbers."""


def read(data: bytes) -> Structure:
    """The structure that `data` begins with. Raises `ValueError` for what is none."""
    try:
        return _Reader(data).structure()
    except IndexError:
        raise ValueError("The structure does not end") from None


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def structure(self) -> Structure:
        members: Structure = {}
        number = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self._signed()
            # A member that is true or false has no bytes of its own.
            members[number] = Member(kind, kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind))
        return members

    def _value(self, kind: int) -> Any:
        if kind in (I16, I32, I64):
            return self._signed()
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        if kind == STRUCT:
            return self.structure()
        if kind in (LIST, _SET):
            head = self._byte()
            count, inner = head >> 4, head & 15
            if count == 15:
                count = self._unsigned()
            return inner, [self._value(inner) for _ in range(count)]
        if kind in (_TRUE, _FALSE, _BYTE):  # in a list, booleans have a byte each
            return self._bytes(1)
        if kind == _DOUBLE:
            return self._bytes(8)
        raise ValueError(f"The type {kind} is not known here")  # such as maps, which Parquet does not use

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, count: int) -> bytes:
        self._at += count
        if self._at > len(self._data):
            raise IndexError
        return self._data[self._at - count : self._at]

    def _unsigned(self) -> int:
        result = shift = 0
        while True:
            byte = self._byte()
            result |= (byte & 127) << shift
            if byte < 128:
                return result
            shift += 7

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)


def written(structure: Structure) -> bytes:
    """The bytes of a structure."""
    out = bytearray()
    _write_structure(out, structure)
    return bytes(out)


def _write_structure(out: bytearray, structure: Structure) -> None:
    before = 0
    for number, (kind, value) in sorted(structure.items()):
        delta = number - before
        if 0 < delta < 16:
            out.append(delta << 4 | kind)
        else:
            out.append(kind)
            _write_signed(out, number)
        if kind not in (_TRUE, _FALSE):
            _write_value(out, kind, value)
        before = number
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in (I16, I32, I64):
        _write_signed(out, value)
    elif kind == _BINARY:
        _write_unsigned(out, len(value))
        out += value
    elif kind == STRUCT and isinstance(value, bytes):  # written already
        out += value
    elif kind == STRUCT:
        _write_structure(out, value)
    elif kind in (LIST, _SET):
        inner, values = value
        if len(values) < 15:
            out.append(len(values) << 4 | inner)
        else:
            out.append(15 << 4 | inner)
            _write_unsigned(out, len(values))
        for item in values:
            _write_value(out, inner, item)
    else:
        out += value


def _write_unsigned(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _write_signed(out: bytearray, value: int) -> None:
    _write_unsigned(out, value << 1 if value >= 0 else ~value << 1 | 1)
