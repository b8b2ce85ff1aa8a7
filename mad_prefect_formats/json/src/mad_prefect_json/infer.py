"""The types of JSON that others wrote, told to DuckDB's reader once they are known.

DuckDB reads a whole file to infer its types, and does so again whenever the relation runs. With the types given it
does not, and reads the same values, unless what it inferred was more than types: names that it had to make distinct,
or a spelling of dates other than ISO's. Then it is left to infer again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import duckdb

from mad_prefect_core.session import quote

__all__ = ["known_types"]

_DATES = frozenset({"date", "timestamp", "timestamp with time zone"})
_YEAR_FIRST = re.compile(r"\d{4}-")
_MADE_DISTINCT = re.compile(r"(.+)_\d+")
_BARE = "json"  # the column of values that are no objects
_LOOKED_AT = 100  # rows in which each date is to be found


def known_types(
    relation: duckdb.DuckDBPyRelation, read: Callable[[dict[str, str]], duckdb.DuckDBPyRelation]
) -> dict[str, str] | None:
    """The columns of an inferred relation by which `read` gives the same rows; None where it might not."""
    types = dict(zip(relation.columns, relation.types, strict=True))
    if list(types) == [_BARE] or not _names_are_the_keys(types) or not all(map(_is_plain, types.values())):
        return None
    dated = {name: kind for name, kind in types.items() if _has_date(kind)}
    if dated:
        try:
            rows = read({name: _as_text(kind) for name, kind in dated.items()}).limit(_LOOKED_AT).fetchall()
        except duckdb.Error:  # which is told where it is read
            return None
        if not all(_year_first(kind, (row[place] for row in rows)) for place, kind in enumerate(dated.values())):
            return None
    return {name: str(kind) for name, kind in types.items()}


def _names_are_the_keys(members: Iterable[str]) -> bool:
    """Whether none of the names can be one that DuckDB made because another had it, or because there was none."""
    folded = {name.lower() for name in members}
    made = (_MADE_DISTINCT.fullmatch(name) for name in folded)
    return "" not in folded and not any(name and (name[1] in folded or name[1] == "") for name in made)


def _is_plain(kind: Any) -> bool:
    """Whether a type is one that is read by its name alone, all members by theirs."""
    if kind.id == "map":
        return False
    if kind.id == "struct" and not (kind.children and _names_are_the_keys(name for name, _ in kind.children)):
        return False
    return all(_is_plain(member) for _, member in _members(kind))


def _has_date(kind: Any) -> bool:
    return kind.id in _DATES or any(_has_date(member) for _, member in _members(kind))


def _as_text(kind: Any) -> str:
    """The type with text for dates."""
    if kind.id == "list":
        return f"{_as_text(kind.children[0][1])}[]"
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{quote(name)} {_as_text(member)}' for name, member in kind.children)})"
    return "VARCHAR" if kind.id in _DATES else str(kind)


def _year_first(kind: Any, values: Iterable[Any]) -> bool:
    """Whether of each date in a column, read as text, there is a value, and the first begins with its year."""
    present: Iterator[Any] = (value for value in values if value is not None)
    if kind.id == "list":
        return _year_first(kind.children[0][1], (item for value in present for item in value))
    if kind.id == "struct":
        rows = list(present)
        return all(_year_first(member, (row[name] for row in rows)) for name, member in kind.children)
    return kind.id not in _DATES or bool((first := next(present, None)) and _YEAR_FIRST.match(first))


def _members(kind: Any) -> list[tuple[str, Any]]:
    return list(kind.children) if kind.id in ("list", "struct") else []
