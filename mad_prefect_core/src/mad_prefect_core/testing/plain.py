"""Formats of the kit's own, for its runs of assets where no other is installed: files that DuckDB reads and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from mad_prefect_core.contracts import Format, FormatCapabilities, Options, ReadContext, ReadOptions, WriteContext

__all__ = ["PLAIN_FORMATS"]


class _Plain(Format[ReadOptions, Options]):
    """DuckDB's own Parquet, whatever it is called."""

    def read(self, file: str, context: ReadContext[ReadOptions]) -> duckdb.DuckDBPyRelation:
        return context.session.sql("FROM read_parquet($1, hive_partitioning = false)", [[file]])

    def write(self, relation: str, schema: Any, path: Path, context: WriteContext[Options]) -> None:
        context.session.execute(f"COPY (FROM {relation}) TO $1 (FORMAT parquet)", [str(path)])


class _PlainRows(_Plain):
    name = "kitrows"
    suffixes = (".kitrows",)
    capabilities = FormatCapabilities(best_for="rows", schema_in_file=True)


class _PlainColumns(_Plain):
    name = "kitcolumns"
    suffixes = (".kitcolumns",)
    capabilities = FormatCapabilities(best_for="columns", schema_in_file=True)


PLAIN_FORMATS: tuple[_Plain, ...] = (_PlainRows(), _PlainColumns())
