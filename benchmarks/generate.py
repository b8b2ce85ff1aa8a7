"""The data of the workloads. The same numbers give the same data, in every process and with every library."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["MIXED_TYPES", "frames", "mixed_batches", "mixed_rows", "relation_sql"]

MIXED_TYPES = {
    "id": "BIGINT",
    "ratio": "DOUBLE",
    "text": "VARCHAR",
    "key": "UUID",
    "at": "TIMESTAMP",
    "nested": "STRUCT(a BIGINT, b VARCHAR)",
    "list": "BIGINT[]",
    "gap": "BIGINT",
    "price": "DECIMAL(4, 2)",
    "flag": "BOOLEAN",
}
"""DuckDB's types of the columns that `mixed_rows` has."""

_START = dt.datetime(2024, 1, 1)
_KEYS = [uuid.UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128) for number in range(1000)]
_GROUPS = np.array([f"group {number}" for number in range(100)])


def mixed_rows(start: int, count: int) -> list[dict[str, Any]]:
    """`count` rows of every common kind of value, numbered from `start`."""
    return [
        {
            "id": number,
            "ratio": number * 0.5 + 0.25,
            "text": f"row {number}",
            "key": _KEYS[number % 1000],
            "at": _START + dt.timedelta(seconds=number),
            "nested": {"a": number, "b": "x"},
            "list": [number, 2, 3],
            "gap": None if number % 2 else number,
            "price": Decimal(number % 10_000).scaleb(-2),
            "flag": number % 3 == 0,
        }
        for number in range(start, start + count)
    ]


def mixed_batches(batches: int, rows: int) -> Iterator[list[dict[str, Any]]]:
    """`batches` lists of `rows` mixed rows each, numbered through."""
    return (mixed_rows(number * rows, rows) for number in range(batches))


def relation_sql(rows: int) -> str:
    """A query for DuckDB that makes `rows` typed rows from nothing, in order of `id`."""
    return f"""
        SELECT range AS id, range * 7 % 1000 / 8 AS ratio, 'text ' || range % 100000 AS text,
            TIMESTAMP '2024-01-01' + to_seconds(range) AS at, range % 3 = 0 AS flag,
            CAST(range % 10000 AS DECIMAL(8, 2)) / 4 AS quarter, 'group ' || range % 100 AS "group"
        FROM range({int(rows)})
    """


def frames(library: str, batches: int, rows: int) -> Iterator[Any]:
    """`batches` frames of `rows` rows each, numbered through, of pandas, polars or pyarrow."""
    for number in range(batches):
        yield _as_frame(library, _table(number * rows, rows))


def _table(start: int, count: int) -> pa.Table:
    numbers = np.arange(start, start + count)
    return pa.table(
        {
            "id": numbers,
            "ratio": numbers * 0.5 + 0.25,
            "text": [f"row {number}" for number in numbers.tolist()],
            "at": pa.array(numbers * 1_000_000 + 1_704_067_200_000_000, pa.timestamp("us")),
            "flag": numbers % 3 == 0,
            "group": _GROUPS[numbers % 100],
        }
    )


def _as_frame(library: str, table: pa.Table) -> Any:
    if library == "pandas":
        return table.to_pandas()
    if library == "polars":
        import polars as pl

        return pl.DataFrame(table)
    return table
