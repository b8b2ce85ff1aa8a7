"""The format `parquet`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from mad_prefect_core.sdk import (
    Format,
    FormatCapabilities,
    FormatWriter,
    ReadContext,
    Schema,
    Session,
    WriteContext,
    is_written_once,
    numbered,
    quote,
    unescape_glob,
)
from mad_prefect_parquet.joiner import ParquetJoiner
from mad_prefect_parquet.options import COMPRESSIONS, ReadParquetOptions, WriteParquetOptions
from mad_prefect_parquet.sqltypes import exported, refusing
from mad_prefect_parquet.writer import ParquetWriter

__all__ = ["ParquetFormat"]

_COLUMNS_OF_FILES = (
    "SELECT file_name, name, type, type_length, repetition_type = 'REPEATED', num_children, converted_type, scale, "
    "precision, logical_type FROM parquet_schema($files)"
)


class ParquetFormat(Format[ReadParquetOptions, WriteParquetOptions]):
    """Apache Parquet, read and written by DuckDB. `mad_prefect_parquet.sqltypes` says which values it can't keep."""

    name = "parquet"
    suffixes = (".parquet", ".pq")
    capabilities = FormatCapabilities(
        best_for="columns",
        schema_in_file=True,
        schema_on_read=True,
        in_file={
            "ARRAY": "LIST",
            "BIGNUM": "VARCHAR",
            "BIT": "VARCHAR",
            "ENUM": "VARCHAR",
            "HUGEINT": "DECIMAL(38,0)",
            "TIMESTAMP_MS": "TIMESTAMP",
            "TIMESTAMP_S": "TIMESTAMP",
            "UHUGEINT": "DECIMAL(38,0)",
        },
        refuses={
            "HUGEINT of more than 38 digits, or inside lists, structs and maps": "Parquet's decimals have no more",
            "INTERVAL, negative or finer than milliseconds, or inside lists, structs and maps": "Parquet has none",
            "STRUCT without members": "Parquet has none",
            "TIME WITH TIME ZONE not at offset 0, or inside lists, structs and maps": "Parquet keeps no offset",
            "UHUGEINT of more than 38 digits, or inside lists, structs and maps": "as HUGEINT",
            "UNION": "Parquet does not say which member a value is of",
            "VARIANT inside lists, structs and maps, or of a type such as BIT": "Parquet's variants have none",
        },
        compression=COMPRESSIONS,
    )
    read_options = ReadParquetOptions
    write_options = WriteParquetOptions

    def read(self, file: str, context: ReadContext[ReadParquetOptions]) -> duckdb.DuckDBPyRelation:
        return self.read_many([file], context)

    def read_many(self, files: Sequence[str], context: ReadContext[ReadParquetOptions]) -> duckdb.DuckDBPyRelation:
        session, options, schema = context.session, context.options, context.schema
        # Unless told not to, DuckDB puts keys of folders over columns.
        named = {**options.model_dump(exclude_none=True), "hive_partitioning": False}
        if len(files) == 1 and is_written_once(files[0]):
            # DuckDB binds a query several times, and would parse the footer each time. What it keeps counts to its
            # memory limit. Of many fragments it would keep much that is read only once more.
            session.execute("SET parquet_metadata_cache = true")
        if schema is not None:
            # To unite by name, DuckDB looks at every file twice.
            named |= {"union_by_name": len(files) > 1, "filename": False}
        elif exact := self._exact(session, files, options):
            return exact
        relation = _read(session, files, named)
        return relation if schema is None else _as_recorded(relation, schema)

    def read_numbered(
        self, files: Sequence[str], number: str, context: ReadContext[ReadParquetOptions]
    ) -> duckdb.DuckDBPyRelation:
        session, options = context.session, context.options
        if exact := self._exact(session, files, options, number):
            return exact
        named = {**options.model_dump(exclude_none=True), "hive_partitioning": False}
        return numbered(
            session, files, number, lambda some, behind: _read(session, some, named, f"SELECT *, {behind} ")
        )

    def _exact(
        self, session: Session, files: Sequence[str], options: ReadParquetOptions, number: str | None = None
    ) -> duckdb.DuckDBPyRelation | None:
        """The rows of files of others that DuckDB's reader would change, numbered if asked; None for all others."""
        if all(map(is_written_once, files)):
            return None
        from mad_prefect_parquet.others import exact_files  # noqa: PLC0415  most files don't need pyarrow's reader

        found = exact_files(session, files, binary_as_string=bool(options.binary_as_string))
        if found is None:
            return None
        relations = []
        for place, file in enumerate(found):
            relation = session.sql(f"FROM {session.view(file)}")
            if options.filename:
                query = f"SELECT *, $1 AS filename FROM {session.view(relation)}"  # noqa: S608  names are ours
                relation = session.sql(query, [file.name])
            if number is not None:
                relation = relation.project(f"*, {place}::BIGINT AS {quote(number)}")
            relations.append(relation)
        how = "UNION ALL" if options.union_by_name is False else "UNION ALL BY NAME"
        return session.sql(f" {how} ".join(f"(FROM {session.view(relation)})" for relation in relations))

    def schema_keys(self, files: Sequence[str], context: ReadContext[ReadParquetOptions]) -> Sequence[Hashable]:
        keys: dict[str, list[Any]] = {unescape_glob(file): [] for file in files}
        for file, *column in context.session.sql(_COLUMNS_OF_FILES, {"files": list(dict.fromkeys(files))}).fetchall():
            keys[file].append(tuple(column))
        return [tuple(keys[unescape_glob(file)]) for file in files]

    def read_back(self, options: WriteParquetOptions) -> ReadParquetOptions:
        return ReadParquetOptions(binary_as_string=None, filename=None)

    def writer(self, path: Path, context: WriteContext[WriteParquetOptions]) -> FormatWriter:
        return ParquetWriter(self, path, context)

    def write(self, relation: str, schema: Schema, path: Path, context: WriteContext[WriteParquetOptions]) -> None:
        columns = ", ".join(exported(context.session, schema))
        with refusing(schema):
            context.session.execute(
                f"COPY (SELECT {columns} FROM {relation} AS source) TO $path "  # noqa: S608  quoted
                "(FORMAT parquet, COMPRESSION $compression, ROW_GROUP_SIZE $row_group_size)",
                {"path": str(path), **context.options.model_dump()},
            )

    def joiner(self, path: Path, options: WriteParquetOptions, *, suffix: str) -> ParquetJoiner:
        return ParquetJoiner(path, options.row_group_size)


def _read(session: Session, files: Sequence[str], named: dict[str, Any], select: str = "") -> duckdb.DuckDBPyRelation:
    arguments = "".join(f", {name} = ${name}" for name in named)
    return session.sql(f"{select}FROM read_parquet($files{arguments})", {"files": list(files), **named})


def _as_recorded(relation: duckdb.DuckDBPyRelation, schema: Schema) -> duckdb.DuckDBPyRelation:
    found = {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}
    if list(found.items()) == list(schema.items()):
        return relation
    return relation.project(
        ", ".join(
            f"CAST({quote(name) if name in found else 'NULL'} AS {kind}) AS {quote(name)}"
            for name, kind in schema.items()
        )
    )
