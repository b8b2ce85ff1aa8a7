"""The columns of JSON that others wrote, with types that hold for every value of the files.

DuckDB infers names and shapes. What it takes text and numbers for is looked at again, in one more pass over the
files, where there are any that it may have read wrongly: text that is a date to it (`10-1-1`, `epoch`) and not to
`mad_prefect_core.batch.text`, and numbers that a DOUBLE does not hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import duckdb

from mad_prefect_core.sdk import SchemaError, column_name, looks_like, quote
from mad_prefect_json.digits import EXACT_DIGITS, Numbers, digits_needed, has_wide, marked
from mad_prefect_json.leaves import Place, gathered, leaves, literal, member_of, retyped
from mad_prefect_json.options import ReadJsonOptions
from mad_prefect_json.source import JsonSource

__all__ = ["Columns", "Sight", "checked", "infer", "structure"]

_BARE = "json"
"""The column of values that are no objects."""
_OF_TEXT = {
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    "uuid": "UUID",
}
"""What DuckDB takes text for, by the names that its types have in Python."""
_NESTED = frozenset({"list", "struct"})
_MANY_KEYS = 100
_SPARSE = {"field_appearance_threshold": 0.1, "map_inference_threshold": 1_000_000_000}
"""Options by which objects are maps if their keys are data."""
_MADE_DISTINCT = re.compile(r"(.+)_\d+")
_SMALL = f"isnan({{0}}) OR abs({{0}}) < {2**53}"
"""SQL for whether a DOUBLE that was read of an integer is that integer."""

Leaf: TypeAlias = tuple[str, Place, Any]
Tested: TypeAlias = tuple[Leaf, Callable[[str], str]]
"""A place, and a test in SQL of each value there."""


class Sight(NamedTuple):
    """What was seen of files, without anything of DuckDB's."""

    format: str | None
    types: tuple[tuple[str, str], ...]
    bare: bool
    digits: bool


@dataclass(frozen=True)
class Columns:
    """Columns of JSON files."""

    source: JsonSource
    types: Mapping[str, Any]
    """Of each column its DuckDB type."""
    bare: bool = False
    """Whether the one column is all of each value, rather than a key of it."""
    declared: frozenset[str] = frozenset()
    """Columns whose type the user has named."""
    digits: bool = False
    """Whether some numbers can only be read from the text of each object."""

    def sight(self) -> Sight:
        """They, for `seen`."""
        types = tuple((name, str(kind)) for name, kind in self.types.items())
        return Sight(self.source.parsing.get("format"), types, self.bare, self.digits)

    @classmethod
    def seen(cls, source: JsonSource, sight: Sight) -> Columns:
        """The columns of files that were looked at before."""
        types = {name: source.session.connection.type(kind) for name, kind in sight.types}
        return cls(source.with_format(sight.format), types, sight.bare, digits=sight.digits)

    def read(self) -> duckdb.DuckDBPyRelation:
        """The rows as DuckDB reads them."""
        records = {"records": "false"} if self.bare else {}
        return self.source.read({name: str(kind) for name, kind in self.types.items()}, **records)

    def of(self, name: str, row: str = "row") -> str:
        """SQL for a column of a row, which is a struct of the columns or, of bare values, the one itself."""
        return row if self.bare else member_of(row, name)

    def leaves(self, *, declared: bool = False) -> list[Leaf]:
        """The places that hold plain values, and their types, in the columns whose type DuckDB inferred, or the
        others."""
        names = [name for name in self.types if (name in self.declared) is declared]
        return [(name, place, kind) for name in names for place, kind in leaves(self.types[name])]

    def with_types(self, types: Mapping[tuple[str, Place], str]) -> Columns:
        """The same columns with other types at some places."""
        session = self.source.session
        changed = dict(self.types)
        for name in {name for name, _ in types}:
            at = {place: kind for (column, place), kind in types.items() if column == name}
            changed[name] = session.connection.type(retyped(self.types[name], at))
        return replace(self, types=changed)


