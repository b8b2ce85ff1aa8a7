"""Files as one lazy relation: each format's own reader, brought to one schema, hive keys added."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any, cast

import duckdb

from mad_prefect_core.artifacts.files import DataFile, FormatOptions, unified_schema
from mad_prefect_core.artifacts.hive import NUMBER, differ, key_types, with_keys, without
from mad_prefect_core.artifacts.uniting import Part, unite
from mad_prefect_core.batch.lossless import refuse_inexact, refuse_repeated_keys
from mad_prefect_core.contracts import BlankFormat, ComparingFormat, FormatLike, NumberingFormat, ReadContext, Schema
from mad_prefect_core.errors import CorruptFileError, MadPrefectError, ResultGoneError, SchemaError
from mad_prefect_core.reading import read_files
from mad_prefect_core.session import DuckSession, cast_to, quote, schema_of, union_all
from mad_prefect_core.translation import ReadCall, machine_fault

__all__ = ["is_empty", "scan_files", "schema_of_written", "tell_apart"]

_UNTYPED_FILES = 64  # a reader that infers opens all its files at once: 64 MiB each, for JSON

_MANY_FOLDERS = 16

_BLANK_AT_MOST = 256  # bytes of a file that is opened to see whether it has data


def scan_files(
    session: DuckSession,
    files: Sequence[DataFile],
    options: FormatOptions,
    schema: Schema | None = None,
    *,
    joined: Path | None = None,
) -> duckdb.DuckDBPyRelation:
    """All rows of `files`, in order.

    With `schema`, that of the run that wrote them, each file is read with its own recorded types and cast to it.
    Without, they are united by column name, as `unite` does. What a file was written with goes before
    what `options` say of files of that format. `joined` is a local file that has all their rows, which one scan reads.
    """
    files = _with_keys_of_folders(files, options)
    many = len({tuple((file.hive or {}).items()) for file in files}) > _MANY_FOLDERS
    groups = [list(group) for _, group in groupby(files, key=lambda file: _kind(file, schema, many))]
    parts = [part for group in groups for part in _parts(group)]
    relations = [_scan_alike(session, part, options, schema, joined) for part in parts]
    if any(file.hive for file in files):
        relations = _with_columns_of_folders(session, parts, relations, schema)
    if schema is not None:
        relations = [cast_to(session, relation, schema, encode=True) for relation in relations]
    if schema is not None or len(relations) == 1:
        return union_all(session, relations)
    firsts = [part[0] for part in parts]
    pairs = zip(firsts, relations, strict=True)
    return unite(session, [Part(first.location.key, relation, first.schema or {}) for first, relation in pairs])


def schema_of_written(
    session: DuckSession, files: Sequence[DataFile], options: FormatOptions, *, tell: bool = False
) -> dict[str, str] | None:
    """As `unified_schema`, but a column of text that has no value in some files takes the type of the others."""
    opened: set[str] = set()
    while True:
        try:
            return unified_schema(session, files, options, tell=tell)
        except SchemaError as error:
            name = error.column
            if name is None or name in opened:
                raise
            opened.add(name)
            texts = {id(file) for file in files if file.growth is not None and file.growth.holds_text(name)}
            if not texts or any(_has_value(session, file, name, options) for file in files if id(file) in texts):
                raise
            files = [
                replace(file, growth=file.growth.without_values(name)) if file.growth and id(file) in texts else file
                for file in files
            ]


def _has_value(session: DuckSession, file: DataFile, name: str, options: FormatOptions) -> bool:
    relation = scan_files(session, [replace(file, hive={})], options)
    return bool(relation.filter(f"{quote(name)} IS NOT NULL").limit(1).fetchall())


def tell_apart(session: DuckSession, files: Sequence[DataFile], options: FormatOptions) -> list[DataFile]:
    """The files with `own` told for those of others, where several may differ in their types."""
    unknown = [file for file in files if file.schema is None]
    if len(unknown) < 2:
        return list(files)
    keys: dict[int, Hashable] = {}
    for format in {file.format.name: file.format for file in unknown}.values():
        alike = [file for file in unknown if file.format.name == format.name]
        keys |= zip(map(id, alike), _keys(session, format, alike, options), strict=True)
    return [replace(file, own=keys[id(file)]) if id(file) in keys else file for file in files]


def is_empty(file: DataFile, options: FormatOptions) -> bool:
    """Whether a file of others has neither rows nor columns, in a format whose reader makes a column of that: it has no
    data."""
    has_schema, tells = file.format.capabilities.schema_in_file, isinstance(file.format, BlankFormat)
    if file.schema is not None or (has_schema and not tells):
        return False
    stat = file.location.stat()
    if stat is None or stat.size > _BLANK_AT_MOST:
        return False
    if not tells or (stat.size == 0 and not has_schema):
        return stat.size == 0
    with file.location.open() as opened:
        return cast(BlankFormat, file.format).is_blank(opened.read(), _read_options(file, options), suffix=file.suffix)


def _keys(
    session: DuckSession, format: FormatLike[Any, Any], files: list[DataFile], options: FormatOptions
) -> Sequence[Hashable]:
    if isinstance(format, ComparingFormat):
        with suppress(duckdb.Error, OSError):  # the scan of the file that is broken or gone says so
            return format.schema_keys(
                session.files([file.location for file in files]),
                ReadContext(session=session, options=options.reading(format), suffix=files[0].suffix),
            )
    relations = (_scan_alike(session, [file], options, None, None) for file in files)
    return [tuple(schema_of(relation).items()) for relation in relations]


def _with_keys_of_folders(files: Sequence[DataFile], options: FormatOptions) -> list[DataFile]:
    """The files with the keys that become columns: none that is recorded as a column of the data in any of them."""
    data = {name.lower() for file in files for name in file.schema or ()}
    return [replace(file, hive=without(file.keys(options), data)) if file.hive != {} else file for file in files]


def _with_columns_of_folders(
    session: DuckSession,
    parts: Sequence[list[DataFile]],
    relations: Sequence[duckdb.DuckDBPyRelation],
    schema: Schema | None,
) -> list[duckdb.DuckDBPyRelation]:
    """The relations with keys as columns: none that an unrecorded file has as a column of the data."""
    unrecorded = [relation for part, relation in zip(parts, relations, strict=True) if part[0].schema is None]
    data = {name.lower() for relation in unrecorded for name in relation.columns} - {NUMBER}
    keys = [[without(file.hive or {}, data) for file in part] for part in parts]
    types = key_types(chain(*keys)) | dict(schema or {})
    return [with_keys(session, *pair, types) for pair in zip(relations, keys, strict=True)]


def _kind(file: DataFile, schema: Schema | None, many_folders: bool) -> tuple[object, ...]:
    """Files of one kind are read by one scan. A reader that applies a schema needs no group for each of theirs; one
    that numbers its files needs none for each of many folders. Of a few, a query reads only those it asks for."""
    numbers = many_folders and file.schema is None and isinstance(file.format, NumberingFormat)
    keys = () if numbers else tuple((file.hive or {}).items())
    own = file.schema if schema is None or not _takes(file, schema) else schema
    recorded = None if own is None else tuple(own.items())
    return file.format.name, file.suffix, recorded, file.columnar, keys, file.read, file.own


def _takes(file: DataFile, schema: Schema) -> bool:
    """Whether the file's reader gives these columns, whichever of them it has; else it is read with its own types."""
    if file.schema is None or file.columnar or not file.format.capabilities.schema_on_read:
        return False
    # DuckDB brings files that have types of their own to types that it chooses itself: text and BLOB to escaped text.
    alike = all(schema.get(name) == kind for name, kind in file.schema.items())
    return alike or not file.format.capabilities.schema_in_file


