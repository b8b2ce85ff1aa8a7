"""The format `avro`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from mad_prefect_avro.codecs import CODECS
from mad_prefect_avro.options import ReadAvroOptions, WriteAvroOptions
from mad_prefect_core.sdk import Format, FormatCapabilities, FormatWriter, ReadContext, Schema, WriteContext

__all__ = ["AvroFormat"]


class AvroFormat(Format[ReadAvroOptions, WriteAvroOptions]):
    """Apache Avro, written by the column, and read by polars or fastavro. `mad_prefect_avro.sqltypes` and
    `mad_prefect_avro.schema` say what each type of DuckDB is in Avro, and the other way round."""

    name = "avro"
    suffixes = (".avro",)
    capabilities = FormatCapabilities(
        schema_in_file=True,
        schema_on_read=True,
        in_file={
            "ARRAY": "LIST",
            "BIGNUM": "VARCHAR",
            "BIT": "VARCHAR",
            "ENUM": "VARCHAR",
            "HUGEINT": "a decimal of 39 digits",
            "JSON": "VARCHAR",
            "NULL": "VARCHAR",
            "SMALLINT": "INTEGER",
            "TIME WITH TIME ZONE": "VARCHAR",
            "TIMESTAMP_S": "TIMESTAMP_MS",
            "TINYINT": "INTEGER",
            "UBIGINT": "DECIMAL(20,0)",
            "UHUGEINT": "a decimal of 39 digits",
            "UINTEGER": "BIGINT",
            "USMALLINT": "INTEGER",
            "UTINYINT": "INTEGER",
        },
        refuses={
            "INTERVAL, negative or finer than milliseconds": "Avro's duration has neither",
            "STRUCT without members": "Avro's readers have none",
            "UNION": "Avro knows a value's member by its type, not by its name",
            "VARIANT": "each value has a type of its own",
        },
        compression=CODECS,
    )
    read_options = ReadAvroOptions
    write_options = WriteAvroOptions

    def read(self, file: str, context: ReadContext[ReadAvroOptions]) -> duckdb.DuckDBPyRelation:
        return self.read_many([file], context)

    def read_many(self, files: Sequence[str], context: ReadContext[ReadAvroOptions]) -> duckdb.DuckDBPyRelation:
        from mad_prefect_avro.scan import scan  # noqa: PLC0415  it brings in pandas, where that is installed

        return scan(files, context)

    def read_numbered(
        self, files: Sequence[str], number: str, context: ReadContext[ReadAvroOptions]
    ) -> duckdb.DuckDBPyRelation:
        from mad_prefect_avro.scan import scan  # noqa: PLC0415  as in read_many

        return scan(files, context, number)

    def read_back(self, options: WriteAvroOptions) -> ReadAvroOptions:
        return ReadAvroOptions(avro_schema=None)

    def writer(self, path: Path, context: WriteContext[WriteAvroOptions]) -> FormatWriter:
        from mad_prefect_avro.writer import AvroWriter  # noqa: PLC0415  listing plugins must not cost fastavro

        return AvroWriter(self, path, context)

    def write(self, relation: str, schema: Schema, path: Path, context: WriteContext[WriteAvroOptions]) -> None:
        from mad_prefect_avro.export import export  # noqa: PLC0415  as in writer

        export(context.session, relation, schema, path, context.options)
