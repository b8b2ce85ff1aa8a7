"""Arrow of rows that come from a file without types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from mad_prefect_core.batch.batches import RowBatch
from mad_prefect_core.batch.growth import SchemaGrowth
from mad_prefect_core.errors import CorruptFileError, SchemaError, UnsupportedDataError

__all__ = ["infer_schema", "rows_to_arrow"]

_ROWS = 10_000  # that are in memory at once
_HINT = "A column of a file has one type: have the program that writes the file see to it."


def infer_schema(rows: Iterable[dict[str, Any]]) -> pa.Schema:
    """Infer the columns of rows, by the rules for rows that an asset's function returns.

    Integers are BIGINT, or wider where they need it; integers beside floats are DOUBLE; text stays text. A column
    without a value has the null type. Dicts are structs, or maps where most have keys of their own. Some thousand rows
    are in memory at once.

    Raises `SchemaError`, `UnsupportedDataError` or `UnsupportedValueError`, naming the column.
    """
    growth = SchemaGrowth()
    try:
        for batch in _batches(rows):
            growth.add_batch(batch)
    except SchemaError as error:
        error.hint = _HINT
        raise
    return growth.result()


def rows_to_arrow(
    rows: Iterable[dict[str, Any]], schema: pa.Schema, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Make Arrow batches of rows whose schema is known, some thousand rows at a time.

    Args:
        rows: All rows of the file, in order.
        schema: What `infer_schema` gave for them, as `OpenFile.schema` has it.
        columns: Those that are wanted; None for all.

    Raises `CorruptFileError` where the rows have a column that the schema lacks.
    """
    for batch in _batches(rows):
        if new := [name for name in batch.schema.names if name not in schema.names]:
            raise CorruptFileError(f"The file was replaced while it was read: it has a new column {new[0]!r}")
        wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        yield from batch.arrow(wanted).combine_chunks().to_batches()


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[RowBatch]:
    following = iter(rows)
    while some := list(islice(following, _ROWS)):
        if others := set(map(type, some)) - {dict}:
            raise UnsupportedDataError(f"A row of the file is a {others.pop().__name__}, not a dict of its columns")
        yield RowBatch(some)
