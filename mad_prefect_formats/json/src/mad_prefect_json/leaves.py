"""The places of a DuckDB type that hold plain values, and SQL over what is there.

A place is a path from a column: names of members, and `[]` for the items of a list or the values of a map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from mad_prefect_core.sdk import quote

__all__ = ["Place", "gathered", "leaves", "literal", "member_of", "retyped"]

Place: TypeAlias = tuple[str, ...]

_ITEM = "[]"


def leaves(kind: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every place in a type that holds plain values, with its type. Keys of maps are none."""
    if kind.id == "struct":
        for name, inner in kind.children:
            yield from leaves(inner, (*place, name))
    elif kind.id in ("list", "array", "map"):
        yield from leaves(_item(kind), (*place, _ITEM))
    else:
        yield place, kind


def retyped(kind: Any, types: Mapping[Place, str], place: Place = ()) -> str:
    """The type with other types at some places."""
    if kind.id == "struct":
        members = (f"{quote(name)} {retyped(inner, types, (*place, name))}" for name, inner in kind.children)
        return f"STRUCT({', '.join(members)})"
    if kind.id in ("list", "array", "map"):
        item = retyped(_item(kind), types, (*place, _ITEM))
        if kind.id == "map":
            return f"MAP({kind.children[0][1]}, {item})"
        return f"{item}[{kind.children[1][1] if kind.id == 'array' else ''}]"
    return types.get(place, str(kind))


def gathered(kind: Any, value: str, place: Place) -> str:
    """SQL for a list of all values at a place in `value`, which is SQL of that type.

    Its lambdas do not nest: DuckDB takes twice as long to bind each one more that is in another.
    """
    values = f"[{value}]"
    for name in place:
        if kind.id == "struct":
            values = f"list_transform({values}, lambda each: {member_of('each', name)})"
            kind = dict(kind.children)[name]
            continue
        if kind.id == "map":
            values = f"list_transform({values}, lambda each: map_values(each))"
        values, kind = f"flatten({values})", _item(kind)
    return values


def member_of(value: str, name: str) -> str:
    """SQL for a member of a struct."""
    return f"struct_extract({value}, {literal(name)})"


def literal(value: str) -> str:
    """Text as an SQL literal, where SQL takes no parameter."""
    return "'" + value.replace("'", "''") + "'"


def _item(kind: Any) -> Any:
    return kind.children[1 if kind.id == "map" else 0][1]