def structure(columns: Columns, types: Mapping[str, str]) -> str:
    """What DuckDB's `from_json` is told of columns, as JSON."""
    return json.dumps(types[_BARE] if columns.bare else types, ensure_ascii=False)


def infer(source: JsonSource, options: ReadJsonOptions, named: Mapping[str, Any]) -> Columns:
    """The columns as DuckDB infers them, of the types that the user has named where he has."""
    given = {name: source.session.connection.type(kind) for name, kind in (options.columns or {}).items()}
    if options.auto_detect is False:
        return Columns(source, given, bare=options.records == "false", declared=frozenset(given))
    source, relation = _inferred(source, options, named)
    types = dict(zip(relation.columns, relation.types, strict=True))
    if options.filename:
        types.pop("filename", None)  # the reader adds it by itself
    bare = _is_bare(source, types, options)
    if not bare:
        _refuse_twins(source, types)
    declared = given.keys() & types.keys()
    return Columns(source, types | {name: given[name] for name in declared}, bare, frozenset(declared))


def _inferred(source: JsonSource, options: ReadJsonOptions, named: Mapping[str, Any]) -> tuple[JsonSource, Any]:
    try:
        relation = source.infer(named)
        if any(map(_has_many_keys, relation.types)) and not options.model_fields_set & _SPARSE.keys():
            with_maps = source.infer({**named, **_SPARSE})
            relation = with_maps if with_maps.columns == relation.columns else relation
        if relation.columns[:1] != [_BARE] or relation.types[0].id != "list":
            return source, relation
    except duckdb.NotImplementedException as error:
        if "Duplicate name" not in str(error):
            raise
        raise SchemaError(
            f"Two keys of an object differ in case alone, which DuckDB takes for one: {error}",
            hint="Name the column's type in the read options (`columns`): JSON keeps both.",
        ) from error
    except duckdb.InvalidInputException as error:
        if (as_array := _array(source, options, named)) is None:
            raise error
        return as_array
    return _array(source, options, named) or (source, relation)


def _has_many_keys(kind: Any) -> bool:
    members = [inner for _, inner in kind.children if hasattr(inner, "id")] if kind.id in _NESTED else []
    return (kind.id == "struct" and len(members) > _MANY_KEYS) or any(map(_has_many_keys, members))


def _array(source: JsonSource, options: ReadJsonOptions, named: Mapping[str, Any]) -> tuple[JsonSource, Any] | None:
    """The files as arrays of rows, which DuckDB does not see where a byte order mark is before them."""
    if options.format not in (None, "auto"):
        return None
    source = source.with_format("array")
    try:
        return source, source.infer(named)
    except (duckdb.Error, UnicodeDecodeError):  # of bytes that are no text, DuckDB has no message
        return None


def _is_bare(source: JsonSource, types: Mapping[str, Any], options: ReadJsonOptions) -> bool:
    """Whether each value of the files is a row of one column. Raises `SchemaError` for objects beside other values."""
    if list(types) != [_BARE]:
        return False
    query = (
        "SELECT count(*) FILTER (kind = 'OBJECT'), min(kind) FILTER (kind NOT IN ('OBJECT', 'NULL')), "
        "bool_and(json_keys(json) = ['json']) FILTER (kind = 'OBJECT') "
        "FROM (SELECT json, json_type(json) AS kind FROM {objects})"
    )
    objects, other, only_key = source.select(query).fetchall()[0]
    if objects and other and options.records != "false":
        raise SchemaError(
            f"A file holds objects and other values: {other}",
            hint="Remove the byte order mark before an array, if a file has one: DuckDB then sees its rows. "
            "To read each value as JSON, give the read option `records='false'`."
            if other == "ARRAY"
            else "Each object is a row. To read each value as JSON, give the read option `records='false'`.",
        )
    return not (objects and only_key) or options.records == "false"


