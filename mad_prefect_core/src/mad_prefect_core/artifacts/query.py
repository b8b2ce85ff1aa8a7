"""SQL over artifacts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from mad_prefect_core.artifacts.files import DataFile, FormatOptions
from mad_prefect_core.artifacts.scan import is_empty, scan_files, schema_of_written, tell_apart
from mad_prefect_core.artifacts.uniting import keeps_text, says_its_types
from mad_prefect_core.batch import SchemaGrowth, iter_batches
from mad_prefect_core.batch.relations import RelationStream
from mad_prefect_core.batch.sources import missing_file
from mad_prefect_core.contracts import Artifact, PortableRelation, ReadOptions, Schema
from mad_prefect_core.duckdb_files import register_base
from mad_prefect_core.errors import (
    CorruptFileError,
    PluginError,
    QueryError,
    ResultGoneError,
    SchemaError,
    UnsupportedValueError,
)
from mad_prefect_core.mounts import default_mount, on_one_base
from mad_prefect_core.overrides import refuse_uncalled
from mad_prefect_core.queries import select_from
from mad_prefect_core.relations import Relation, names_mad
from mad_prefect_core.session import DuckSession
from mad_prefect_core.threads import in_thread
from mad_prefect_core.translation import machine_fault, translated, typed
from mad_prefect_core.untrusted import Limits, limits_of, run_untrusted

if TYPE_CHECKING:
    from mad_prefect_core.artifacts.artifact import DataArtifact

__all__ = ["DataArtifactQuery", "as_table", "query_files", "relation_over"]


_DATA_IN_2X = "artifact_query"  # what 2.x called `data`


_NO_VALUE = ("Map keys must be unique", "Map keys can not be NULL", "Could not convert Timestamp(")
"""What DuckDB says of values in Parquet files that it can't give out."""

_READS = "Write a format plugin, or give read_options."
_UNCALLED = {
    "_create_query_csv": _READS,
    "_create_query_json": _READS,
    "_create_query_parquet": _READS,
    "_format_options_dict": _READS,
    "_process_columns": "Give the columns' types in the read options.",
}
"""Methods of 2.x."""


class DataArtifactQuery:
    """SQL over the files of several artifacts, united by column name, whatever their formats.

    Args:
        artifacts: All of them have a file, or none; others have to be `missing_ok`.
        read_json_options, read_csv_options: As in 2.x; short for two entries of `read_options`.
        read_options: Read options of any formats.
        missing_ok: Pass over artifacts without a file.
    """

    def __init__(
        self,
        artifacts: list[DataArtifact] | None = None,
        read_json_options: ReadOptions | None = None,
        read_csv_options: ReadOptions | None = None,
        *,
        read_options: ReadOptions | list[ReadOptions] | tuple[ReadOptions, ...] | None = None,
        missing_ok: bool = False,
    ) -> None:
        self.artifacts = artifacts or []
        self.missing_ok = missing_ok
        self.read_json_options = read_json_options
        self.read_csv_options = read_csv_options
        self.options = FormatOptions.of(read_options, None, read_json_options, read_csv_options)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_uncalled(cls, DataArtifactQuery, _UNCALLED)

    async def query(
        self,
        query_str: str | None = None,
        params: Any = None,
        *,
        tables: Mapping[str, Any] | None = None,
        untrusted: bool | Limits = False,
    ) -> Relation | None:
        """As `DataArtifact.query`, over all of them; None where none has a file. Raises `MissingFileError` where only
        some have one."""
        with translated(path=self.artifacts[0].path if self.artifacts else None, phase="query"):
            return await query_files(
                self.artifacts, self.options, query_str, params, tables, untrusted, missing_ok=self.missing_ok
            )


async def query_files(
    artifacts: Sequence[DataArtifact],
    options: FormatOptions,
    query_str: str | None,
    params: Any,
    tables: Mapping[str, Any] | None,
    untrusted: bool | Limits = False,
    *,
    missing_ok: bool = False,
) -> Relation | None:
    """A lazy relation over the artifacts' files; None where none has one. Data that is not written yet is written."""
    for artifact in artifacts:
        if artifact.data is not None:
            await artifact.write()
    found = await in_thread(_found, artifacts, options)
    files = [file for file in found if file is not None]
    if not files:
        return None
    if len(files) < len(artifacts) and not missing_ok:
        await in_thread(lambda: [artifact.data_file() for artifact in artifacts])
    named = {name: await as_table(name, table) for name, table in (tables or {}).items()}
    return await in_thread(relation_over, files, options, None, query_str, params, named, untrusted)


def _apart(session: DuckSession, files: Sequence[DataFile], options: FormatOptions) -> Sequence[DataFile]:
    """The files as they are to be read: apart where their types differ. Files of text that no types unite are read
    together, if all that differs is text then. Raises `SchemaError`."""
    if len(files) > 1:
        files = [file for file in files if not is_empty(file, options)] or files[:1]
    apart = tell_apart(session, files, options)
    if len({file.own for file in apart}) == 1:
        return apart
    try:
        scan_files(session, apart, options)
    except SchemaError:
        together = [replace(file, own=None) for file in files]
        if any(map(says_its_types, files)) or not keeps_text(apart, scan_files(session, together, options)):
            raise
        return together
    return apart


def _found(artifacts: Sequence[DataArtifact], options: FormatOptions) -> list[DataFile | None]:
    with on_one_base():
        return [artifact.file(options) for artifact in artifacts]


