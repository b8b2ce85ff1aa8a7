"""Python data as the bytes of a small file, and back, for `read_data` and `write_data` of the block.

Tables are written and read by the format plugins. JSON may hold any value, not rows alone, so it is written here.
"""

from __future__ import annotations

import codecs
import json
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa

from mad_prefect_core.batch import ColumnBatch, RowBatch, SchemaGrowth, iter_batches
from mad_prefect_core.batch.values import as_row
from mad_prefect_core.contracts import Batch, FormatLike, ReadContext, StandaloneFormat, WriteContext
from mad_prefect_core.errors import (
    CorruptFileError,
    MadPrefectError,
    OptionError,
    UnknownFormatError,
    UnsupportedDataError,
    UnsupportedValueError,
)
from mad_prefect_core.paths import escape_glob
from mad_prefect_core.plugins import get_host
from mad_prefect_core.prefect_support.json_values import dump_json, load_json
from mad_prefect_core.session import DuckSession, cast_to, quote, schema_of, union_all
from mad_prefect_core.translation import ReadCall, WriteCall, machine_fault, translated
from mad_prefect_core.writing import duckdb_schema

__all__ = ["from_bytes", "to_bytes"]

_CODECS = {"gz": ("gzip", b"\x1f\x8b"), "zst": ("zstd", b"\x28\xb5\x2f\xfd")}
"""By suffix: Arrow's name of the codec, and what such bytes begin with."""

_LINES = ("jsonl", "ndjson")

_OTHER_FORMATS = frozenset({
    "arrow", "avro", "csv", "db", "delta", "dta", "duckdb", "feather", "h5", "hdf5", "html", "ipc", "lance", "ods",
    "orc", "parquet", "pickle", "pkl", "pq", "sas7bdat", "sav", "sqlite", "sqlite3", "toml", "tsv", "xls", "xlsb",
    "xlsm", "xlsx", "xml", "yaml", "yml", "zip",
})  # fmt: skip
"""Suffixes under which nobody looks for JSON."""


async def to_bytes(path: str, data: Any, *, indent: bool) -> bytes:
    """`data` as what the suffix of `path` says: a table of an installed format, JSON lines, or else JSON.

    A table is made of whatever an asset may return, and of a dict of columns. Raises `UnsupportedDataError` and
    `UnsupportedValueError` with the column, and `UnknownFormatError` for a suffix of a format that is not installed.
    """
    with translated(path=path, phase="write"):
        suffix, codec = _split(path)
        if (format := _table_format(path, suffix)) is not None:
            return await _table_bytes(format, path, data)
        if suffix in _LINES:
            content = b"".join(dump_json(item, indent=False) + b"\n" for item in await _items(data))
        else:
            content = dump_json(data, indent=indent)
        return _compressed(content, codec) if codec else content


def from_bytes(path: str, content: bytes, *, encoding: str) -> Any:
    """The inverse: a list of dicts from a table, a list from JSON lines, whatever was serialized from JSON.

    Raises `CorruptFileError` for bytes that are not what the suffix says.
    """
    with translated(path=path, phase="read"):
        suffix, codec = _split(path)
        if (format := _table_format(path, suffix)) is not None:
            return _rows(format, path, content, encoding)
        text = _decoded(_decompressed(content, codec), encoding).removeprefix("\ufeff")
        return _json_lines(text) if suffix in _LINES else _json(text)


def _split(path: str) -> tuple[str, str | None]:
    """The suffix without its dot and in lower case, and that of a compression after it."""
    name, _, last = path.rpartition("/")[2].lower().rpartition(".")
    return (name.rpartition(".")[2], last) if last in _CODECS else (last if name else "", None)


def _table_format(path: str, suffix: str) -> FormatLike[Any, Any] | None:
    """The format of a table; None for JSON, which also has all names that stand for nothing else, as in 2.x."""
    if suffix == "json" or suffix in _LINES:
        return None
    try:
        return get_host().format_of(path)[0]
    except UnknownFormatError:
        if suffix in _OTHER_FORMATS:
            raise
        return None


# -- tables ------------------------------------------------------------------------------------------------------


async def _table_bytes(format: FormatLike[Any, Any], path: str, data: Any) -> bytes:
    batches = [batch async for batch in _batches(data)]
    if not batches:
        return b""  # no columns are known, and without any there is no table
    with DuckSession.for_writing() as session, tempfile.TemporaryDirectory() as folder:
        growth = SchemaGrowth()
        for batch in batches:
            growth.add_batch(batch)
        schema = duckdb_schema(session, growth.result())
        parts = [session.sql(f"FROM {session.view(batch.arrow())}") for batch in batches]
        relation = session.view(union_all(session, [cast_to(session, part, schema, encode=True) for part in parts]))
        file, suffix = Path(folder, "data"), get_host().format_of(path)[1].lower()
        with _problems_of(batches), WriteCall(format):
            plain, codec = _without_codec(format, suffix) if isinstance(format, StandaloneFormat) else (suffix, None)
            context = WriteContext(session=session, options=format.write_options(), suffix=plain)
            write = format.write_standalone if isinstance(format, StandaloneFormat) else format.write
            write(relation, schema, file, context)
        content = file.read_bytes()
        return _compressed(content, codec) if codec else content


@contextmanager
def _problems_of(batches: Sequence[Batch]) -> Iterator[None]:
    """Raises what the stream of a batch raised, of which DuckDB and Arrow know only the text."""
    try:
        yield
    except Exception as error:
        problems = (getattr(batch, "problem", None) for batch in batches)
        problem = next((found for found in problems if found is not None and found is not error), None)
        if problem is None:
            raise
        raise problem from error


