"""The names of DuckDB's types: of one, and of all that are in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["members_of", "name_of", "names_in"]

_NESTED = frozenset({"array", "list", "map", "struct", "union"})


def name_of(kind: Any) -> str:
    """`DECIMAL` for `DECIMAL(4, 1)`, `LIST` for `INTEGER[]`, `JSON` for JSON, which is text to DuckDB."""
    return kind.id.upper() if kind.id in _NESTED else str(kind).partition("(")[0].strip('"')


def members_of(kind: Any) -> list[tuple[str, Any]]:
    """The types directly in one, by name; none for what is not nested."""
    if kind.id not in _NESTED:
        return []
    # One child of an array is its size, and one of a union is the tag, which has no name.
    tags = {""} if kind.id == "union" else set()
    return [(name, member) for name, member in kind.children if hasattr(member, "id") and name not in tags]


def names_in(kind: Any) -> Iterator[str]:
    """The names of a type and of all that are in it; of a struct without members also `STRUCT without members`."""
    yield name_of(kind)
    members = members_of(kind)
    if kind.id == "struct" and not members:
        yield "STRUCT without members"
    for _, member in members:
        yield from names_in(member)
