"""What each DuckDB type is in a JSON file, as SQL: the expression to write it by, and the one to read it back.

Most types need neither, since DuckDB's own text for them reads back exactly. The exceptions:

- BLOB is base64 text (DuckDB would write escapes, and read them as text).
- DECIMAL of more than 15 digits, or with none before its point, is text (a JSON number is read through a double, and
  DuckDB writes `.5`, which is no JSON).
- NaN and the infinities are the texts "NaN", "Infinity" and "-Infinity" (JSON has no such numbers).
- JSON with a number that DuckDB would round is refused by `error`, after `ROUNDED`.
- BIT and BIGNUM are text, and are read as such (DuckDB's JSON reader does not know them).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mad_prefect_core.sdk import quote
from mad_prefect_json.digits import EXACT_DIGITS, rounded
from mad_prefect_json.leaves import member_of

__all__ = ["ROUNDED", "read_type", "reading", "rebuilt", "refusal", "writing"]

ROUNDED = "A JSON value has a number of more digits than DuckDB keeps in JSON: "
"""What the error says of a value that can't be written, before the value."""

_READ_AS_TEXT = frozenset({"blob", "bit", "bignum"})
_NESTED = frozenset({"list", "array", "struct", "map", "union"})

Leaf = Callable[[Any, str], str]


def writing(kind: Any, value: str) -> str:
    """SQL for what a file holds of `value` (SQL of that type); `value` itself if that is what it holds."""
    return rebuilt(kind, value, _written, _written_key)


def reading(kind: Any, value: str) -> str:
    """SQL for the value of type `kind`, of `value`: SQL of what was read from a file as `read_type(kind)`."""
    if read_type(kind) == str(kind):
        return value
    return f"CAST({rebuilt(kind, value, _read, _read)} AS {kind})"


def read_type(kind: Any) -> str:
    """The type that DuckDB's JSON reader is told."""
    if kind.id == "list":
        return f"{read_type(kind.children[0][1])}[]"
    if kind.id == "array":
        (_, member), (_, size) = kind.children
        return f"{read_type(member)}[{size}]"
    if kind.id == "map":
        (_, key), (_, member) = kind.children
        # A key is text: read as JSON it would be a JSON string of that text.
        return f"MAP({'VARCHAR' if str(key) == 'JSON' else read_type(key)}, {read_type(member)})"
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{quote(name)} {read_type(member)}' for name, member in kind.children)})"
    return "VARCHAR" if kind.id in _READ_AS_TEXT else str(kind)


def refusal(kind: Any) -> str | None:
    """Why values of a type can't be kept in JSON; None where they can."""
    if kind.id == "variant":
        return "each value has a type of its own, which JSON does not tell"
    if kind.id not in _NESTED:
        return None
    members = [member for _, member in kind.children if hasattr(member, "id")]
    if kind.id == "struct" and not members:
        return "a struct without members has no type that a reader could be told"
    if kind.id == "map" and members[0].id in _NESTED:
        return "JSON has no keys but text"
    if kind.id == "union" and any(writing(member, "m") != "m" for member in members):
        return "one of its members needs another form in JSON, which a union can't take"
    return next((reason for member in members if (reason := refusal(member))), None)


def rebuilt(kind: Any, value: str, leaf: Leaf, key_leaf: Leaf, depth: int = 0) -> str:
    """SQL for `value` with `leaf` applied to every plain value in it; `value` itself where that changes nothing."""
    each = f"m{depth}"  # lambdas nest, so each level names its own
    if kind.id in ("list", "array"):
        inner = rebuilt(kind.children[0][1], each, leaf, key_leaf, depth + 1)
        return value if inner == each else f"list_transform({value}, lambda {each}: {inner})"
    if kind.id == "struct":
        parts = {name: member_of(value, name) for name, _ in kind.children}
        inners = {name: rebuilt(part, parts[name], leaf, key_leaf, depth) for name, part in kind.children}
        if inners == parts:
            return value
        packed = ", ".join(f"{quote(name)} := {inner}" for name, inner in inners.items())
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({packed}) END"
    if kind.id == "map":
        (_, key), (_, item) = kind.children
        parts = {"key": f"{each}.key", "value": f"{each}.value"}
        inners = {
            "key": key_leaf(key, parts["key"]),
            "value": rebuilt(item, parts["value"], leaf, key_leaf, depth + 1),
        }
        if inners == parts:
            return value
        entry = f"struct_pack(key := {inners['key']}, value := {inners['value']})"
        return f"map_from_entries(list_transform(map_entries({value}), lambda {each}: {entry}))"
    return leaf(kind, value)


def _written(kind: Any, value: str) -> str:
    if str(kind) == "JSON":
        text = f"CAST({value} AS VARCHAR)"
        return f"CASE WHEN {rounded(text)} THEN error('{ROUNDED}' || {text}[:80]) ELSE {value} END"
    if kind.id == "blob":
        return f"to_base64({value})"
    if kind.id in ("float", "double"):
        return (
            f"CASE WHEN {value} IS NULL THEN NULL WHEN isfinite({value}) THEN to_json({value}) "
            f"""WHEN isnan({value}) THEN '"NaN"' WHEN {value} > 0 THEN '"Infinity"' ELSE '"-Infinity"' END"""
        )
    if kind.id == "decimal":
        digits, scale = (size for _, size in kind.children)
        return value if digits <= EXACT_DIGITS and scale < digits else f"CAST({value} AS VARCHAR)"
    if kind.id in _READ_AS_TEXT:
        return f"CAST({value} AS VARCHAR)"
    return value


def _written_key(kind: Any, value: str) -> str:
    # Keys are text in JSON, and DuckDB's own text for them reads back exactly.
    return f"to_base64({value})" if kind.id == "blob" else value


def _read(kind: Any, value: str) -> str:
    return f"from_base64({value})" if kind.id == "blob" else value
