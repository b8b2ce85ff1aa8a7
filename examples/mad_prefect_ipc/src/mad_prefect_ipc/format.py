"""The format `ipc`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import pyarrow as pa

from mad_prefect_core.sdk import ArrowFormat, FormatCapabilities, OpenFile, WriteContext
from mad_prefect_ipc.options import ReadIpcOptions, WriteIpcOptions

__all__ = ["IpcFormat"]


class IpcFormat(ArrowFormat[ReadIpcOptions, WriteIpcOptions]):
    """Arrow IPC files, which are Feather files of version 2; and Arrow IPC streams where the suffix is `.arrows`."""

    name = "ipc"
    suffixes = (".arrow", ".feather", ".arrows")
    capabilities = FormatCapabilities(
        schema_in_file=True,
        schema_on_read=True,
        in_file={
            **dict.fromkeys(("BIGNUM", "BIT", "ENUM", "JSON", "TIME WITH TIME ZONE", "UUID"), "VARCHAR"),
            **dict.fromkeys(("HUGEINT", "UHUGEINT"), "DECIMAL(38,0)"),
        },
        refuses={
            "TIME of 24:00:00": "Arrow's ends before it",
            "HUGEINT of more than 38 digits": "a decimal of Arrow has no more",
            "UHUGEINT of more than 38 digits": "a decimal of Arrow has no more",
            "VARIANT": "each value has a type of its own",
        },
        compression=("uncompressed", "lz4", "zstd"),
    )
    read_options = ReadIpcOptions
    write_options = WriteIpcOptions

    def file_schema(self, file: OpenFile[ReadIpcOptions]) -> pa.Schema:
        return _reader(file.data).schema

    def batches(self, file: OpenFile[ReadIpcOptions], columns: Sequence[str] | None) -> Iterable[pa.RecordBatch]:
        reader = _reader(file.data, columns)
        is_file = isinstance(reader, pa.RecordBatchFileReader)
        return map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader

    def write_batches(
        self, batches: pa.RecordBatchReader, file: BinaryIO, context: WriteContext[WriteIpcOptions]
    ) -> None:
        codec = context.options.compression
        how = pa.ipc.IpcWriteOptions(compression=None if codec == "uncompressed" else codec)
        create = pa.ipc.new_stream if context.suffix == ".arrows" else pa.ipc.new_file
        with create(file, batches.schema, options=how) as writer:
            for batch in batches:
                writer.write_batch(batch)

    def batch_rows(self, options: WriteIpcOptions) -> int:
        return options.batch_rows


def _reader(data: BinaryIO, columns: Sequence[str] | None = None) -> Any:
    create = pa.ipc.open_file if data.read(6) == b"ARROW1" else pa.ipc.open_stream
    data.seek(0)
    reader = create(data)
    if columns is None:
        return reader
    data.seek(0)
    fields = [reader.schema.get_field_index(name) for name in columns]
    return create(data, options=pa.ipc.IpcReadOptions(included_fields=fields))
