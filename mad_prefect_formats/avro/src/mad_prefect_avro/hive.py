"""Columns of the `key=value` folders in paths, with the types that DuckDB's own readers would give them."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from mad_prefect_core.contracts import Schema, Session
from mad_prefect_core.paths import hive_keys
from mad_prefect_core.session import quote

__all__ = ["hive_types", "with_keys"]

_TYPES = ("DATE", "TIMESTAMP", "BIGINT")


def hive_types(session: Session, files: Sequence[str]) -> dict[str, str]:
    """The keys that are in all paths, each with the type that all its values have."""
    found = [hive_keys(file) for file in files]
    keys = [key for key in found[0] if all(key in others for others in found)] if found else []
    return {key: _type(session, sorted({others[key] for others in found})) for key in keys}


def _type(session: Session, values: list[str]) -> str:
    fits = ", ".join(f"bool_and(TRY_CAST(v AS {kind}) IS NOT NULL)" for kind in _TYPES)
    query = f"SELECT {fits} FROM (SELECT unnest($1::VARCHAR[]) AS v)"  # noqa: S608  types are ours
    [fitting] = session.sql(query, [values]).fetchall()
    return next((kind for kind, fits in zip(_TYPES, fitting, strict=True) if fits), "VARCHAR")


def with_keys(
    session: Session, relation: duckdb.DuckDBPyRelation, types: Schema, values: Sequence[str | None]
) -> duckdb.DuckDBPyRelation:
    """A relation with these keys as columns; a column of the data goes before a key of its name."""
    data = {name.lower() for name in relation.columns}
    keys = [(key, value) for key, value in zip(types, values, strict=True) if key.lower() not in data]
    if not keys:
        return relation
    columns = ", ".join(f"CAST(${i} AS {types[key]}) AS {quote(key)}" for i, (key, _) in enumerate(keys, 1))
    query = f"SELECT *, {columns} FROM {session.view(relation)}"  # noqa: S608  identifiers are quoted
    return session.sql(query, [value for _, value in keys])
