"""Writes batches as CSV: those of one schema go to one file, one after the other."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from mad_prefect_core.sdk import Batch, FormatLike, PartsWriter, Schema, WriteContext, another_name, schema_of
from mad_prefect_csv.options import WriteCSVOptions

__all__ = ["CsvWriter"]

_BUFFER = 1 << 20  # bytes


class CsvWriter(PartsWriter):
    """As `PartsWriter`, except that batches which have equal schemas are put into one part."""

    def __init__(self, format: FormatLike[Any, Any], path: Path, context: WriteContext[WriteCSVOptions]) -> None:
        super().__init__(format, path, context)
        self._without_header = replace(context, options=context.options.model_copy(update={"header": False}))
        self._last: tuple[Path, pa.Schema] | None = None

    def extend_part(self, batch: Batch) -> bool:
        if self._last is None or not batch.schema.equals(self._last[1]):
            return False
        self._append(batch, self._last[0])
        return True

    def write_part(self, batch: Batch, path: Path) -> Schema:
        schema = super().write_part(batch, path)
        self._last = (path, batch.schema) if self._can_grow(batch.schema) else None
        return schema

    def _can_grow(self, schema: pa.Schema) -> bool:
        # Some readers take the first frame of zstd for all of it; those of gzip know that there may be several members.
        # A column without a type, as the user may name one, can be of another in the next batch.
        return not self.context.suffix.endswith(".zst") and not any(pa.types.is_null(field.type) for field in schema)

    def _append(self, batch: Batch, part: Path) -> None:
        more = another_name(part)
        view = self.context.session.view(batch.arrow())
        try:
            schema = schema_of(self.context.session.sql(f"FROM {view}"))
            self.format.write(view, schema, more, self._without_header)
            with more.open("rb") as exported, part.open("ab") as file:
                shutil.copyfileobj(exported, file, _BUFFER)
        finally:
            self.context.session.forget(view)
            more.unlink(missing_ok=True)
