"""Writes batches as Avro, those of one schema to one file, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from mad_prefect_avro.export import Exporter
from mad_prefect_avro.options import WriteAvroOptions
from mad_prefect_core.sdk import Batch, FormatLike, PartsWriter, Schema, WriteContext, schema_of

__all__ = ["AvroWriter"]


class AvroWriter(PartsWriter):
    """As `PartsWriter`, except that batches which have equal schemas are put into one part."""

    def __init__(self, format: FormatLike[Any, Any], path: Path, context: WriteContext[WriteAvroOptions]) -> None:
        super().__init__(format, path, context)
        self._open: tuple[Exporter, pa.Schema] | None = None

    def extend_part(self, batch: Batch) -> bool:
        if self._open is not None and _grows(batch.schema) and batch.schema.equals(self._open[1]):
            self._add(batch, self._open[0])
            return True
        self._finish_part()
        return False

    def write_part(self, batch: Batch, path: Path) -> Schema:
        view = self.context.session.view(batch.arrow())
        try:
            schema = schema_of(self.context.session.sql(f"FROM {view}"))
            exporter = Exporter(self.context.session, schema, path, self.context.options)
            self._open = exporter, batch.schema
            exporter.write(view)
        finally:
            self.context.session.forget(view)
        return schema

    def _add(self, batch: Batch, exporter: Exporter) -> None:
        view = self.context.session.view(batch.arrow())
        try:
            exporter.write(view)
        finally:
            self.context.session.forget(view)

    def close(self) -> None:
        self._finish_part()
        super().close()

    def abort(self) -> None:
        if self._open is not None:
            self._open[0].close()
            self._open = None
        super().abort()

    def _finish_part(self) -> None:
        if self._open is not None:
            self._open[0].finish()
            self._open[0].close()
            self._open = None


def _grows(schema: pa.Schema) -> bool:
    """Whether batches of a schema are of one type in DuckDB: dictionaries are enums of the values they have."""
    return not any(_has_dictionary(field.type) for field in schema)


def _has_dictionary(kind: pa.DataType) -> bool:
    return pa.types.is_dictionary(kind) or any(
        _has_dictionary(kind.field(index).type) for index in range(kind.num_fields)
    )
