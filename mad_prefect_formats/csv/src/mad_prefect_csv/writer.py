"""Writes batches as CSV: those of one schema go to one file, one after the other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa

from mad_prefect_core.contracts import Batch, Format, Schema, Session
from mad_prefect_core.paths import another_name
from mad_prefect_core.session import schema_of
from mad_prefect_core.writing import ExportWriter
from mad_prefect_csv.options import WriteCSVOptions

__all__ = ["CsvWriter"]

_BUFFER = 1 << 20  # bytes


class CsvWriter(ExportWriter):
    """As `ExportWriter`, except that batches which have equal schemas are put into one part."""

    def __init__(self, format: Format, session: Session, path: Path, options: WriteCSVOptions, *, suffix: str) -> None:
        super().__init__(format, session, path, options, suffix=suffix)
        self._own_format = format
        self._own_session = session
        self._without_header = options.model_copy(update={"header": False})
        self._own_suffix = suffix
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
        return not self._own_suffix.endswith(".zst") and not any(pa.types.is_null(field.type) for field in schema)

    def _append(self, batch: Batch, part: Path) -> None:
        more = another_name(part)
        view = self._own_session.view(batch.arrow())
        try:
            schema = schema_of(self._own_session.sql(f"FROM {view}"))
            self._own_format.export(
                self._own_session, view, schema, more, self._without_header, suffix=self._own_suffix
            )
            with more.open("rb") as exported, part.open("ab") as file:
                shutil.copyfileobj(exported, file, _BUFFER)
        finally:
            self._own_session.forget(view)
            more.unlink(missing_ok=True)