def _parts(group: list[DataFile]) -> list[list[DataFile]]:
    if group[0].schema is not None or group[0].format.capabilities.schema_in_file:
        return [group]
    return [group[start : start + _UNTYPED_FILES] for start in range(0, len(group), _UNTYPED_FILES)]


def _scan_alike(
    session: DuckSession, files: list[DataFile], options: FormatOptions, schema: Schema | None, joined: Path | None
) -> duckdb.DuckDBPyRelation:
    first = files[0]
    format = first.format
    typed = first.schema
    if schema is not None and _takes(first, schema):
        typed = {name: kind for name, kind in schema.items() if name not in (first.hive or ())}
    context = ReadContext(session=session, options=_read_options(first, options), suffix=first.suffix)
    try:
        names = (
            [session.staged(joined, first.location.key)] if joined else session.files([file.location for file in files])
        )
    except FileNotFoundError as error:
        raise _gone(error, first) from error
    for name, file in zip(names, files, strict=False):
        if file.published:
            session.rename(name, file.published.key)
    try:
        with ReadCall(format):
            if isinstance(format, NumberingFormat) and differ([file.hive or {} for file in files]):
                relation = format.read_numbered(names, NUMBER, context)
            else:
                relation = read_files(format, names, replace(context, schema=typed))
    except FileNotFoundError as error:
        raise _gone(error, first) from error
    except (duckdb.Error, OSError) as error:
        if isinstance(error, MadPrefectError):
            raise
        # A library that finds a file broken may say so by an OSError, which has no number then.
        if isinstance(error, OSError) and not (type(error) is OSError and error.errno is None):
            raise
        if fault := machine_fault(error):
            raise fault from error
        for file in files:
            if not file.location.exists():  # DuckDB has no class of error for that
                raise _gone(error, file) from error
        shown = first.location.key if len(files) == 1 else f"{first.location.key} and {len(files) - 1} more"
        raise CorruptFileError(
            f"A file can't be read as {format.name}: {error}",
            path=shown,
            plugin=format.name,
            hint="Make the file anew: an asset's own by calling the asset.",
        ) from error
    if schema is not None and first.columnar:
        refuse_inexact(session, relation, schema, first.location.key)
        if not first.sha256:  # what is written here was looked at before
            refuse_repeated_keys(session, relation, first.location.key)
    return relation


def _read_options(file: DataFile, options: FormatOptions) -> Any:
    """The options that a file is read with: its own over those of all."""
    own = file.read.explicit() if file.read is not None else {}
    return options.reading(file.format).model_copy(update={**own, "hive_partitioning": False})


def _gone(error: Exception, file: DataFile) -> ResultGoneError:
    return ResultGoneError(
        f"A file is gone: {error}",
        path=file.location.key,
        phase="read",
        hint="Query the asset again for its current rows.",
    )
