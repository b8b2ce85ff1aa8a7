"""JSON files as DuckDB reads them: as columns, or as the text of each object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import duckdb

from mad_prefect_core.sdk import Session, numbered

__all__ = ["JsonSource"]

# DuckDB 2.0 charges twice `maximum_object_size` (64 MiB unless set) to its memory limit for each file that it infers
# types from in one go, and runs out of memory on a few hundred small files.
_INFERRED_TOGETHER = 64


@dataclass(frozen=True)
class JsonSource:
    """Files, and the options of `read_json` by which their values are parsed."""

    session: Session
    files: Sequence[str]
    parsing: Mapping[str, Any] = field(default_factory=dict)
    number: str | None = None
    """A column, behind the others that are read, for the place of the file that a row is from."""

    def with_format(self, format: str | None) -> JsonSource:
        """The same files in a form that DuckDB may not have detected."""
        return replace(self, parsing={**self.parsing, "format": format}) if format else self

    def read(self, columns: Mapping[str, str], **options: Any) -> duckdb.DuckDBPyRelation:
        """These columns, each a key of the objects."""
        named = {**self.parsing, **options, "columns": dict(columns)}
        if self.number is None:
            return self._read(self.files, named=named)
        return numbered(self.session, self.files, self.number, partial(self._read, named=named))

    def infer(self, options: Mapping[str, Any]) -> duckdb.DuckDBPyRelation:
        """All columns, with the types that DuckDB infers."""
        named = {**options, **self.parsing}
        if len(self.files) <= _INFERRED_TOGETHER or not named.get("union_by_name"):
            return self._read(self.files, named=named)
        starts = range(0, len(self.files), _INFERRED_TOGETHER)
        groups = (self.files[start : start + _INFERRED_TOGETHER] for start in starts)
        views = [self.session.view(self._read(group, named=named)) for group in groups]
        return self.session.sql(" UNION ALL BY NAME ".join(f"(FROM {view})" for view in views))

    def select(self, query: str) -> duckdb.DuckDBPyRelation:
        """A query over `{objects}`, which has a column `json`: the text of each object, as it is in the file."""
        named = {"format": "auto", **self.parsing}
        named = {name: value for name, value in named.items() if name not in _OF_TYPES}
        objects = f"read_json_objects($files{_arguments(named)})"
        return self.session.sql(query.replace("{objects}", objects), {"files": list(self.files), **named})

    def _read(self, files: Sequence[str], behind: str = "", *, named: Mapping[str, Any]) -> duckdb.DuckDBPyRelation:
        named = {**named, "hive_partitioning": False}  # unless told not to, DuckDB puts keys of folders over columns
        select = f"SELECT *, {behind} " if behind else ""
        return self.session.sql(f"{select}FROM read_json($files{_arguments(named)})", {"files": list(files), **named})


_OF_TYPES = frozenset({"dateformat", "records", "timestampformat"})
"""Options that say how values become types, which the text of an object needs not."""


def _arguments(named: Mapping[str, Any]) -> str:
    return "".join(f", {name} = ${name}" for name in named)