def _refuse_twins(source: JsonSource, types: Mapping[str, Any]) -> None:
    """DuckDB gives keys that differ in case alone names of its own."""
    folded = {name.lower() for name in types}
    made = (_MADE_DISTINCT.fullmatch(name) for name in folded)
    if not any(match and match[1] in folded for match in made):
        return
    keys = source.select("SELECT DISTINCT unnest(json_keys(json)) FROM {objects} WHERE json_type(json) = 'OBJECT'")
    seen: dict[str, str] = {}
    for (key,) in sorted(keys.fetchall()):
        if (other := seen.setdefault(key.lower(), key)) != key:
            raise SchemaError(
                f"The keys {other!r} and {key!r} differ in case alone, which DuckDB takes for one column",
                column=key,
                hint="Rename one of them, or give the read option `records='false'` to read each row as JSON.",
            )


def checked(columns: Columns, options: ReadJsonOptions) -> Columns:
    """The columns with types that hold for all values. Raises `SchemaError` naming the column where there is none."""
    inferred = columns.leaves()
    text = [leaf for leaf in inferred if leaf[2].id in _OF_TEXT and not _has_format(leaf[2].id, options)]
    doubles = [leaf for leaf in inferred if leaf[2].id == "double"]
    wide_integers = [leaf for leaf in inferred if leaf[2].id == "hugeint"]
    of_digits = any(map(_is_json, inferred)) or any(map(_shows_digits, columns.leaves(declared=True)))
    tests: list[Tested] = [(leaf, partial(looks_like, _OF_TEXT[leaf[2].id])) for leaf in text]
    tests += [(leaf, _SMALL.format) for leaf in doubles]
    tests += [(leaf, "{0} >= 0".format) for leaf in wide_integers]
    if not tests and not of_digits:
        return columns
    failed, wide = _survey(columns, tests, digits=bool(doubles) or of_digits)
    types = {leaf[:2]: "VARCHAR" for leaf in text if leaf[:2] in failed}
    types |= {leaf[:2]: "DECIMAL(38, 0)" if leaf[:2] in failed else "UBIGINT" for leaf in wide_integers}
    needs_text = wide and of_digits
    if doubles and (wide or any(leaf[:2] in failed for leaf in doubles)):
        needs = _needs(columns, doubles)
        types |= {(name, place): needs[name, place].type(column_name((name, *place))) for name, place in needs}
        needs_text |= any(numbers.needs_text for numbers in needs.values())
        _refuse_uncastable(columns, needs, types)
    if needs_text:
        # What is read from text has no errors that say where, so that DuckDB's own come before.
        columns.read().aggregate(", ".join(f"count({quote(name)})" for name in columns.types)).fetchall()
    return replace(columns.with_types(types), digits=needs_text)


def _has_format(kind: str, options: ReadJsonOptions) -> bool:
    """Whether the user has said how text of a type is spelt."""
    return bool(options.dateformat if kind == "date" else kind.startswith("timestamp") and options.timestampformat)


def _survey(columns: Columns, tests: list[Tested], *, digits: bool) -> tuple[set[tuple[str, Place]], bool]:
    """The places where a test does not hold of some value; and, if `digits` are asked for, whether some fraction has
    more of them than a DOUBLE holds."""
    texts = {(name, place): "VARCHAR" for (name, place, kind), _ in tests if kind.id in _OF_TEXT}
    row = _row("json", columns, {leaf[:2] for leaf, _ in tests}, texts)
    answers = [f"NOT bool_and({_all(columns, leaf, test)})" for leaf, test in tests]
    wide = f"bool_or({has_wide('json')})" if digits else "false"
    found = columns.source.select(
        f"SELECT {', '.join([*answers, wide])} FROM (SELECT json, {row} AS row FROM {{objects}})"  # noqa: S608
    ).fetchall()[0]
    return {leaf[:2] for (leaf, _), failed in zip(tests, found, strict=False) if failed}, bool(found[-1])


