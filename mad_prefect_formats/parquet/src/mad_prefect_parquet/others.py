"""Files of others that DuckDB's reader would change without a word.

- INT96 timestamps, which Spark, Hive, Impala and SQL Server write, have nanoseconds; DuckDB cuts them off. Where a file
  has any, the column is TIMESTAMP_NS; most have none, and are DuckDB's.
- Decimals of more than 38 digits become DOUBLE. They are exact text here.
- Columns and members without a name, or with one that differs from another's in case alone, get other names. They are
  refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mad_prefect_core.sdk import SchemaError, Session, UnsupportedValueError, unescape_glob

__all__ = ["ExactFile", "exact_files"]

_PLACES = "SELECT file_name, name, type, num_children, precision FROM parquet_schema($files)"
_MAX_DIGITS = 38  # of DuckDB's decimals
_ROWS = 65_536
_NANOSECONDS = 1000  # in a microsecond
_LAST = (2**63 - 1) // _NANOSECONDS  # microseconds since 1970 that are still an instant in nanoseconds


_Place = tuple[str, str | None, int | None, int | None]
"""Name, type of a leaf, number of children, digits. A file's first is its root; each goes before its children."""


@dataclass(frozen=True)
class _Leaf:
    """A column of plain values in a file."""

    path: str
    kind: str
    precision: int


def exact_files(session: Session, files: Sequence[str], *, binary_as_string: bool) -> list[ExactFile] | None:
    """The files as DuckDB is to be given them; None where its own reader changes nothing.

    Raises `SchemaError` naming file and column.
    """
    leaves = _leaves(session, files)
    int96 = [tuple(leaf.path for leaf in found if leaf.kind == "INT96") for found in leaves]
    openers = [session.opener(file) for file in files]
    nanoseconds = any(_has_nanoseconds(*pair) for pair in zip(openers, int96, strict=True) if pair[1])
    if not nanoseconds and all(leaf.precision <= _MAX_DIGITS for found in leaves for leaf in found):
        return None
    return [
        ExactFile(unescape_glob(file), opener, paths if nanoseconds else (), binary_as_string)
        for file, opener, paths in zip(files, openers, int96, strict=True)
    ]


def _leaves(session: Session, files: Sequence[str]) -> list[list[_Leaf]]:
    places: dict[str, list[_Place]] = {unescape_glob(file): [] for file in files}
    for file, name, kind, children, precision in session.sql(_PLACES, {"files": list(dict.fromkeys(files))}).fetchall():
        places[file].append((name, kind, children, precision))
    found = {file: list(_below(below[0], iter(below[1:]), file, ())) for file, below in places.items()}
    return [found[unescape_glob(file)] for file in files]


def _below(place: _Place, following: Iterator[_Place], file: str, path: tuple[str, ...]) -> Iterator[_Leaf]:
    """The leaves in a place, which are among those that follow it in the file."""
    _, kind, children, precision = place
    if kind is not None:
        yield _Leaf(".".join(path), kind, precision or 0)
    seen: dict[str, str] = {}
    for _ in range(children or 0):
        inner = next(following)
        own = inner[0]
        column = ".".join((*path, own))
        if not own:
            raise SchemaError("A column has no name", path=file, column=column, hint=_IN_SQL)
        if own.lower() in seen:
            raise SchemaError(
                f"The columns {seen[own.lower()]!r} and {own!r} have one name to DuckDB, which knows no case",
                path=file,
                column=column,
                hint=_IN_SQL,
            )
        seen[own.lower()] = own
        yield from _below(inner, following, file, (*path, own))


_IN_SQL = "Read it in SQL, by read_parquet('mad://…'), where DuckDB numbers such names; or write the file with others."


def _has_nanoseconds(opened: Callable[[], BinaryIO], paths: Sequence[str]) -> bool:
    """Whether any INT96 timestamp in these columns has a fraction of a microsecond."""
    with opened() as file, opened() as again:
        return any(
            pc.any(pc.not_equal(_fraction(*pair), 0)).as_py()
            for batches in zip(_int96(file, paths, "ns"), _int96(again, paths, "us"), strict=True)
            for pair in zip(*map(_numbers, batches), strict=True)
        )


def _int96(file: BinaryIO, paths: Sequence[str], unit: str) -> Iterator[pa.RecordBatch]:
    yield from pq.ParquetFile(file, coerce_int96_timestamp_unit=unit).iter_batches(_ROWS, columns=list(paths))


