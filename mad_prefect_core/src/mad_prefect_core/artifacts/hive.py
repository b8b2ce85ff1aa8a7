"""Columns of `key=value` folders, the same for all formats: readers of files know nothing of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import duckdb

from mad_prefect_core.batch.text import TEXT, text_kind
from mad_prefect_core.contracts import Schema
from mad_prefect_core.session import DuckSession, quote

__all__ = ["Keys", "key_types", "with_keys", "without"]

Keys = Mapping[str, str | None]
"""Values of folders by key, as text; None is NULL."""

_TYPES = frozenset({"DATE", "TIMESTAMP", "BIGINT"})


def without(keys: Keys, columns: Collection[str]) -> Keys:
    """Those that are no column of the data, whose names are given in lower case: that goes first."""
    return {key: value for key, value in keys.items() if key.lower() not in columns}


def key_types(files: Iterable[Keys]) -> dict[str, str]:
    """The column of each key and its type: what all its values, in all files, look like.

    Names know no case, as DuckDB's: the first spelling is the column's.
    """
    values: dict[str, dict[str, None]] = {}
    names: dict[str, str] = {}
    for keys in files:
        for key, value in keys.items():
            name = names.setdefault(key.lower(), key)
            seen = values.setdefault(name, {})
            if value is not None:
                seen[value] = None
    kinds = {name: text_kind(seen) for name, seen in values.items()}
    return {name: kind if kind in _TYPES else TEXT for name, kind in kinds.items()}


def with_keys(
    session: DuckSession, relation: duckdb.DuckDBPyRelation, keys: Keys, types: Schema
) -> duckdb.DuckDBPyRelation:
    """A relation with these keys as columns behind its own."""
    if not keys:
        return relation
    named = {name.lower(): name for name in types}
    columns = [(named[key.lower()], value) for key, value in keys.items()]
    added = ", ".join(f"CAST(${i} AS {types[name]}) AS {quote(name)}" for i, (name, _) in enumerate(columns, 1))
    query = f"SELECT *, {added} FROM {session.view(relation)}"  # noqa: S608  identifiers are quoted, types are ours
    return session.sql(query, [value for _, value in columns])
