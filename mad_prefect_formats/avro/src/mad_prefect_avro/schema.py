"""An Avro schema as a tree: what each place of a row is in Avro, in Arrow, and as plain bytes and numbers.

What becomes of Avro's types:

- `date`, `time-*`, `timestamp-*` (instants) and `local-timestamp-*` are those of their unit; `uuid` and `duration` too.
- `decimal` of up to 38 digits is one; of more, which DuckDB's have no room for, exact text.
- An `enum` is text, `fixed` is bytes, a `map` is a map, a record is a struct.
- A union with null is whatever else is in it; one of several types is a union whose members have Avro's names.
- An `error` is a record. A schema that is neither is one column, `value`.
- A type that contains itself can't be a column.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import duckdb
import pyarrow as pa
from fastavro import parse_schema

from mad_prefect_core.sdk import CorruptFileError, MadPrefectError, SchemaError, UnsupportedDataError

__all__ = ["COLUMN_NAME", "MAX_DIGITS", "Member", "Node", "as_record", "parse", "plain", "refuse_other_units"]

MAX_DIGITS = 38  # of DuckDB's decimals
COLUMN_NAME = "columnName"
"""Property of a field: the column's own name, where that is none that Avro allows."""

_VALUE = "value"
_RECORDS = ("record", "error")
_MOST_DEPTH = 250  # of a type within others; a nullable list or struct is two
_MOST_NODES = 50_000  # places in all columns
_MOST_EMPTY_TO_A_BYTE = 16  # values without bytes in an item of a list
_MOST_PRECISION = 10_000  # digits of a decimal

_ARROW = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
    "enum": pa.string(),
}

_LOGICAL = {
    ("int", "date"): pa.date32(),
    ("int", "time-millis"): pa.time32("ms"),
    ("long", "time-micros"): pa.time64("us"),
    ("long", "time-nanos"): pa.time64("ns"),
    ("long", "timestamp-millis"): pa.timestamp("ms", tz="UTC"),
    ("long", "timestamp-micros"): pa.timestamp("us", tz="UTC"),
    ("long", "timestamp-nanos"): pa.timestamp("ns", tz="UTC"),
    ("long", "local-timestamp-millis"): pa.timestamp("ms"),
    ("long", "local-timestamp-micros"): pa.timestamp("us"),
    ("long", "local-timestamp-nanos"): pa.timestamp("ns"),
    ("string", "uuid"): pa.uuid(),
}


@dataclass(frozen=True)
class Member:
    """A field of a record, the items of an array, the values of a map, or a branch of a union."""

    name: str
    """In Avro."""
    column: str
    """In DuckDB."""
    node: Node
    aliases: tuple[str, ...] = ()
    """Other names of a field."""


@dataclass(frozen=True)
class Node:
    """One place of a schema. Equal nodes hold equal rows."""

    kind: str
    """Avro's name of the type; "union" only for those of several types beside null."""
    logical: str = ""
    """The logical type, where it is one that the type can have."""
    union: Literal["", "first", "last", "none"] = ""
    """Where null stands, if this is written as a union."""
    members: tuple[Member, ...] = ()
    label: str = ""
    """A name for it that no other type of the schema has."""
    fullname: str = ""
    size: int = 0
    precision: int = 0
    scale: int = 0
    symbols: tuple[str, ...] = ()

    @property
    def nullable(self) -> bool:
        """Whether null is among its values."""
        return self.kind == "null" or self.union in ("first", "last")

    @cached_property
    def least(self) -> int:
        """The bytes that a value has at least."""
        if self.nullable:
            return 1 if self.union else 0
        inner = [member.node.least for member in self.members]
        if self.kind == "union":
            return 1 + min(inner)
        own = {"record": sum(inner), "fixed": self.size, "float": 4, "double": 8}.get(self.kind, 1)
        return own + (1 if self.union else 0)

    @cached_property
    def empty(self) -> int:
        """The places in a value that have no bytes, such as nulls without a union."""
        return sum(member.node.empty for member in self.members) + (0 if self.least else 1)

    @cached_property
    def stored(self) -> pa.DataType:
        """The Arrow type of its plain values."""
        return pa.binary(self.size) if self.kind == "fixed" else _ARROW[self.kind]

    @cached_property
    def arrow(self) -> pa.DataType:
        """The Arrow type of its values."""
        if self.kind == "record":
            return pa.struct([pa.field(member.column, member.node.arrow) for member in self.members])
        if self.logical == "map":
            return pa.map_(*(member.node.arrow for member in self.members[0].node.members))
        if self.kind == "array":
            return pa.list_(self.members[0].node.arrow)
        if self.kind == "map":
            return pa.map_(pa.string(), self.members[0].node.arrow)
        if self.kind == "union":
            return pa.sparse_union([pa.field(member.column, member.node.arrow) for member in self.members])
        if self.logical == "decimal":
            return pa.string() if self.precision > MAX_DIGITS else pa.decimal128(self.precision, self.scale)
        if self.logical == "uuid":
            return pa.uuid()
        if self.logical == "duration":
            return pa.month_day_nano_interval()
        if self.logical == "timestamp-nanos" and duckdb.__version__ < "2":
            return pa.timestamp("us", tz="UTC")  # DuckDB 1 has no instants in nanoseconds
        if self.logical:
            return _LOGICAL[self.kind, self.logical]
        return pa.binary() if self.kind == "fixed" else self.stored

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of a record."""
        return pa.schema(list(self.arrow))

    def select(self, columns: Any) -> Node:
        """A record with these columns alone, in the record's order."""
        return replace(self, members=tuple(member for member in self.members if member.column in columns))

    def walk(self) -> Iterator[Node]:
        """Itself, and all that is in it."""
        yield self
        for member in self.members:
            yield from member.node.walk()

    def physical(self, *, enums: bool = True) -> Any:
        """The Avro schema without logical types and foreign names; without `enums`, the numbers that stand for them."""
        inner = [member.node.physical(enums=enums) for member in self.members]
        found: Any = self.kind
        if self.kind == "record":
            fields = [{"name": member.name, "type": kind} for member, kind in zip(self.members, inner, strict=True)]
            found = {"type": "record", "name": self.label, "fields": fields}
        elif self.kind == "array":
            found = {"type": "array", "items": inner[0]}
        elif self.kind == "map":
            found = {"type": "map", "values": inner[0]}
        elif self.kind == "fixed":
            found = {"type": "fixed", "name": self.label, "size": self.size}
        elif self.kind == "enum":
            found = {"type": "enum", "name": self.label, "symbols": list(self.symbols)} if enums else "int"
        elif self.kind == "union":
            found = inner
        if not self.union:
            return found
        branches = {"union": found, "null": []}.get(self.kind, [found])
        return {"first": ["null", *branches], "last": [*branches, "null"], "none": branches}[self.union]


