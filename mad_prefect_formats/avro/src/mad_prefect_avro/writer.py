"""Writes batches of Python rows straight to Avro, and all others by way of DuckDB."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from mad_prefect_avro.container import ContainerWriter
from mad_prefect_avro.export import Exporter
from mad_prefect_avro.options import WriteAvroOptions
from mad_prefect_avro.schema import Node, parse
from mad_prefect_avro.sqltypes import avro_schema
from mad_prefect_core.contracts import Batch, Format, Schema, Session
from mad_prefect_core.errors import UnsupportedValueError
from mad_prefect_core.session import schema_of
from mad_prefect_core.writing import ExportWriter, duckdb_schema

__all__ = ["AvroWriter"]


class AvroWriter(ExportWriter):
    """As `ExportWriter`, except: rows whose types Avro has go to the file as they are, and batches that have equal
    schemas go to one part."""

    def __init__(self, format: Format, session: Session, path: Path, options: WriteAvroOptions, *, suffix: str) -> None:
        super().__init__(format, session, path, options, suffix=suffix)
        self._own_session = session
        self._own_options = options
        self._open: _RowsPart | _ColumnsPart | None = None

    def write(self, batch: Batch) -> None:
        if self._open is not None and self._open.takes(batch):
            self._open.write(batch)
        else:
            self._finish_part()
            super().write(batch)

    def write_part(self, batch: Batch, path: Path) -> Schema:
        if self._own_options.avro_schema is None and _is_direct(batch):
            schema = duckdb_schema(self._own_session, batch.schema)
            avro = avro_schema(self._own_session, schema, self._own_options)
            node = parse(avro)
            if all(member.name == member.column for part in node.walk() for member in part.members):
                self._open = _RowsPart(path, batch.schema, avro, _packing(node), self._own_options)
                self._open.write(batch)
                return schema
        view = self._own_session.view(batch.arrow())
        try:
            schema = schema_of(self._own_session.sql(f"FROM {view}"))
            exporter = Exporter(self._own_session, schema, path, self._own_options)
            self._open = _ColumnsPart(self._own_session, batch.schema, exporter)
            exporter.write(view)
        finally:
            self._own_session.forget(view)
        return schema

    def close(self) -> None:
        self._finish_part()
        super().close()

    def abort(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
        super().abort()

    def _finish_part(self) -> None:
        if self._open is not None:
            self._open.finish()
            self._open.close()
            self._open = None


_Packing = Callable[[Any], Any]
"""From a value to the same with bytes for decimals."""


class _RowsPart:
    """A file of batches of rows that have one schema."""

    def __init__(
        self, path: Path, schema: pa.Schema, avro: Any, packing: _Packing | None, options: WriteAvroOptions
    ) -> None:
        self._schema = schema
        self._packing = packing
        self._file = path.open("wb")
        self._container = ContainerWriter(
            self._file, avro, options.compression, options.compression_level, options.block_size
        )

    def takes(self, batch: Batch) -> bool:
        return batch.schema.equals(self._schema) and _is_direct(batch)

    def write(self, batch: Batch) -> None:
        rows = batch.rows()
        try:
            self._container.write(rows if self._packing is None else map(self._packing, rows))
        except (ValueError, TypeError, ArithmeticError) as error:
            raise UnsupportedValueError(
                f"Avro can't hold a value: {error}", hint="Cast it to text, or choose another format."
            ) from error

    def finish(self) -> None:
        self._container.finish()

    def close(self) -> None:
        self._file.close()


class _ColumnsPart:
    """A file of batches that go through DuckDB and have one schema."""

    def __init__(self, session: Session, schema: pa.Schema, exporter: Exporter) -> None:
        self._session = session
        self._schema = schema
        self._exporter = exporter
        self._grows = all(_tells_sql_type(field.type) for field in schema)
        self.finish = exporter.finish
        self.close = exporter.close

    def takes(self, batch: Batch) -> bool:
        return self._grows and batch.schema.equals(self._schema)

    def write(self, batch: Batch) -> None:
        view = self._session.view(batch.arrow())
        try:
            self._exporter.write(view)
        finally:
            self._session.forget(view)


def _tells_sql_type(kind: pa.DataType) -> bool:
    """Whether values of one Arrow type are of one type in DuckDB: dictionaries are enums of the values they have, and
    a column whose type the user has named may hold a mix."""
    if pa.types.is_dictionary(kind) or pa.types.is_null(kind):
        return False
    return all(_tells_sql_type(kind.field(index).type) for index in range(kind.num_fields))


_DIRECT = (
    pa.types.is_boolean,
    pa.types.is_int64,
    pa.types.is_float64,
    pa.types.is_string,
    pa.types.is_binary,
    pa.types.is_decimal128,
    pa.types.is_date32,
    pa.types.is_time64,
    pa.types.is_timestamp,
    lambda kind: isinstance(kind, pa.UuidType),
)


def _is_direct(batch: Batch) -> bool:
    """Whether a batch is rows of values that fastavro takes as they are."""
    if batch.is_columnar or not all(pa.types.is_null(field.type) or _direct(field.type) for field in batch.schema):
        return False
    # A column whose type the user has named may hold a mix, and says so by the type of no values.
    empty = [field.name for field in batch.schema if pa.types.is_null(field.type)]
    return all(row.get(name) is None for row in batch.rows() for name in empty)


def _direct(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return kind.num_fields > 0 and all(_direct(member.type) for member in kind)
    if pa.types.is_list(kind):
        return _direct(kind.value_type)
    return any(is_kind(kind) for is_kind in _DIRECT)


def _packing(node: Node) -> _Packing | None:
    """Makes bytes of the decimals in a value, which takes fastavro several times as long; None where there are none."""
    if node.logical == "decimal":
        exact = decimal.Context(prec=node.precision, traps=[decimal.Inexact, decimal.InvalidOperation])

        def decimal_bytes(value: decimal.Decimal | None) -> bytes | None:
            if value is None:
                return None
            number = int(value.scaleb(node.scale, exact).to_integral_exact(context=exact))
            return number.to_bytes(node.size, "big", signed=True)

        return decimal_bytes
    inner = {member.name: packing for member in node.members if (packing := _packing(member.node))}
    if not inner:
        return None
    if node.kind == "array":
        pack = inner["item"]
        return lambda values: values and [pack(value) for value in values]
    return lambda row: row and {**row, **{name: pack(row.get(name)) for name, pack in inner.items()}}
