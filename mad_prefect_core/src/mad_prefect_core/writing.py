"""Writing batches by a format, also by one that writes relations alone: each batch is a part, and the parts are made
one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa

from mad_prefect_core.batch.growth import SchemaGrowth, settled
from mad_prefect_core.batch.lossless import refuse_inexact
from mad_prefect_core.contracts import (
    Batch,
    BatchFormat,
    FormatLike,
    FormatWriter,
    ReadContext,
    Schema,
    Session,
    WriteContext,
)
from mad_prefect_core.paths import another_name, escape_glob
from mad_prefect_core.reading import read_files
from mad_prefect_core.session import cast_to, schema_of, union_all

__all__ = ["PartsWriter", "duckdb_schema", "writer_of"]


def writer_of(format: FormatLike[Any, Any], path: Path, context: WriteContext[Any]) -> FormatWriter:
    """A writer of batches to a new file."""
    return format.writer(path, context) if isinstance(format, BatchFormat) else PartsWriter(format, path, context)


class PartsWriter(FormatWriter):
    """Writes batches by `Format.write`.

    One batch, the usual case, is written once. Several are read back and written together at the end, with a schema
    that has the columns of all of them: memory is bounded by a batch, also where the schema grows.

    Args:
        format: Whose `read` and `write` to use.
        path: The file to be made. Parts are beside it, and gone at the end.
        context: Whose session nobody else uses until `close` or `abort`.
    """

    def __init__(self, format: FormatLike[Any, Any], path: Path, context: WriteContext[Any]) -> None:
        self.format = format
        self.path = path
        self.context = context
        self._growth = SchemaGrowth()
        self._parts: list[tuple[Path, Schema]] = []

    def write(self, batch: Batch) -> None:
        self._growth.add_batch(batch)
        if self.extend_part(batch):
            return
        part = another_name(self.path)
        self._parts.append((part, {}))
        self._parts[-1] = part, self.write_part(batch, part)

    def extend_part(self, batch: Batch) -> bool:
        """Add one batch to the part that was written last, if that is quicker than a part of its own; whether it was.

        None can be extended here. A format that has a way overrides this.
        """
        return False

    def write_part(self, batch: Batch, path: Path) -> Schema:
        """Write one batch to a file of its own, and say what is in it.

        A format that has a faster way for some batches overrides this, and leaves the others to it.
        """
        view = self.context.session.view(batch.arrow())
        try:
            schema = schema_of(self.context.session.sql(f"FROM {view}"))
            self.format.write(view, schema, path, self.context)
        finally:
            self.context.session.forget(view)
        return schema

    def close(self) -> None:
        if len(self._parts) == 1:
            os.replace(self._parts.pop()[0], self.path)
            return
        wanted = duckdb_schema(self.context.session, self._growth.result())
        back = self.format.read_back(self.context.options)
        relations = []
        for part, schema in self._parts:
            file = escape_glob(str(part))
            read = ReadContext(session=self.context.session, options=back, suffix=self.context.suffix, schema=schema)
            relation = read_files(self.format, [file], read)
            refuse_inexact(self.context.session, relation, wanted)
            relations.append(cast_to(self.context.session, relation, wanted, encode=True))
        whole = self.context.session.view(union_all(self.context.session, relations))
        self.format.write(whole, wanted, self.path, self.context)
        self.abort()

    def abort(self) -> None:
        for part, _ in self._parts:
            part.unlink(missing_ok=True)
        self._parts = []


def duckdb_schema(session: Session, schema: pa.Schema) -> dict[str, str]:
    """An Arrow schema as DuckDB has it: by asking DuckDB, once for each schema."""
    known = _known_schemas.get(schema)
    if known is None:
        view = session.view(pa.RecordBatchReader.from_batches(settled(schema), []))
        try:
            known = schema_of(session.sql(f"FROM {view}"))
        finally:
            session.forget(view)
        if len(_known_schemas) >= _KNOWN_AT_MOST:
            _known_schemas.clear()
        _known_schemas[schema] = known
    return dict(known)


_KNOWN_AT_MOST = 256
_known_schemas: dict[pa.Schema, dict[str, str]] = {}
