"""A writer for formats that can export a relation: each batch is exported to a part, and the parts are made one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa

from mad_prefect_core.batch.growth import SchemaGrowth, settled
from mad_prefect_core.batch.lossless import refuse_inexact
from mad_prefect_core.contracts import Batch, Format, FormatWriter, Schema, Session
from mad_prefect_core.paths import another_name, escape_glob
from mad_prefect_core.session import cast_to, schema_of, union_all

__all__ = ["ExportWriter", "duckdb_schema"]


class ExportWriter(FormatWriter):
    """Writes batches by `Format.export`.

    One batch, the usual case, is written once. Several are read back and written together at the end, with a schema
    that has the columns of all of them: memory is bounded by a batch, also where the schema grows.

    Args:
        format: Whose `scan` and `export` to use.
        session: A session for writing that nobody else uses until `close` or `abort`.
        path: The file to be made. Parts are beside it, and gone at the end.
        options: The format's write options.
        suffix: As in `Format.writer`.
    """

    def __init__(self, format: Format, session: Session, path: Path, options: Any, *, suffix: str) -> None:
        self._format = format
        self._session = session
        self._path = path
        self._options = options
        self._suffix = suffix
        self._growth = SchemaGrowth()
        self._parts: list[tuple[Path, Schema]] = []

    def write(self, batch: Batch) -> None:
        self._growth.add_batch(batch)
        if self.extend_part(batch):
            return
        part = another_name(self._path)
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
        view = self._session.view(batch.arrow())
        try:
            schema = schema_of(self._session.sql(f"FROM {view}"))
            self._format.export(self._session, view, schema, path, self._options, suffix=self._suffix)
        finally:
            self._session.forget(view)
        return schema

    def close(self) -> None:
        if len(self._parts) == 1:
            os.replace(self._parts.pop()[0], self._path)
            return
        wanted = duckdb_schema(self._session, self._growth.result())
        read = self._format.read_back(self._options)
        relations = []
        for part, schema in self._parts:
            file = escape_glob(str(part))
            relation = self._format.scan(self._session, [file], read, suffix=self._suffix, schema=schema)
            refuse_inexact(self._session, relation, wanted)
            relations.append(cast_to(self._session, relation, wanted, encode=True))
        whole = self._session.view(union_all(self._session, relations))
        self._format.export(self._session, whole, wanted, self._path, self._options, suffix=self._suffix)
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
