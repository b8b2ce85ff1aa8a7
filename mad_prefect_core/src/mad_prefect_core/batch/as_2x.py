"""Batches as mad-prefect 2.x stored them, for those who ask for that: what it changed on the way, and no error tells.

It wrote rows and frames as JSON and let DuckDB infer their types. So decimals became doubles, text in frames became
dates and times, and zoned text became naive where it ended in `Z`, and stayed text otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from mad_prefect_core.batch.batches import ColumnBatch, RowBatch
from mad_prefect_core.batch.text import TEXT, text_kind
from mad_prefect_core.batch.values import Path
from mad_prefect_core.contracts import Batch

__all__ = ["as_2x"]

_ZONED = "TIMESTAMP WITH TIME ZONE"


def as_2x(batch: Batch) -> Batch:
    """The same rows as 2.x took them."""
    return _rows(batch) if isinstance(batch, RowBatch) else _columns(batch)


def _rows(batch: RowBatch) -> RowBatch:
    if any(_has_decimal(field.type) for field in batch.schema):
        batch = RowBatch([_without_decimals(row) for row in batch.rows()])
    for path, kind in batch.text.items():
        if kind == _ZONED:
            batch.text[path] = _naive(_at(batch.column(path[0]), path[1:]))
    return batch


def _columns(batch: Batch) -> ColumnBatch:
    data = batch.arrow()
    table = data.read_all() if isinstance(data, pa.RecordBatchReader) else pa.table(data)
    table = table.cast(pa.schema([field.with_type(_doubles(field.type)) for field in table.schema]))
    stored = ColumnBatch(table)
    text: dict[Path, str] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            values = column.drop_null().to_pylist()
            kind = text_kind(values)
            if kind is not None:
                text[(name,)] = _naive(values) if kind == _ZONED else kind
    stored.text = text
    return stored


def _naive(values: Iterable[str]) -> str:
    return "TIMESTAMP" if all(value.endswith("Z") for value in values) else TEXT


def _at(values: list[Any], path: Path) -> list[Any]:
    """All texts at a place in these values."""
    for part in path:
        present = [value for value in values if value is not None]
        if part == "[]":
            values = [item for value in present for item in value]
        else:
            values = [value.get(part) for value in present]
    return [value for value in values if value is not None]


def _without_decimals(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {name: _without_decimals(member) for name, member in value.items()}
    return [_without_decimals(item) for item in value] if isinstance(value, list) else value


def _has_decimal(kind: pa.DataType) -> bool:
    return not _doubles(kind).equals(kind)


def _doubles(kind: pa.DataType) -> pa.DataType:
    """The type with doubles for decimals."""
    if pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_struct(kind):
        return pa.struct([member.with_type(_doubles(member.type)) for member in kind])
    if pa.types.is_map(kind):
        return pa.map_(_doubles(kind.key_type), _doubles(kind.item_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_doubles(kind.value_type), kind.list_size)
    return pa.list_(_doubles(kind.value_type)) if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
