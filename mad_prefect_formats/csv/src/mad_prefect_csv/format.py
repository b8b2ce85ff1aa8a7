"""The format `csv`."""

from __future__ import annotations

import codecs
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mad_prefect_core.sdk import (
    Format,
    FormatCapabilities,
    FormatWriter,
    ReadContext,
    ReadOptions,
    Schema,
    Session,
    UnsupportedValueError,
    WriteContext,
    cast_to,
    escape_glob,
    numbered,
    quote,
    schema_of,
)
from mad_prefect_csv.options import ReadCSVOptions, WriteCSVOptions
from mad_prefect_csv.sqltypes import all_columns, refusal, text_type
from mad_prefect_csv.writer import CsvWriter

__all__ = ["CsvFormat"]

# What says how values are written, also where names and types are known. The rest is about inference.
_LIMITS = frozenset({"buffer_size", "max_line_size", "parallel"})
_PARSING = _LIMITS | {
    "allow_quoted_nulls", "comment", "compression", "dateformat", "decimal_separator", "delim", "encoding", "escape",
    "force_not_null", "header", "ignore_errors", "new_line", "null_padding", "nullstr", "quote", "skip", "strict_mode",
    "timestampformat",
}  # fmt: skip

# How files are read whose names and types are known: as `write` does, unless the user says otherwise.
# DuckDB's own limit of 2 MiB for a row is soon reached by one long text.
_AS_WRITTEN = {"delim": ",", "quote": '"', "escape": '"', "nullstr": "", "allow_quoted_nulls": False, "header": True,
               "max_line_size": 1 << 25}  # fmt: skip


_BLANK = 1 << 16  # bytes; a file of more is not looked at for whether it has any line