async def as_table(name: str, given: Any) -> Any:
    """A table of a query as a relation, or as Arrow that can be scanned again and again: what an asset function may
    return, by the same rules. Raises `QueryError` for a name that a query has already, and `DataError`."""
    if name.lower() == "data":
        raise QueryError("A table can't be named 'data', which is the name of what is queried", hint="Rename it.")
    if isinstance(given, Artifact):
        relation = await given.query()
        if relation is None:
            raise missing_file(given.path)
        return relation
    if isinstance(given, PortableRelation):
        return given
    if isinstance(given, duckdb.DuckDBPyRelation):
        return RelationStream(given)
    batches = [batch async for batch in iter_batches(list(given) if isinstance(given, Iterator) else given)]
    if not batches:
        raise QueryError(f"The table {name!r} has no rows and no columns", hint="Give a typed empty frame.")
    growth = SchemaGrowth()
    for batch in batches:
        growth.add_batch(batch)
    schema = growth.result()
    return pa.concat_tables([pa.table(batch.arrow(schema)) for batch in batches])


def relation_over(
    files: Sequence[DataFile],
    options: FormatOptions,
    schema: Schema | None = None,
    query_str: str | None = None,
    params: Any = None,
    tables: Mapping[str, Any] | None = None,
    untrusted: bool | Limits = False,
    known: Callable[[], Collection[str]] = tuple,
) -> Relation:
    """The relation itself. Each scan of it runs on a connection of its own.

    `known` gives more names that the query might have used, for the error where it names a table that is none.
    """

    limits = limits_of(query_str, untrusted)
    params = _parameters(params)
    if schema is None:
        with DuckSession() as session:
            schema = schema_of_written(session, files, options)
            files = files if schema else _apart(session, files, options)

    def data(session: DuckSession) -> duckdb.DuckDBPyRelation:
        return scan_files(session, files, options, schema)

    explained = _explained(files, query_str)
    if limits is not None and query_str:
        given = {name: partial(_streamed, table) for name, table in (tables or {}).items()}
        main = _main_name(query_str, given)
        return run_untrusted(query_str, params, limits, {"data": data, main: data, **given}, explained, main=main)

    def recipe(session: DuckSession) -> duckdb.DuckDBPyRelation:
        if session.base is not None:
            register_base(session, session.base)
        if not query_str and not tables:
            return data(session)
        relations = {"data": data(session)}
        for name, table in (tables or {}).items():
            relations[name] = table.on(session) if isinstance(table, Relation) else _streamed(table, session)
        main = _main_name(query_str or "", relations)
        relations.setdefault(main, relations["data"])
        return select_from(session, relations, query_str or "", params, main=main, known=known)

    base = default_mount() if names_mad((query_str, params)) else None
    return Relation(recipe, base=base, translate=explained)


def _parameters(given: Any) -> Any:
    """Values for a query, numpy's numbers as Python has them: of numpy's scalars, DuckDB takes all others."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {name: _plain_number(value) for name, value in given.items()}
    if not isinstance(given, list | tuple):
        raise QueryError(
            f"The parameters of a query are {type(given).__name__}",
            hint="Give a list, such as [5], for ? and $1; or a dict, such as {'id': 5}, for $id.",
        )
    return list(map(_plain_number, given))


def _plain_number(value: Any) -> Any:
    is_number = type(value).__module__ == "numpy" and getattr(value, "shape", None) == () and value.dtype.kind in "biuf"
    return value.item() if is_number else value


def _main_name(query: str, tables: Collection[str]) -> str:
    """What a clause goes on from: as in 2.x where it says so, such as `artifact_query.id`."""
    as_in_2x = _DATA_IN_2X in query.lower() and not any(name.lower() == _DATA_IN_2X for name in tables)
    return _DATA_IN_2X if as_in_2x else "data"


def _streamed(table: Any, session: DuckSession) -> duckdb.DuckDBPyRelation:
    """A table that another connection, or none, makes."""
    return session.sql(f"FROM {session.view(table)}")


def _explained(files: Sequence[DataFile], query_str: str | None) -> Callable[[Exception], Exception | None]:
    """What DuckDB's error over these files means: that they are gone, that the query is wrong, or that they are not
    what their suffix says. None where it is about neither, such as a method of the relation used wrongly."""
    # DuckDB's own words have the path where it reads, and those of a reader in Python the user's.
    named = [name for file in files for name in (file.location.path, f"path {(file.published or file.location).key!r}")]

    def translate(error: Exception) -> Exception | None:
        missing = [file.location.key for file in files if not file.location.exists()]
        if missing:
            return ResultGoneError(
                "The files of this relation are gone: newer runs have replaced them",
                path=missing[0],
                phase="query",
                hint="Query the asset again for its current rows.",
            )
        shown = (files[0].published or files[0].location).key
        if not isinstance(error, duckdb.Error):
            return typed(error, path=shown, phase="query")
        if fault := machine_fault(error):
            of_reader = isinstance(fault, CorruptFileError | PluginError)
            return typed(fault, path=shown, phase="read" if of_reader else "query")
        if query_str:
            return QueryError(
                f"The query failed: {error}", path=shown, phase="query", hint=f"It was: {query_str.strip()}"
            )
        if any(words in str(error) for words in _NO_VALUE):
            return UnsupportedValueError(
                f"A file holds a value that DuckDB has no form for: {error}",
                path=shown,
                phase="read",
                hint="Leave the column out by a query, or write the file anew without such values.",
            )
        # Some of what DuckDB says of broken bytes has neither a class of its own nor the file's name.
        broken = isinstance(error, duckdb.IOException) or type(error) is duckdb.Error
        if broken or any(name in str(error) for name in named):
            format = files[0].format.name
            return CorruptFileError(
                f"A file can't be read as {format}: {error}",
                path=shown,
                phase="read",
                plugin=format,
                hint="Correct the file, or say by read options how it is written and what its columns are.",
            )
        return None

    return translate
