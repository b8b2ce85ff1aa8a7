"""What is different between two versions of an asset's data."""

# ruff: noqa: S608  all that is put into these queries is quoted names, and types as DuckDB writes them

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mad_prefect_core.artifacts.files import DataFile, FormatOptions
from mad_prefect_core.artifacts.query import relation_over
from mad_prefect_core.artifacts.uniting import wider_than_open
from mad_prefect_core.errors import VersionError
from mad_prefect_core.relations import Relation
from mad_prefect_core.runs.history import AssetVersion
from mad_prefect_core.session import DuckSession, quote

__all__ = ["AssetDiff", "diff"]


@dataclass(frozen=True)
class AssetDiff:
    """The columns and rows in which `after` is different from `before`. The relations are lazy."""

    before: AssetVersion
    after: AssetVersion
    columns_added: dict[str, str]
    """DuckDB types by name."""
    columns_removed: dict[str, str]
    columns_changed: dict[str, tuple[str, str]]
    """The types before and after, by name. Their values are compared as text. A column that had no value at all in one
    of the versions is none of these."""
    added: Relation
    """Rows that are in `after` alone, with its columns: by key, or as whole rows, as often as there are more."""
    removed: Relation
    """Rows that are in `before` alone, with its columns."""
    changed: Relation | None
    """With a key: a row for each key that is in both with different values, with the key's columns and the structs
    `before` and `after`. None without a key."""

    def counts(self) -> dict[str, int]:
        """How many rows were added, removed and, with a key, changed."""
        relations = {"added": self.added, "removed": self.removed, "changed": self.changed}
        counted = {name: found.aggregate("count(*)") for name, found in relations.items() if found is not None}
        return {name: int(found.fetchall()[0][0]) for name, found in counted.items()}


def diff(before: AssetVersion, after: AssetVersion, key: str | Sequence[str] | None = None) -> AssetDiff:
    """Compare two versions. `key` names the columns that tell rows apart.

    Raises `VersionError` for a version whose data is not kept, and for a key that is not in both or not unique.
    """
    files = before.file(), after.file()
    if files[0] is None or files[1] is None:
        missing = before if files[0] is None else after
        raise VersionError(f"Run {missing.run.id} stored no file", asset=missing.run.asset_name)
    old, new = dict(files[0].schema or {}), dict(files[1].schema or {})
    both = [name for name in new if name in old]
    with DuckSession() as session:
        compared = {name: wider_than_open(session, old[name], new[name]) for name in both}
    comparison = _Comparison(files[0], files[1], old, new, compared, after.options)
    keys = [key] if isinstance(key, str) else list(key or ())
    if unknown := [name for name in keys if name not in both]:
        raise VersionError(
            f"The key {', '.join(unknown)} is not a column of both runs",
            asset=after.run.asset_name,
            hint=f"Columns of both: {', '.join(both)}.",
        )
    for version, side in ((before, "before"), (after, "data")):
        if keys and (twice := comparison.first_double(side, keys)) is not None:
            raise VersionError(
                f"In run {version.run.id} the key {', '.join(keys)} is not unique: {twice} is there more than once",
                asset=version.run.asset_name,
            )
    return AssetDiff(
        before,
        after,
        columns_added={name: kind for name, kind in new.items() if name not in old},
        columns_removed={name: kind for name, kind in old.items() if name not in new},
        columns_changed={name: (old[name], new[name]) for name in both if compared[name] is None},
        added=comparison.only("data", "before", keys),
        removed=comparison.only("before", "data", keys),
        changed=comparison.changed(keys) if keys else None,
    )


class _Comparison:
    def __init__(
        self,
        before: DataFile,
        after: DataFile,
        old: dict[str, str],
        new: dict[str, str],
        compared: Mapping[str, str | None],
        options: FormatOptions,
    ) -> None:
        self._options = options
        self._kinds = old | new | {name: kind or "VARCHAR" for name, kind in compared.items()}
        self._files = {"before": before, "data": after}
        self._columns = {"before": old, "data": new}
        self._all = list(old | new)
        self._a, self._b, self._extra = self._free("_a"), self._free("_b"), self._free("_extra")

    def only(self, side: str, other: str, keys: Sequence[str]) -> Relation:
        """Rows of one side that the other has not."""
        a, b, extra = self._a, self._b, self._extra
        if keys:
            there = f"FROM {other} AS {b} WHERE {self._same(keys)}"
            return self._over(f"SELECT * FROM {side} AS {a} WHERE NOT EXISTS ({there})")
        # Equal rows are numbered: of three against two, one is left.
        mine, others = self._row(side, self._all, a), self._row(other, self._all, b)
        number = f"row_number() OVER (PARTITION BY {mine})"
        numbered = f"SELECT {a} AS row_, {mine} AS values_, {number} AS n FROM {side} AS {a}"
        counted = f"SELECT {others} AS values_, count(*) AS known FROM {other} AS {b} GROUP BY ALL"
        left = f"FROM ({numbered}) LEFT JOIN ({counted}) USING (values_) WHERE n > coalesce(known, 0)"
        return self._over(f"SELECT unnest({extra}.row_) FROM (SELECT row_ {left}) AS {extra}")

    def changed(self, keys: Sequence[str]) -> Relation:
        """Rows of both with one key and different values."""
        names = [name for name in self._all if name not in keys]
        mine, others = self._row("before", names, self._a), self._row("data", names, self._b)
        sides = [
            "{" + ", ".join(f"{quote(n)}: {alias}.{quote(n)}" for n in self._columns[side] if n not in keys) + "}"
            for side, alias in (("before", self._a), ("data", self._b))
        ]
        columns = ", ".join(f"{self._b}.{quote(name)}" for name in keys)
        return self._over(
            f"SELECT {columns}, {sides[0]} AS before, {sides[1]} AS after "
            f"FROM before AS {self._a} JOIN data AS {self._b} ON {self._same(keys)} "
            f"WHERE {mine} IS DISTINCT FROM {others}"
        )

    def first_double(self, side: str, keys: Sequence[str]) -> tuple[object, ...] | None:
        """A key that several rows of a side have."""
        columns = ", ".join(map(quote, keys))
        found = self._over(f"SELECT {columns} FROM {side} GROUP BY ALL HAVING count(*) > 1 LIMIT 1").fetchall()
        return found[0] if found else None

    def _free(self, name: str) -> str:
        """A name for a table that no column has."""
        while any(column.lower() == name for column in self._all):
            name += "_"
        return name

    def _row(self, side: str, names: Sequence[str], table: str) -> str:
        """The values of a row as one, of the same type for both sides."""
        values = [f"'_{n}': {self._value(side, name, table)}" for n, name in enumerate(names)]
        return "{" + ", ".join(values or ["'_': NULL"]) + "}"

    def _value(self, side: str, name: str, table: str) -> str:
        value = f"{table}.{quote(name)}" if name in self._columns[side] else "NULL"
        return f"CAST({value} AS {self._kinds[name]})"

    def _same(self, keys: Sequence[str]) -> str:
        sides = [(self._value("before", name, self._a), self._value("data", name, self._b)) for name in keys]
        return " AND ".join(f"{one} IS NOT DISTINCT FROM {other}" for one, other in sides)

    def _over(self, query: str) -> Relation:
        before = relation_over([self._files["before"]], self._options, self._columns["before"])
        return relation_over(
            [self._files["data"]], self._options, self._columns["data"], query, None, {"before": before}
        )