class CsvFormat(Format[ReadCSVOptions, WriteCSVOptions]):
    """CSV, and TSV by suffix. NULL is nothing between two delimiters, the empty text is `""`."""

    name = "csv"
    suffixes = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.zst", ".tsv.zst")
    capabilities = FormatCapabilities(
        infers_text=frozenset({"BIGINT", "BOOLEAN", "DATE", "DOUBLE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}),
        nested=False,
        in_file=dict.fromkeys(("ARRAY", "LIST", "MAP", "STRUCT"), "VARCHAR"),
        refuses={
            "STRUCT without members": "it has no type that a reader could be told",
            "UNION": "text does not say which member a value is of",
            "VARIANT": "each value has a type of its own, which text does not tell",
        },
    )
    read_options = ReadCSVOptions
    write_options = WriteCSVOptions

    def read(self, file: str, context: ReadContext[ReadCSVOptions]) -> duckdb.DuckDBPyRelation:
        return self.read_many([file], context)

    def read_many(self, files: Sequence[str], context: ReadContext[ReadCSVOptions]) -> duckdb.DuckDBPyRelation:
        session, schema = context.session, context.schema
        given = _of_suffix(context.suffix) | context.options.for_duckdb()
        if schema is None and given.get("auto_detect") is False:
            return _read(session, files, given)
        if schema is None:
            return _scan_others(session, files, given)
        types = {name: text_type(session.connection.type(kind)) for name, kind in schema.items()}
        parsing = _AS_WRITTEN | {name: value for name, value in given.items() if name in _PARSING}
        relation = _read(session, files, {**parsing, "columns": types, "auto_detect": False})
        if types == dict(schema):
            return relation
        return relation.project(", ".join(f"CAST({quote(n)} AS {kind}) AS {quote(n)}" for n, kind in schema.items()))

    def read_numbered(
        self, files: Sequence[str], number: str, context: ReadContext[ReadCSVOptions]
    ) -> duckdb.DuckDBPyRelation:
        session = context.session
        given = _of_suffix(context.suffix) | context.options.for_duckdb()
        if given.get("auto_detect") is False:
            return numbered(
                session, files, number, lambda some, behind: _read(session, some, given, f"SELECT *, {behind} ")
            )
        return _scan_others(session, files, given, number)

    def schema_keys(self, files: Sequence[str], context: ReadContext[ReadCSVOptions]) -> Sequence[Hashable]:
        """All alike: `read_many` finds the types of columns in all files together."""
        return [()] * len(files)

    def is_blank(self, content: bytes, options: ReadCSVOptions, *, suffix: str) -> bool:
        """Whether it has no line but blank ones, and the user names no columns."""
        if options.columns or options.column_names:
            return False
        if codec := _of_suffix(suffix).get("compression"):
            try:
                with pa.CompressedInputStream(pa.BufferReader(content), codec) as opened:
                    content = opened.read(_BLANK)
            except (OSError, pa.ArrowException):
                return False  # its reader says what is wrong with it
        return len(content) < _BLANK and not content.removeprefix(codecs.BOM_UTF8).strip(b" \r\n")

    def read_back(self, options: WriteCSVOptions) -> ReadCSVOptions:
        # All of the reader's own options: some are other names of those that matter.
        others = ReadCSVOptions.model_fields.keys() - ReadOptions.model_fields.keys() - _LIMITS
        return ReadCSVOptions(**dict.fromkeys(others) | options.model_dump())

    def writer(self, path: Path, context: WriteContext[WriteCSVOptions]) -> FormatWriter:
        return CsvWriter(self, path, context)

    def write(self, relation: str, schema: Schema, path: Path, context: WriteContext[WriteCSVOptions]) -> None:
        columns = ", ".join(_exported(context.session, name, kind) for name, kind in schema.items())
        named = {"delim": ",", **_of_suffix(context.suffix), **context.options.model_dump(exclude_none=True)}
        arguments = ", ".join(f"{name} ${name}" for name in named)
        context.session.execute(
            f"COPY (SELECT {columns} FROM {relation} AS source) TO $path (FORMAT csv, {arguments})",  # noqa: S608
            {"path": str(path), **named},
        )

    def write_standalone(
        self, relation: str, schema: Schema, path: Path, context: WriteContext[WriteCSVOptions]
    ) -> None:
        from mad_prefect_csv.standalone import columns_taken_for_others, copy_standalone  # noqa: PLC0415  rarely needed

        session, delim = context.session, _of_suffix(context.suffix).get("delim", ",")
        copy_standalone(session, relation, schema, path, delim)
        back = ReadContext(session=session, options=ReadCSVOptions(), suffix=context.suffix)
        if quoted := columns_taken_for_others(session, schema, self.read_standalone(path, back)):
            copy_standalone(session, relation, schema, path, delim, quoted)

    def read_standalone(self, file: Path, context: ReadContext[ReadCSVOptions]) -> duckdb.DuckDBPyRelation:
        from mad_prefect_csv.standalone import numbers_beyond, text_columns  # noqa: PLC0415  as in write_standalone

        delim = _of_suffix(context.suffix).get("delim", ",")
        dialect = {"delim": delim, "quote": '"', "escape": '"', "nullstr": "", "allow_quoted_nulls": False}
        options = ReadCSVOptions.model_validate(dialect | {"sample_size": -1, "hive_partitioning": False})
        relation = self.read(escape_glob(str(file)), replace(context, options=options))
        types = schema_of(relation) | numbers_beyond(relation)
        text = text_columns(file.read_text("utf-8"), delim, types)
        wanted = types | dict.fromkeys(text, "VARCHAR")
        if text:
            options = options.model_copy(update={"types": dict.fromkeys(text, "VARCHAR")})
            relation = self.read(escape_glob(str(file)), replace(context, options=options))
        return cast_to(context.session, relation, wanted)


def _of_suffix(suffix: str) -> dict[str, Any]:
    """What a suffix says of a file."""
    dialect = {"delim": "\t"} if suffix.startswith(".tsv") else {}
    codec = {"gz": "gzip", "zst": "zstd"}.get(suffix.rpartition(".")[2])
    return dialect | ({"compression": codec} if codec else {})


def _scan_others(
    session: Session, files: Sequence[str], given: dict[str, Any], number: str | None = None
) -> duckdb.DuckDBPyRelation:
    from mad_prefect_csv.others import scan_others  # noqa: PLC0415  most processes read no CSV of others

    return scan_others(session, files, given, number)


def _read(session: Session, files: Sequence[str], named: dict[str, Any], select: str = "") -> duckdb.DuckDBPyRelation:
    named = {**named, "hive_partitioning": False}  # unless told not to, DuckDB puts keys of folders over columns
    arguments = "".join(f", {name} = ${name}" for name in named)
    return session.sql(f"{select}FROM read_csv($files{arguments}){all_columns(named)}", {"files": list(files), **named})


def _exported(session: Session, name: str, kind: str) -> str:
    parsed = session.connection.type(kind)
    if reason := refusal(parsed):
        raise UnsupportedValueError(f"CSV can't hold {kind}: {reason}", column=name)
    text = text_type(parsed)
    value = f"source.{quote(name)}"
    return f"{value if text == str(parsed) else f'CAST({value} AS {text})'} AS {quote(name)}"
