"""What types alone do not tell: whether the values of a column can be of the type that all files are brought to, and
whether they come back from a file at all."""

from __future__ import annotations

from typing import Any

import duckdb

from mad_prefect_core.batch.numbers import EXACT_IN_DOUBLE
from mad_prefect_core.contracts import Schema, Session
from mad_prefect_core.errors import SchemaError, UnsupportedValueError
from mad_prefect_core.session import quote

__all__ = ["refuse_inexact", "refuse_repeated_keys"]

_INTEGERS = frozenset({"bigint", "ubigint", "hugeint", "uhugeint"})
_BEYOND_DOUBLES = "an integer beyond 2**53, which a float can't hold exactly"
_MOMENTS = frozenset({"date", "timestamp", "timestamp_s", "timestamp_ms"})


def refuse_inexact(
    session: Session, relation: duckdb.DuckDBPyRelation, schema: Schema, path: str | None = None
) -> None:
    """Raise `SchemaError` for a value that would be another one, or none, as the type that `schema` has for it.

    Only columns whose types may do that are read: integers that become floats, and what becomes a type of a smaller
    range.
    """
    for name, kind in zip(relation.columns, relation.types, strict=True):
        if name not in schema or schema[name] == str(kind):
            continue
        for reason, condition in _refusals(quote(name), kind, session.connection.type(schema[name])).items():
            found = f"SELECT 1 FROM {session.view(relation)} WHERE {condition} LIMIT 1"  # noqa: S608  quoted
            if session.sql(found).fetchall():
                raise SchemaError(
                    f"The column is {kind} in one batch or file and becomes {schema[name]} beside another: it has "
                    f"{reason}",
                    column=name,
                    path=path,
                    hint="Cast the column before, so that all are of one type.",
                )


def refuse_repeated_keys(session: Session, relation: duckdb.DuckDBPyRelation, path: str) -> None:
    """Raise `UnsupportedValueError` for a map that has a key twice: DuckDB reads it from a file of others, writes it,
    and refuses it whenever it is asked for. Only columns with maps are read."""
    for name, kind in zip(relation.columns, relation.types, strict=True):
        condition = _repeated_key(quote(name), kind)
        if condition is None:
            continue
        found = f"SELECT 1 FROM {session.view(relation)} WHERE {condition} LIMIT 1"  # noqa: S608  quoted
        if session.sql(found).fetchall():
            raise UnsupportedValueError(
                "A map has a key more than once, which DuckDB's maps can't",
                column=name,
                path=path,
                hint="Write the file with one value of each key, or with lists of structs.",
            )


def _repeated_key(value: str, kind: Any, depth: int = 0) -> str | None:
    """A condition in SQL: a map in `value` has a key twice. None where there is no map."""
    if kind.id == "struct":
        inner = [_repeated_key(f"({value}).{quote(name)}", member, depth) for name, member in kind.children]
    elif kind.id == "map":
        keys = f"map_keys({value})"
        inner = [
            f"len(list_distinct({keys})) < len({keys})",
            _repeated_key_in_items(keys, kind.children[0][1], depth),
            _repeated_key_in_items(f"map_values({value})", kind.children[1][1], depth),
        ]
    elif kind.id in ("list", "array"):
        inner = [_repeated_key_in_items(value, kind.children[0][1], depth)]
    else:
        return None
    return " OR ".join(f"({condition})" for condition in inner if condition) or None


def _repeated_key_in_items(items: str, kind: Any, depth: int) -> str | None:
    item = f"m{depth}"
    condition = _repeated_key(item, kind, depth + 1)
    return condition and f"len(list_filter({items}, lambda {item}: {condition})) > 0"


def _refusals(value: str, have: Any, wanted: Any, depth: int = 0) -> dict[str, str]:
    """Conditions in SQL, by reason: something in `value` can't be of the type that it is to be."""
    if have.id == "struct" and wanted.id == "struct":
        kinds = dict(wanted.children)
        members = [_refusals(f"({value}).{quote(n)}", kind, kinds[n], depth) for n, kind in have.children if n in kinds]
        return _either(members)
    if have.id == "map" and wanted.id == "map":
        sides = zip(("map_keys", "map_values"), have.children, wanted.children, strict=True)
        return _either([_of_items(f"{items}({value})", of[1], to[1], depth) for items, of, to in sides])
    if {have.id, wanted.id} <= {"list", "array"}:
        return _of_items(value, have.children[0][1], wanted.children[0][1], depth)
    return _of_plain(value, have, wanted)


def _of_plain(value: str, have: Any, wanted: Any) -> dict[str, str]:
    if wanted.id == "double" and have.id in _INTEGERS:
        return {_BEYOND_DOUBLES: f"{value} NOT BETWEEN -{EXACT_IN_DOUBLE} AND {EXACT_IN_DOUBLE}"}
    if wanted.id == "decimal" and have.id in ("hugeint", "uhugeint"):
        reason = "an integer of more than 38 digits"
    elif wanted.id.startswith("timestamp") and have.id in _MOMENTS and have.id != wanted.id:
        reason = "a moment that it can't hold"
    else:
        return {}
    return {reason: f"{value} IS NOT NULL AND TRY_CAST({value} AS {wanted}) IS NULL"}


def _of_items(items: str, have: Any, wanted: Any, depth: int) -> dict[str, str]:
    item = f"m{depth}"
    inner = _refusals(item, have, wanted, depth + 1)
    return {why: f"len(list_filter({items}, lambda {item}: {condition})) > 0" for why, condition in inner.items()}


def _either(found: list[dict[str, str]]) -> dict[str, str]:
    reasons = {reason for refusals in found for reason in refusals}
    return {why: " OR ".join(f"({refusals[why]})" for refusals in found if why in refusals) for why in sorted(reasons)}
