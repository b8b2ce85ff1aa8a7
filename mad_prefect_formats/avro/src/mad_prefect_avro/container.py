"""Avro's container files: a header with the schema, then blocks of rows. Rows themselves are of no matter here.

A block says how many rows it has and how many bytes, so blocks are taken from a file without their rows being read,
and are put, uncompressed, behind a header of one's own: this is how a reader is given some rows at a time, under a
schema that it is good at.
"""

from __future__ import annotations

import io
import json
import os
import re
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from lzma import LZMAError
from typing import Any, BinaryIO

import pyarrow as pa
from fastavro import parse_schema, schemaless_writer

from mad_prefect_avro.codecs import MOST_CONTENT, check, compress, decompress
from mad_prefect_core.sdk import CorruptFileError, UnsupportedValueError

__all__ = ["Block", "ContainerWriter", "Header", "container_bytes", "number", "read_blocks", "read_header"]

_MAGIC = b"Obj\x01"
_HEADER = parse_schema(
    {
        "type": "record",
        "name": "org.apache.avro.file.Header",
        "fields": [
            {"name": "magic", "type": {"type": "fixed", "name": "Magic", "size": 4}},
            {"name": "meta", "type": {"type": "map", "values": "bytes"}},
            {"name": "sync", "type": {"type": "fixed", "name": "Sync", "size": 16}},
        ],
    }
)
_SYNC = bytes(16)
_LONGEST = 10  # bytes of a number

# What a file may claim. All others of its claims are held against the bytes that it has.
_MOST_META = 1 << 24  # bytes of the header
_OF_ENTRY = 64  # bytes that an entry of the header counts for beside its own
_MOST_BRACKETS = 500  # around any part of a schema's text
_MOST_EMPTY = 50_000_000  # values without bytes, such as those of a column of nulls
_MOST_EMPTY_TO_A_BYTE = 16  # of these, where there are more
_EMPTY = 1 << 16  # of these, at once
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKETS = re.compile(r"[][{}]")


@dataclass(frozen=True)
class Header:
    """What a file begins with."""

    schema: Any
    """As parsed from JSON."""
    codec: str
    sync: bytes


@dataclass(frozen=True)
class Block:
    """Some rows, uncompressed."""

    rows: int
    data: bytes


def read_header(file: BinaryIO, name: str) -> Header:
    """The header, and the file behind it. Raises `CorruptFileError`, or `ConfigurationError` for its codec."""
    try:
        if file.read(4) != _MAGIC:
            raise CorruptFileError("The file is not an Avro file: it does not begin as one", path=name)
        meta = _read_meta(file)
        schema = _read_schema(meta["avro.schema"])
        codec = meta.get("avro.codec", b"null").decode()
        sync = _read_bytes(file, len(_SYNC))
    except (EOFError, KeyError, ValueError, RecursionError) as error:
        raise CorruptFileError(f"The header of the Avro file is damaged: {error!r}", path=name) from error
    check(codec)
    return Header(schema, codec, sync)


def _read_meta(file: BinaryIO) -> dict[str, bytes]:
    """The entries of the header: a map of Avro's, in blocks of which each says how many entries it has."""
    meta = {}
    left = _MOST_META
    while count := _read_number(file)[0]:
        if count < 0:
            _read_number(file)  # how many bytes they have
        for _ in range(abs(count)):
            key, value = (_read_bytes(file, _read_number(file)[0], left) for _ in range(2))
            meta[key.decode()] = value
            left -= len(key) + len(value) + _OF_ENTRY
    return meta


def _read_bytes(file: BinaryIO, size: int, most: int = _MOST_META) -> bytes:
    if not 0 <= size <= most:
        raise ValueError("there is too much of it" if size > 0 else "a size is negative")
    data = file.read(size)
    if len(data) != size:
        raise EOFError("it ends within its header")
    return data


def _read_schema(text: bytes) -> Any:
    decoded = text.decode()
    depth = deepest = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub("", decoded)):
        depth += 1 if bracket[0] in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > _MOST_BRACKETS:
        raise ValueError(f"its schema is nested {deepest} deep")
    return json.loads(decoded)


