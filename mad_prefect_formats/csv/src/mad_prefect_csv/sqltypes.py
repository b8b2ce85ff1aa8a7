"""What each DuckDB type is in a CSV file: the text that DuckDB casts it to, which casts back to the same value.

Two exceptions are written and read as VARCHAR: JSON inside of lists, structs and maps, whose brackets and commas would
be mistaken for those of the list; and the type of a column without values, which DuckDB's reader does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mad_prefect_core.sdk import quote

__all__ = ["all_columns", "refusal", "text_type"]

_NESTED = frozenset({"list", "array", "struct", "map", "union"})


def text_type(kind: Any, *, inside: bool = False) -> str:
    """The type that values are written and read as."""
    if kind.id == "list":
        return f"{text_type(kind.children[0][1], inside=True)}[]"
    if kind.id == "array":
        (_, member), (_, size) = kind.children
        return f"{text_type(member, inside=True)}[{size}]"
    if kind.id == "map":
        return f"MAP({', '.join(text_type(member, inside=True) for _, member in kind.children)})"
    if kind.id == "struct":
        members = (f"{quote(name)} {text_type(member, inside=True)}" for name, member in kind.children)
        return f"STRUCT({', '.join(members)})"
    return "VARCHAR" if kind.id == "null" or (inside and str(kind) == "JSON") else str(kind)


def refusal(kind: Any) -> str | None:
    """Why values of a type can't be kept in CSV; None where they can."""
    if kind.id == "variant":
        return "each value has a type of its own, which text does not tell"
    if kind.id == "union":
        return "text does not say which member a value is of"
    if kind.id not in _NESTED:
        return None
    members = [member for _, member in kind.children if hasattr(member, "id")]
    if not members:
        return "a struct without members has no type that a reader could be told"
    return next((reason for member in members if (reason := refusal(member))), None)


def all_columns(options: Mapping[str, Any]) -> str:
    """SQL behind a call of `read_csv` with these options, so that all columns are read whichever are asked for.

    DuckDB applies `force_not_null` by the places of columns, and counts only those that it reads.
    """
    return " WHERE hash(COLUMNS(*)) IS NOT NULL" if "force_not_null" in options else ""
