"""The relations that users get: lazy, for any thread and connection."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeAlias

import duckdb
import pyarrow as pa

from mad_prefect_core.addresses import binding
from mad_prefect_core.batch.relations import RelationStream
from mad_prefect_core.contracts import PortableRelation
from mad_prefect_core.errors import MadPrefectError, UnsupportedDataError
from mad_prefect_core.mounts import Mount, default_mount
from mad_prefect_core.queries import refuse_effects, select_from
from mad_prefect_core.redaction import shorten_duckdb
from mad_prefect_core.session import DuckSession, quote

__all__ = ["Recipe", "Relation", "names_mad"]

Recipe: TypeAlias = "Callable[[DuckSession], duckdb.DuckDBPyRelation]"  # as text: see _close_databases
"""Makes the same relation on any session."""

_WRITERS = {"to_csv", "to_parquet", "write_csv", "write_parquet"}
"""Methods whose texts are names of files and values of options."""
_SHOWN = 20
"""Columns that a repr names."""
_READERS = {"fetch_arrow_reader", "fetch_record_batch", "to_arrow_reader"}


class Relation(PortableRelation):
    """A lazy DuckDB relation that may be used anywhere: its own methods, user SQL on any connection, any thread.

    It has every method of `duckdb.DuckDBPyRelation`, and those that give relations give this class again. Since it
    also speaks the Arrow PyCapsule interface, `duckdb.sql("FROM orders")`, polars, pandas and pyarrow take it as it
    is, on whatever connection or thread. Each such scan runs on a connection of its own.

    Its methods take relations of other connections, which are read as they are needed, by the rules for data of an
    asset. `fetchone`, `fetchmany` and `execute`, which DuckDB 2.0 took away from relations, are here still.
    `create_view`, `create` and `insert_into` work on DuckDB's default connection, where the user's own SQL runs.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        base: Mount | None = None,
        translate: Callable[[Exception], Exception | None] = lambda error: None,
    ) -> None:
        self._recipe = recipe
        self._base = base
        self._translate = translate
        self._session = DuckSession(base=base)
        self._lock = threading.RLock()
        self._rows: Iterator[tuple[Any, ...]] | None = None
        with self._bound(self._session):
            self._relation = recipe(self._session)

    def on(self, session: DuckSession) -> duckdb.DuckDBPyRelation:
        """The same relation on another session: DuckDB combines only those of one connection.

        Behind a view, since two relations whose parameters have the same names can't be combined. Where the other one
        is not of the base that this one reads `mad://` of, it is given the rows.
        """
        if self._base is not None and (session.base is None or session.base.key != self._base.key):
            return session.sql(f"FROM {session.view(self)}").set_alias(self.alias)
        with self._bound(session):
            relation = self._recipe(session)
            return session.sql(f"FROM {session.view(relation)}").set_alias(relation.alias)

    @contextlib.contextmanager
    def _bound(self, session: DuckSession) -> Iterator[None]:
        """What DuckDB does in the block is for a session; its errors are translated."""
        try:
            with binding(session.id):
                yield
        except MadPrefectError:
            raise
        except (duckdb.Error, OSError) as error:
            translated = self._translate(error)
            shorten_duckdb(error)
            if translated:
                raise translated from error
            raise

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        with self._bound(self._session):
            value = getattr(self._relation, name)
        if not callable(value) or isinstance(value, type):
            return value

        def method(*args: Any, **kwargs: Any) -> Any:
            if name in _READERS:
                return self._reader(name, *args, **kwargs)
            if name not in _WRITERS:
                args, kwargs = _guarded(args), _guarded(kwargs)
            if name == "apply":  # the first argument is the name of a function
                refuse_effects(f"{argument}(" for argument in (*args[:1], kwargs.get("function_name")))
            if self._base is None and names_mad((args, kwargs)):
                here = Relation(self._recipe, base=default_mount(), translate=self._translate)
                return getattr(here, name)(*args, **kwargs)
            with self._lock, self._bound(self._session):
                result = value(*_rebuilt(args, self._session), **_rebuilt(kwargs, self._session))
            if not isinstance(result, duckdb.DuckDBPyRelation):
                return _Grouped(self, args) if name == "group_by" else result

            return self._derived(
                lambda relation, session: getattr(relation, name)(*_rebuilt(args, session), **_rebuilt(kwargs, session))
            )

        method.__name__ = name
        return method

    def query(self, virtual_table_name: str, sql_query: str) -> Relation:
        """One statement that reads, over the relation by this name. Raises `QueryError` for anything else."""

        base = self._base or (default_mount() if names_mad(sql_query) else None)
        return self._derived(
            lambda relation, session: select_from(
                session, {virtual_table_name: relation}, sql_query, main=virtual_table_name
            ),
            base,
        )

    def _derived(self, step: Callable[[Any, DuckSession], Any], base: Mount | None = None) -> Relation:
        """The relation after one more step, which is taken anew on each session."""
        return Relation(
            lambda session: step(self._recipe(session), session), base=base or self._base, translate=self._translate
        )

    def create_view(self, view_name: str, replace: bool = True) -> Relation:
        """Give the relation a name on DuckDB's default connection, for `duckdb.sql("FROM name")`."""
        connection = duckdb.default_connection()
        if not replace:
            query = "FROM information_schema.tables WHERE lower(table_name) = lower($1)"
            if connection.execute(query, [view_name]).fetchall():
                raise duckdb.CatalogException(f'Catalog Error: View with name "{view_name}" already exists!')
        with self._bound(self._session):
            connection.register(view_name, self)
        return self

    def to_view(self, view_name: str, replace: bool = True) -> Relation:
        """As `create_view`."""
        return self.create_view(view_name, replace)

    def create(self, table_name: str) -> None:
        """Make a table of the rows on DuckDB's default connection."""
        with self._on_default_connection() as relation:
            relation.create(table_name)

    def insert_into(self, table_name: str) -> None:
        """Add the rows to a table on DuckDB's default connection."""
        with self._on_default_connection() as relation:
            relation.insert_into(table_name)

    @contextlib.contextmanager
    def _on_default_connection(self) -> Iterator[duckdb.DuckDBPyRelation]:
        """The rows as a relation there, whose methods know DuckDB's own rules for names: `schema.table` is one."""
        connection = duckdb.default_connection()
        source = f"mad_relation_{id(self)}"
        with self._bound(self._session):
            connection.register(source, self)
            try:
                yield connection.view(source)
            finally:
                connection.unregister(source)

    def to_table(self, table_name: str) -> None:
        """As `create`."""
        self.create(table_name)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row as a tuple; None after the last."""
        return next(self._cursor(), None)

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """The next rows, at most `size`."""
        return list(itertools.islice(self._cursor(), size))

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows as tuples; those that are left, where `fetchone` or `fetchmany` gave some."""
        if self._rows is None:
            return self._all_rows()
        return list(self._rows)

    def execute(self) -> Relation:
        """Start over: the next `fetchone` gives the first row."""
        self._rows = None
        return self

    def _cursor(self) -> Iterator[tuple[Any, ...]]:
        if self._rows is None:
            self._rows = iter(self._all_rows())
        return self._rows

    def _all_rows(self) -> list[tuple[Any, ...]]:
        with self._lock, self._bound(self._session):
            rows: list[tuple[Any, ...]] = self._relation.fetchall()
        return rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._all_rows())

    def __copy__(self) -> Relation:
        return self._derived(lambda relation, _: relation)

    def __reduce__(self) -> NoReturn:
        raise UnsupportedDataError(
            "A relation can't go to another process: it reads by connections of this one",
            hint="Send its rows, relation.to_arrow_table(), or the asset or artifact, and query it there.",
        )

    def _scan(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """What a method gives that leaves its connection blocked: on one to itself."""
        session = DuckSession(base=self._base)
        with self._bound(session):
            return getattr(self._recipe(session), method)(*args, **kwargs)

    def _reader(self, method: str, *args: Any, **kwargs: Any) -> pa.RecordBatchReader:
        """An Arrow reader whose later batches, too, raise what `_bound` makes of DuckDB's errors."""
        reader = self._scan(method, *args, **kwargs)

        def batches() -> Iterator[pa.RecordBatch]:
            while (batch := self._next_batch(reader)) is not None:
                yield batch

        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    def _next_batch(self, reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
        with self._bound(self._session):
            try:
                return next(reader, None)
            except OSError as error:
                if error.errno is not None:
                    raise
                raise duckdb.Error(str(error)) from error  # Arrow knows no class of DuckDB's

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._scan("__arrow_c_stream__", requested_schema)

    def __arrow_c_schema__(self) -> object:
        # DuckDB asks for the schema first, and then scans as often as the query needs to.
        session = DuckSession(base=self._base)
        with self._bound(session):
            return self._recipe(session).limit(0).to_arrow_table().schema.__arrow_c_schema__()

    def __bool__(self) -> bool:
        return True  # as any object; __len__ would run the query

    def __len__(self) -> int:
        with self._lock, self._bound(self._session):
            return len(self._relation)

    def __getitem__(self, name: str) -> Any:
        return self._derived(lambda relation, _: relation.project(quote(name)))

    def __repr__(self) -> str:
        # Of the columns alone: asyncio makes a repr of what a task returns, twice, and debuggers and logs do so too.
        types = zip(self._relation.columns, self._relation.types, strict=True)
        shown = [f"{name} {kind}" for name, kind in itertools.islice(types, _SHOWN)]
        more = len(self._relation.columns) - len(shown)
        return f"<Relation: {', '.join([*shown, *([f'{more} more'] if more else [])])}>"

    def __str__(self) -> str:
        """The first rows as a table: this runs the query."""
        with self._lock, self._bound(self._session):
            return str(self._relation)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))  # in a notebook, the last line of a cell shows its rows