def as_record(schema: Any) -> Any:
    """The schema of a record that holds the same rows: a record of one field is stored as the field alone."""
    if isinstance(schema, dict) and schema.get("type") in _RECORDS:
        return schema
    return {"type": "record", "name": "mad_prefect.Value", "fields": [{"name": _VALUE, "type": schema}]}


def parse(schema: Any, path: str | None = None) -> Node:
    """The tree of a schema; its root is a record.

    Raises `CorruptFileError` for a schema that is none, and `UnsupportedDataError` for one that can't be a table.
    """
    named: dict[str, Any] = {}
    try:
        root = _Parser(named, path).node(parse_schema(as_record(schema), named), "", ())
        _ = root.schema  # DuckDB could not be told what is wrong with it
    except MadPrefectError:
        raise
    except Exception as error:
        raise CorruptFileError(f"The Avro schema is not one: {error!r}", path=path) from error
    if not root.members:
        raise UnsupportedDataError("The Avro schema is a record without fields, which is no table", path=path)
    return root


class _Parser:
    def __init__(self, named: dict[str, Any], path: str | None) -> None:
        self._named = named
        self._path = path
        self._labels = (f"t{number}" for number in itertools.count())
        self._nodes = self._depth = 0

    def node(self, schema: Any, column: str, within: tuple[str, ...]) -> Node:
        # Named types stand in the text once, and are in the tree wherever they are used: a little text can name many.
        self._nodes += 1
        self._depth += 1
        if self._nodes > _MOST_NODES or self._depth > _MOST_DEPTH:
            most = f"{_MOST_DEPTH} deep" if self._depth > _MOST_DEPTH else f"to more than {_MOST_NODES} places"
            raise CorruptFileError(f"The Avro schema is nested {most}", path=self._path, column=column[:80])
        try:
            return self._node(schema, column, within)
        finally:
            self._depth -= 1

    def _node(self, schema: Any, column: str, within: tuple[str, ...]) -> Node:
        if isinstance(schema, list):
            return self._union(schema, column, within)
        if isinstance(schema, str):
            if schema in _ARROW:
                return Node(schema)
            schema = self._named[schema]
        kind = schema["type"]
        if isinstance(kind, dict | list) or (kind in self._named and "name" not in schema):
            return self.node(kind, column, within)
        if kind in _RECORDS:
            return self._record(schema, column, within)
        if kind == "array":
            item = self._item(schema["items"], column, within)
            node = Node("array", members=(Member("item", "item", item),))
            return replace(node, logical="map") if _is_map(schema, node) else node
        if kind == "map":
            return Node("map", members=(Member("value", "value", self._item(schema["values"], column, within, key=1)),))
        node = Node(kind)
        if kind in ("fixed", "enum"):
            if not isinstance(schema.get("size", 0), int) or schema.get("size", 0) < 0:
                raise ValueError(f"The size of {schema['name']} is {schema['size']!r}")
            node = replace(
                node,
                label=next(self._labels),
                fullname=schema["name"],
                size=schema.get("size", 0),
                symbols=tuple(schema.get("symbols", ())),
            )
        return _with_logical(node, schema)

    def _item(self, schema: Any, column: str, within: tuple[str, ...], key: int = 0) -> Node:
        """The items of an array, or the values of a map beside keys of at least so many bytes."""
        node = self.node(schema, column, within)
        if node.empty > (node.least + key) * _MOST_EMPTY_TO_A_BYTE:
            raise UnsupportedDataError(
                "The Avro schema has a list of values without bytes, of which a few bytes claim any number",
                path=self._path,
                column=column,
            )
        return node

    def _union(self, branches: list[Any], column: str, within: tuple[str, ...]) -> Node:
        # Null in the middle, which nobody writes, stays a branch like the others: their order is how rows are stored.
        union: Literal["first", "last", "none"] = "none"
        if "null" in (branches[0], branches[-1]):
            union = "first" if branches[0] == "null" else "last"
            branches = branches[1:] if union == "first" else branches[:-1]
        nodes = [self.node(branch, column, within) for branch in branches]
        if len(nodes) < 2:
            return replace(nodes[0] if nodes else Node("null"), union=union)
        names = _distinct([_branch_name(node) for node in nodes])
        members = tuple(Member(name, name, node) for name, node in zip(names, nodes, strict=True))
        return Node("union", members=members, union=union)

    def _record(self, schema: Any, column: str, within: tuple[str, ...]) -> Node:
        name = schema["name"]
        if name in within:
            raise UnsupportedDataError(
                f"The Avro type {name!r} contains itself, and a column's type can't",
                path=self._path,
                column=column,
                hint="Give a `schema` in the read options that leaves the field out.",
            )
        label, members = next(self._labels), []
        seen: dict[str, str] = {}
        for field in schema["fields"]:
            own = _column_of(field)
            place = f"{column}.{own}" if column else own
            if (other := seen.setdefault(own.lower(), own)) is not own:
                raise SchemaError(
                    f"The fields {other!r} and {own!r} differ in case alone, which DuckDB takes for one",
                    path=self._path,
                    column=place,
                    hint="Give an `avro_schema` in the read options that has other names, and these as their aliases.",
                )
            node = self.node(field["type"], place, (*within, name))
            members.append(Member(field["name"], own, node, tuple(field.get("aliases", ()))))
        return Node("record", label=label, fullname=name, members=tuple(members))


