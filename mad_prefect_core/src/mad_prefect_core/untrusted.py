"""SQL that somebody else wrote: what it may name, and a database that has nothing else.

There are two walls. The parsed statement may name only the tables it is given, its own CTEs, and functions from a list.
It then runs in a DuckDB database of its own, which can open no file but those of the data. Rows, time and memory are
limited, and what comes back is rows that were read already.
"""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from mad_prefect_core.addresses import binding, listed
from mad_prefect_core.contracts.session import Parameters
from mad_prefect_core.errors import MadPrefectError, OptionError, QueryError, StorageError
from mad_prefect_core.paths import unescape_glob
from mad_prefect_core.queries import functions_of, parse_query, query_tree
from mad_prefect_core.redaction import shorten_duckdb
from mad_prefect_core.relations import Relation
from mad_prefect_core.session import DuckSession, cast_to, quote, schema_of
from mad_prefect_core.settings import get_settings
from mad_prefect_core.sql_functions import BOUNDED, GROWING, PURE, PURE_TABLES
from mad_prefect_core.temporary_folders import process_folder

__all__ = ["Limits", "limits_of", "run_untrusted"]

_SIZE = re.compile(r"\d+(\.\d+)?\s*[KMGT]i?B", re.IGNORECASE)
_LONGEST = 20_000  # characters of a query
_BRACKETS = 500  # DuckDB's parser takes minutes for some texts with thousands
_WIDEST = {"select_list": (1000, "columns in one SELECT or VALUES"), "column_names": (20, "parts in one name")}
"""DuckDB binds them in time that grows with the square, and does not stop."""
_WEIGHT = 10_000
_BATCH = 2048

