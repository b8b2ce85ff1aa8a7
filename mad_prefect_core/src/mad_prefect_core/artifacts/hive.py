"""Columns of `key=value` folders, the same for all formats: readers of files know nothing of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import duckdb

from mad_prefect_core.batch.text import TEXT, text_kind
from mad_prefect_core.contracts import Schema
from mad_prefect_core.session import DuckSession, quote

__all__ = ["NUMBER", "Keys", "differ", "key_types", "with_keys", "without"]

NUMBER = "mad_prefect_file_number"

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
    session: DuckSession, relation: duckdb.DuckDBPyRelation, files: Sequence[Keys], types: Schema
) -> duckdb.DuckDBPyRelation:
    """A relation with the keys of its files as columns behind its own. Where files differ in them, the column `NUMBER`
    tells of each row which file it is from; it is not in what is returned."""
    if not any(files):
        return relation
    view = session.view(relation)
    named = {name.lower(): name for name in types}
    names = list(dict.fromkeys(named[key.lower()] for keys in files for key in keys))
    # Of two spellings of a key in one path, the first counts.
    spelt = [{key.lower(): value for key, value in reversed(list(keys.items()))} for keys in files]
    if not differ(files):
        values: list[object] = [spelt[0][name.lower()] for name in names]
        columns = [f"CAST(${i} AS {types[name]}) AS {quote(name)}" for i, name in enumerate(names, 1)]
        return session.sql(f"SELECT *, {', '.join(columns)} FROM {view}", values)  # noqa: S608  quoted
    values = [[keys.get(name.lower()) for keys in spelt] for name in names]
    columns = [
        f"CAST(CAST(${i} AS VARCHAR[])[{NUMBER} + 1] AS {types[name]}) AS {quote(name)}"
        for i, name in enumerate(names, 1)
    ]
    return session.sql(f"SELECT * EXCLUDE ({NUMBER}), {', '.join(columns)} FROM {view}", values)  # noqa: S608  quoted


def differ(files: Sequence[Keys]) -> bool:
    """Whether not all of these files have the same keys and values."""
    return any(keys != files[0] for keys in files)
