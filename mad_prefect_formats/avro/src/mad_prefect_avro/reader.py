"""What DuckDB reads Avro files by: a dataset that gives the columns asked for, batch by batch, as often as asked."""

from __future__ import annotations

import functools
import importlib
import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.dataset
from fastavro import reader as fastavro_reader
from fastavro.read import SchemaResolutionError

from mad_prefect_avro.columns import from_objects, from_stored
from mad_prefect_avro.container import Block, Header, container_bytes, read_blocks, read_header
from mad_prefect_avro.schema import Node, as_record, parse, plain
from mad_prefect_core.sdk import CorruptFileError, SchemaError

__all__ = ["AvroDataset", "Decode", "Source", "decode_by_fastavro", "decode_by_polars", "fastest"]

_FIRST = 1 << 16  # bytes of the first batch, so that a LIMIT is quick; each has four times as many as the one before
_OBJECTS = 1 << 20  # that rows are made at once
_MOST_AT_ONCE = 1 << 24  # bytes
_SMALL = 64  # bytes
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Decode = Callable[[Node, Sequence[Block]], Iterator[list[pa.Array]]]
"""From blocks to the columns of a record, some rows at a time."""


@dataclass(frozen=True)
class Source:
    """One file."""

    name: str
    """As in messages."""
    open: Callable[[], BinaryIO]
    header: Header
    node: Node
    """What its rows are."""
    place: int = 0
    """Among the files that are scanned."""

    @classmethod
    def of(cls, name: str, open: Callable[[], BinaryIO], place: int = 0) -> Source:
        """Raises `CorruptFileError`, `UnsupportedDataError`, and `OSError` where it can't be opened."""
        with open() as file:
            header = read_header(file, name)
        return cls(name, open, header, parse(header.schema, name), place)

    def blocks(self) -> Iterator[Block]:
        """All of its rows, from the start."""
        with self.open() as file:
            header = read_header(file, self.name)
            if header.schema != self.header.schema:
                raise CorruptFileError("The file was replaced by another while it was read", path=self.name)
            yield from read_blocks(file, header, self.name, least=self.node.least, empty=self.node.empty)


class AvroDataset(pyarrow.dataset.Dataset):  # type: ignore[misc]  # pyarrow is not typed
    """Files with equal schemas, as DuckDB scans them: it says which columns and which rows it wants.

    Holds no session and no open file. Each scan opens the files anew.

    Args:
        sources: The files, in order.
        node: What their rows are: a record.
        reader_schema: The schema to read them by, as Avro resolves it; `node` is of it then.
        number: A column for the place of the file that a row is from.
    """

    def __init__(
        self, sources: Sequence[Source], node: Node, reader_schema: Any = None, number: str | None = None
    ) -> None:
        self._sources = sources
        self._node = node
        self._reader_schema = reader_schema
        self._number = number

    @property
    def schema(self) -> pa.Schema:
        """All columns."""
        return self._with_number(self._node.schema)

    def _with_number(self, schema: pa.Schema) -> pa.Schema:
        return schema if self._number is None else schema.append(pa.field(self._number, pa.int64()))

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> _Scan:
        """A scan of some columns, of the rows that a filter lets through."""
        return _Scan(self, self.schema.names if columns is None else columns, filter)

    def batches(self, columns: Sequence[str], filter: Any) -> Iterator[pa.RecordBatch]:
        """The rows. Raises `CorruptFileError`."""
        needed = set(columns) | {name for name in self.schema.names if filter is not None and _may_name(filter, name)}
        node = self._node.select(needed)
        schema = self._with_number(node.schema)
        for source in self._sources:
            for rows, arrays in self._decoded(source, node):
                if self._number is not None:
                    arrays = [*arrays, pa.repeat(pa.scalar(source.place, pa.int64()), rows)]
                batch = pa.record_batch(arrays, schema=schema) if arrays else _without_columns(rows)
                yield (batch if filter is None else batch.filter(filter)).select(list(columns))

    def _decoded(self, source: Source, node: Node) -> Iterator[tuple[int, list[pa.Array]]]:
        if self._reader_schema is None:
            decode = functools.partial(fastest(self._node), self._node, node)
        else:
            decode = functools.partial(_decode_resolved, source.header.schema, self._reader_schema, node)
        limit = 1 << (21 if decode.func is decode_by_polars else 20)
        read = decode if source.node.least else _once(decode)
        for blocks in _gathered(source.blocks(), limit):
            if not node.members:
                yield sum(block.rows for block in blocks), []
                continue
            try:
                for arrays in read(blocks):
                    yield len(arrays[0]), arrays
            except SchemaResolutionError as error:
                raise SchemaError(f"The file can't be read by this schema: {error}", path=source.name) from error
            except Exception as error:
                raise CorruptFileError(
                    f"The rows of the Avro file can't be read: {error!r}", path=source.name
                ) from error