def _fraction(nanoseconds: pa.Array, microseconds: pa.Array) -> pa.Array:
    """What is beyond whole microseconds: also where nanoseconds since 1970 overflow, as in the year 9999."""
    return pc.subtract(nanoseconds, pc.multiply(microseconds, _NANOSECONDS))


def _numbers(batch: pa.RecordBatch) -> Iterator[pa.Array]:
    """The timestamps of a batch as numbers, wherever they are."""
    for column in batch.columns:
        yield from _numbers_in(column)


def _numbers_in(array: pa.Array) -> Iterator[pa.Array]:
    kind = array.type
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _numbers_in(array.field(index))
    elif pa.types.is_map(kind):
        yield from _numbers_in(array.keys)
        yield from _numbers_in(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _numbers_in(array.values)
    elif pa.types.is_timestamp(kind):
        yield array.cast(pa.int64())


class ExactFile:
    """A file as DuckDB scans it through Arrow: opened anew for each scan, and read batch by batch.

    Args:
        name: As in messages.
        opened: Opens it.
        int96: The columns whose timestamps are to be read in nanoseconds; all others are in microseconds.
        binary_as_string: Whether plain binary columns are text.
    """

    def __init__(
        self, name: str, opened: Callable[[], BinaryIO], int96: tuple[str, ...], binary_as_string: bool
    ) -> None:
        self.name = name
        self._open = opened
        self._int96 = int96
        self._binary_as_string = binary_as_string
        with opened() as file:
            found = self._reader(file).schema_arrow
        self._schema = pa.schema([(field.name, self._type(field.type)) for field in found])

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return pa.RecordBatchReader.from_batches(self._schema, self._batches()).__arrow_c_stream__(requested_schema)

    def _reader(self, file: BinaryIO) -> pq.ParquetFile:
        return pq.ParquetFile(file, coerce_int96_timestamp_unit="ns" if self._int96 else "us")

    def _batches(self) -> Iterator[pa.RecordBatch]:
        with self._open() as file, self._open() as again:
            micros = _int96(again, self._int96, "us") if self._int96 else None
            for batch in self._reader(file).iter_batches(_ROWS):
                if micros is not None:
                    self._refuse_far(next(micros))
                columns = [
                    _exact(column, field.type) for column, field in zip(batch.columns, self._schema, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _refuse_far(self, batch: pa.RecordBatch) -> None:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for numbers in _numbers_in(column):
                if pc.any(pc.greater(pc.abs(numbers), _LAST)).as_py():
                    raise UnsupportedValueError(
                        "The column holds INT96 timestamps with nanoseconds, and others before 1678 or after 2262, "
                        "which no timestamp in nanoseconds can be",
                        path=self.name,
                        column=name,
                        hint="Read it in SQL, by read_parquet('mad://…'), which cuts the nanoseconds off.",
                    )

    def _type(self, kind: pa.DataType) -> pa.DataType:
        """The type that DuckDB's own reader would give, or one that is exact."""
        if pa.types.is_decimal(kind):
            return pa.string() if kind.precision > _MAX_DIGITS else pa.decimal128(kind.precision, kind.scale)
        if pa.types.is_float16(kind):
            return pa.float32()
        if pa.types.is_dictionary(kind):
            return self._type(kind.value_type)
        if self._binary_as_string and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            return pa.string()
        if pa.types.is_struct(kind):
            return pa.struct([field.with_type(self._type(field.type)) for field in kind])
        if pa.types.is_map(kind):
            return pa.map_(self._type(kind.key_type), self._type(kind.item_type))
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            return pa.list_(self._type(kind.value_type))
        return kind


def _exact(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    if _has_wide(array.type):
        return pa.array([_with_text(value, array.type) for value in array.to_pylist()], kind)
    return array.cast(kind)


def _has_wide(kind: pa.DataType) -> bool:
    if pa.types.is_decimal(kind):
        return bool(kind.precision > _MAX_DIGITS)
    return any(_has_wide(kind.field(index).type) for index in range(kind.num_fields))


def _with_text(value: Any, kind: pa.DataType) -> Any:
    """A value as Python has it, wide decimals in it as text without an exponent."""
    if value is None or not _has_wide(kind):
        return value
    if pa.types.is_decimal(kind):
        return format(value, "f")
    if pa.types.is_struct(kind):
        return {field.name: _with_text(value[field.name], field.type) for field in kind}
    if pa.types.is_map(kind):
        return [(_with_text(key, kind.key_type), _with_text(item, kind.item_type)) for key, item in value]
    return [_with_text(item, kind.value_type) for item in value]