class _Grouped:
    """What `group_by` gives: a relation that waits for its aggregates."""

    def __init__(self, relation: Relation, keys: tuple[Any, ...]) -> None:
        self._relation = relation
        self._keys = keys

    def agg(self, *aggregates: Any) -> Relation:
        """The aggregates of each group, after its keys."""
        aggregates = _guarded(aggregates)
        return self._relation._derived(lambda relation, _: relation.group_by(*self._keys).agg(*aggregates))


def _guarded(arguments: Any) -> Any:
    """Arguments of a method, or a part of them, in which no SQL calls a function that changes the process.

    Raises `QueryError` for such a call, also later: when a function among them gives it.
    """
    if isinstance(arguments, str | bytes | duckdb.Expression):
        text = arguments.decode(errors="replace") if isinstance(arguments, bytes) else str(arguments)
        refuse_effects([text])
    elif isinstance(arguments, Mapping):
        return {key: _guarded(value) for key, value in arguments.items()}
    elif isinstance(arguments, list | tuple | set | Iterator):
        kind = list if isinstance(arguments, Iterator) else type(arguments)
        return kind(map(_guarded, arguments))
    elif callable(arguments) and not isinstance(arguments, type):
        return functools.wraps(arguments)(lambda *args, **kwargs: _if_expression(arguments(*args, **kwargs)))
    return arguments


def _if_expression(result: Any) -> Any:
    return _guarded(result) if isinstance(result, duckdb.Expression) else result  # else it is data


def names_mad(texts: Any) -> bool:
    """Whether a text, or one in collections of any, names a file by `mad://`."""
    if isinstance(texts, str):
        return "mad:" in texts.lower()
    if isinstance(texts, Mapping):
        texts = list(texts.values())
    return isinstance(texts, list | tuple) and any(map(names_mad, texts))


def _rebuilt(arguments: Any, session: DuckSession) -> Any:
    """The same arguments, each relation made again on `session`."""
    if isinstance(arguments, Relation):
        return arguments.on(session)
    if isinstance(arguments, duckdb.DuckDBPyRelation):
        return session.sql(f"FROM {session.view(RelationStream(arguments))}").set_alias(arguments.alias)
    if isinstance(arguments, tuple | list):
        return type(arguments)(_rebuilt(value, session) for value in arguments)
    if isinstance(arguments, dict):
        return {key: _rebuilt(value, session) for key, value in arguments.items()}
    return arguments