def _once(
    decode: Callable[[list[Block]], Iterator[list[pa.Array]]],
) -> Callable[[list[Block]], Iterator[list[pa.Array]]]:
    """As `decode`, for rows without bytes: they are all the same, and there may be very many."""
    last: tuple[list[Block], list[list[pa.Array]]] = [], []

    def decoded(blocks: list[Block]) -> Iterator[list[pa.Array]]:
        nonlocal last
        if blocks != last[0]:
            last = blocks, list(decode(blocks))
        return iter(last[1])

    return decoded


class _Scan:
    """What DuckDB asks of a scanner."""

    def __init__(self, dataset: AvroDataset, columns: Sequence[str], filter: Any) -> None:
        self._dataset = dataset
        self._columns = columns
        self._filter = filter

    @property
    def projected_schema(self) -> pa.Schema:
        """The columns that it gives."""
        return pa.schema([self._dataset.schema.field(name) for name in self._columns])

    def to_reader(self) -> pa.RecordBatchReader:
        """The rows."""
        batches = self._dataset.batches(self._columns, self._filter)
        return pa.RecordBatchReader.from_batches(self.projected_schema, batches)


def fastest(node: Node) -> Callable[[Node, Node, Sequence[Block]], Iterator[list[pa.Array]]]:
    """The fastest decoder that is installed and known to be right about every type in a schema."""
    if find_spec("polars") and all(_polars_knows(part) for part in node.walk()):
        return decode_by_polars
    return decode_by_fastavro


def decode_by_fastavro(whole: Node, node: Node, blocks: Sequence[Block]) -> Iterator[list[pa.Array]]:
    """The columns `node` of blocks that hold rows of `whole`. Knows all types."""
    wanted = None if len(node.members) == len(whole.members) else node.physical()
    return _columns(node, container_bytes(whole.physical(), blocks), wanted)


def _decode_resolved(written: Any, schema: Any, node: Node, blocks: Sequence[Block]) -> Iterator[list[pa.Array]]:
    """The columns of rows that were written by one schema and are read by another."""
    return _columns(node, container_bytes(plain(as_record(written)), blocks), plain(as_record(schema)))


def _columns(node: Node, container: bytes, schema: Any) -> Iterator[list[pa.Array]]:
    places = list(node.walk())
    tagged = any(part.kind == "union" for part in places)
    reader: Iterator[Any] = iter(fastavro_reader(io.BytesIO(container), schema, return_named_type=tagged))
    # A row's bytes don't bound the objects that it becomes: nulls have none.
    while rows := list(itertools.islice(reader, max(_OBJECTS // len(places), 1))):
        yield [from_objects(member.node, [row[member.name] for row in rows], tagged) for member in node.members]


def decode_by_polars(whole: Node, node: Node, blocks: Sequence[Block]) -> Iterator[list[pa.Array]]:
    """As `decode_by_fastavro`, some ten times as fast, and all blocks at once, which large ones are left to the other
    for. Knows neither maps nor unions of several types; what it fails on, such as deep nesting, is left to the other
    too."""
    if sum(len(block.data) for block in blocks) > _MOST_AT_ONCE:
        yield from decode_by_fastavro(whole, node, blocks)
        return
    container = io.BytesIO(container_bytes(whole.physical(enums=False), blocks))
    try:
        frame = _polars().read_avro(container, columns=[member.name for member in node.members])
    except BaseException as error:  # how it fails on damaged bytes is not an Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        yield from decode_by_fastavro(whole, node, blocks)
        return
    table = frame.to_arrow().combine_chunks()
    yield [from_stored(member.node, table.column(member.name).combine_chunks()) for member in node.members]


@functools.cache
def _polars() -> Any:
    return importlib.import_module("polars")


def _polars_knows(node: Node) -> bool:
    known = node.kind not in ("map", "null", "union") and node.logical != "map" and node.union != "none"
    # It makes room for each value of a fixed size, also where it is null.
    return known and node.least > 0 and node.size <= _SMALL


def _gathered(blocks: Iterator[Block], limit: int) -> Iterator[list[Block]]:
    """Blocks by the handful: few at first, up to `limit` bytes later."""
    wanted, size, found = min(_FIRST, limit), 0, []
    for block in blocks:
        found.append(block)
        size += max(len(block.data), limit if not block.data else 0)
        if size >= wanted:
            yield found
            wanted, size, found = min(4 * wanted, limit), 0, []
    if found:
        yield found


def _may_name(filter: Any, name: str) -> bool:
    """Whether a filter is about a column, as far as its text tells."""
    return not _PLAIN_NAME.fullmatch(name) or name in str(filter)


def _without_columns(rows: int) -> pa.RecordBatch:
    return pa.record_batch([pa.nulls(rows)], names=["_"]).select([])