def _without_codec(format: FormatLike[Any, Any], suffix: str) -> tuple[str, str | None]:
    plain, _, codec = suffix.rpartition(".")
    return (plain, codec) if codec in _CODECS and plain in format.suffixes else (suffix, None)


async def _batches(data: Any) -> AsyncIterator[Batch]:
    if isinstance(data, Mapping) and (columns := _columns(data)) is not None:
        data = _of_columns(columns)
    elif isinstance(data, list | tuple) and any(isinstance(item, _BARE) for item in data):
        raise UnsupportedDataError(
            "Only a list of dicts, a dict or Arrow data can be written as a table",
            hint="Make each row a dict of column names to values.",
        )
    async for batch in iter_batches(data):
        yield batch


_BARE = (str, bytes, bool, int, float, list)


def _columns(data: Mapping[Any, Any]) -> dict[str, Sequence[Any]] | None:
    """The columns of a dict whose values are all lists, tuples, arrays or series."""
    columns: dict[str, Sequence[Any]] = {}
    for name, column in data.items():
        values = column.tolist() if getattr(column, "ndim", None) == 1 else column
        if not isinstance(values, list | tuple):
            return None
        columns[str(name)] = values
    return columns or None


def _of_columns(columns: Mapping[str, Sequence[Any]]) -> Batch:
    counts = {name: len(values) for name, values in columns.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        raise UnsupportedDataError(f"The columns do not have the same number of values: {shown}")
    if not any(counts.values()):
        return ColumnBatch(pa.table({name: pa.nulls(0) for name in columns}))
    return RowBatch([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])


def _rows(format: FormatLike[Any, Any], path: str, content: bytes, encoding: str) -> list[dict[str, Any]]:
    if not content:
        return []
    suffix = get_host().format_of(path)[1].lower()
    with DuckSession.for_writing() as session, tempfile.TemporaryDirectory() as folder, _corrupt(format, path):
        file = Path(folder, "data")
        if isinstance(format, StandaloneFormat):
            suffix, codec = _without_codec(format, suffix)
            content = _decoded(_decompressed(content, codec), encoding).removeprefix("\ufeff").encode()
        file.write_bytes(content)
        with ReadCall(format):
            options = format.read_back(format.write_options()).model_copy(update={"hive_partitioning": False})
            context = ReadContext(session=session, options=options, suffix=suffix)
            if isinstance(format, StandaloneFormat):
                relation = format.read_standalone(file, context)
            else:
                relation = format.read(escape_glob(str(file)), context)
            return _fetched(session, relation)


def _fetched(session: DuckSession, relation: duckdb.DuckDBPyRelation) -> list[dict[str, Any]]:
    kinds = schema_of(relation)
    for name, kind in kinds.items():
        if kind == "TIMESTAMP_NS" and relation.filter(f"epoch_ns({quote(name)}) % 1000 != 0").limit(1).fetchall():
            raise UnsupportedValueError(
                "The times have nanoseconds, which Python's datetime can't hold", column=name, hint="Query the file."
            )
    parsed = [name for name, kind in kinds.items() if kind == "JSON"]
    rows = [dict(zip(kinds, row, strict=True)) for row in relation.fetchall()]
    for name in parsed:
        for row in rows:
            row[name] = None if row[name] is None else json.loads(row[name])
    return rows


@contextmanager
def _corrupt(format: FormatLike[Any, Any], path: str) -> Iterator[None]:
    try:
        yield
    except MadPrefectError as error:
        error.path = path  # and not the copy that was read
        raise
    except duckdb.Error as error:
        if fault := machine_fault(error):
            fault.path = path
            raise fault from error
        raise CorruptFileError(f"The file can't be read as {format.name}: {error}", plugin=format.name) from error


# -- JSON --------------------------------------------------------------------------------------------------------


async def _items(data: Any) -> Sequence[Any]:
    """What stands on each line."""
    if isinstance(data, list | tuple) and not hasattr(data, "_asdict"):
        return data
    if as_row(data) is not None:
        return [data]
    return [row async for batch in iter_batches(data) for row in batch.rows()]


def _json(text: str) -> Any:
    try:
        return load_json(text)
    except json.JSONDecodeError as error:
        try:
            return _lines(text)  # as assets write their results
        except ValueError:
            raise CorruptFileError(f"The file is not JSON: {error}") from error


def _json_lines(text: str) -> Any:
    try:
        items = _lines(text)
    except ValueError:
        return _json(text)  # as 2.x wrote it, whatever the suffix
    return items[0] if len(items) == 1 and isinstance(items[0], list) else items


def _lines(text: str) -> list[Any]:
    return [load_json(line) for line in re.split(r"\r?\n", text) if line.strip()]


# -- bytes -------------------------------------------------------------------------------------------------------


def _compressed(content: bytes, codec: str) -> bytes:
    return cast(bytes, pa.Codec(_CODECS[codec][0]).compress(content, asbytes=True))


def _decompressed(content: bytes, codec: str | None) -> bytes:
    """2.x wrote JSON as it is under a suffix of a compression."""
    if codec is None or not content.startswith(_CODECS[codec][1]):
        return content
    try:
        with pa.CompressedInputStream(pa.BufferReader(content), _CODECS[codec][0]) as stream:
            return cast(bytes, stream.read())
    except (OSError, pa.ArrowException) as error:
        raise CorruptFileError(f"The file can't be decompressed: {error}") from error


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(codecs.lookup(encoding).name)
    except LookupError:
        raise OptionError(f"The encoding {encoding!r} is not known", hint="Give one that Python knows.") from None
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"The file is not text in {encoding}: {error}", hint="Say encoding=…") from error
