"""The format `json`."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mad_prefect_core.sdk import (
    Format,
    FormatCapabilities,
    FormatJoiner,
    FormatWriter,
    ReadContext,
    Schema,
    UnsupportedValueError,
    WriteContext,
    quote,
)
from mad_prefect_json.joiner import JsonJoiner
from mad_prefect_json.options import ReadJsonOptions, WriteJsonOptions
from mad_prefect_json.source import JsonSource
from mad_prefect_json.sqltypes import ROUNDED, read_type, reading, refusal, writing
from mad_prefect_json.writer import JsonWriter

__all__ = ["JsonFormat"]

_BLANK = 1_000  # bytes at most of white space and brackets

# What says how values are written, also where their types are known. The rest is about inference.
_LIMITS = frozenset({"maximum_object_size"})
_PARSING = _LIMITS | {"compression", "dateformat", "ignore_errors", "timestampformat"}
_FORM = frozenset({"filename", "format", "records"})
"""What says more of files that others wrote."""


class JsonFormat(Format[ReadJsonOptions, WriteJsonOptions]):
    """JSON: reads arrays, newline-delimited and single objects; writes newline-delimited.

    `mad_prefect_json.sqltypes` says which types are written in another form than DuckDB's own.
    """

    name = "json"
    suffixes = (
        ".json", ".jsonl", ".ndjson",
        ".json.gz", ".jsonl.gz", ".ndjson.gz",
        ".json.zst", ".jsonl.zst", ".ndjson.zst",
    )  # fmt: skip
    capabilities = FormatCapabilities(
        best_for="rows",
        schema_on_read=True,
        infers_text=frozenset({"DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "UUID"}),
        in_file={"JSON": "the value: not its white space, nor how numbers and escapes are spelt; a bare null is NULL"},
        refuses={
            "MAP with nested keys": "JSON has no keys but text",
            "STRUCT without members": "it has no type that a reader could be told",
            "UNION with a member of BLOB, BIT, BIGNUM, FLOAT, DOUBLE or a wide DECIMAL": "JSON has none of them",
            "VARIANT": "each value has a type of its own, which JSON does not tell",
        },
    )
    read_options = ReadJsonOptions
    write_options = WriteJsonOptions

    def read(self, file: str, context: ReadContext[ReadJsonOptions]) -> duckdb.DuckDBPyRelation:
        return self.read_many([file], context)

    def read_many(self, files: Sequence[str], context: ReadContext[ReadJsonOptions]) -> duckdb.DuckDBPyRelation:
        if context.schema is None:
            return _of_others(files, context)
        return _typed(JsonSource(context.session, files, _parsing(context.options, context.suffix)), context.schema)

    def read_numbered(
        self, files: Sequence[str], number: str, context: ReadContext[ReadJsonOptions]
    ) -> duckdb.DuckDBPyRelation:
        return _of_others(files, context, number)

    def is_blank(self, content: bytes, options: ReadJsonOptions, *, suffix: str) -> bool:
        """Whether it is white space, or a list without items, such as a last page of an API. A list is a value, so a
        row, where the user says that values follow each other."""
        if (codec := _compression(suffix)) is not None:
            try:
                with pa.CompressedInputStream(pa.BufferReader(content), codec) as opened:
                    content = opened.read(_BLANK)
            except (OSError, pa.ArrowException):
                return False  # its reader says what is wrong with it
        text = content.removeprefix(codecs.BOM_UTF8).strip()
        if options.format in ("newline_delimited", "unstructured"):
            return not text
        return not text or (text[:1], text[1:-1].strip(), text[-1:]) == (b"[", b"", b"]")

    def read_back(self, options: WriteJsonOptions) -> ReadJsonOptions:
        return ReadJsonOptions(**dict.fromkeys(_PARSING - _LIMITS))

    def writer(self, path: Path, context: WriteContext[WriteJsonOptions]) -> FormatWriter:
        return JsonWriter(self, path, context, _compression(context.suffix))

    def write(self, relation: str, schema: Schema, path: Path, context: WriteContext[WriteJsonOptions]) -> None:
        session = context.session
        columns = []
        for name, kind in schema.items():
            parsed = session.connection.type(kind)
            if reason := refusal(parsed):
                raise UnsupportedValueError(f"JSON can't hold {kind}: {reason}", column=name)
            columns.append(f"{writing(parsed, f'source.{quote(name)}')} AS {quote(name)}")
        try:
            session.execute(
                f"COPY (SELECT {', '.join(columns)} FROM {relation} AS source) "  # noqa: S608  identifiers are quoted
                "TO $path (FORMAT json, COMPRESSION $compression)",
                {"path": str(path), "compression": _compression(context.suffix) or "uncompressed"},
            )
        except duckdb.Error as error:
            if ROUNDED not in str(error):
                raise
            raise UnsupportedValueError(
                ROUNDED + str(error).partition(ROUNDED)[2],
                column=", ".join(name for name, kind in schema.items() if "JSON" in kind),
                hint="Cast the column to VARCHAR, or choose Parquet.",
            ) from error

    def joiner(self, path: Path, options: Any, *, suffix: str) -> FormatJoiner | None:
        return None if _compression(suffix) else JsonJoiner(path)


def _of_others(
    files: Sequence[str], context: ReadContext[ReadJsonOptions], number: str | None = None
) -> duckdb.DuckDBPyRelation:
    from mad_prefect_json.others import read_others  # noqa: PLC0415  most processes read no JSON of others

    options = context.options
    source = JsonSource(context.session, files, _parsing(options, context.suffix, _FORM), number)
    named = options.model_dump(exclude={"columns"}, exclude_none=True)
    # Types that a part of the values has need not hold for the rest.
    return read_others(source, options, {**named, **source.parsing, "sample_size": -1})


def _parsing(options: ReadJsonOptions, suffix: str, more: frozenset[str] = frozenset()) -> dict[str, Any]:
    """How values are written: what the options say of that, and of `more`, and the suffix."""
    named = options.model_dump(include=set(_PARSING | more), exclude_none=True)
    compression = _compression(suffix)
    return {"compression": compression, **named} if compression else named


def _typed(source: JsonSource, schema: Schema) -> duckdb.DuckDBPyRelation:
    types = {name: source.session.connection.type(kind) for name, kind in schema.items()}
    relation = source.read({name: read_type(kind) for name, kind in types.items()})
    columns = {quote(name): reading(kind, quote(name)) for name, kind in types.items()}
    if all(name == value for name, value in columns.items()):
        return relation
    return relation.project(", ".join(f"{value} AS {name}" for name, value in columns.items()))


def _compression(suffix: str) -> str | None:
    return {"gz": "gzip", "zst": "zstd"}.get(suffix.rpartition(".")[2])
