"""Writes batches as newline-delimited JSON, one after the other to one stream."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from mad_prefect_core.sdk import Batch, FormatLike, FormatWriter, WriteContext, another_name, schema_of
from mad_prefect_json.encode import encode_rows

__all__ = ["JsonWriter"]

_BUFFER = 1 << 20  # bytes


class JsonWriter(FormatWriter):
    """Rows go straight to bytes; columns through DuckDB, which is faster than making rows of them.

    Each row has the keys it came with, so a batch may bring or lack columns as it likes.
    """

    def __init__(
        self, format: FormatLike[Any, Any], path: Path, context: WriteContext[Any], compression: str | None
    ) -> None:
        self._format = format
        self._path = path
        self._context = replace(context, suffix=format.suffixes[0])  # of parts, which are not compressed
        self._stream: Any = (
            pa.output_stream(str(path), compression=compression, buffer_size=_BUFFER)
            if compression
            else path.open("wb")
        )

    def write(self, batch: Batch) -> None:
        if batch.is_columnar:
            self._export(batch)
        else:
            self._stream.write(encode_rows(batch))

    def _export(self, batch: Batch) -> None:
        part = another_name(self._path)
        view = self._context.session.view(batch.arrow())
        try:
            schema = schema_of(self._context.session.sql(f"FROM {view}"))
            self._format.write(view, schema, part, self._context)
            with part.open("rb") as exported:
                shutil.copyfileobj(exported, self._stream, _BUFFER)
        finally:
            self._context.session.forget(view)
            part.unlink(missing_ok=True)

    def close(self) -> None:
        self._stream.close()

    def abort(self) -> None:
        self._stream.close()
        self._path.unlink(missing_ok=True)
