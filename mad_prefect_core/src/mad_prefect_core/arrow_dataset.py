"""What DuckDB scans the files of an `ArrowFormat` by: it says which columns and rows it wants, and each scan opens the
files again."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

import pyarrow as pa
import pyarrow.dataset

from mad_prefect_core.arrow_files import OpenFile, Source
from mad_prefect_core.errors import CorruptFileError, PluginError, UnsupportedDataError
from mad_prefect_core.translation import raised_in_scan

__all__ = ["ArrowDataset", "schema_in"]

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ArrowDataset(pyarrow.dataset.Dataset):  # type: ignore[misc]  # pyarrow is not typed
    """Files with equal schemas, as one table. Holds no session and no open file.

    Args:
        sources: The files, in order.
        schema: That of each.
        number: A column for the place of the file that a row is from.
    """

    def __init__(self, sources: Sequence[Source], schema: pa.Schema, number: str | None = None) -> None:
        self._sources = sources
        self._file_schema = schema
        names = _distinct(schema.names)
        self._is_ambiguous = names != schema.names
        self._columns = pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])
        self._number = number

    @property
    def schema(self) -> pa.Schema:
        """All columns. No two names differ in case alone."""
        return self._columns if self._number is None else self._columns.append(pa.field(self._number, pa.int64()))

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> _Scan:
        """A scan of some columns, of the rows that a filter lets through."""
        return _Scan(self, self.schema.names if columns is None else list(columns), filter)

    def batches(self, columns: Sequence[str], filter: Any) -> Iterator[pa.RecordBatch]:
        """The rows. Raises `CorruptFileError` and `PluginError`."""
        with raised_in_scan():
            yield from self._all_batches(columns, filter)

    def _all_batches(self, columns: Sequence[str], filter: Any) -> Iterator[pa.RecordBatch]:
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
        asked = None if self._is_ambiguous else names
        with source.opened(self._file_schema) as file, closing(_all_of(source, file, asked)) as batches:
            for batch in batches:
                batch = self._checked(source, batch, schema)
                batch.validate(full=True)  # DuckDB trusts what it is given, and would crash on a damaged one
                yield batch

    def _checked(self, source: Source, batch: Any, schema: pa.Schema) -> pa.RecordBatch:
        """A batch's columns of a schema. Raises `PluginError`, or `CorruptFileError` where the file is another now."""
        if not isinstance(batch, pa.RecordBatch):
            raise _fault(source, f"`batches` gave a {type(batch).__name__}, and not a RecordBatch")
        if self._is_ambiguous and batch.schema.names == self._file_schema.names:
            batch = batch.rename_columns(self._columns.names)
        for field in schema:
            if problem := _difference(batch.schema, field):
                if schema_in(source) != self._file_schema:
                    raise CorruptFileError("The file was replaced by another while it was read")
                raise _fault(source, problem)
        return batch.select(schema.names)


def schema_in(source: Source, *, may_be_empty: bool = False) -> pa.Schema:
    """What a file's format says that its columns are. Raises `UnsupportedDataError` where there are none, unless that
    may be."""
    with source.opened() as file:
        schema = source.format.file_schema(file)
        if not isinstance(schema, pa.Schema):
            raise _fault(source, f"`file_schema` gave a {type(schema).__name__}, and not a pyarrow.Schema")
        if not schema.names and not may_be_empty:
            raise UnsupportedDataError("The file has no columns, which is no table")
        return schema.remove_metadata()


def _all_of(source: Source, file: OpenFile[Any], names: Sequence[str] | None) -> Generator[pa.RecordBatch, None, None]:
    yield from source.format.batches(file, names)


def _difference(given: pa.Schema, wanted: pa.Field) -> str | None:
    """How a batch's columns differ from one that there should be."""
    places = given.get_all_field_indices(wanted.name)
    if len(places) != 1:
        how_often = f"column {wanted.name!r} {len(places)} times" if places else f"no column {wanted.name!r}"
        return f"`batches` gave {how_often}, which `file_schema` names"
    if (field := given.field(places[0])) == wanted:
        return None
    types = (f"{each.type}{'' if each.nullable else ' not null'}" for each in (field, wanted))
    return f"`batches` gave column {wanted.name!r} as {' where `file_schema` says '.join(types)}"


def _fault(source: Source, problem: str) -> PluginError:
    name = source.format.name
    return PluginError(
        problem,
        plugin=name,
        hint=f"This is a fault of the plugin {name!r}, unless the file is damaged: tell its author.",
    )


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
