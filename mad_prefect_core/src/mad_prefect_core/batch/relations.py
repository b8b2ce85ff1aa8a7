"""DuckDB relations, on whatever connection, as Arrow that has what they hold.

DuckDB's own way to Arrow changes some types without a word: HUGEINT becomes a decimal that does not hold all of it,
TIME WITH TIME ZONE loses its offset, BIT and GEOMETRY become bytes, UUID and JSON text, TUPLE gets names. So each type
is kept as it is, cast to one that holds the same values, or refused by name; types not known here are refused.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from mad_prefect_core.batch.arrow_types import TypeTable
from mad_prefect_core.batch.batches import ColumnBatch
from mad_prefect_core.batch.names import check_names
from mad_prefect_core.batch.values import Path, column_name
from mad_prefect_core.errors import UnsupportedDataError, UnsupportedValueError
from mad_prefect_core.session import quote

__all__ = ["RelationBatch", "RelationStream", "relation_reader"]

_ROWS = 122_880  # one DuckDB row group: streams stay small whatever the relation's size
_KEPT = frozenset(
    [
        *("boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"),
        *("float", "double", "decimal", "varchar", "blob", "enum", "interval", "null", '"null"'),
        *("date", "time", "time_ns", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"),
        *("timestamp with time zone", "timestamptz_ns"),
    ]
)
"""Types that DuckDB hands over as they are."""
_CAST = {"hugeint": "DECIMAL(38,0)", "uhugeint": "DECIMAL(38,0)", "uuid": "BLOB"}
"""Types whose values it hands over exactly when they are cast; the cast fails for what does not fit."""
_ADVICE = {
    "geometry": "Select ST_AsText(…), or ST_AsWKB(…) with the coordinate system in a column beside it.",
    "tuple": "Name its members: {'a': …, 'b': …}.",
    "variant": "Select CAST(… AS JSON).",
}
_NESTED = frozenset({"list", "array", "struct", "map", "union"})


class RelationBatch(ColumnBatch):
    """The rows of a `duckdb.DuckDBPyRelation`, or of what is used like one. It runs when they are asked for."""

    def __init__(self, relation: Any) -> None:
        schema, batches = _read(relation)
        super().__init__(pa.RecordBatchReader.from_batches(schema, batches))
        self._progress.close = batches.close  # a connection with an open result takes no other query
        self.relation = relation

    @staticmethod
    def table_for(source: Any) -> TypeTable:
        """DuckDB makes sure that its JSON is JSON; text may be that of an Arrow table, which it takes as it is."""
        return TypeTable(json_is_valid=True)


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
    return pa.RecordBatchReader.from_batches(*_read(relation))


def _read(relation: Any) -> tuple[pa.Schema, Generator[pa.RecordBatch, None, None]]:
    check_names(relation.columns)
    columns = dict(zip(relation.columns, relation.types, strict=True))
    for name, kind in columns.items():
        _refuse(kind, (name,))
    selected = {name: _selected(name, kind) for name, kind in columns.items()}
    if any(sql != quote(name) for name, sql in selected.items()):
        relation = relation.project(", ".join(f"{sql} AS {quote(name)}" for name, sql in selected.items()))
    huge = [name for name, kind in columns.items() if any("hugeint" in inner.id for inner in _types_in(kind))]
    try:
        found = relation.limit(0).to_arrow_table().schema
    except duckdb.ConversionException as error:
        raise _translated(error, huge) from error
    kinds = zip(found, columns.values(), strict=True)
    schema = pa.schema([(field.name, _arrow_type(field.type, kind)) for field, kind in kinds])
    return schema, _typed(relation, schema, huge)


def _arrow_type(given: Any, kind: Any) -> pa.DataType:
    """The Arrow type of what DuckDB hands over as `given`."""
    if kind.id == "uuid":
        return pa.uuid()
    if str(kind) == "JSON":
        return pa.json_(pa.string())
    if not any(_is_extension(inner) for inner in _types_in(kind)):
        return given
    inner = [child for _, child in kind.children if hasattr(child, "id")]
    if kind.id == "struct":
        return pa.struct([field.with_type(_arrow_type(field.type, k)) for field, k in zip(given, inner, strict=True)])
    if kind.id == "map":
        return pa.map_(_arrow_type(given.key_type, inner[0]), _arrow_type(given.item_type, inner[1]))
    member = given.value_field.with_type(_arrow_type(given.value_type, inner[0]))
    return pa.list_(member, given.list_size) if kind.id == "array" else pa.list_(member)


def _is_extension(kind: Any) -> bool:
    return bool(kind.id == "uuid" or str(kind) == "JSON")


def _typed(relation: Any, schema: pa.Schema, huge: Sequence[str]) -> Generator[pa.RecordBatch, None, None]:
    reader = None
    while True:
        try:
            reader = reader or relation.to_arrow_reader(_ROWS)
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError, duckdb.Error) as error:
            raise _translated(error, huge) from error
        arrays = [
            array if array.type.equals(field.type) else array.cast(field.type)
            for field, array in zip(schema, batch.columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _translated(error: Exception, huge: Sequence[str]) -> UnsupportedValueError:
    """What the relation's own SQL raises is told as it is; a HUGEINT too large for a decimal is told by its column,
    which is one of `huge`."""
    found = re.search(r"cast value (-?\d+) to DECIMAL\(38,0\)(?: when casting from source column (.*))?", str(error))
    if not found or not huge:
        return UnsupportedValueError(f"The relation can't be read: {error}")
    return UnsupportedValueError(
        f"An integer has more than 38 digits: {found[1]}", column=found[2] or ", ".join(huge), hint="Store it as text."
    )


def _selected(name: str, kind: Any) -> str:
    if any(inner.id in _CAST for inner in _types_in(kind)):
        return f"CAST({quote(name)} AS {_cast_type(kind)})"
    return quote(name)


def _cast_type(kind: Any) -> str:
    if kind.id not in _NESTED:
        return _CAST.get(kind.id) or str(kind)
    inner = [(name, _cast_type(child)) for name, child in kind.children if hasattr(child, "id")]
    if kind.id == "list":
        return f"{inner[0][1]}[]"
    if kind.id == "array":
        return f"{inner[0][1]}[{kind.children[1][1]}]"
    if kind.id == "map":
        return f"MAP({inner[0][1]}, {inner[1][1]})"
    members = inner[1:] if kind.id == "union" else inner  # a union's first says which of the others it is
    return f"{kind.id.upper()}({', '.join(f'{quote(name)} {sql}' for name, sql in members)})"


def _types_in(kind: Any) -> Iterator[Any]:
    """A type, and all types in it."""
    yield kind
    if kind.id in _NESTED:
        for _, child in kind.children:
            if hasattr(child, "id"):
                yield from _types_in(child)


def _refuse(kind: Any, path: Path) -> None:
    if kind.id in _NESTED:
        for name, child in kind.children:
            if hasattr(child, "id"):
                _refuse(child, (*path, name if kind.id in ("struct", "union") else "[]"))
        if kind.id != "union" or not any(_is_extension(inner) for inner in _types_in(kind)):
            return
    elif kind.id in _KEPT or kind.id in _CAST:
        return
    raise UnsupportedDataError(
        f"The relation has a {kind}, which DuckDB can't hand over as it is",
        column=column_name(path),
        hint=_ADVICE.get(kind.id, "Select CAST(… AS VARCHAR)."),
    )
