"""DuckDB relations, on whatever connection, as Arrow that has what they hold.

DuckDB's own way to Arrow changes some types without a word: HUGEINT becomes a decimal that does not hold all of it,
TIME WITH TIME ZONE loses its offset, BIT becomes bytes, UUID and JSON become text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa

from mad_prefect_core.batch.batches import ColumnBatch
from mad_prefect_core.errors import UnsupportedDataError, UnsupportedValueError
from mad_prefect_core.session import quote

__all__ = ["RelationBatch", "RelationStream", "relation_reader"]

_ROWS = 122_880  # one DuckDB row group: streams stay small whatever the relation's size
_HUGE = frozenset({"hugeint", "uhugeint"})
_REFUSED = {
    "bit": "CAST(… AS VARCHAR)",
    "time with time zone": "CAST(… AS VARCHAR)",
    "bignum": "CAST(… AS VARCHAR)",
    "variant": "CAST(… AS JSON)",
}
_NESTED = frozenset({"list", "array", "struct", "map", "union"})


class RelationBatch(ColumnBatch):
    """The rows of a `duckdb.DuckDBPyRelation`, or of what is used like one. It runs when they are asked for."""

    def __init__(self, relation: Any) -> None:
        super().__init__(relation_reader(relation))
        self.relation = relation


class RelationStream:
    """A relation of any connection as Arrow: another connection may scan it as often as it likes."""

    def __init__(self, relation: duckdb.DuckDBPyRelation) -> None:
        self._relation = relation

    def __arrow_c_schema__(self) -> object:
        return relation_reader(self._relation).schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return relation_reader(self._relation).__arrow_c_stream__(requested_schema)


def relation_reader(relation: Any) -> pa.RecordBatchReader:
    """The rows of a relation, batch by batch, once. It runs when the first is asked for.

    Raises `UnsupportedDataError` naming the column.
    """
    columns = dict(zip(relation.columns, relation.types, strict=True))
    for name, kind in columns.items():
        _refuse(kind, name)
    selected = {name: _selected(name, kind) for name, kind in columns.items()}
    if any(sql != quote(name) for name, sql in selected.items()):
        relation = relation.project(", ".join(f"{sql} AS {quote(name)}" for name, sql in selected.items()))
    try:
        found = relation.limit(0).to_arrow_table().schema
    except duckdb.ConversionException as error:
        raise _translated(error) from error
    types = [_EXTENSIONS.get(str(columns.get(field.name))) or field.type for field in found]
    schema = pa.schema(list(zip(found.names, types, strict=True)))
    return pa.RecordBatchReader.from_batches(schema, _typed(relation, schema))


_EXTENSIONS = {"UUID": pa.uuid(), "JSON": pa.json_(pa.string())}


def _typed(relation: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    reader = None
    while True:
        try:
            reader = reader or relation.to_arrow_reader(_ROWS)
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError, duckdb.Error) as error:
            raise _translated(error) from error
        arrays = []
        for field, array in zip(schema, batch.columns, strict=True):
            if isinstance(field.type, pa.BaseExtensionType) and not array.type.equals(field.type):
                array = pa.ExtensionArray.from_storage(field.type, array.cast(field.type.storage_type))
            arrays.append(array)
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _translated(error: Exception) -> UnsupportedValueError:
    """What the relation's own SQL raises is told as it is; a HUGEINT too large for a decimal is told by its column."""
    found = re.search(r"cast value (-?\d+) to DECIMAL\(38,0\) when casting from source column (.*)", str(error))
    if not found:
        return UnsupportedValueError(f"The relation can't be read: {error}")
    return UnsupportedValueError(
        f"An integer has more than 38 digits: {found[1]}", column=found[2], hint="Store it as text."
    )


def _selected(name: str, kind: Any) -> str:
    if kind.id in _HUGE:
        return f"CAST({quote(name)} AS DECIMAL(38, 0))"  # fails where it does not fit, rather than cutting
    if kind.id == "uuid":
        return f"CAST({quote(name)} AS BLOB)"
    return quote(name)


def _refuse(kind: Any, column: str, inside: bool = False) -> None:
    hint = _REFUSED.get(kind.id) or ("CAST(… AS DECIMAL(38, 0))" if inside and kind.id in _HUGE else None)
    if hint:
        raise UnsupportedDataError(
            f"The relation has a {kind}, which DuckDB can't hand over as it is", column=column, hint=f"Select {hint}."
        )
    if kind.id in _NESTED:
        for _, member in kind.children:
            if hasattr(member, "id"):
                _refuse(member, column, inside=True)
