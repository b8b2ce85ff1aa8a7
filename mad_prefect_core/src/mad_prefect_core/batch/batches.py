"""The two kinds of batch: Python rows, and Arrow columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa

from mad_prefect_core.batch.growth import settled
from mad_prefect_core.batch.infer import infer_rows
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

    def __init__(self, rows: Sequence[dict[str, Any]], declared: Collection[str] = ()) -> None:
        self._columns, self._rows = infer_rows(rows, declared)
        self.schema = pa.schema([(name, column.type) for name, column in self._columns.items()])
        self.text: dict[Path, str] = {}
        self.numbers: dict[Path, Numbers] = {}
        for column in self._columns.values():
            self.text |= column.text
            self.numbers |= column.numbers
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
                arrays.append(_array([None] * count if column is None else column.values, field.type))
            except (pa.ArrowException, OverflowError, UnicodeError) as error:
                raise UnsupportedValueError(f"A value does not fit {field.type}: {error}", column=field.name) from error
        return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if not _has_extension(kind):
        return pa.array(values, kind)
    # pyarrow builds extension types neither inside containers nor from every Python value: lay them out by hand.
    if isinstance(kind, pa.UuidType):
        storage = pa.array([value and value.bytes for value in values], kind.storage_type)
        return pa.ExtensionArray.from_storage(kind, storage)
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    missing = pa.array([value is None for value in values], pa.bool_())
    if pa.types.is_struct(kind):
        members = [_array([None if v is None else v.get(field.name) for v in values], field.type) for field in kind]
        return pa.StructArray.from_arrays(members, fields=list(kind), mask=missing)
    offsets: list[int] = [0]
    flat: list[Any] = []
    for value in values:
        flat += value or ()
        offsets.append(len(flat))
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), _array(flat, kind.value_type), type=kind, mask=missing
    )


def _has_extension(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return True
    return any(_has_extension(kind.field(i).type) for i in range(kind.num_fields))


class ColumnBatch:
    """Arrow columns: a table at hand, or a stream that is read once.

    Args:
        source: Anything with `__arrow_c_stream__` or `__arrow_c_array__`, or a `pyarrow.RecordBatchReader`.
    """

    is_columnar = True
    relation: Any = None

    def __init__(self, source: Any) -> None:
        if isinstance(source, pa.RecordBatchReader):
            self._data: Any = source
        elif hasattr(source, "__arrow_c_array__") and not hasattr(source, "__arrow_c_stream__"):
            array = pa.array(source)
            if not pa.types.is_struct(array.type):
                raise UnsupportedDataError(
                    f"An Arrow array of {array.type} has no column names", hint="Return a table, or a struct array."
                )
            self._data = pa.Table.from_struct_array(array)
        elif _holds_its_data(source):
            self._data = _without_index(_imported(pa.table, source))
        else:
            self._data = _imported(pa.RecordBatchReader.from_stream, source)
        self._taken = False
        self._raised: list[Exception] = []
        readable = pa.schema([pa.field(f.name, _readable(f.type, f.name)) for f in self._data.schema])
        if not readable.equals(self._data.schema):
            self._data = _cast(self._data, readable)
        if isinstance(self._data, pa.RecordBatchReader):
            self._data = pa.RecordBatchReader.from_batches(readable, _watched(self._data, self._raised))
        self.schema = readable
        self.text: dict[Path, str] = {}
        self.numbers: dict[Path, Numbers] = {}

    @property
    def problem(self) -> Exception | None:
        """What its stream raised while it was read, if it did."""
        return self._raised[0] if self._raised else None

    def rows(self) -> list[dict[str, Any]]:
        """All rows as Python dicts, in memory."""
        data = self.arrow()
        return list((data.read_all() if isinstance(data, pa.RecordBatchReader) else data).to_pylist())

    def column(self, name: str) -> list[Any]:
        """All values of one column as Python objects, in memory."""
        return [row[name] for row in self.rows()]

    def arrow(self, schema: pa.Schema | None = None) -> Any:
        """The table or stream itself; laid out as `schema` it is a table."""
        data = self._data
        if isinstance(data, pa.RecordBatchReader):
            if self._taken:
                raise UnsupportedDataError("A stream of Arrow batches can be read only once")
            self._taken = True
        if schema is None:
            return data
        table = data.read_all() if isinstance(data, pa.RecordBatchReader) else data
        missing = [field for field in schema if field.name not in table.column_names]
        for field in missing:
            table = table.append_column(field, pa.nulls(len(table), field.type))
        return table.select(schema.names).cast(schema)


def _watched(reader: pa.RecordBatchReader, raised: list[Exception]) -> Iterator[pa.RecordBatch]:
    """Keeps what a stream raises while somebody reads it who knows only the text of that. Not a method: Python can't
    find a batch again that a stream of its own holds."""
    try:
        with user_code():
            yield from reader
    except Exception as error:
        raised.append(error)
        raise


def _imported(read: Callable[[Any], Any], source: Any) -> Any:
    try:
        return read(source)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        kind = type(source)
        raise UnsupportedDataError(
            f"A {kind.__module__.partition('.')[0]} {kind.__qualname__} can't be made a table of: {error}",
            hint="Return a frame or a table: named columns, each of one type.",
        ) from error


def _holds_its_data(source: Any) -> bool:
    """Frames and tables have a shape without being run; relations and streams do not."""
    return type(source).__module__.partition(".")[0] in ("pandas", "polars", "pyarrow")


def _without_index(table: pa.Table) -> pa.Table:
    """A frame without pandas' row labels, which are no columns of the user's, and without its metadata."""
    about = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    labels = [
        label for label in about.get("index_columns", ()) if isinstance(label, str) and label in table.column_names
    ]
    columns = table.drop_columns(labels)
    # Without columns, a table that changes its metadata would lose the number of its rows.
    return columns.replace_schema_metadata(None) if about and columns.column_names else columns


def _cast(data: Any, schema: pa.Schema) -> Any:
    """A table, or a stream batch by batch, with columns of these types. Raises `UnsupportedValueError`."""
    if isinstance(data, pa.RecordBatchReader):
        batches = (batch for part in data for batch in _cast(pa.Table.from_batches([part]), schema).to_batches())
        return pa.RecordBatchReader.from_batches(schema, batches)
    columns = []
    for field, column in zip(schema, data.columns, strict=True):
        try:
            columns.append(column.cast(field.type))
        except pa.ArrowInvalid as error:
            raise UnsupportedValueError(
                f"The column is {column.type}, and DuckDB has {field.type} at best: {error}",
                column=field.name,
                hint="Round it, or cast it to integers.",
            ) from error
    return pa.Table.from_arrays(columns, schema=schema)


def _readable(kind: pa.DataType, column: str) -> pa.DataType:
    """The nearest type that holds the same values and that DuckDB reads from Arrow as they are."""
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")  # DuckDB would cut the nanoseconds off
    if pa.types.is_decimal256(kind):
        if kind.precision > 38:
            raise UnsupportedValueError(
                f"The column is {kind}, and DuckDB's decimals have 38 digits at most",
                column=column,
                hint="Cast it to decimal128(38, …), or to text.",
            )
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_struct(kind):
        return _unless_same(kind, pa.struct([member.with_type(_readable(member.type, column)) for member in kind]))
    if pa.types.is_list(kind):
        return _unless_same(kind, pa.list_(_readable_member(kind, column)))
    if pa.types.is_large_list(kind):
        return _unless_same(kind, pa.large_list(_readable_member(kind, column)))
    if pa.types.is_fixed_size_list(kind):
        return _unless_same(kind, pa.list_(_readable_member(kind, column), kind.list_size))
    if pa.types.is_map(kind):
        return _unless_same(kind, pa.map_(_readable(kind.key_type, column), _readable(kind.item_type, column)))
    return kind


def _readable_member(kind: Any, column: str) -> pa.Field:
    return kind.value_field.with_type(_readable(kind.value_type, column))


def _unless_same(kind: pa.DataType, readable: pa.DataType) -> pa.DataType:
    return kind if readable.equals(kind) else readable
