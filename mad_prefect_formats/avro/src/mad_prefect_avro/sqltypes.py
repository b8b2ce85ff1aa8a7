"""What each DuckDB type is in an Avro file.

Most are the type of that name, or the next wider integer. The exceptions:

- UBIGINT is a decimal of 20 digits, HUGEINT and UHUGEINT are decimals of 39.
- BIT, BIGNUM, JSON and TIME WITH TIME ZONE are text. ENUM is an enum where its values are names as Avro has them, else
  text.
- TIMESTAMP_S is in milliseconds.
- ARRAY is an array without its size. A MAP whose keys are not text is an array of records of key and value.
- TIME_NS is a number with the logical type `time-nanos`, which is none of the standard's: others see the number.

Columns and members whose name is none that Avro allows get one, and keep their own as the property `columnName`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mad_prefect_avro.options import WriteAvroOptions
from mad_prefect_avro.schema import COLUMN_NAME, MAX_DIGITS, Node
from mad_prefect_core.sdk import Schema, Session, UnsupportedValueError, quote

__all__ = ["avro_schema", "duckdb_type", "wire_type"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")

_SIMPLE: Mapping[str, Any] = {
    "boolean": "boolean",
    "tinyint": "int",
    "smallint": "int",
    "utinyint": "int",
    "usmallint": "int",
    "integer": "int",
    "uinteger": "long",
    "bigint": "long",
    "float": "float",
    "double": "double",
    "varchar": "string",
    "blob": "bytes",
    "bit": "string",
    "bignum": "string",
    "null": "string",
    "time with time zone": "string",
    "uuid": {"type": "string", "logicalType": "uuid"},
    "date": {"type": "int", "logicalType": "date"},
    "time": {"type": "long", "logicalType": "time-micros"},
    "time_ns": {"type": "long", "logicalType": "time-nanos"},
    "timestamp_s": {"type": "long", "logicalType": "local-timestamp-millis"},
    "timestamp_ms": {"type": "long", "logicalType": "local-timestamp-millis"},
    "timestamp": {"type": "long", "logicalType": "local-timestamp-micros"},
    "timestamp_ns": {"type": "long", "logicalType": "local-timestamp-nanos"},
    "timestamp with time zone": {"type": "long", "logicalType": "timestamp-micros"},
    "timestamptz_ns": {"type": "long", "logicalType": "timestamp-nanos"},
    "hugeint": {"type": "bytes", "logicalType": "decimal", "precision": 39, "scale": 0},
    "uhugeint": {"type": "bytes", "logicalType": "decimal", "precision": 39, "scale": 0},
}

# What a value is cast to on its way through Arrow, where that is not its type.
_ON_THE_WAY = {
    "tinyint": "INTEGER",
    "smallint": "INTEGER",
    "utinyint": "INTEGER",
    "usmallint": "INTEGER",
    "uinteger": "BIGINT",
    "ubigint": "DECIMAL(20,0)",
    "timestamp_s": "TIMESTAMP_MS",
    **dict.fromkeys(("hugeint", "uhugeint", "bit", "bignum", "null", "enum", "uuid", "time with time zone"), "VARCHAR"),
}

_OF_NODES = {
    "null": '"NULL"',
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "bytes": "BLOB",
    "fixed": "BLOB",
    "string": "VARCHAR",
    "date": "DATE",
    "time-millis": "TIME",
    "time-micros": "TIME",
    "time-nanos": "TIME_NS",
    "timestamp-millis": "TIMESTAMP WITH TIME ZONE",
    "timestamp-micros": "TIMESTAMP WITH TIME ZONE",
    "timestamp-nanos": "TIMESTAMPTZ_NS",
    "local-timestamp-millis": "TIMESTAMP_MS",
    "local-timestamp-micros": "TIMESTAMP",
    "local-timestamp-nanos": "TIMESTAMP_NS",
    "uuid": "UUID",
    "duration": "INTERVAL",
}


def avro_schema(session: Session, schema: Schema, options: WriteAvroOptions) -> Any:
    """The schema of a record that holds rows of DuckDB's `schema`. Raises `UnsupportedValueError` naming a column."""
    root = f"{options.namespace}.{options.record_name}" if options.namespace else options.record_name
    found = _Schema(root).record(root, {column: session.connection.type(kind) for column, kind in schema.items()}, "")
    for field, (column, kind) in zip(found["fields"], schema.items(), strict=True):
        field["doc"] = options.docs.get(column) or f"{kind} in DuckDB"
    return found


