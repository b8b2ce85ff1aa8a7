"""The format `orc`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa
from pyarrow import orc

from mad_prefect_core.sdk import ArrowFormat, CorruptFileError, FormatCapabilities, OpenFile, WriteContext
from mad_prefect_orc.options import ReadOrcOptions, WriteOrcOptions

__all__ = ["OrcFormat"]

_AS_TEXT = ("BIGNUM", "BIT", "ENUM", "INTERVAL", "JSON", "NULL", "TIME", "TIME WITH TIME ZONE", "TIME_NS", "UUID")
_ROWS = 1_000_000  # of a stripe that is read at once
_RANGE = "nanoseconds, which pyarrow reads, reach no further"


class OrcFormat(ArrowFormat[ReadOrcOptions, WriteOrcOptions]):
    """Apache ORC, read and written by pyarrow."""

    name = "orc"
    suffixes = (".orc",)
    capabilities = FormatCapabilities(
        schema_in_file=True,
        schema_on_read=True,
        in_file={
            **dict.fromkeys(_AS_TEXT, "VARCHAR"),
            "ARRAY": "LIST",
            "HUGEINT": "DECIMAL(38,0)",
            "TIMESTAMP": "TIMESTAMP_NS",
            "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ_NS",
            "TIMESTAMP_MS": "TIMESTAMP_NS",
            "TIMESTAMP_S": "TIMESTAMP_NS",
            "UBIGINT": "DECIMAL(20,0)",
            "UHUGEINT": "DECIMAL(38,0)",
            "UINTEGER": "BIGINT",
            "USMALLINT": "INTEGER",
            "UTINYINT": "SMALLINT",
        },
        refuses={
            "HUGEINT of more than 38 digits": "a decimal has no more",
            "TIMESTAMP outside 1677 to 2262": _RANGE,
            "TIMESTAMP WITH TIME ZONE outside 1677 to 2262": _RANGE,
            "TIMESTAMP_MS outside 1677 to 2262": _RANGE,
            "TIMESTAMP_S outside 1677 to 2262": _RANGE,
            "UHUGEINT of more than 38 digits": "a decimal has no more",
            "UNION": "a value's member is known by its type, not by its name",
            "VARIANT": "each value has a type of its own",
        },
        compression=("uncompressed", "lz4", "snappy", "zlib", "zstd"),
    )
    read_options = ReadOrcOptions
    write_options = WriteOrcOptions

    def file_schema(self, file: OpenFile[ReadOrcOptions]) -> pa.Schema:
        return orc.ORCFile(file.data).schema

    def batches(self, file: OpenFile[ReadOrcOptions], columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        reader = orc.ORCFile(file.data)
        left = reader.nrows
        for batch in _batches(reader, file.data, columns):
            left -= len(batch)
            yield batch
        if left:
            raise CorruptFileError("The file does not have as many rows as it says", path=file.name)

    def write_batches(
        self, batches: pa.RecordBatchReader, file: BinaryIO, context: WriteContext[WriteOrcOptions]
    ) -> None:
        options = context.options
        with orc.ORCWriter(file, compression=options.compression, stripe_size=options.stripe_size) as writer:
            writer.write(batches.schema.empty_table())  # so that a file without rows has its columns
            for batch in batches:
                writer.write(pa.Table.from_batches([batch]))


def _batches(reader: orc.ORCFile, data: BinaryIO, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    if reader.nrows <= _ROWS * reader.nstripes:
        # By number: in a name, a point stands for what is within a struct.
        numbers = None if columns is None else [reader.schema.get_field_index(name) for name in columns]
        return (reader.read_stripe(stripe, numbers) for stripe in range(reader.nstripes))
    # A stripe has any number of rows that are alike. This reads it in parts; a query that stops reads on to the end.
    from pyarrow import dataset  # noqa: PLC0415  it brings in pandas, where that is installed

    fragment = dataset.OrcFileFormat().make_fragment(data)
    return fragment.to_batches(columns=columns, batch_readahead=1, use_threads=False)
