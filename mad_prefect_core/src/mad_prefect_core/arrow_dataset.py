"""What DuckDB scans the files of an `ArrowFormat` by: it says which columns and rows it wants, and each scan opens the
files again."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.dataset

from mad_prefect_core.arrow_files import OpenFile, Source
from mad_prefect_core.errors import CorruptFileError

__all__ = ["ArrowDataset", "ReadBatches"]

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

ReadBatches: TypeAlias = Callable[[OpenFile[Any], Sequence[str] | None], Iterable[pa.RecordBatch]]
"""As `ArrowFormat.batches`."""


class ArrowDataset(pyarrow.dataset.Dataset):  # type: ignore[misc]  # pyarrow is not typed
    """Files with equal schemas, as one table. Holds no session and no open file.

    Args:
        sources: The files, in order.
        schema: That of each.
        read: Reads one.
        number: A column for the place of the file that a row is from.
    """

    def __init__(
        self, sources: Sequence[Source], schema: pa.Schema, read: ReadBatches, number: str | None = None
    ) -> None:
        self._sources = sources
        self._file_schema = schema
        names = _distinct(schema.names)
        self._is_ambiguous = names != schema.names
        self._columns = pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])
        self._read = read
        self._number = number

    @property
    def schema(self) -> pa.Schema:
        """All columns. No two names differ in case alone."""
        return self._columns if self._number is None else self._columns.append(pa.field(self._number, pa.int64()))

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> _Scan:
        """A scan of some columns, of the rows that a filter lets through."""
        return _Scan(self, self.schema.names if columns is None else list(columns), filter)

    def batches(self, columns: Sequence[str], filter: Any) -> Iterator[pa.RecordBatch]:
        """The rows. Raises `CorruptFileError`."""
        wanted = {*columns, *(name for name in self._columns.names if filter is not None and _may_name(filter, name))}
        names = [name for name in self._columns.names if name in wanted] or self._columns.names[:1]
        for source in self._sources:
            for batch in self._batches_of(source, names):
                if self._number is not None:
                    places = pa.repeat(pa.scalar(source.place, pa.int64()), len(batch))
                    batch = batch.append_column(self._number, places)
                yield (batch if filter is None else batch.filter(filter)).select(columns)

    def _batches_of(self, source: Source, names: list[str]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([self._columns.field(name) for name in names])
        # What reads the file ends before it is closed, also where the query does not take all of it.
        with source.opened() as file, closing(self._all(file, None if self._is_ambiguous else names)) as batches:
            for batch in batches:
                if self._is_ambiguous and batch.schema.names == self._file_schema.names:
                    batch = batch.rename_columns(self._columns.names)
                if not set(names) <= set(batch.schema.names) or (batch := batch.select(names)).schema != schema:
                    raise CorruptFileError("The file was replaced by another while it was read", path=source.name)
                batch.validate(full=True)  # DuckDB trusts what it is given, and would crash on a damaged one
                yield batch

    def _all(self, file: OpenFile[Any], names: Sequence[str] | None) -> Generator[pa.RecordBatch, None, None]:
        yield from self._read(file, names)


class _Scan:
    """What DuckDB asks of a scanner."""

    def __init__(self, dataset: ArrowDataset, columns: Sequence[str], filter: Any) -> None:
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


def _may_name(filter: Any, name: str) -> bool:
    """Whether a filter is about a column, as far as its text tells."""
    return not _PLAIN_NAME.fullmatch(name) or name in str(filter)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, made such that no two differ in case alone."""
    found: dict[str, str] = {}
    for name in names:
        own, number = name, 0
        while own.lower() in found:
            number += 1
            own = f"{name}_{number}"
        found[own.lower()] = own
    return list(found.values())