def _column_of(field: Any) -> str:
    own = field.get(COLUMN_NAME)
    return own if own and isinstance(own, str) else str(field["name"])


def _with_logical(node: Node, schema: Any) -> Node:
    logical = schema.get("logicalType")
    if logical == "decimal" and node.kind in ("bytes", "fixed"):
        precision, scale = schema.get("precision"), schema.get("scale", 0)
        valid = isinstance(precision, int) and isinstance(scale, int) and 0 <= scale <= precision <= _MOST_PRECISION
        return replace(node, logical=logical, precision=precision, scale=scale) if valid and precision else node
    known = (node.kind, logical) in _LOGICAL or (node.kind, node.size, logical) in (
        ("fixed", 16, "uuid"),
        ("fixed", 12, "duration"),
    )
    return replace(node, logical=logical) if known else node


def _is_map(schema: Any, node: Node) -> bool:
    """Whether an array is how maps are stored whose keys are not text, as several other writers do."""
    items = node.members[0].node
    return schema.get("logicalType") == "map" and [member.name for member in items.members] == ["key", "value"]


def _branch_name(node: Node) -> str:
    return node.fullname.rpartition(".")[2] or (node.logical or node.kind)


def _distinct(names: list[str]) -> list[str]:
    """The names, made such that no two differ in case alone."""
    seen: set[str] = set()
    numbers: dict[str, itertools.count[int]] = {}
    found = []
    for name in names:
        own = name
        while own.lower() in seen:
            own = f"{name}_{next(numbers.setdefault(name.lower(), itertools.count()))}"
        seen.add(own.lower())
        found.append(own)
    return found


def plain(schema: Any) -> Any:
    """The schema without logical types: names, aliases and defaults stay."""
    if isinstance(schema, list):
        return [plain(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = {"logicalType", "precision", "scale"}
    inner = {"type", "items", "values"}
    found = {name: plain(value) if name in inner else value for name, value in schema.items() if name not in dropped}
    if "fields" in found:
        found["fields"] = [{**field, "type": plain(field["type"])} for field in found["fields"]]
    return found


def refuse_other_units(written: Node, read: Node, column: str = "") -> None:
    """Raises `SchemaError` where numbers of one unit or scale would be read as if they were of another: Avro's
    resolution looks at the numbers alone."""
    units = [(node.logical, node.scale) for node in (written, read)]
    if all(unit for unit, _ in units) and (units[0] != units[1] or written.precision > read.precision):
        raise SchemaError(
            f"The file has a {_shown(written)} where the schema to read by has a {_shown(read)}",
            column=column,
            hint="Read it by the file's own type, and cast it in a query.",
        )
    if read.kind != written.kind or read.kind == "union":
        return
    others = {member.name: member for member in written.members}
    for member in read.members:
        found = next((others[name] for name in (member.name, *member.aliases) if name in others), None)
        if found is not None:
            refuse_other_units(found.node, member.node, f"{column}.{member.column}" if column else member.column)


def _shown(node: Node) -> str:
    return f"decimal({node.precision}, {node.scale})" if node.logical == "decimal" else node.logical
