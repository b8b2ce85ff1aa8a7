"""What bare text looks like: the one rule by which text of JSON, CSV and folder names is taken for a type.

JSON and CSV hold dates and times as text, and 2.x let DuckDB's inference turn such text into dates. Here the values
decide, and a type is taken only if every value has that type in one reading alone and gives the same text when it is
written again, up to the `T` of a timestamp and trailing zeros. `01-02-2020` may be January or February, `007` is more
than a number, `1e400` is no double, and nanoseconds are more than a TIMESTAMP holds: all of these stay text.

Each kind has a pattern that means the same to Python and to DuckDB, and a condition for what a pattern can't say, in
both languages. Python's form is for rows on their way to a file, SQL's for files that are read.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["TEXT", "TEXT_KINDS", "looks_like", "parse_text", "text_kind", "text_kind_in_sql"]

TEXT = "VARCHAR"
"""The type of text that looks like nothing else."""

_YEAR = r"(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DATE = rf"{_YEAR}-[01][0-9]-[0-3][0-9]"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_ZONE = r"(?:Z|[+-][01][0-9](?::[0-5][0-9])?)"
_FRACTION = r"-?(?:0|[1-9][0-9]*)\.[0-9]+"
_EXPONENT = r"-?[1-9](?:\.[0-9]+)?e[+-][0-9]{2,3}"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TRUE = ("true", "True", "TRUE")
_FALSE = ("false", "False", "FALSE")
_EDGES = ("0001", "9999")  # years in which an instant may be beyond what Python holds
_EXACT = 16  # characters with a point: at most 15 digits, which a double holds exactly
_FIRST, _LAST = "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"


_BIGINTS = range(-(1 << 63), 1 << 63)


def _dates(values: Collection[str]) -> bool:
    return all(map(dt.date.fromisoformat, values))


def _timestamps(values: Collection[str]) -> bool:
    return all(map(dt.datetime.fromisoformat, values))


def _instants(values: Collection[str]) -> bool:
    for value, instant in zip(values, map(dt.datetime.fromisoformat, values), strict=True):
        if value.startswith(_EDGES):
            instant.astimezone(dt.UTC)
    return True


def _bigints(values: Collection[str]) -> bool:
    return max(map(len, values)) < 19 or all(map(_BIGINTS.__contains__, map(int, values)))


def _doubles(values: Collection[str]) -> bool:
    return all(
        (len(value) <= _EXACT and "e" not in value) or repr(float(value)).rstrip("0") == value.rstrip("0")
        for value in values
    )


def _always(values: Collection[str]) -> bool:
    return True


@dataclass(frozen=True)
class _Kind:
    """A type, how its text is spelt, and what else must hold of a text that is spelt so."""

    type: str
    pattern: re.Pattern[str]
    hold: Callable[[Collection[str]], bool]
    """Whether all of some texts that match the pattern are values of the type. It may raise `ValueError` or
    `OverflowError` where one is not."""
    sql: str
    """Pattern and condition in SQL, of `{0}`: true for yes, false or NULL for no. In a projection DuckDB evaluates both
    sides of AND and OR for all rows; CASE evaluates an expensive condition only for the rows that reach it."""
    parsed: str = ""
    """SQL of the value, NULL where the text is none, if there is a shorter form than `sql` and a cast."""


def _case(pattern: str, condition: str) -> str:
    """SQL for a text that matches the pattern and, only looked at then, meets the condition."""
    return f"CASE WHEN {_matches(pattern)} THEN {condition} ELSE false END"


def _matches(pattern: str) -> str:
    return f"regexp_full_match({{0}}, '{pattern.replace('{', '{{').replace('}', '}}')}')"


_SAME_DOUBLE = "rtrim(CAST(TRY_CAST({0} AS DOUBLE) AS VARCHAR), '0') = rtrim({0}, '0')"


def _double(simple: str) -> str:
    """SQL for the text of a double; a `simple` one that is short is one without being cast and printed."""
    return (
        f"CASE WHEN strlen({{0}}) <= {_EXACT} AND {_matches(simple)} THEN true "
        f"WHEN {_matches(f'{_FRACTION}|{_EXPONENT}')} THEN {_SAME_DOUBLE} ELSE false END"
    )


_KINDS = {
    kind.type: kind
    for kind in (
        _Kind(
            "DATE",
            re.compile(_DATE),
            _dates,
            "(strlen({0}) = 10 AND CAST(TRY_CAST({0} AS DATE) AS VARCHAR) = {0})",
        ),
        _Kind(
            "TIMESTAMP",
            re.compile(f"{_DATE}[ T]{_TIME}"),
            _timestamps,
            _case(f"{_DATE}[ T]{_TIME}", "TRY_CAST({0} AS TIMESTAMP) IS NOT NULL"),
            f"CASE WHEN {_matches(f'{_DATE}[ T]{_TIME}')} THEN TRY_CAST({{0}} AS TIMESTAMP) END",
        ),
        _Kind(
            "TIMESTAMP WITH TIME ZONE",
            re.compile(f"{_DATE}[ T]{_TIME}{_ZONE}"),
            _instants,
            _case(
                f"{_DATE}[ T]{_TIME}{_ZONE}",
                f"TRY_CAST({{0}} AS TIMESTAMPTZ) BETWEEN TIMESTAMPTZ '{_FIRST}' AND TIMESTAMPTZ '{_LAST}'",
            ),
        ),
        _Kind("TIME", re.compile(_TIME), _always, _matches(_TIME)),
        _Kind("UUID", re.compile(_UUID), _always, _matches(_UUID)),
        _Kind(
            "BIGINT",
            re.compile(r"0|-?[1-9][0-9]{0,18}"),
            _bigints,
            "CAST(TRY_CAST({0} AS BIGINT) AS VARCHAR) = {0}",
        ),
        _Kind("DOUBLE", re.compile(f"{_FRACTION}|{_EXPONENT}"), _doubles, _double(_FRACTION)),
        _Kind(
            "BOOLEAN",
            re.compile("|".join(_TRUE + _FALSE)),
            _always,
            f"{{0}} IN {_TRUE + _FALSE}",
            f"CASE WHEN {{0}} IN {_TRUE} THEN true WHEN {{0}} IN {_FALSE} THEN false END",
        ),
    )
}

TEXT_KINDS = tuple(_KINDS)
"""All types that text may be taken for."""

_SMALL = "strlen({0}) <= 15"
"""SQL of an integer's text: a double holds it exactly."""
_DOUBLE_OR_SMALL = _double(rf"{_FRACTION}|0|[1-9][0-9]{{0,14}}|-[1-9][0-9]{{0,13}}")


