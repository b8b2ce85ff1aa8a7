"""SQL that users give: parsed, checked, and run over named relations; also what they give to methods of relations.

A query is code of the process that runs it: it may read any file that the process may read. What it may not do is
change the process for other queries. `untrusted` is the module for queries of people who may not read everything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import duckdb

from mad_prefect_core.contracts.session import Parameters
from mad_prefect_core.errors import QueryError
from mad_prefect_core.redaction import shorten_duckdb
from mad_prefect_core.session import DuckSession, quote
from mad_prefect_core.sql_functions import EVALUATING, PURE, PURE_TABLES, READING_TABLES
from mad_prefect_core.translation import machine_fault

__all__ = [
    "ParsedQuery",
    "check_query",
    "functions_of",
    "nodes_of",
    "parse_query",
    "query_tree",
    "refuse_effects",
    "select_from",
    "table_names",
]

_HARMLESS = PURE | EVALUATING | PURE_TABLES | READING_TABLES
_KEYWORDS = frozenset(
    {"all", "and", "any", "as", "between", "by", "exists", "filter", "from", "in", "is", "like", "not", "on", "or"}
    | {"over", "then", "using", "values", "when", "where"}
)
"""Words that a bracket follows in SQL, and that name no function."""
_NEVER_SET = frozenset({"getvariable"})
"""Functions that would answer NULL whatever the user set, since each query has a connection to itself."""
_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}


@dataclass(frozen=True)
class ParsedQuery:
    """A user's query as one whole statement that only reads."""

    text: str
    tables: frozenset[str]
    """The tables it reads, those it names itself in WITH left out. Empty for the few statements that DuckDB can't
    serialize (PIVOT without IN); they read the main table all the same."""
    unknown: frozenset[str] = frozenset()
    """Functions that are on no list here: a plugin's, a newer DuckDB's, or none."""
    expands: bool = False
    """Whether DuckDB runs several statements for it, which then take no parameters."""


def check_query(query: object, tables: object) -> None:
    """Raise `QueryError` for a query that is no text, and for tables without names."""
    if query is not None and not isinstance(query, str):
        raise QueryError(
            f"A query is text, not {type(query).__name__}",
            hint='Write a clause such as "WHERE id = ?", or a whole SELECT … FROM data.',
        )
    if not isinstance(tables, Mapping):
        raise QueryError(
            f"The tables of a query are {type(tables).__name__}", hint="Give a dict of them: tables={'df': df}."
        )


def select_from(
    session: DuckSession,
    tables: Mapping[str, duckdb.DuckDBPyRelation],
    query: str,
    parameters: Parameters = None,
    *,
    main: str = "data",
    known: Callable[[], Collection[str]] = tuple,
) -> duckdb.DuckDBPyRelation:
    """Run a user's query over named relations.

    `query` is a clause that goes on from `FROM data` ("WHERE id > 1", "SELECT a GROUP BY ALL"), or a whole
    statement that gives rows. The names are common table expressions around it, so that no two queries on one
    connection meet, and nothing but one statement gets through.

    Raises `QueryError` if it does not parse or bind, or calls a function that changes the process.
    """
    parsed = parse_query(query, main)
    _refuse_functions(_effectful(parsed.unknown))
    text = parsed.text
    if (
        len(tables) == 1 and parameters is None and "$" not in text and not parsed.expands
    ):  # else its parameters would meet the user's
        source, parameters = session.source(tables[main])
        named = f"{quote(main)} AS (\n{source}\n)"
    else:
        named = ", ".join(f"{quote(name)} AS (FROM {session.view(relation)})" for name, relation in tables.items())
    try:
        return session.sql(f"WITH {named} SELECT * FROM (\n{text}\n)", parameters)  # noqa: S608  the user's own SQL
    except duckdb.Error as error:
        if fault := machine_fault(error):
            raise fault from error
        shorten_duckdb(error)
        raise _failed(error, query, tables, known) from error


def _failed(
    error: duckdb.Error, query: str, tables: Collection[str], known: Callable[[], Collection[str]]
) -> QueryError:
    """DuckDB's error about a user's query that may read these tables, with what to do about the most common."""
    hint = f"It was: {query.strip()}"
    if missing := re.search(r"Table with name (.+?) does not exist", str(error)):
        assets = get_close_matches(missing[1], sorted(known()), _NAMED, 0)
        return QueryError(
            f"The query reads a table {missing[1]!r} that it does not know; it knows {', '.join([*tables, *assets])}",
            hint=f"Give it by `tables={{{missing[1]!r}: …}}`: an asset, artifact, relation, frame or rows. {hint}",
        )
    if added := _ADDED_IN_2X.search(str(error)):
        hint = (
            f"mad-prefect 2.x added the column {added[1]!r} to results, and this version does not: see the guide "
            f"migrate-from-2x. {hint}"
        )
    return QueryError(f"The query failed: {error}", hint=hint)


_NAMED = 10  # assets, of perhaps hundreds, that an error names: those that are spelt most alike
_ADDED_IN_2X = re.compile(
    r'(?:Column|Referenced column) "(asset|year|month|day|runtime)"(?: in \w+ list)? not found', re.IGNORECASE
)


