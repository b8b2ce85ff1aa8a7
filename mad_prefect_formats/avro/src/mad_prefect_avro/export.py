"""Writes a DuckDB relation to an Avro file: by a schema made of its columns' types, or by one that the user gives."""

from __future__ import annotations

import io
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow as pa
from fastavro import parse_schema, schemaless_writer

from mad_prefect_avro.container import ContainerWriter
from mad_prefect_avro.encode import Piece, encode, join
from mad_prefect_avro.options import WriteAvroOptions
from mad_prefect_avro.schema import Member, Node, as_record, parse
from mad_prefect_avro.sqltypes import avro_schema, duckdb_type, wire_type
from mad_prefect_core.sdk import Schema, Session, UnsupportedValueError, quote

__all__ = ["Exporter", "export"]

_ROWS = 20_000  # encoded at once
_VIOLATION = re.compile(r"mad_prefect_avro: column (\d+) holds (.*)")


@dataclass(frozen=True)
class _Field:
    """Where a column goes."""

    column: str
    name: str
    node: Node
    sql: str
    """For its values, as they go through Arrow."""
    branch: int | None = None
    """Which of the types of a union they are of."""


def export(session: Session, relation: str, schema: Schema, path: Path, options: WriteAvroOptions) -> None:
    """As `Format.write`."""
    try:
        with Exporter(session, schema, path, options) as exporter:
            exporter.write(relation)
            exporter.finish()
    except BaseException:
        path.unlink(missing_ok=True)
        raise


class Exporter:
    """A file that relations of one schema are exported to, one after the other. Closes it at the end of `with`."""

    def __init__(self, session: Session, schema: Schema, path: Path, options: WriteAvroOptions) -> None:
        self._schema = schema
        self._session = session
        if options.avro_schema is None:
            avro = avro_schema(session, schema, options)
            self._fields = _by_types(session, schema, parse(avro))
            self._defaults = {}
        else:
            avro = options.avro_schema
            self._fields = _by_schema(session, schema, avro)
            self._defaults = _defaults(avro, {field.name for field in self._fields})
        self._names = [member.name for member in parse(avro).members]
        self._file = path.open("wb")
        self._container = ContainerWriter(
            self._file, avro, options.compression, options.compression_level, options.block_size
        )

    def write(self, relation: str) -> None:
        """Add all rows of a relation."""
        columns = ", ".join(f"{field.sql} AS {quote(field.column)}" for field in self._fields)
        query = f"SELECT {columns} FROM {relation} AS source"  # noqa: S608  identifiers are quoted
        try:
            for batch in self._session.sql(query).to_arrow_reader(_ROWS):
                self._container.write(self._encoded(batch))
        except (duckdb.Error, OSError) as error:
            if found := _VIOLATION.search(str(error)):
                raise _refused(list(self._schema)[int(found[1])], f"the value {found[2]!r}") from error
            raise

    def _encoded(self, batch: pa.RecordBatch) -> pa.LargeBinaryArray:
        """The rows, with the defaults of fields that have no column."""
        pieces: dict[str, list[Piece]] = dict(self._defaults)
        for field, array in zip(self._fields, batch.columns, strict=True):
            try:
                pieces[field.name] = encode(field.node, array, field.column, field.branch)
            except pa.ArrowInvalid as error:
                raise UnsupportedValueError(
                    f"A value does not fit its Avro type: {error}", column=field.column
                ) from error
        return join((piece for name in self._names for piece in pieces[name]), len(batch))

    def finish(self) -> None:
        """Write what is left."""
        self._container.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, whole or not."""
        self._file.close()


def _by_types(session: Session, schema: Schema, node: Node) -> list[_Field]:
    fields = []
    for member, (column, kind) in zip(node.members, schema.items(), strict=True):
        wire = wire_type(session.connection.type(kind))
        value = f"source.{quote(column)}"
        fields.append(_Field(column, member.name, member.node, value if wire == kind else f"CAST({value} AS {wire})"))
    return fields


def _by_schema(session: Session, schema: Schema, avro: Any) -> list[_Field]:
    """Raises `UnsupportedValueError` for a column without a field, and a field without a column or a default."""
    columns = {column.lower(): column for column in schema}
    fields, left = [], dict(schema)
    for member, field in zip(parse(avro).members, as_record(avro)["fields"], strict=True):
        names = (member.column, member.name, *member.aliases)
        column = next((columns[name.lower()] for name in names if name.lower() in columns), None)
        if column is not None:
            kind = left.pop(column)
            fields.append(_fitting(session, list(schema).index(column), column, kind, member))
        elif not member.node.nullable and "default" not in field:
            raise UnsupportedValueError(
                f"The Avro schema has a field {member.name!r}, which has no default, and there is no such column",
                column=member.name,
                hint="Add the column, or give the field a default.",
            )
    for column in left:
        raise UnsupportedValueError(
            "The Avro schema has no field for a column", column=column, hint="Add the field, or drop the column."
        )
    return fields


def _defaults(avro: Any, given: Collection[str]) -> dict[str, list[Piece]]:
    """What each row has of the fields that no column is for."""
    record: Any = parse_schema(as_record(avro))
    found: dict[str, list[Piece]] = {}
    for field in record["fields"]:
        if field["name"] not in given:
            encoded = io.BytesIO()
            schemaless_writer(encoded, {**record, "fields": [field]}, {})
            found[field["name"]] = [encoded.getvalue()]
    return found


def _fitting(session: Session, index: int, column: str, kind: str, member: Member) -> _Field:
    """A column as a field that the user has described: each value is kept exactly, or refused as it passes."""
    node, value, branch = member.node, f"source.{quote(column)}", None
    if node.kind == "union":
        kinds = [duckdb_type(branch.node) for branch in node.members]
        if kind not in kinds:
            raise _refused(column, f"{kind}: its field is a union of {', '.join(kinds)}")
        branch = kinds.index(kind)
        node = node.members[branch].node
    if any(part.kind == "union" for part in node.walk()):
        raise _refused(column, f"{kind}: its field has a union of several types within")
    wanted = duckdb_type(node)
    problems = [] if member.node.nullable else [f"{value} IS NULL"]
    cast = value
    if wanted != kind:
        cast = f"TRY_CAST({value} AS {wanted})"
        problems.append(f"({value} IS NOT NULL AND TRY_CAST({cast} AS {kind}) IS DISTINCT FROM {value})")
    wire = wire_type(session.connection.type(wanted))
    if wire != wanted:
        cast = f"CAST({cast} AS {wire})"
    if problems:
        message = f"'mad_prefect_avro: column {index} holds ' || coalesce(CAST({value} AS VARCHAR), 'NULL')"
        cast = f"CASE WHEN {' OR '.join(problems)} THEN error({message}) ELSE {cast} END"
    return _Field(column, member.name, member.node, cast, branch)


def _refused(column: str, what: str) -> UnsupportedValueError:
    return UnsupportedValueError(
        f"The Avro schema can't hold {what}", column=column, hint="Cast the column, or widen the field's type."
    )