def read_blocks(file: BinaryIO, header: Header, name: str, *, least: int, empty: int) -> Iterator[Block]:
    """All blocks of a file that stands behind its header. Raises `CorruptFileError`.

    A row has at least `least` bytes, and beside them `empty` values that have none, of which a file may claim any
    number. Rows that are nothing else come in several blocks.
    """
    start = file.tell()
    left = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    number, allowed = 0, _MOST_EMPTY
    try:
        while left:
            rows, read = _read_number(file)
            size, more = _read_number(file)
            left -= read + more + size + len(header.sync)
            if rows < 0 or size < 0 or left < 0:
                raise ValueError("it ends before its block does" if left < 0 <= size else "a size is negative")
            data = file.read(size)
            if file.read(len(header.sync)) != header.sync:
                raise ValueError("a block does not end with the file's marker")
            data = decompress(header.codec, data)
            allowed += len(data) * _MOST_EMPTY_TO_A_BYTE - rows * empty
            if rows * least > len(data):
                raise ValueError(f"a block can't have {rows} rows in {len(data)} bytes")
            if allowed < 0:
                raise ValueError(f"{rows} rows have too many values that have no bytes")
            if least:
                yield Block(rows, data)
            else:
                most = max(_EMPTY // empty, 1)
                yield from (Block(min(most, rows - done), b"") for done in range(0, rows, most))
            number += 1
    except (EOFError, ValueError, MemoryError, OSError, zlib.error, LZMAError, pa.ArrowException) as error:
        raise CorruptFileError(f"The Avro file is damaged at block {number}: {error}", path=name) from error


def container_bytes(schema: Any, blocks: Iterable[Block]) -> bytes:
    """A container of these blocks under a schema."""
    parts = [_header_bytes(schema, "null", _SYNC)]
    for block in blocks:
        parts += (number(block.rows), number(len(block.data)), block.data, _SYNC)
    return b"".join(parts)


class ContainerWriter:
    """Writes encoded rows to a container, a block after the other.

    Args:
        file: Open for writing; the caller closes it.
        schema: As parsed from JSON.
        codec: One of `CODECS`.
        level: The codec's own; None leaves it to the codec.
        block_size: Bytes, uncompressed, after which a block is finished.
    """

    def __init__(self, file: BinaryIO, schema: Any, codec: str, level: int | None, block_size: int) -> None:
        check(codec)
        self._file = file
        self._codec = codec
        self._level = level
        self._block_size = block_size
        self._sync = os.urandom(16)
        self._rows = 0
        self._encoded = bytearray()
        file.write(_header_bytes(schema, codec, self._sync))

    def write(self, rows: pa.LargeBinaryArray) -> None:
        """Add rows, the bytes of each a value."""
        _, offsets, data = rows.buffers()
        ends, encoded = memoryview(offsets).cast("q")[rows.offset :][: len(rows) + 1], memoryview(data)
        row = 0
        while row < len(rows):
            full = ends[row] + self._block_size - len(self._encoded)
            end = min(bisect_left(ends, full, row + 1), len(rows))
            self._encoded += encoded[ends[row] : ends[end]]
            self._rows += end - row
            row = end
            if len(self._encoded) >= self._block_size:
                self.finish()

    def finish(self) -> None:
        """Write what is left."""
        if self._rows:
            if self._codec != "null" and len(self._encoded) > MOST_CONTENT:
                raise UnsupportedValueError(
                    f"A block has more than {MOST_CONTENT >> 20} MiB, which the reader here refuses to decompress",
                    hint="Write smaller rows or blocks, or give the write option compression='null'.",
                )
            data = compress(self._codec, bytes(self._encoded), self._level)
            self._file.write(number(self._rows) + number(len(data)) + data + self._sync)
        self._rows = 0
        self._encoded.clear()


def _header_bytes(schema: Any, codec: str, sync: bytes) -> bytes:
    header = io.BytesIO()
    meta = {"avro.schema": json.dumps(schema).encode(), "avro.codec": codec.encode()}
    schemaless_writer(header, _HEADER, {"magic": _MAGIC, "meta": meta, "sync": sync})
    return header.getvalue()


def _read_number(file: Any) -> tuple[int, int]:
    """A number, and how many bytes it has: seven bits in each, low bits first, the sign lowest of all."""
    found = 0
    for place in range(_LONGEST):
        byte = file.read(1)
        if not byte:
            raise EOFError("it ends within a block")
        found |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:
            return (found >> 1) ^ -(found & 1), place + 1
    raise ValueError("a number has no end")


def number(value: int) -> bytes:
    """A whole number as Avro has it."""
    value = (value << 1) ^ (value >> 63)
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
