"""Avro's container files: a header with the schema, then blocks of rows. Rows themselves are of no matter here.

A block says how many rows it has and how many bytes, so blocks are taken from a file without their rows being read,
and are put, uncompressed, behind a header of one's own: this is how a reader is given some rows at a time, under a
schema that it is good at.
"""

from __future__ import annotations

import io
import json
import os
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from lzma import LZMAError
from typing import Any, BinaryIO

import pyarrow as pa
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from mad_prefect_avro.codecs import check, compress, decompress
from mad_prefect_core.errors import CorruptFileError

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
        file.seek(0)
        found: Any = schemaless_reader(file, _HEADER, None)
        schema = json.loads(found["meta"]["avro.schema"])
        codec = found["meta"].get("avro.codec", b"null").decode()
    except (EOFError, KeyError, ValueError, IndexError, MemoryError, OverflowError) as error:
        raise CorruptFileError(f"The header of the Avro file is damaged: {error!r}", path=name) from error
    check(codec)
    return Header(schema, codec, found["sync"])


def read_blocks(file: BinaryIO, header: Header, name: str) -> Iterator[Block]:
    """All blocks of a file that stands behind its header. Raises `CorruptFileError`."""
    start = file.tell()
    left = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    number = 0
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
            yield Block(rows, decompress(header.codec, data))
            number += 1
    except (EOFError, ValueError, OSError, zlib.error, LZMAError, pa.ArrowException) as error:
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
