"""CSV files that no record describes: what is text there is said by quotes.

A column of text that a reader would take for numbers, dates or booleans is written with all its values in quotes. A
file of somebody else's may quote every value, which says nothing: there, columns are quoted that are text anyway.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import duckdb

from mad_prefect_core.sdk import Schema, Session, UnsupportedValueError, quote, schema_of
from mad_prefect_csv.sqltypes import refusal, text_type

__all__ = ["columns_taken_for_others", "copy_standalone", "numbers_beyond", "text_columns"]

_AS_TEXT = frozenset({"uuid", "blob", "interval", "bit", "enum", "bignum", "time with time zone"})
"""Types that come back as text, since no reader of CSV looks for them."""

_NUMBERS = frozenset(
    {"tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"}
)
_EXACT_DIGITS = 15  # of a float
_NESTED = frozenset({"list", "array", "struct", "map"})


def copy_standalone(
    session: Session, relation: str, schema: Schema, path: Path, delim: str, quoted: Collection[str] = ()
) -> None:
    """Write `relation` with the values of the `quoted` columns in quotes. Raises `UnsupportedValueError`."""
    columns = ", ".join(f"{_written(session, name, kind)} AS {quote(name)}" for name, kind in schema.items())
    force = f", FORCE_QUOTE ({', '.join(map(quote, quoted))})" if quoted else ""
    session.execute(
        f"COPY (SELECT {columns} FROM {relation} AS source) "  # noqa: S608  identifiers are quoted
        f"TO $path (FORMAT csv, DELIM $delim, QUOTE '\"', ESCAPE '\"', NULLSTR '', HEADER{force})",
        {"path": str(path), "delim": delim},
    )


def _written(session: Session, name: str, kind: str) -> str:
    parsed = session.connection.type(kind)
    if reason := refusal(parsed):
        raise UnsupportedValueError(f"CSV can't hold {kind}: {reason}", column=name)
    value = f"source.{quote(name)}"
    if parsed.id in _NESTED:
        return f"CAST(to_json({value}) AS VARCHAR)"
    text = text_type(parsed)
    return value if text == str(parsed) else f"CAST({value} AS {text})"


def columns_taken_for_others(session: Session, schema: Schema, found: duckdb.DuckDBPyRelation) -> list[str]:
    """The columns of text that a reader takes for something else.

    Raises `UnsupportedValueError` where it takes a column that is no text for something else.
    """
    wrong = []
    for (name, written), read in zip(schema.items(), schema_of(found).values(), strict=True):
        kind = session.connection.type(written)
        if kind.id in _NESTED or written in ("VARCHAR", "JSON", '"NULL"') or _has_more_digits(kind):
            if read != "VARCHAR":
                wrong.append(name)
        elif not _is_read_as(kind, session.connection.type(read)) and _has_values(found, name):
            raise UnsupportedValueError(
                f"CSV does not tell these values, which are {written}, from {read}",
                column=name,
                hint="Store them as text, or choose Parquet or JSON.",
            )
    return wrong


def _is_read_as(written: duckdb.sqltypes.DuckDBPyType, read: duckdb.sqltypes.DuckDBPyType) -> bool:
    if str(written) == str(read) or written.id in _AS_TEXT:
        return True
    if written.id in _NUMBERS:
        return read.id in _NUMBERS
    if written.id in ("float", "double", "decimal"):
        return read.id in ("double", "decimal") or read.id in _NUMBERS
    return written.id.startswith("timestamp") and read.id.startswith("timestamp")


def _has_more_digits(kind: duckdb.sqltypes.DuckDBPyType) -> bool:
    """Whether a type has decimals that a reader would make floats of, with fewer digits."""
    if kind.id != "decimal":
        return False
    digits: dict[str, Any] = dict(kind.children)
    return bool(digits["scale"]) and digits["precision"] > _EXACT_DIGITS


_KINDS = {
    "HUGEINT": "-?(0|[1-9][0-9]{0,37})",
    "DOUBLE": r"nan|-?inf|-?(0|[1-9][0-9]*)(\.[0-9]+)?(e[+-]?[0-9]+)?",
}
"""Text that can be nothing else: integers beyond 64 bits, and floats beside those that are no numbers."""


def numbers_beyond(relation: duckdb.DuckDBPyRelation) -> dict[str, str]:
    """The columns of text that hold nothing but integers beyond 64 bits, or floats such as `nan`."""
    text = [name for name, kind in schema_of(relation).items() if kind == "VARCHAR"]
    if not text:
        return {}
    tests = [
        f"bool_and(regexp_full_match({quote(name)}, '{pattern}') AND TRY_CAST({quote(name)} AS {kind}) IS NOT NULL) "
        f"FILTER (WHERE {quote(name)} IS NOT NULL)"
        for name in text
        for kind, pattern in _KINDS.items()
    ] + [f"bool_or(regexp_full_match({quote(name)}, 'nan|-?inf'))" for name in text]
    (row,) = relation.aggregate(", ".join(tests)).fetchall()
    found = {}
    for place, name in enumerate(text):
        integers, floats, special = row[2 * place], row[2 * place + 1], row[2 * len(text) + place]
        if integers:
            found[name] = "HUGEINT"
        elif floats and special:
            found[name] = "DOUBLE"
    return found


def _has_values(relation: duckdb.DuckDBPyRelation, name: str) -> bool:
    return bool(relation.filter(f"{quote(name)} IS NOT NULL").limit(1).fetchall())


def text_columns(text: str, delim: str, types: Schema) -> list[str]:
    """The columns that the file's quotes say are text, of those that look like something else by themselves."""
    quoted = [name for place, name in enumerate(types) if place in _quoted_places(text, delim)]
    return [] if any(types[name] == "VARCHAR" for name in quoted) else quoted


def _quoted_places(text: str, delim: str) -> set[int]:
    """The columns whose values are all in quotes, though not all of them need it."""
    field = re.compile(rf'("[^"]*(?:""[^"]*)*"|[^{re.escape(delim)}\r\n]*)({re.escape(delim)}|\r\n|\n|\r|\Z)')
    needed = re.compile(rf'[{re.escape(delim)}"\r\n]')
    place, header = 0, True
    bare: set[int] = set()
    quoted: set[int] = set()
    for match in field.finditer(text):
        value, end = match.groups()
        if not header and value:
            if value[0] != '"':
                bare.add(place)
            elif len(value) > 2 and not needed.search(value[1:-1]):
                quoted.add(place)
        place += 1
        if end != delim:
            place, header = 0, False
    return quoted - bare
