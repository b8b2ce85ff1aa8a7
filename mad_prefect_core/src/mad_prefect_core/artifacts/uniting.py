"""One rule for files that meet, whoever wrote them: that of a run's batches.

A column whose types differ gets the narrowest type that keeps every value exactly. Where there is none, the files are
refused by name. DuckDB's own unions do neither: they round, and write bytes and booleans as text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, cast

import duckdb

from mad_prefect_core.artifacts.files import DataFile
from mad_prefect_core.batch import RelationBatch, SchemaGrowth
from mad_prefect_core.batch.lossless import refuse_inexact
from mad_prefect_core.contracts import Schema
from mad_prefect_core.errors import DataError, SchemaError
from mad_prefect_core.session import EMPTY_DICT, NOTHING, DuckSession, cast_to, quote, union_all
from mad_prefect_core.writing import duckdb_schema

__all__ = ["Part", "growth_of", "keeps_text", "says_its_types", "unite", "wider_than_open"]


_TEXT = ("VARCHAR", "JSON")
"""What readers of text take values for that look like nothing else, and columns without values."""

_NUMBER = re.compile(r"BIGINT|UBIGINT|HUGEINT|DOUBLE|DECIMAL\(\d+,\s*\d+\)")


class Part(NamedTuple):
    """The rows of some of the files."""

    path: str
    """Of the first of them, for errors."""
    relation: duckdb.DuckDBPyRelation
    recorded: Schema
    """Their types as a run recorded them; nothing for files of others."""


def growth_of(relation: duckdb.DuckDBPyRelation, declared: Collection[str] = ()) -> SchemaGrowth:
    """What is known of a relation by its types alone. Raises `UnsupportedDataError` as a relation in an asset does."""
    growth = SchemaGrowth(declared)
    growth.add(RelationBatch(relation).schema, {})
    return growth


def says_its_types(file: DataFile) -> bool:
    """Whether the types of a file are more than what its text looks like."""
    return file.schema is not None or file.format.capabilities.schema_in_file


def keeps_text(apart: Sequence[DataFile], together: duckdb.DuckDBPyRelation) -> bool:
    """Whether files of text, read together, have each column as they have it one by one, as text, or as a number
    where it is one in all: what their readers take it for then holds for every value."""
    seen: dict[str, set[str]] = {}
    for own in {file.own for file in apart}:
        for name, kind in cast("tuple[tuple[str, str], ...]", own):
            seen.setdefault(name.lower(), set()).add(kind)
    types = zip(together.columns, map(str, together.types), strict=True)
    return all(kind in _TEXT or _are_alike({kind, *seen.get(name.lower(), ())}) for name, kind in types)


def _are_alike(kinds: Collection[str]) -> bool:
    return len(kinds) == 1 or all(_NUMBER.fullmatch(kind) for kind in kinds)


def unite(session: DuckSession, parts: Sequence[Part]) -> duckdb.DuckDBPyRelation:
    """All rows of all parts, in order, united by column name. Raises `SchemaError` naming column, paths and types."""
    if len(parts) == 1:
        return parts[0].relation
    schema = {name: _type(session, name, kinds) for name, kinds in _columns(parts).items()}
    relations = []
    for part in parts:
        spelt = {name.lower(): name for name in part.relation.columns}
        named = [f"{quote(spelt[name.lower()])} AS {quote(name)}" for name in schema if name.lower() in spelt]
        relation = part.relation.project(", ".join(named))
        refuse_inexact(session, relation, schema, part.path)
        relations.append(cast_to(session, relation, schema))
    return union_all(session, relations)


def _columns(parts: Sequence[Part]) -> dict[str, dict[str, list[Part]]]:
    """The columns of all parts in order of appearance: by type, the parts that have it."""
    names: dict[str, str] = {}
    found: dict[str, dict[str, list[Part]]] = {}
    for part in parts:
        for name, kind in zip(part.relation.columns, part.relation.types, strict=True):
            known = names.setdefault(name.lower(), name)
            # DuckDB 1.5 makes integers of a column without a type.
            own = NOTHING if part.recorded.get(name) == NOTHING else str(kind)
            found.setdefault(known, {}).setdefault(own, []).append(part)
    return found


def _type(session: DuckSession, name: str, kinds: Mapping[str, list[Part]]) -> str:
    """The type that keeps every value of a column, which has these types in these parts."""
    if len(kinds) == 1:
        return next(iter(kinds))
    given = [kind for kind, parts in kinds.items() if not _is_open(session, name, kind, parts)]
    if len(given) < 2:
        return (given or [kind for kind in kinds if kind != NOTHING])[0]
    growth = SchemaGrowth()
    for number, kind in enumerate(given):
        part = kinds[kind][0]
        try:
            growth.join(growth_of(part.relation.project(f"{quote(name)} AS {quote(name)}")))
        except DataError as error:
            before = [f"{other} in {kinds[other][0].path!r}" for other in given[:number]]
            raise SchemaError(
                f"A column is {' and '.join([*before, f'{kind} in {part.path!r}'])}: {error.message}",
                column=error.column or name,
                path=part.path,
                hint="Query the files one by one, and cast the column in each.",
            ) from error
    return duckdb_schema(session, growth.result())[name]


def _is_open(session: DuckSession, name: str, kind: str, parts: Sequence[Part]) -> bool:
    """Whether a column never had a value, or a key: its type is none, or text, which takes any."""
    if kind == NOTHING:
        return True
    if kind != EMPTY_DICT and kind not in _TEXT:
        return False
    value = f"cardinality({quote(name)}) > 0" if kind == EMPTY_DICT else f"{quote(name)} IS NOT NULL"
    rows = (f"FROM {session.view(part.relation)} WHERE {value} LIMIT 1" for part in parts)
    return not any(session.sql(f"SELECT 1 {found}").fetchall() for found in rows)


def wider_than_open(session: DuckSession, one: str, other: str) -> str | None:
    """Of two types of one column, that which has no less than the other, whose other parts never had a value; None
    where neither is that."""
    if one == other:
        return one
    if NOTHING not in one and NOTHING not in other:
        return None
    empty = [session.sql(f"SELECT CAST(NULL AS {kind}) AS v LIMIT 0") for kind in (one, other)]
    growth = SchemaGrowth()
    try:
        for relation in empty:
            growth.join(growth_of(relation))
    except DataError:
        return None
    kind = duckdb_schema(session, growth.result())["v"]
    return kind if kind in (one, other) else None
