"""The format `ipc`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

from mad_prefect_core.sdk import (
    CorruptFileError,
    Format,
    FormatCapabilities,
    ReadContext,
    Schema,
    UnsupportedValueError,
    WriteContext,
)
from mad_prefect_ipc.options import ReadIpcOptions, WriteIpcOptions

__all__ = ["IpcFormat"]

# DuckDB gives these to Arrow as another type that does not hold all of their values, or not at all.
_REFUSED = frozenset({"bit", "hugeint", "uhugeint", "time with time zone", "variant"})


class IpcFormat(Format[ReadIpcOptions, WriteIpcOptions]):
    """Arrow IPC files, which are Feather files of version 2; and Arrow IPC streams where the suffix is `.arrows`."""

    name = "ipc"
    suffixes = (".arrow", ".feather", ".arrows")
    capabilities = FormatCapabilities(
        schema_in_file=True,
        schema_on_read=True,
        in_file={"ENUM": "VARCHAR", "JSON": "VARCHAR", "UUID": "VARCHAR"},
        refuses={
            "BIT": "Arrow has none",
            "HUGEINT": "Arrow has no integer of that size",
            "TIME of 24:00:00": "Arrow's ends before it",
            "TIME WITH TIME ZONE": "Arrow has none",
            "UHUGEINT": "Arrow has no integer of that size",
            "VARIANT": "Arrow has none",
        },
        compression=("uncompressed", "lz4", "zstd"),
    )
    read_options = ReadIpcOptions
    write_options = WriteIpcOptions

    def read(self, file: str, context: ReadContext[ReadIpcOptions]) -> duckdb.DuckDBPyRelation:
        session = context.session
        return session.sql(f"FROM {session.view(_File(file, session.opener(file)))}")

    def write(self, relation: str, schema: Schema, path: Path, context: WriteContext[WriteIpcOptions]) -> None:
        session, options = context.session, context.options
        for column, kind in schema.items():
            if found := _REFUSED.intersection(_ids(session.connection.type(kind))):
                raise UnsupportedValueError(
                    f"Arrow IPC can't hold {kind}: Arrow has no {', '.join(sorted(found)).upper()}",
                    column=column,
                    hint="Cast it to VARCHAR, or choose another format.",
                )
        codec = None if options.compression == "uncompressed" else options.compression
        how = pa.ipc.IpcWriteOptions(compression=codec)
        create = pa.ipc.new_stream if context.suffix == ".arrows" else pa.ipc.new_file
        # An open reader blocks its connection: this one is closed also if the writing fails.
        with (
            session.sql(f"FROM {relation}").to_arrow_reader(options.batch_rows) as rows,
            create(str(path), rows.schema, options=how) as writer,
        ):
            for batch in rows:
                _check(batch)
                writer.write_batch(batch)


def _check(batch: Any) -> None:
    """Refuse what no reader would take: DuckDB's TIME reaches 24:00:00, and Arrow's does not."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise UnsupportedValueError(f"Arrow IPC can't hold a value: {error}", column=name) from error


class _File:
    """A file as DuckDB scans it: opened anew for each scan, and read batch by batch."""

    def __init__(self, name: str, open_file: Callable[[], BinaryIO]) -> None:
        self._name = name
        self._open = open_file

    def __arrow_c_schema__(self) -> object:
        return self._schema().__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return pa.RecordBatchReader.from_batches(self._schema(), self._batches()).__arrow_c_stream__(requested_schema)

    def _schema(self) -> Any:
        with self._open() as file, self._errors():
            return _reader(file).schema

    def _batches(self) -> Iterator[Any]:
        with self._open() as file, self._errors():
            reader = _reader(file)
            is_file = isinstance(reader, pa.RecordBatchFileReader)
            for batch in map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader:
                batch.validate(full=True)  # DuckDB trusts what it is given, and would crash on a damaged one
                yield batch

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except pa.ArrowInvalid as error:
            raise CorruptFileError(f"It is no whole Arrow IPC file: {error}", path=self._name) from error


def _reader(file: BinaryIO) -> Any:
    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    return pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)


def _ids(kind: Any) -> Iterator[str]:
    """A DuckDB type and all types within it, by their identifiers."""
    yield kind.id
    if kind.id in ("list", "array", "struct", "map", "union"):
        for _, member in kind.children:
            if hasattr(member, "id"):  # one child of an array is its size
                yield from _ids(member)
