"""The two kinds of batch: Python rows, and Arrow columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mad_prefect_core.batch.arrays import build_array
from mad_prefect_core.batch.arrow_types import Stored, TypeTable, convert_table
from mad_prefect_core.batch.frames import arrow_data, has_valid_text
from mad_prefect_core.batch.growth import is_string, settled
from mad_prefect_core.batch.infer import infer_rows
from mad_prefect_core.batch.maps import Dicts
from mad_prefect_core.batch.names import check_names
from mad_prefect_core.batch.numbers import Numbers
from mad_prefect_core.batch.values import Path
from mad_prefect_core.errors import UnsupportedDataError, UnsupportedValueError
from mad_prefect_core.translation import user_code

__all__ = ["ColumnBatch", "RowBatch"]


class RowBatch:
    """Python rows. Made plain and looked through once, when made; Arrow is built only if asked for.

    Raises `UnsupportedDataError`, `UnsupportedValueError` or `SchemaError`, naming the column.
    """

    is_columnar = False
    relation: Any = None
    count: int | None = None

    def __init__(self, rows: Sequence[dict[str, Any]], declared: Collection[str] = ()) -> None:
        self._columns, self._rows = infer_rows(rows, declared)
        self.schema = pa.schema([(name, column.type) for name, column in self._columns.items()])
        self.open_schema = self.schema
        if any(column.structs is not None for column in self._columns.values()):
            self.open_schema = pa.schema([(name, column.open_type) for name, column in self._columns.items()])
        self.text: dict[Path, str] = {}
        self.numbers: dict[Path, Numbers] = {}
        self.dicts: dict[Path, Dicts] = {}
        for column in self._columns.values():
            self.text |= column.text
            self.numbers |= column.numbers
            self.dicts |= column.dicts
        self.keys = sum(map(len, rows)) + sum(column.keys for column in self._columns.values())
        """How many keys the rows have, and the dicts in them."""

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> list[dict[str, Any]]:
        """The rows, every value plain."""
        return self._rows

    def column(self, name: str) -> list[Any]:
        """The values of one column, plain."""
        return self._columns[name].values

    def arrow(self, schema: pa.Schema | None = None) -> pa.Table:
        """The rows as a table."""
        schema = settled(self.schema) if schema is None else schema
        count = len(self._rows)
        arrays = []
        for field in schema:
            column = self._columns.get(field.name)
            try:
                arrays.append(build_array([None] * count if column is None else column.values, field.type))
            except (pa.ArrowException, OverflowError, UnicodeError) as error:
                raise UnsupportedValueError(f"A value does not fit {field.type}: {error}", column=field.name) from error
        return pa.Table.from_arrays(arrays, schema=schema)


@dataclass
class _Progress:
    """How far a stream was read."""

    rows: int | None = None
    problem: Exception | None = None
    close: Callable[[], object] = lambda: None
    """Lets go of what the stream is read from: the error of a value that is refused would hold it."""


class ColumnBatch:
    """Arrow columns: a table at hand, or a stream that is read once. Each is kept, converted exactly or refused as
    `arrow_types` says: by its type when this is made, by its values when they are asked for.

    Args:
        source: A frame of pandas or polars, anything else with `__arrow_c_stream__` or `__arrow_c_array__`, or a
            `pyarrow.RecordBatchReader`.

    Raises `UnsupportedDataError`, `UnsupportedValueError` or `SchemaError`, naming the column.
    """

    is_columnar = True
    relation: Any = None

    def __init__(self, source: Any) -> None:
        self._data: Any = arrow_data(source)
        names = self._data.schema.names
        check_names(names)
        table = self.table_for(source)
        self._stored = [table.stored(field, (field.name,)) for field in self._data.schema]
        self._taken = False
        self._progress = _Progress()
        self.schema = pa.schema([(name, stored.type) for name, stored in zip(names, self._stored, strict=True)])
        self.text: dict[Path, str] = {}
        self.numbers: dict[Path, Numbers] = {}

    @staticmethod
    def table_for(source: Any) -> TypeTable:
        """The table of types, as far as whoever made the data can be trusted."""
        return TypeTable(text_is_valid=has_valid_text(source))

    @property
    def problem(self) -> Exception | None:
        """What its stream raised while it was read, if it did."""
        return self._progress.problem

    @property
    def count(self) -> int | None:
        """Its rows, as far as they were asked for; None where they were not."""
        return self._progress.rows

    @count.setter
    def count(self, rows: int | None) -> None:
        self._progress.rows = rows

    @property
    def empty(self) -> frozenset[str]:
        """Its columns of text without any value, as far as that is known without a look at the values."""
        if isinstance(self._data, pa.RecordBatchReader):
            return frozenset()
        columns = zip(self._data.schema, self._data.columns, strict=True)
        return frozenset(f.name for f, column in columns if is_string(f.type) and column.null_count == len(column))

    def rows(self) -> list[dict[str, Any]]:
        """All rows as Python dicts, in memory."""
        data = self.arrow()
        return list((data.read_all() if isinstance(data, pa.RecordBatchReader) else data).to_pylist())

    def column(self, name: str) -> list[Any]:
        """All values of one column as Python objects, in memory."""
        return [row[name] for row in self.rows()]

    def arrow(self, schema: pa.Schema | None = None) -> Any:
        """The table or stream itself; laid out as `schema` it is a table."""
        data = self._read()
        if schema is None:
            return data
        table = data.read_all() if isinstance(data, pa.RecordBatchReader) else data
        columns = [_column(table, field) for field in schema]
        return pa.Table.from_arrays(columns, names=schema.names).cast(schema)

    def _read(self) -> Any:
        if isinstance(self._data, pa.RecordBatchReader):
            if self._taken:
                raise UnsupportedDataError("A stream of Arrow batches can be read only once")
            self._taken = True
            batches = _read_stream(self._data, self._stored, self.schema, self._progress)
            return pa.RecordBatchReader.from_batches(self.schema, batches)
        if not self._taken:
            self._data = convert_table(self._data, self._stored, self.schema)
            self._taken = True
            self._progress.rows = self._data.num_rows
        return self._data


def _column(table: pa.Table, field: pa.Field) -> Any:
    """A column of a table; NULLs of the field's type where the table has none, or only NULLs of another type: Arrow
    can't cast text to a struct."""
    found = table.column(field.name) if field.name in table.column_names else None
    if found is None or (found.null_count == len(found) and not found.type.equals(field.type)):
        return pa.nulls(len(table), field.type)
    return found


def _read_stream(
    reader: pa.RecordBatchReader, stored: Sequence[Stored], schema: pa.Schema, progress: _Progress
) -> Iterator[pa.RecordBatch]:
    """Keeps what a stream raises, for whoever reads it knows only the text of that. Not a method: Python can't find a
    batch again that a stream of its own holds."""
    progress.rows = 0
    try:
        with user_code():
            for batch in reader:
                progress.rows += batch.num_rows
                yield from convert_table(pa.Table.from_batches([batch]), stored, schema).to_batches()
    except Exception as error:
        progress.problem = error
        progress.close()
        raise
