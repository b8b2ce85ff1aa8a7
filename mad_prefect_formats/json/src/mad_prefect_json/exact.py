"""JSON whose numbers have more digits than DuckDB's reader keeps, read from the text of each object."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

import duckdb

from mad_prefect_core.sdk import SchemaError, quote
from mad_prefect_json.digits import marked, unmarked
from mad_prefect_json.infer import Columns, structure
from mad_prefect_json.leaves import leaves, literal, retyped
from mad_prefect_json.options import ReadJsonOptions
from mad_prefect_json.sqltypes import rebuilt

__all__ = ["read_exactly"]

_MOST_DEPTH = 10  # of lists in each other, as `rebuilt` nests lambdas, and each one more takes DuckDB twice as long


def read_exactly(columns: Columns, options: ReadJsonOptions) -> duckdb.DuckDBPyRelation:
    """The rows of the columns, numbers by all of their digits.

    DuckDB casts strings of digits itself. Where a value may be text as well as a number, what was made a string of a
    number is marked, and is made a number again.
    """
    mark = f"{secrets.token_hex(8)}:"  # nobody's text has it
    marks = {
        name for name, kind in columns.types.items() if any(_needs_mark(leaf, options) for _, leaf in leaves(kind))
    }
    plain = {name: str(kind) for name, kind in columns.types.items() if name not in marks}
    texts = {name: _as_text(name, columns.types[name]) for name in columns.types if name in marks}
    rows = []
    if plain:
        rows.append(f"from_json({marked('json')}, {literal(structure(columns, plain))}) AS row")
    if texts:
        rows.append(f"from_json({marked('json', mark)}, {literal(structure(columns, texts))}) AS marked_row")
    leaf = partial(_value, mark=mark, options=options)
    selected = {
        name: rebuilt(kind, columns.of(name, "marked_row"), leaf, leaf) if name in marks else columns.of(name)
        for name, kind in columns.types.items()
    }
    added = {"filename": "filename"} if options.filename else {}
    if number := columns.source.number:
        added[quote(number)] = "CAST(file_index AS BIGINT)"
    rows += [f"{value} AS {name}" for name, value in added.items()]
    names = [f"CAST({value} AS {columns.types[name]}) AS {quote(name)}" for name, value in selected.items()]
    return columns.source.select(
        f"SELECT {', '.join([*names, *added])} FROM (SELECT {', '.join(rows)} FROM {{objects}})"  # noqa: S608
    )


def _needs_mark(kind: Any, options: ReadJsonOptions) -> bool:
    return any(leaf.id == "varchar" or _format(leaf, options) is not None for _, leaf in leaves(kind))


def _as_text(name: str, kind: Any) -> str:
    places = {place: "VARCHAR" for place, leaf in leaves(kind) if str(leaf) not in ("JSON", '"NULL"')}
    if any(place.count("[]") > _MOST_DEPTH for place, _ in leaves(kind)):
        raise SchemaError(
            f"A column has numbers that a DOUBLE does not hold, in lists more than {_MOST_DEPTH} deep",
            column=name,
            hint="Name its type in the read options (`columns`).",
        )
    return retyped(kind, places)


def _value(kind: Any, value: str, *, mark: str, options: ReadJsonOptions) -> str:
    """SQL for a value of a type, of what was read as text."""
    if str(kind) == '"NULL"':
        return value
    if str(kind) == "JSON":
        return f"CAST({unmarked(f'CAST({value} AS VARCHAR)', mark)} AS JSON)"
    if kind.id == "varchar":
        return unmarked(value, mark)
    text = f"replace({value}, '{mark}', '')"
    if format := _format(kind, options):
        text = f"strptime({text}, {literal(format)})"
    return f"{'TRY_CAST' if options.ignore_errors else 'CAST'}({text} AS {kind})"


def _format(kind: Any, options: ReadJsonOptions) -> str | None:
    """How the user says that text of a type is spelt."""
    if kind.id == "date":
        return options.dateformat
    return options.timestampformat if kind.id.startswith("timestamp") else None
