"""The values of Arrow columns, where their type alone does not tell whether other batches can be joined to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from mad_prefect_core.batch import compute as pc
from mad_prefect_core.batch.arrow_types import Stored
from mad_prefect_core.batch.batches import ColumnBatch
from mad_prefect_core.batch.numbers import EXACT_IN_DOUBLE, Numbers
from mad_prefect_core.batch.values import Path

__all__ = ["WatchedBatch"]


class WatchedBatch(ColumnBatch):
    """Columns that note, while they are read, which of them have an integer beyond 2**53.

    Beside floats such a column is refused, while others become floats.
    """

    def __init__(self, batch: Any) -> None:
        self.wide: dict[Path, Numbers] = {}
        """What such integers need, by place, as far as the columns were read."""
        super().__init__(_watched(batch.arrow(), self.wide))
        self._stored = [Stored(field.type) for field in self.schema]  # the batch has checked its values

    @staticmethod
    def is_needed(schema: pa.Schema) -> bool:
        """Whether a column, or a part of one, has integers of 64 bits."""
        return any(_has_wide(field.type) for field in schema)


def _watched(data: Any, seen: dict[Path, Numbers]) -> Any:
    if isinstance(data, pa.RecordBatchReader):
        return pa.RecordBatchReader.from_batches(data.schema, _noted(data, seen))
    for batch in data.to_batches():
        _note(batch, seen)
    return data


def _noted(reader: pa.RecordBatchReader, seen: dict[Path, Numbers]) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        _note(batch, seen)
        yield batch


def _note(batch: pa.RecordBatch, seen: dict[Path, Numbers]) -> None:
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if _has_wide(field.type):
            _look(column, (field.name,), seen)


def _look(array: pa.Array, path: Path, seen: dict[Path, Numbers]) -> None:
    kind = array.type
    if _is_wide(kind):
        bounds = pc.min_max(array).as_py()
        if path not in seen and max(abs(bounds["min"] or 0), abs(bounds["max"] or 0)) > EXACT_IN_DOUBLE:
            numbers = Numbers.of_type(kind)
            assert numbers is not None
            seen[path] = numbers._replace(wide=True)
    elif pa.types.is_struct(kind):
        for field, member in zip(kind, array.flatten(), strict=True):
            if _has_wide(field.type):
                _look(member, (*path, field.name), seen)
    elif pa.types.is_map(kind):
        entries = pc.list_flatten(array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))))
        _look(entries, path, seen)
    elif _has_wide(kind):
        _look(pc.list_flatten(array), (*path, "[]"), seen)


def _is_wide(kind: pa.DataType) -> bool:
    return bool(pa.types.is_int64(kind) or pa.types.is_uint64(kind))


def _has_wide(kind: pa.DataType) -> bool:
    if pa.types.is_union(kind):  # it meets no type but its own
        return False
    if pa.types.is_nested(kind):
        return any(_has_wide(kind.field(index).type) for index in range(kind.num_fields))
    return _is_wide(kind)
