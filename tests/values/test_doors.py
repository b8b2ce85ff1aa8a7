"""One table of values for every door: whatever data comes as, its values and types in the result are the same."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mad_prefect_core import DataArtifact, asset
from mad_prefect_json import ReadJsonOptions

VALUES: dict[str, tuple[Any, Any, str]] = {
    "integer": (2**53 + 1, -(2**63), "BIGINT"),
    "float": (0.1, math.inf, "DOUBLE"),
    "money": (Decimal("12345678901234567890.12"), Decimal("-0.01"), "DECIMAL(22,2)"),
    "flag": (True, False, "BOOLEAN"),
    "zip": ("01234", "007", "VARCHAR"),
    "word": ("epoch", "NULL", "VARCHAR"),
    "blank": ("", " x ", "VARCHAR"),
    "bytes": (b"\x00\xff", b"", "BLOB"),
    "day": (dt.date(2024, 2, 29), dt.date(1, 1, 1), "DATE"),
    "naive": (dt.datetime(2024, 2, 29, 12, 0, 0, 123456), dt.datetime(1900, 1, 1), "TIMESTAMP"),
    "zoned": (
        dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC),
        dt.datetime(1970, 1, 1, 0, 30, tzinfo=dt.UTC),
        "TIMESTAMP WITH TIME ZONE",
    ),
    "time": (dt.time(23, 59, 59, 999999), dt.time(0), "TIME"),
    "items": ([2**53 + 1, None], [], "BIGINT[]"),
    "inner": ({"a": "01", "b": [1.5]}, {"a": None, "b": []}, "STRUCT(a VARCHAR, b DOUBLE[])"),
    "nothing": (None, None, '"NULL"'),
}
NAMES = list(VALUES)
ROWS = [{name: VALUES[name][row] for name in NAMES} for row in range(2)]
Record = dataclasses.make_dataclass("Record", NAMES)
TYPES = {
    "money": pa.decimal128(22, 2),
    "items": pa.list_(pa.int64()),
    "inner": pa.struct([("a", pa.string()), ("b", pa.list_(pa.float64()))]),
    "zoned": pa.timestamp("us", "UTC"),
}


def _table() -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in ROWS], TYPES.get(name)) for name in NAMES})


def _pages() -> Any:
    for row in ROWS:
        yield [row]


DOORS: dict[str, Callable[[], Any]] = {
    "rows": lambda: ROWS,
    "pages": _pages,
    "pages the other way round": lambda: (yield from ([row] for row in ROWS[::-1])),
    "dataclasses": lambda: [Record(**row) for row in ROWS],
    "Arrow": _table,
    "Arrow stream": lambda: _table().to_reader(1),
    "Arrow tables in a list": lambda: [_table().slice(0, 1), _table().slice(1)],
    "rows, then Arrow": lambda: (yield from [ROWS[:1], _table().slice(1)]),
    "polars": lambda: pl.from_arrow(_table()),
    "pandas of Arrow": lambda: _table().to_pandas(types_mapper=pd.ArrowDtype),
    "relation": lambda: duckdb.connect().from_arrow(_table()),
    "relation in a list": lambda: [duckdb.connect().from_arrow(_table())],
    **{
        f"artifact of {suffix}": lambda suffix=suffix: (yield from [DataArtifact(f"page.{suffix}", ROWS)])
        for suffix in ("json", "csv", "parquet", "avro")
    },
    **{
        f"result of {suffix} by path": lambda suffix=suffix: DataArtifact(f"own.{suffix}")
        for suffix in ("json", "csv", "parquet", "avro")
    },
    **{
        f"results of {suffix} in a list": lambda suffix=suffix: [DataArtifact(f"own.{suffix}")]
        for suffix in ("json", "csv", "parquet", "avro")
    },
}  # fmt: skip


def _value(value: Any) -> Any:
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).isoformat()
    return repr(value)


@pytest.mark.parametrize("result", ["json", "parquet", "csv", "avro"])
@pytest.mark.parametrize("door", DOORS)
async def test_every_door_gives_the_same_values_and_types(base: Path, door: str, result: str) -> None:
    if "own." in door or door.startswith("result"):
        suffix = door.split(" of ")[1].split()[0]
        await asset(f"own.{suffix}", name="own")(lambda: ROWS)()
    relation = await asset(f"out.{result}", name="out")(DOORS[door]).query()
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    own = {"time": "TIME_NS"} if door == "polars" else {}  # its times have nanoseconds, always
    assert types == {name: kind for name, (_, _, kind) in VALUES.items()} | own
    found = sorted(map(repr, ([_value(value) for value in row] for row in relation.fetchall())))
    assert found == sorted(repr([_value(value) for value in row.values()]) for row in ROWS)


async def test_a_response_gives_what_its_json_says(base: Path) -> None:
    body = '[{"id": 9007199254740993, "zip": "01234", "none": null}, {"id": 1, "zip": "7", "none": null}]'
    request = httpx.Request("GET", "https://example.org/")

    @asset("out.csv", read_json_options=ReadJsonOptions(auto_detect=False))
    def out() -> Any:
        return httpx.Response(200, text=body, request=request)

    assert (await out.query()).fetchall() == [(2**53 + 1, "01234", None), (1, "7", None)]
