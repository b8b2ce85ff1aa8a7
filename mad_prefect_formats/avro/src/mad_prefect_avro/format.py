"""The format `avro`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb

from mad_prefect_avro.codecs import CODECS
from mad_prefect_avro.export import export
from mad_prefect_avro.hive import hive_types, with_keys
from mad_prefect_avro.options import ReadAvroOptions, WriteAvroOptions
from mad_prefect_avro.reader import AvroDataset, Source
from mad_prefect_avro.schema import Node, parse, refuse_other_units
from mad_prefect_avro.writer import AvroWriter
from mad_prefect_core.contracts import Format, FormatCapabilities, FormatWriter, Schema, Session
from mad_prefect_core.paths import hive_keys, unescape_glob
from mad_prefect_core.session import cast_to

__all__ = ["AvroFormat"]


class AvroFormat(Format):
    """Apache Avro, written by fastavro, and read by it or by polars. `mad_prefect_avro.sqltypes` and
    `mad_prefect_avro.schema` say what each type of DuckDB is in Avro, and the other way round."""

    name = "avro"
    suffixes = (".avro",)
    capabilities = FormatCapabilities(
        schema_in_file=True,
        schema_on_read=True,
        inexact={
            "ARRAY": "an array in the file; the recorded schema gives the size back",
            "BIGNUM": "text in the file; the recorded schema gives the type back",
            "BIT": "text in the file; the recorded schema gives the type back",
            "ENUM": "text to DuckDB; the recorded schema gives the type back",
            "HUGEINT": "a decimal of 39 digits in the file; the recorded schema gives the type back",
            "INTERVAL": "refused if negative or finer than milliseconds",
            "JSON": "text in the file; the recorded schema gives the type back",
            "SMALLINT": "INTEGER in the file; the recorded schema gives the type back",
            "STRUCT without members": "refused: Avro's readers have none",
            "TIME WITH TIME ZONE": "text in the file; the recorded schema gives the type back",
            "TIMESTAMP_S": "milliseconds in the file; the recorded schema gives the type back",
            "TINYINT": "INTEGER in the file; the recorded schema gives the type back",
            "UBIGINT": "DECIMAL(20, 0) in the file; the recorded schema gives the type back",
            "UHUGEINT": "as HUGEINT",
            "UINTEGER": "BIGINT in the file; the recorded schema gives the type back",
            "UNION": "refused: Avro knows a value's member by its type, not by its name",
            "USMALLINT": "INTEGER in the file; the recorded schema gives the type back",
            "UTINYINT": "INTEGER in the file; the recorded schema gives the type back",
            "VARIANT": "refused: each value has a type of its own",
        },
        compression=CODECS,
    )
    read_options = ReadAvroOptions
    write_options = WriteAvroOptions

    def scan(
        self,
        session: Session,
        files: Sequence[str],
        options: ReadAvroOptions,
        *,
        suffix: str,
        schema: Schema | None = None,
    ) -> duckdb.DuckDBPyRelation:
        sources = [Source.of(unescape_glob(file), session.opener(file)) for file in files]
        nodes = [_node(source, options.avro_schema) for source in sources]
        hive = hive_types(session, files) if options.hive_partitioning and schema is None else {}
        folders = [tuple(hive_keys(file).get(key) for key in hive) for file in files]
        relations = []
        alike = groupby(zip(sources, nodes, folders, strict=True), key=lambda found: found[1:])
        for (node, values), group in alike:
            dataset = AvroDataset([source for source, _, _ in group], node, options.avro_schema)
            relation = session.sql(f"FROM {session.view(dataset)}")
            if schema is not None:
                relation = cast_to(session, relation, schema)
            elif hive:
                relation = with_keys(session, relation, hive, values)
            relations.append(relation)
        if len(relations) == 1:
            return relations[0]
        union = "UNION ALL" if schema is not None or options.union_by_name is False else "UNION ALL BY NAME"
        return session.sql(f" {union} ".join(f"(FROM {session.view(relation)})" for relation in relations))

    def read_back(self, options: WriteAvroOptions) -> ReadAvroOptions:
        return ReadAvroOptions(avro_schema=None)

    def writer(self, session: Session, path: Path, options: WriteAvroOptions, *, suffix: str) -> FormatWriter:
        return AvroWriter(self, session, path, options, suffix=suffix)

    def export(
        self, session: Session, relation: str, schema: Schema, path: Path, options: WriteAvroOptions, *, suffix: str
    ) -> None:
        export(session, relation, schema, path, options)


def _node(source: Source, schema: Any) -> Node:
    written = parse(source.header.schema, source.name)
    if schema is None:
        return written
    read = parse(schema)
    refuse_other_units(written, read)
    return read
