"""The format `json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from mad_prefect_core.contracts import Format, FormatCapabilities, FormatJoiner, FormatWriter, Schema, Session
from mad_prefect_core.errors import UnsupportedValueError
from mad_prefect_core.session import quote
from mad_prefect_json.infer import known_types
from mad_prefect_json.joiner import JsonJoiner
from mad_prefect_json.options import ReadJsonOptions, WriteJsonOptions
from mad_prefect_json.sqltypes import read_type, reading, refusal, writing
from mad_prefect_json.writer import JsonWriter

__all__ = ["JsonFormat"]

# What says how values are written, also where their types are known. The rest is about inference.
_LIMITS = frozenset({"maximum_object_size"})
_PARSING = _LIMITS | {"compression", "dateformat", "ignore_errors", "timestampformat"}

# DuckDB 2.0 charges twice `maximum_object_size` (64 MiB unless set) to its memory limit for each file that it infers
# types from in one go, and runs out of memory on a few hundred small files.
_INFERRED_TOGETHER = 64


class JsonFormat(Format):
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
        inexact={
            "JSON": "kept as a value: not its white space, nor how numbers and escapes are spelt; a bare null is NULL",
            "MAP with nested keys": "refused: JSON has no keys but text",
            "STRUCT without members": "refused: it has no type that a reader could be told",
            "UNION": "refused where a member is BLOB, BIT, BIGNUM, FLOAT, DOUBLE or a wide DECIMAL",
            "VARIANT": "refused: each value has a type of its own, which JSON does not tell",
        },
    )
    read_options = ReadJsonOptions
    write_options = WriteJsonOptions

    def scan(
        self,
        session: Session,
        files: Sequence[str],
        options: ReadJsonOptions,
        *,
        suffix: str,
        schema: Schema | None = None,
    ) -> duckdb.DuckDBPyRelation:
        named = options.model_dump(exclude={"columns"}, exclude_none=True)
        if compression := _compression(suffix):
            named.setdefault("compression", compression)
        if schema is not None:
            return _typed(session, files, {name: named[name] for name in named.keys() & _PARSING}, schema)
        relation = _inferred(session, files, named)
        if not options.columns:
            return _told(session, files, named, relation) if _infers_types_alone(files, options) else relation
        types = {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}
        types |= {name: kind for name, kind in options.columns.items() if name in types}
        if options.filename:
            types.pop("filename", None)  # the reader adds it by itself
        return _read(session, files, {**named, "columns": types})

    def read_back(self, options: Any) -> ReadJsonOptions:
        return ReadJsonOptions(**dict.fromkeys(_PARSING - _LIMITS))

    def writer(self, session: Session, path: Path, options: Any, *, suffix: str) -> FormatWriter:
        return JsonWriter(self, session, path, options, _compression(suffix))

    def export(self, session: Session, relation: str, schema: Schema, path: Path, options: Any, *, suffix: str) -> None:
        columns = []
        for name, kind in schema.items():
            parsed = session.connection.type(kind)
            if reason := refusal(parsed):
                raise UnsupportedValueError(f"JSON can't hold {kind}: {reason}", column=name)
            columns.append(f"{writing(parsed, f'source.{quote(name)}')} AS {quote(name)}")
        session.execute(
            f"COPY (SELECT {', '.join(columns)} FROM {relation} AS source) "  # noqa: S608  identifiers are quoted
            "TO $path (FORMAT json, COMPRESSION $compression)",
            {"path": str(path), "compression": _compression(suffix) or "uncompressed"},
        )

    def joiner(self, path: Path, options: Any, *, suffix: str) -> FormatJoiner | None:
        return None if _compression(suffix) else JsonJoiner(path)


def _typed(session: Session, files: Sequence[str], named: dict[str, Any], schema: Schema) -> duckdb.DuckDBPyRelation:
    types = {name: session.connection.type(kind) for name, kind in schema.items()}
    relation = _read(session, files, {**named, "columns": {name: read_type(kind) for name, kind in types.items()}})
    columns = {quote(name): reading(kind, quote(name)) for name, kind in types.items()}
    if all(name == value for name, value in columns.items()):
        return relation
    return relation.project(", ".join(f"{value} AS {name}" for name, value in columns.items()))


def _inferred(session: Session, files: Sequence[str], named: dict[str, Any]) -> duckdb.DuckDBPyRelation:
    if len(files) <= _INFERRED_TOGETHER or not named.get("union_by_name"):
        return _read(session, files, named)
    groups = (files[start : start + _INFERRED_TOGETHER] for start in range(0, len(files), _INFERRED_TOGETHER))
    views = [session.view(_read(session, group, named)) for group in groups]
    return session.sql(" UNION ALL BY NAME ".join(f"(FROM {view})" for view in views))


def _infers_types_alone(files: Sequence[str], options: ReadJsonOptions) -> bool:
    """Whether the rows are those of one file, read as they are."""
    given = options.model_dump(exclude_defaults=True).keys() - _LIMITS - {"union_by_name", "hive_partitioning"}
    return len(files) == 1 and not given


def _told(
    session: Session, files: Sequence[str], named: dict[str, Any], relation: duckdb.DuckDBPyRelation
) -> duckdb.DuckDBPyRelation:
    """The same rows, without the inference that would be made again when they are read, as far as that can be."""
    parsing = {name: named[name] for name in named.keys() & _PARSING}
    types = known_types(relation, lambda columns: _read(session, files, {**parsing, "columns": columns}))
    return relation if types is None else _read(session, files, {**parsing, "columns": types})


def _read(session: Session, files: Sequence[str], named: dict[str, Any]) -> duckdb.DuckDBPyRelation:
    named = {**named, "hive_partitioning": False}  # unless told not to, DuckDB puts keys of folders over columns
    arguments = "".join(f", {name} = ${name}" for name in named)
    return session.sql(f"FROM read_json($files{arguments})", {"files": list(files), **named})


def _compression(suffix: str) -> str | None:
    return {"gz": "gzip", "zst": "zstd"}.get(suffix.rpartition(".")[2])
