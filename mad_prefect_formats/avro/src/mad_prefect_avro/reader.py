"""What DuckDB reads Avro files by: a dataset that gives the columns asked for, batch by batch, as often as asked."""

from __future__ import annotations

import functools
import importlib
import io
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
from mad_prefect_avro.schema import Node, as_record, plain
from mad_prefect_core.errors import CorruptFileError, SchemaError

__all__ = ["AvroDataset", "Decode", "Source", "decode_by_fastavro", "decode_by_polars", "fastest"]

_FIRST = 1 << 16  # bytes of the first batch, so that a LIMIT is quick; each has four times as many as the one before
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Decode = Callable[[Node, Sequence[Block]], list[pa.Array]]
"""From blocks to the columns of a record."""


@dataclass(frozen=True)
class Source:
    """One file."""

    name: str
    """As in messages."""
    open: Callable[[], BinaryIO]
    header: Header

    @classmethod
    def of(cls, name: str, open: Callable[[], BinaryIO]) -> Source:
        """Raises `CorruptFileError`, and `OSError` where it can't be opened."""
        with open() as file:
            return cls(name, open, read_header(file, name))

    def blocks(self) -> Iterator[Block]:
        """All of its rows, from the start."""
        with self.open() as file:
            header = read_header(file, self.name)
            if header.schema != self.header.schema:
                raise CorruptFileError("The file was replaced by another while it was read", path=self.name)
            yield from read_blocks(file, header, self.name)


class AvroDataset(pyarrow.dataset.Dataset):  # type: ignore[misc]  # pyarrow is not typed
    """Files with equal schemas, as DuckDB scans them: it says which columns and which rows it wants.

    Holds no session and no open file. Each scan opens the files anew.

    Args:
        sources: The files, in order.
        node: What their rows are: a record.
        reader_schema: The schema to read them by, as Avro resolves it; `node` is of it then.
    """

    def __init__(self, sources: Sequence[Source], node: Node, reader_schema: Any = None) -> None:
        self._sources = sources
        self._node = node
        self._reader_schema = reader_schema

    @property
    def schema(self) -> pa.Schema:
        """All columns."""
        return self._node.schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> _Scan:
        """A scan of some columns, of the rows that a filter lets through."""
        return _Scan(self, self.schema.names if columns is None else columns, filter)

    def batches(self, columns: Sequence[str], filter: Any) -> Iterator[pa.RecordBatch]:
        """The rows. Raises `CorruptFileError`."""
        needed = set(columns) | {name for name in self.schema.names if filter is not None and _may_name(filter, name)}
        node = self._node.select(needed)
        for source in self._sources:
            for rows, arrays in self._decoded(source, node):
                batch = pa.record_batch(arrays, schema=node.schema) if arrays else _without_columns(rows)
                yield (batch if filter is None else batch.filter(filter)).select(list(columns))

    def _decoded(self, source: Source, node: Node) -> Iterator[tuple[int, list[pa.Array]]]:
        if self._reader_schema is None:
            decode = functools.partial(fastest(self._node), self._node, node)
        else:
            decode = functools.partial(_decode_resolved, source.header.schema, self._reader_schema, node)
        limit = 1 << (21 if decode.func is decode_by_polars else 20)
        for blocks in _gathered(source.blocks(), limit):
            try:
                yield sum(block.rows for block in blocks), decode(blocks) if node.members else []
            except SchemaResolutionError as error:
                raise SchemaError(f"The file can't be read by this schema: {error}", path=source.name) from error
            except Exception as error:
                raise CorruptFileError(
                    f"The rows of the Avro file can't be read: {error!r}", path=source.name
                ) from error


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


def fastest(node: Node) -> Callable[[Node, Node, Sequence[Block]], list[pa.Array]]:
    """The fastest decoder that is installed and known to be right about every type in a schema."""
    if find_spec("polars") and all(_polars_knows(part) for part in node.walk()):
        return decode_by_polars
    return decode_by_fastavro


def decode_by_fastavro(whole: Node, node: Node, blocks: Sequence[Block]) -> list[pa.Array]:
    """The columns `node` of blocks that hold rows of `whole`. Knows all types."""
    wanted = None if len(node.members) == len(whole.members) else node.physical()
    return _columns(node, container_bytes(whole.physical(), blocks), wanted)


def _decode_resolved(written: Any, schema: Any, node: Node, blocks: Sequence[Block]) -> list[pa.Array]:
    """The columns of rows that were written by one schema and are read by another."""
    return _columns(node, container_bytes(plain(as_record(written)), blocks), plain(as_record(schema)))


def _columns(node: Node, container: bytes, schema: Any) -> list[pa.Array]:
    tagged = any(part.kind == "union" for part in node.walk())
    rows: list[Any] = list(fastavro_reader(io.BytesIO(container), schema, return_named_type=tagged))
    return [from_objects(member.node, [row[member.name] for row in rows], tagged) for member in node.members]


def decode_by_polars(whole: Node, node: Node, blocks: Sequence[Block]) -> list[pa.Array]:
    """As `decode_by_fastavro`, some ten times as fast. Knows neither maps nor unions of several types."""
    container = io.BytesIO(container_bytes(whole.physical(enums=False), blocks))
    frame = _polars().read_avro(container, columns=[member.name for member in node.members])
    table = frame.to_arrow().combine_chunks()
    return [from_stored(member.node, table.column(member.name).combine_chunks()) for member in node.members]


@functools.cache
def _polars() -> Any:
    return importlib.import_module("polars")


def _polars_knows(node: Node) -> bool:
    return node.kind not in ("map", "null", "union") and node.logical != "map" and node.union != "none"


def _gathered(blocks: Iterator[Block], limit: int) -> Iterator[list[Block]]:
    """Blocks by the handful: few at first, up to `limit` bytes later."""
    wanted, size, found = min(_FIRST, limit), 0, []
    for block in blocks:
        found.append(block)
        size += len(block.data)
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
