"""One rule for files that meet, whoever wrote them: that of a run's batches.

A column whose types differ gets the narrowest type that keeps every value exactly. Where there is none, the files are
refused by name. DuckDB's own unions do neither: they round, and write bytes and booleans as text.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import duckdb

from mad_prefect_core.artifacts.files import DataFile, FormatOptions
from mad_prefect_core.batch import RelationBatch, SchemaGrowth
from mad_prefect_core.batch.lossless import refuse_inexact
from mad_prefect_core.contracts import ComparingFormat, Format, Schema
from mad_prefect_core.errors import DataError, SchemaError
from mad_prefect_core.session import EMPTY_DICT, NOTHING, DuckSession, cast_to, quote, union_all
from mad_prefect_core.translation import ReadCall
from mad_prefect_core.writing import duckdb_schema

__all__ = ["Part", "growth_of", "tell_apart", "unite", "wider_than_open"]


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


def tell_apart(session: DuckSession, files: Sequence[DataFile], options: FormatOptions) -> list[DataFile]:
    """The files with `own` told for those that say their types by themselves, where several may differ in them."""
    unknown = [file for file in files if file.schema is None and file.format.capabilities.schema_in_file]
    if len(unknown) < 2:
        return list(files)
    keys: dict[int, Hashable] = {}
    for format in {file.format.name: file.format for file in unknown}.values():
        alike = [file for file in unknown if file.format is format]
        names = session.files([file.location for file in alike])
        with ReadCall(format.name):
            keys |= zip(map(id, alike), _keys(session, format, names, alike, options), strict=True)
    return [replace(file, own=keys[id(file)]) if id(file) in keys else file for file in files]


def _keys(
    session: DuckSession, format: Format, names: Sequence[str], files: Sequence[DataFile], options: FormatOptions
) -> Sequence[Hashable]:
    if isinstance(format, ComparingFormat):
        return format.schema_keys(session, names)
    read = options.reading(format).model_copy(update={"hive_partitioning": False})
    found = []
    for name, file in zip(names, files, strict=True):
        relation = format.scan(session, [name], read, suffix=file.suffix)
        found.append(tuple(zip(relation.columns, map(str, relation.types), strict=True)))
    return found


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
        return (given or list(kinds))[0]
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
    """Whether a column never had a value, or a key: its type is none, or one that DuckDB's reader takes for that."""
    if kind == NOTHING:
        return True
    value = {"JSON": f"{quote(name)} IS NOT NULL", EMPTY_DICT: f"cardinality({quote(name)}) > 0"}.get(kind)
    if value is None:
        return False
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