_EXPRESSIONS = {
    *("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "DEFAULT"),
    *("FUNCTION", "LAMBDA", "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW"),
}
_PARTS = {
    *("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"),
    *("BASE_TABLE", "EMPTY", "EXPRESSION_LIST", "JOIN", "PIVOT", "SUBQUERY", "TABLE_FUNCTION"),
    *("DISTINCT_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "ORDER_MODIFIER"),
    *("ASCENDING", "DESCENDING", "ORDER_ASCENDING", "ORDER_DEFAULT", "ORDER_DESCENDING"),
}


@dataclass(frozen=True)
class Limits:
    """What one untrusted query may take.

    Args:
        rows: Of its result.
        seconds: That it runs, reading the data included.
        memory: DuckDB's memory_limit for it, and the size of its result: "512MB".
        disk: What it may spill to disk.
    """

    rows: int = 100_000
    seconds: float = 30.0
    memory: str = "512MB"
    disk: str = "1GB"

    def __post_init__(self) -> None:
        if not isinstance(self.rows, int) or self.rows < 1:
            raise OptionError(f"The limit rows is {self.rows!r}, and must be a whole number above 0")
        if not isinstance(self.seconds, int | float) or not 0 < self.seconds < threading.TIMEOUT_MAX:
            raise OptionError(f"The limit seconds is {self.seconds!r}, and must be a number above 0")
        for size in (self.memory, self.disk):
            if not isinstance(size, str) or not _SIZE.fullmatch(size):
                raise OptionError(f"{size!r} is not a size", hint='Write a number and a unit: "512MB".')


def limits_of(query: str | None, untrusted: bool | Limits) -> Limits | None:
    """The limits of a query; None for no SQL, and for SQL that is trusted. The setting MAD_PREFECT_UNTRUSTED_SQL trusts
    none. Raises `QueryError` for a text that may cost the parser too much."""
    if not isinstance(untrusted, bool | Limits):
        raise OptionError(f"untrusted is {untrusted!r}", hint="Give True, False or Limits(...).")
    if not query or not (untrusted or get_settings().untrusted_sql):
        return None
    if len(query) > _LONGEST or sum(map(query.count, "([{")) > _BRACKETS:
        raise QueryError(f"An untrusted query may have {_LONGEST} characters and {_BRACKETS} opening brackets")
    return untrusted if isinstance(untrusted, Limits) else Limits()


def run_untrusted(
    query: str,
    parameters: Parameters,
    limits: Limits,
    tables: Mapping[str, Callable[[DuckSession], duckdb.DuckDBPyRelation]],
    translate: Callable[[Exception], Exception | None] = lambda error: None,
    *,
    main: str = "data",
) -> Relation:
    """Run a query that somebody else wrote, and return its rows as a relation.

    Args:
        query: As of `select_from`.
        tables: What it may name. Each function makes the table on the session that it is given, before that is locked.
        translate: What an error of DuckDB's means where it is not about the query.
        main: The table that a clause goes on from.

    Raises `QueryError` if it names anything else, fails or exceeds a limit.
    """
    text, functions = _checked(query, main, frozenset(tables))
    with _Database(limits) as session, binding(session.id), _watched(session, limits) as watch:
        try:
            made = {make: session.view(make(session)) for make in set(tables.values())}
            session.define(functions & BOUNDED.keys())
            session.lock()
            named = ", ".join(f"{quote(name)} AS (FROM {made[make]})" for name, make in tables.items())
            relation = session.sql(f"WITH {named} SELECT * FROM (\n{text}\n)", parameters)  # noqa: S608  checked
            schema, rows = schema_of(relation), _fetched(relation, limits)
        except Exception as error:
            if watch.expired:
                raise _exceeded("seconds", limits.seconds) from None
            if isinstance(error, MadPrefectError):
                raise
            raise _failed(session, error, translate(error), limits) from None  # what DuckDB says may name files
    return Relation(lambda session: cast_to(session, session.sql(f"FROM {session.view(rows)}"), schema))


# -- the first wall: what the statement says -------------------------------------------------------------------------


def _checked(query: str, main: str, tables: frozenset[str]) -> tuple[str, frozenset[str]]:
    """The query as one statement, and the functions that it calls."""
    try:
        text = parse_query(query, main).text
        with DuckSession() as session:
            tree = query_tree(session, f"FROM (\n{text}\n)")
        if tree is None:
            raise QueryError(
                "The query can't be checked, so it is refused", hint="Write PIVOT with IN: ON kind IN ('a', 'b')."
            )
        weight = _check(tree["statements"], {_folded(name): 1 for name in tables})
    except RecursionError:
        raise QueryError("The query is nested too deeply") from None
    if weight > _WEIGHT:
        raise QueryError(
            "The query makes values, columns or joins that grow with each of its steps",
            hint="Concatenate and join fewer times within one another.",
        )
    return text, frozenset(functions_of(tree))


def _check(node: Any, scope: Mapping[str, int]) -> int:
    """Refuse what a part of a statement may not name. Returns how many times larger than its input it may be.

    `scope` has the tables that it may name, with how many times larger than their input they are.
    """
    if isinstance(node, list):
        return max((_check(item, scope) for item in node), default=1)
    if not isinstance(node, dict):
        return 1
    _check_kind(node)
    _check_width(node)
    scope = _with_ctes(node, scope)
    if node.get("type") == "BASE_TABLE":
        return _check_table(node, scope)
    parts = {key: _check(value, scope) for key, value in _parts(node).items()}
    if node.get("type") == "SELECT_NODE":
        stars = sum(column.get("class") == "STAR" for column in node["select_list"])
        return int(parts.pop("from_table") * max(stars, *parts.values()))
    if node.get("type") == "JOIN":
        return max(parts["left"] + parts["right"], parts["left"] * parts["right"], *parts.values())
    if node.get("type") == "SET_OPERATION_NODE" or _folded(node.get("function_name", "")) in GROWING:
        return sum(parts.values())
    return max(parts.values(), default=1)


def _parts(node: dict[str, Any]) -> dict[str, Any]:
    """What is to be checked within a part of a statement; its own function is checked here."""
    parts: dict[str, Any] = {
        key: value for key, value in node.items() if isinstance(value, dict | list) and key != "cte_map"
    }
    if node.get("type") == "TABLE_FUNCTION":
        _check_function(node["function"], PURE_TABLES)
        parts |= _arguments(parts.pop("function"))
    elif node.get("class") == "STAR" and isinstance(node.get("expr"), dict):
        if node["expr"].get("function_name") == "list_filter":  # COLUMNS(lambda name: ...) picks columns, not values
            parts |= _arguments(parts.pop("expr"))
    elif "function_name" in node:
        _check_function(node, PURE)
        if _folded(node["function_name"]) in GROWING:
            parts |= _arguments(node)
    return parts


def _arguments(function: dict[str, Any]) -> dict[str, Any]:
    """The parts of a function call, each argument as one of its own."""
    parts: dict[str, Any] = {key: value for key, value in function.items() if isinstance(value, dict | list)}
    for key in ("arguments", "children"):
        parts |= {f"{key} {n}": value for n, value in enumerate(parts.pop(key, ()))}
    return parts


def _with_ctes(node: dict[str, Any], scope: Mapping[str, int]) -> Mapping[str, int]:
    """The scope with what a query names in WITH. A CTE may name those before it, and itself only if it is recursive:
    elsewhere its name would mean a table of DuckDB's own."""
    if node.get("type") == "RECURSIVE_CTE_NODE":
        scope = {**scope, _folded(node.get("cte_name", node.get("ctename"))): 1}
    ctes: Any = node.get("cte_map") or {}
    for entry in ctes.get("map", ()):
        scope = {**scope, _folded(entry["key"]): _check(entry["value"], scope)}
    return scope


def _folded(name: object) -> str:
    """A name as DuckDB compares it: only the letters A to Z know no case."""
    return str(name).encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def _check_kind(node: dict[str, Any]) -> None:
    """Refuse kinds of expressions and clauses that are not known here."""
    kind = node.get("class", node.get("type"))
    known = _EXPRESSIONS if "class" in node else _PARTS
    if isinstance(kind, str) and kind not in known and not kind.endswith("_TYPE_INFO"):
        raise QueryError(f"An untrusted query may not contain {kind.removesuffix('_NODE')}", hint="Leave it out.")


def _check_width(node: dict[str, Any]) -> None:
    for key, (widest, part) in _WIDEST.items():
        if len(node.get(key) or ()) > widest:
            raise QueryError(f"An untrusted query may have {widest} {part}")
    for row in node["values"][:1] if node.get("type") == "EXPRESSION_LIST" else ():
        _check_width({"select_list": row})


def _check_table(node: dict[str, Any], scope: Mapping[str, int]) -> int:
    name = node["table_name"]
    if node.get("schema_name") or node.get("catalog_name") or node.get("at_clause") or _folded(name) not in scope:
        raise QueryError(
            f"An untrusted query may not read the table {name!r}",
            hint=f"It may read {', '.join(sorted(scope))}; more by tables={{...}}, and assets by assets=[...].",
        )
    return scope[_folded(name)]


def _check_function(node: dict[str, Any], allowed: frozenset[str]) -> None:
    name = str(node["function_name"])
    qualified = node.get("catalog") or _folded(node.get("schema")) in ("main", "pg_catalog", "information_schema")
    if qualified or node.get("export_state") or (_folded(name) not in allowed and re.search(r"\w", name)):
        raise QueryError(
            f"An untrusted query may not call {name}()",
            hint="The functions it may call are listed in the reference on untrusted SQL.",
        )


# -- the second wall: a database of its own --------------------------------------------------------------------------


class _Database(DuckSession):
    """A session in a DuckDB database of its own."""

    def __init__(self, limits: Limits) -> None:
        self._folder = process_folder() / f"spill-{secrets.token_hex(8)}"  # DuckDB makes it when it needs it
        settings = get_settings()
        config: dict[str, Any] = {
            "temp_directory": str(self._folder),
            "max_temp_directory_size": limits.disk,
            "memory_limit": limits.memory,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "arrow_lossless_conversion": True,
        }
        if settings.duckdb_threads:
            config["threads"] = settings.duckdb_threads
        super().__init__(connection=duckdb.connect(":memory:", config=config))

    def __enter__(self) -> _Database:
        return self

    def define(self, names: frozenset[str]) -> None:
        """Put bounded functions in the place of DuckDB's own."""
        for name in sorted(names):
            self.execute(f"CREATE MACRO {name}{BOUNDED[name]}")

    def lock(self) -> None:
        """From now on, open no file but those that `files` gave, and take no other setting."""
        paths = {path for file in self._locations for path in (file, unescape_glob(file), *_served(file))}
        self.connection.execute("SET allowed_paths = $1", [sorted(paths)])
        self.execute("SET enable_external_access = false")
        self.execute("SET lock_configuration = true")

    def shown(self, text: str) -> str:
        """A text with the files' keys in place of where they are."""
        for file, location in self._locations.items():
            text = text.replace(file, location.key).replace(unescape_glob(file), location.key)
        return text

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _served(file: str) -> Iterator[str]:
    """What DuckDB opens for an address of the core's, if the file has one."""
    protocol, _, rest = file.partition("://")
    if rest and (found := listed(protocol, file)) is not None:
        yield f"{protocol}://{found[1]}"


class _Watch:
    """The clock of a query."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.done = threading.Event()
        self.expired = False

    def interrupt(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Wait for the end, and interrupt the connection again and again from when the time is over."""
        wait = self.limits.seconds
        while not self.done.wait(wait):
            self.expired, wait = True, 0.05
            connection.interrupt()


@contextmanager
def _watched(session: _Database, limits: Limits) -> Iterator[_Watch]:
    watch = _Watch(limits)
    thread = threading.Thread(target=watch.interrupt, args=(session.connection,), name="mad-prefect-query", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.done.set()
        thread.join()


def _fetched(relation: duckdb.DuckDBPyRelation, limits: Limits) -> pa.Table:
    reader = relation.to_arrow_reader(_BATCH)
    batches: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in reader:
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows > limits.rows:
            raise _exceeded("rows", limits.rows)
        if size > _bytes(limits.memory):
            raise _exceeded("memory", limits.memory)
        batches.append(batch)
    return pa.Table.from_batches(batches, schema=reader.schema)


def _bytes(size: str) -> float:
    number, unit = re.split(r"\s*(?=[a-z])", size.lower(), maxsplit=1)
    return float(number) * float((1024 if "i" in unit else 1000) ** (1 + "kmgt".index(unit[0])))


def _failed(session: _Database, error: Exception, meaning: Exception | None, limits: Limits) -> Exception:
    if isinstance(meaning, StorageError):
        return meaning
    if isinstance(error, MemoryError | duckdb.OutOfMemoryException) or "Out of Memory" in str(error):
        return _exceeded("memory", limits.memory)
    if isinstance(error, duckdb.Error):
        shorten_duckdb(error)
    return QueryError(f"The query failed: {session.shown(str(error))}")


def _exceeded(limit: str, value: object) -> QueryError:
    return QueryError(
        f"The untrusted query exceeds its limit of {limit}: {value}",
        hint=f"Ask for less, or allow more: untrusted=Limits({limit}=...).",
    )
