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

__all__ = ["TEXT", "TEXT_KINDS", "fits", "looks_like", "text_kind", "text_kind_in_sql"]

TEXT = "VARCHAR"

_YEAR = r"(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DATE = rf"{_YEAR}-[01][0-9]-[0-3][0-9]"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_ZONE = r"(?:Z|[+-][01][0-9](?::[0-5][0-9])?)"
_FRACTION = r"-?(?:0|[1-9][0-9]*)\.[0-9]+"
_EXPONENT = r"-?[1-9](?:\.[0-9]+)?e[+-][0-9]{2,3}"
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
    """Whether that does, of many texts. May raise `ValueError` or `OverflowError` for no."""
    condition: str
    """The same in SQL, of `{0}`; where casts say it all, what the pattern says too."""
    spelt: bool = True
    """Whether SQL needs the pattern besides the condition."""


_KINDS = {
    kind.type: kind
    for kind in (
        _Kind(
            "DATE",
            re.compile(_DATE),
            _dates,
            "(strlen({0}) = 10 AND CAST(TRY_CAST({0} AS DATE) AS VARCHAR) = {0})",
            spelt=False,
        ),
        _Kind(
            "TIMESTAMP",
            re.compile(f"{_DATE}[ T]{_TIME}"),
            _timestamps,
            "TRY_CAST({0} AS TIMESTAMP) IS NOT NULL",
        ),
        _Kind(
            "TIMESTAMP WITH TIME ZONE",
            re.compile(f"{_DATE}[ T]{_TIME}{_ZONE}"),
            _instants,
            f"TRY_CAST({{0}} AS TIMESTAMPTZ) BETWEEN TIMESTAMPTZ '{_FIRST}' AND TIMESTAMPTZ '{_LAST}'",
        ),
        _Kind("TIME", re.compile(_TIME), _always, "true"),
        _Kind("UUID", re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), _always, "true"),
        _Kind(
            "BIGINT",
            re.compile(r"0|-?[1-9][0-9]{0,18}"),
            _bigints,
            "CAST(TRY_CAST({0} AS BIGINT) AS VARCHAR) = {0}",
            spelt=False,
        ),
        _Kind(
            "DOUBLE",
            re.compile(f"{_FRACTION}|{_EXPONENT}"),
            _doubles,
            f"((strlen({{0}}) <= {_EXACT} AND NOT contains({{0}}, 'e'))"
            " OR rtrim(CAST(TRY_CAST({0} AS DOUBLE) AS VARCHAR), '0') = rtrim({0}, '0'))",
        ),
        _Kind("BOOLEAN", re.compile("true|false|True|False|TRUE|FALSE"), _always, "true"),
    )
}

TEXT_KINDS = tuple(_KINDS)
"""All types that text may be taken for."""

_SMALL = "strlen({0}) <= 15"
"""SQL of an integer's text: a double holds it exactly."""


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
    found = _KINDS[kind]
    # `bool_and` passes over NULL, which is what a cast that fails gives.
    condition = "true" if found.condition == "true" else f"coalesce({found.condition.format(value)}, false)"
    if not found.spelt:
        return condition
    spelt = f"regexp_full_match({value}, '{found.pattern.pattern}')"
    return spelt if condition == "true" else f"({spelt} AND {condition})"


def fits(kind: str, value: str) -> str:
    """SQL for whether a text fits in a column of a file that is of type `kind` by `text_kind_in_sql`."""
    condition = looks_like(kind, value)
    if kind != "DOUBLE":
        return condition
    return f"({condition} OR ({_SMALL.format(value)} AND {looks_like('BIGINT', value)}))"


def text_kind_in_sql(
    value: str, kinds: Collection[str] = TEXT_KINDS, respelt: Mapping[str, str] = MappingProxyType({})
) -> str:
    """SQL, an aggregate: the one of `kinds` (at least one) that all texts of `value` (SQL of text) look like, as text.
    It is 'VARCHAR' if there is none, and NULL if all are NULL.

    A file does not say whether `1` beside `2.5` is an integer, so integers that a double holds exactly look like DOUBLE
    where others do, if that is one of `kinds`. `respelt` has, by kind, SQL of text that is looked at instead of `value`
    where a user has said how values of that kind are spelt.
    """
    if len(kinds) == 1:  # the long form takes DuckDB a while for hundreds of columns
        [kind] = kinds
        alike = f"bool_and({looks_like(kind, respelt.get(kind, value))}) FILTER ({value} IS NOT NULL)"
        return f"CASE WHEN {alike} THEN '{kind}' WHEN count({value}) > 0 THEN '{TEXT}' END"
    bits = {kind: 1 << place for place, kind in enumerate(kind for kind in TEXT_KINDS if kind in kinds)}
    names = {bit: kind for kind, bit in bits.items()}
    whens = {kind: f"WHEN {looks_like(kind, respelt.get(kind, value))} THEN {bit}" for kind, bit in bits.items()}
    other = 1 << len(bits)
    if {"BIGINT", "DOUBLE"} <= bits.keys():
        small, other = other, other << 1
        sized = f"CASE WHEN {_SMALL.format(value)} THEN {small} ELSE {bits['BIGINT']} END"
        whens["BIGINT"] = f"WHEN {looks_like('BIGINT', value)} THEN {sized}"
        names |= {small: "BIGINT", small | bits["BIGINT"]: "BIGINT", small | bits["DOUBLE"]: "DOUBLE"}
    by_bits = ", ".join(f"{mask}: '{kind}'" for mask, kind in names.items())
    seen = f"bit_or(CASE {' '.join(whens.values())} ELSE {other} END) FILTER ({value} IS NOT NULL)"
    return f"CASE WHEN count({value}) > 0 THEN coalesce(MAP {{{by_bits}}}[{seen}], '{TEXT}') END"