def table_names(query: str, main: str = "data") -> frozenset[str]:
    """The tables that a user's query reads, those it names itself in WITH left out. Raises `QueryError`."""
    return parse_query(query, main).tables


@lru_cache(maxsize=256)
def parse_query(query: str, main: str = "data") -> ParsedQuery:
    """Parse a clause or statement. Raises `QueryError` if it is not one query that only reads."""
    with DuckSession() as session:
        text = _one_query(session, query, main)
        tree = query_tree(session, f"FROM (\n{text}\n)")
        if tree is None:
            _refuse_functions(_effectful(_words_called(text)))
            return ParsedQuery(text, frozenset(), expands=True)
    writing = {node["type"] for node in nodes_of(tree) if str(node.get("type")).endswith("_NODE")} - _READING_NODES
    if writing:
        kind = min(writing).removesuffix("_NODE").removesuffix("_QUERY")
        raise QueryError(f"The query contains {kind}, which writes", hint="Queries here read only.")
    functions = frozenset(functions_of(tree))
    return ParsedQuery(text, _tables(tree), frozenset(name for name in functions - _HARMLESS if name.isidentifier()))


def query_tree(session: DuckSession, text: str) -> Any:
    """The statement as DuckDB parses it, in JSON; None for one that DuckDB can't serialize."""
    tree = json.loads(session.sql("SELECT json_serialize_sql($1)", [text]).fetchall()[0][0])
    return None if tree["error"] else tree


def nodes_of(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object in a statement's tree."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def functions_of(tree: Any) -> Iterator[str]:
    """The functions that a statement calls, in lower case: SQL's names know no case."""
    return (str(node["function_name"]).lower() for node in nodes_of(tree) if "function_name" in node)


def _tables(tree: Any) -> frozenset[str]:
    tables: set[str] = set()
    named: set[str] = set()
    for node in nodes_of(tree):
        if node.get("type") == "BASE_TABLE" and not node.get("schema_name"):
            tables.add(node["table_name"])
        if isinstance(ctes := node.get("cte_map"), dict):
            named.update(entry["key"] for entry in ctes.get("map", ()))
    return frozenset(tables - named)


def refuse_effects(texts: Iterable[str]) -> None:
    """Raise `QueryError` if one of these parts of a query calls a function that changes the process.

    They need not parse alone, so a word before a bracket counts as a call, also in a literal or a comment.
    """
    words = frozenset[str]().union(*map(_words_called, texts))
    _refuse_functions(_effectful(words))


def _refuse_functions(names: frozenset[str]) -> None:
    if unset := names & _NEVER_SET:
        raise QueryError(
            f"The query calls {min(unset)}(), and no variable of another connection is known in it",
            hint="Give the value as a parameter: `?` or `$name` in the SQL, and its value beside it.",
        )
    if names:
        raise QueryError(
            f"The query calls {min(names)}(), which runs other SQL or has effects outside the query",
            hint="Leave it out; change DuckDB's settings by MAD_PREFECT_DUCKDB_… or on a connection of your own.",
        )


def _effectful(names: frozenset[str]) -> frozenset[str]:
    """Those of these names that are functions of DuckDB's own which may have effects, or never have a value."""
    unknown = names - _HARMLESS - _KEYWORDS
    return unknown & (_functions_with_effects() | _NEVER_SET) if unknown else frozenset()


@lru_cache(maxsize=1)
def _functions_with_effects() -> frozenset[str]:
    """DuckDB's own functions that may have effects.

    Of a newer DuckDB these are all table functions that are not listed, and all functions that DuckDB calls volatile.
    """
    with DuckSession() as session:
        rows = session.sql(
            "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE internal AND function_type <> 'pragma' "
            "AND (function_type IN ('table', 'table_macro') OR stability = 'VOLATILE' "
            "OR starts_with(function_name, '__') OR function_name = 'json_serialize_plan')"
        ).fetchall()
    return frozenset(name for (name,) in rows) - _HARMLESS


def _words_called(text: str) -> frozenset[str]:
    """Each word of a text that a bracket or a comment follows: all names of functions are among them."""
    return frozenset(re.findall(r"(?<!\w)(\w++)(?=(?:[\"\s]|[^\w\x00-\x7f])*+[(/-])", text.lower()))


def _one_query(session: DuckSession, query: str, main: str) -> str:
    if re.search("[\0\ud800-\udfff]", query):
        raise QueryError("The query holds a NUL or half a character", hint="Give the value as a parameter.")
    text = query.strip().rstrip(";").rstrip()
    clause = f"FROM {quote(main)}\n{text}"
    problems = []
    for candidate in (clause, text):
        try:
            alone = session.connection.extract_statements(candidate)  # or a stray `)` would end the brackets below
            inside = session.connection.extract_statements(f"FROM (\n{candidate}\n)")
        except duckdb.Error as error:
            problems.append(error)
            continue
        if len(alone) == len(inside) == 1:
            return candidate
    whole = text.split(None, 1)[0].upper() in ("SELECT", "WITH", "FROM", "VALUES", "PIVOT", "(") if text else False
    problem = problems[-1 if whole else 0] if problems else "more than one statement"
    raise QueryError(
        f"The query does not parse: {problem}",
        hint="Give a clause that goes on from FROM data, or one whole SELECT … FROM data.",
    )