def text_kind(values: Collection[str]) -> str | None:
    """The one type that all these strings look like; `TEXT` if there is none, None if there are no strings.

    The first string usually decides that a column is plain text, so the rest of it costs nothing.
    """
    first = next(iter(values), None)
    if first is None:
        return None
    kind = next((k for k in _KINDS.values() if k.pattern.fullmatch(first)), None)
    if kind is None or not all(map(kind.pattern.fullmatch, values)):
        return TEXT
    try:
        return kind.type if kind.hold(values) else TEXT
    except (ValueError, OverflowError):
        return TEXT


def looks_like(kind: str, value: str) -> str:
    """SQL for whether `value` (SQL of text) looks like the type `kind`, one of `TEXT_KINDS`. It is true or false, also
    for text that no cast takes; not true for NULL.

    The cast to `kind` of a text that does never fails, and changes nothing.
    """
    return f"coalesce({_KINDS[kind].sql.format(value)}, false)"


def parse_text(kind: str, value: str) -> str:
    """SQL for the value of a text in a column of a file that is of type `kind` by `text_kind_in_sql`; NULL for a text
    that does not fit there."""
    if parsed := _KINDS[kind].parsed:
        return parsed.format(value)
    condition = _DOUBLE_OR_SMALL if kind == "DOUBLE" else _KINDS[kind].sql
    return f"CASE WHEN {condition.format(value)} THEN CAST({value} AS {kind}) END"


def text_kind_in_sql(
    value: str,
    kinds: Collection[str] = TEXT_KINDS,
    respelt: Mapping[str, str] = MappingProxyType({}),
    *,
    present: str = "{0} IS NOT NULL",
) -> str:
    """SQL, an aggregate: the one of `kinds` (at least one) that all texts of `value` (SQL of text) look like, as text.
    It is 'VARCHAR' if there is none, and NULL if there are no texts: `present` is SQL for whether a value is one.

    A file does not say whether `1` beside `2.5` is an integer, so integers that a double holds exactly look like DOUBLE
    where others do, if that is one of `kinds`. `respelt` has, by kind, SQL of text that is looked at instead of `value`
    where a user has said how values of that kind are spelt.
    """
    # All is inside a CASE: outside one DuckDB looks for common subexpressions, which takes long for many columns.
    there = present.format(value)
    if len(kinds) == 1:
        [kind] = kinds
        alike = f"bool_and(CASE WHEN {there} THEN {looks_like(kind, respelt.get(kind, value))} END)"
        return f"CASE WHEN {alike} THEN '{kind}' WHEN NOT {alike} THEN '{TEXT}' END"
    bits = {kind: 1 << place for place, kind in enumerate(kind for kind in TEXT_KINDS if kind in kinds)}
    names = {bit: kind for kind, bit in bits.items()}
    whens = {kind: f"WHEN {_KINDS[kind].sql.format(respelt.get(kind, value))} THEN {bit}" for kind, bit in bits.items()}
    other = 1 << len(bits)
    if {"BIGINT", "DOUBLE"} <= bits.keys():
        small, other = other, other << 1
        sized = f"CASE WHEN {_SMALL.format(value)} THEN {small} ELSE {bits['BIGINT']} END"
        whens["BIGINT"] = f"WHEN {looks_like('BIGINT', value)} THEN {sized}"
        names |= {small: "BIGINT", small | bits["BIGINT"]: "BIGINT", small | bits["DOUBLE"]: "DOUBLE"}
    by_bits = ", ".join(f"{mask}: '{kind}'" for mask, kind in names.items())
    seen = f"bit_or(CASE WHEN {there} THEN CASE {' '.join(whens.values())} ELSE {other} END END)"
    return f"CASE WHEN {seen} IS NOT NULL THEN coalesce(MAP {{{by_bits}}}[{seen}], '{TEXT}') END"