class _Schema:
    def __init__(self, root: str) -> None:
        self._root = root
        self._names = {root}

    def record(self, fullname: str, members: Mapping[str, Any], place: str) -> Any:
        fields: list[Any] = []
        taken: set[str] = set()
        for column, kind in members.items():
            name = _name(column, taken)
            try:
                inner = self.type(kind, f"{place}.{column}" if place else column)
            except UnsupportedValueError as error:
                error.column = column
                raise
            field = {"name": name, "type": ["null", inner], "default": None}
            fields.append(field if name == column else {**field, COLUMN_NAME: column})
        return {"type": "record", "name": fullname, "fields": fields}

    def type(self, kind: Any, place: str) -> Any:
        if kind.id in _SIMPLE:
            return _SIMPLE[kind.id]
        if kind.id == "ubigint":
            return self._decimal(20, 0, place)
        if kind.id == "decimal":
            (_, precision), (_, scale) = kind.children
            return self._decimal(precision, scale, place)
        if kind.id == "interval":
            return {"type": "fixed", "name": self._named(place), "size": 12, "logicalType": "duration"}
        if kind.id == "enum":
            symbols = list(kind.children[0][1])
            if symbols and all(_NAME.fullmatch(symbol) for symbol in symbols):
                return {"type": "enum", "name": self._named(place), "symbols": symbols}
            return "string"
        if kind.id in ("list", "array"):
            return {"type": "array", "items": ["null", self.type(kind.children[0][1], f"{place}.item")]}
        if kind.id == "map":
            return self._map(kind, place)
        if kind.id == "struct" and kind.children:
            return self.record(self._named(place), dict(kind.children), place)
        reason = {
            "struct": "Avro's readers have no structs without members",
            "union": "Avro knows a value's member by its type, not by its name",
            "variant": "each value has a type of its own",
        }.get(kind.id, "there is no such type in Avro")
        raise UnsupportedValueError(
            f"Avro can't hold {kind}: {reason}",
            hint="Cast the column to VARCHAR or JSON, or choose another format.",
        )

    def _map(self, kind: Any, place: str) -> Any:
        (_, key), (_, value) = kind.children
        items = ["null", self.type(value, f"{place}.value")]
        if key.id == "varchar" and str(key) == "VARCHAR":
            return {"type": "map", "values": items}
        fields = [{"name": "key", "type": self.type(key, f"{place}.key")}, {"name": "value", "type": items}]
        entry = {"type": "record", "name": self._named(f"{place}.entry"), "fields": fields}
        return {"type": "array", "items": entry, "logicalType": "map"}

    def _decimal(self, precision: int, scale: int, place: str) -> Any:
        size = ((10**precision).bit_length() + 8) // 8
        named = {"type": "fixed", "name": self._named(place), "size": size}
        return {**named, "logicalType": "decimal", "precision": precision, "scale": scale}

    def _named(self, place: str) -> str:
        """The full name of a type: where it is, below the root."""
        taken = {name.rpartition(".")[2] for name in self._names}
        parts = place.split(".")
        name = f"{self._root}_{_name('_'.join(parts), taken)}"
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name


def _name(column: str, taken: set[str]) -> str:
    """A name as Avro has them, which is not among those taken; adds it to them."""
    name = _NOT_IN_NAMES.sub(lambda found: f"_x{ord(found[0]):X}", column)
    if not _NAME.fullmatch(name):
        name = f"_{name}"
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def wire_type(kind: Any) -> str:
    """The DuckDB type that values of a type are cast to before they go to the writer through Arrow."""
    if kind.id in ("list", "array"):
        return f"{wire_type(kind.children[0][1])}[]"
    if kind.id == "map":
        return f"MAP({', '.join(wire_type(member) for _, member in kind.children)})"
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{quote(name)} {wire_type(member)}' for name, member in kind.children)})"
    return "VARCHAR" if str(kind) == "JSON" else _ON_THE_WAY.get(kind.id, str(kind))


def duckdb_type(node: Node) -> str:
    """The DuckDB type of a node's values."""
    if node.kind == "record":
        return f"STRUCT({', '.join(f'{quote(member.column)} {duckdb_type(member.node)}' for member in node.members)})"
    if node.logical == "map":
        return f"MAP({', '.join(duckdb_type(member.node) for member in node.members[0].node.members)})"
    if node.kind == "array":
        return f"{duckdb_type(node.members[0].node)}[]"
    if node.kind == "map":
        return f"MAP(VARCHAR, {duckdb_type(node.members[0].node)})"
    if node.kind == "union":
        return f"UNION({', '.join(f'{quote(member.column)} {duckdb_type(member.node)}' for member in node.members)})"
    if node.kind == "enum":
        return f"ENUM({', '.join(_text(symbol) for symbol in node.symbols)})"
    if node.logical == "decimal":
        return "VARCHAR" if node.precision > MAX_DIGITS else f"DECIMAL({node.precision},{node.scale})"
    return _OF_NODES[node.logical or node.kind]


def _text(value: str) -> str:
    """Text as an SQL literal, where SQL takes no parameter."""
    return "'" + value.replace("'", "''") + "'"