def _all(columns: Columns, leaf: Leaf, test: Callable[[str], str]) -> str:
    """SQL for whether a test, in SQL, holds of all values at a place of a row."""
    name, place, _ = leaf
    kind, value = columns.types[name], columns.of(name)
    while kind.id == "struct":
        kind, value, place = dict(kind.children)[place[0]], member_of(value, place[0]), place[1:]
    if not place:
        return f"({value} IS NULL OR {test(value)})"
    values = gathered(kind, value, place)
    return f"len(list_filter({values}, lambda each: each IS NOT NULL AND NOT ({test('each')}))) = 0"


def _needs(columns: Columns, doubles: list[Leaf]) -> dict[tuple[str, Place], Numbers]:
    """What the numbers at each place need."""
    places = [(name, place) for name, place, _ in doubles]
    found = _of_texts(columns, places, [digits_needed("number")] * len(places))
    return {at: Numbers(*needs) for at, needs in found.items()}


def _refuse_uncastable(
    columns: Columns, needs: Mapping[tuple[str, Place], Numbers], types: Mapping[tuple[str, Place], str]
) -> None:
    """Raise `SchemaError` for a number with an exponent that DuckDB does not cast to the DECIMAL that holds it: read
    from text, it would be NULL."""
    places = [at for at, numbers in needs.items() if numbers.exponents and types[at] != "DOUBLE"]
    casts = [f"bool_and(TRY_CAST(number AS {types[at]}) IS NOT NULL)" for at in places]
    for (name, place), (castable,) in _of_texts(columns, places, casts).items() if places else ():
        if not castable:
            raise needs[name, place].refusal(column_name((name, *place)))


def _of_texts(
    columns: Columns, places: list[tuple[str, Place]], aggregates: list[str]
) -> dict[tuple[str, Place], tuple[Any, ...]]:
    """Aggregates, in SQL, of the numbers at each place, as the text that is in the file."""
    types = dict.fromkeys(places, "VARCHAR")
    row = _row(marked("json"), columns, places, types)
    kinds = columns.with_types(types).types
    lists = (
        f"list_transform({gathered(kinds[name], columns.of(name), place)}, "
        f"lambda each: struct_pack(leaf := {leaf}, number := each))"
        for leaf, (name, place) in enumerate(places)
    )
    items = f"SELECT unnest(flatten([{', '.join(lists)}])) AS item FROM (SELECT {row} AS row FROM {{objects}})"  # noqa: S608
    each = f"SELECT item.leaf AS leaf, item.number AS number FROM ({items}) WHERE item.number IS NOT NULL"  # noqa: S608
    queries: Iterable[str] = (
        f"(SELECT {leaf} AS leaf, {aggregate} FROM each WHERE leaf = {leaf})"  # noqa: S608
        for leaf, aggregate in enumerate(aggregates)
    )
    if len(set(aggregates)) == 1:
        queries = [f"SELECT leaf, {aggregates[0]} FROM each GROUP BY leaf"]  # noqa: S608
    found = columns.source.select(f"WITH each AS ({each}) {' UNION ALL '.join(queries)}")
    return {places[leaf]: tuple(values) for leaf, *values in found.fetchall()}


def _row(
    text: str, columns: Columns, places: Collection[tuple[str, Place]], types: Mapping[tuple[str, Place], str]
) -> str:
    """SQL for the columns that have one of these places, as a struct, from the text of an object."""
    kinds = columns.with_types(types).types
    wanted = {name: str(kinds[name]) for name in kinds if name in {name for name, _ in places}}
    return f"from_json({text}, {literal(structure(columns, wanted))})" if wanted else "NULL"


def _is_json(leaf: Leaf) -> bool:
    return str(leaf[2]) == "JSON"


def _shows_digits(leaf: Leaf) -> bool:
    """Whether values of a type that the user has named show all digits of the numbers that they are made of."""
    kind = leaf[2]
    return kind.id == "varchar" or (kind.id == "decimal" and int(kind.children[0][1]) > EXACT_DIGITS)
