"""Columns declared as text that never had a value: beside values of another type they lose nothing and refuse none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mad_prefect_core import DataArtifact, DataArtifactQuery, asset
from mad_prefect_core.errors import SchemaError

TEXT = pa.table({"id": [1], "v": pa.nulls(1, pa.string())})
OTHERS: dict[str, tuple[Any, str]] = {
    "integer": (7, "BIGINT"),
    "float": (1.5, "DOUBLE"),
    "boolean": (True, "BOOLEAN"),
    "bytes": (b"\x00", "BLOB"),
    "list": ([1], "BIGINT[]"),
    "dict": ({"a": 1}, "STRUCT(a BIGINT)"),
    "text": ("x", "VARCHAR"),
}
WITHOUT: dict[str, Callable[[], Any]] = {
    "Arrow": lambda: TEXT,
    "large text of Arrow": lambda: TEXT.set_column(1, "v", pa.nulls(1, pa.large_string())),
    "stream": lambda: TEXT.to_reader(),
    "no rows": lambda: TEXT.slice(0, 0),
    "pandas": lambda: pd.DataFrame({"id": [1], "v": pd.Series([None], dtype="string")}),
    "polars": lambda: pl.DataFrame({"id": [1], "v": [None]}, schema={"id": pl.Int64, "v": pl.String}),
    "relation": lambda: duckdb.connect().sql("SELECT 1 AS id, NULL::VARCHAR AS v"),
    "artifact": lambda: DataArtifact("text.parquet"),
}
AT_HAND = ("Arrow", "large text of Arrow", "no rows", "pandas", "polars")


@pytest.fixture(autouse=True)
def _file(base: Path) -> None:
    pq.write_table(TEXT, base / "text.parquet")


def _together(kind: str, other: str, forward: bool) -> list[Any]:
    pair = [WITHOUT[kind](), pa.table({"id": [2], "v": [OTHERS[other][0]]})]
    return pair if forward else pair[::-1]


def _rows(kind: str, other: str) -> list[Any]:
    return [*([] if kind == "no rows" else [(1, None)]), (2, OTHERS[other][0])]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", WITHOUT)
async def test_text_without_values_takes_the_type_of_another_item(base: Path, kind: str, other: str) -> None:
    for forward in (True, False):
        made = asset(f"{forward}.parquet")(lambda forward=forward: (yield from _together(kind, other, forward)))
        found = await made.query("SELECT v, id FROM data ORDER BY id")
        assert str(found.types[0]) == OTHERS[other][1]
        assert [(row[1], row[0]) for row in found.fetchall()] == _rows(kind, other)


@pytest.mark.parametrize("filetype", [None, "json"])
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", AT_HAND)
async def test_text_without_values_takes_the_type_of_another_frame_in_a_list(
    base: Path, kind: str, other: str, filetype: str | None
) -> None:
    for forward in (True, False):
        made = asset(f"{forward}.parquet", **({"artifact_filetype": filetype} if filetype else {}))(
            lambda forward=forward: _together(kind, other, forward)
        )
        found = await made.query("SELECT v, id FROM data ORDER BY id")
        assert str(found.types[0]) == OTHERS[other][1]
        assert [(row[1], row[0]) for row in found.fetchall()] == _rows(kind, other)


@pytest.mark.parametrize("suffix", ["parquet", "json", "csv", "avro"])
@pytest.mark.parametrize("other", OTHERS)
async def test_text_without_values_takes_the_type_of_another_result(base: Path, other: str, suffix: str) -> None:
    one, two = (asset(f"{n}.{suffix}", name=str(n))(lambda n=n: _together("Arrow", other, True)[n]) for n in (0, 1))
    assert str((await one.query()).types[1]) == "VARCHAR"
    for order in ([await one(), await two()], [await two(), await one()]):
        found = await DataArtifactQuery(order).query("SELECT v FROM data ORDER BY id")
        assert found is not None
        assert str(found.types[0]) == OTHERS[other][1]
        assert found.fetchall() == [(None,), (OTHERS[other][0],)]


async def test_text_without_values_stays_text_beside_columns_of_no_type(base: Path) -> None:
    rows = [{"id": 2, "v": None}]
    for number, items in enumerate(([TEXT, rows], [rows, TEXT])):
        made = asset(f"{number}.parquet")(lambda items=items: (yield from items))
        found = await made.query()
        assert str(found.types[1]) == "VARCHAR"
        found = await asset(f"list_{number}.parquet")(lambda items=items: items).query()
        assert str(found.types[1]) == "VARCHAR"


DOORS: dict[str, Callable[[list[Any]], Any]] = {"list": lambda items: items, "yield": lambda items: (yield from items)}


@pytest.mark.parametrize("door", DOORS)
async def test_one_text_among_many_missing_is_still_refused_beside_numbers(base: Path, door: str) -> None:
    text = TEXT.set_column(1, "v", pa.array(["01"]))
    numbers = pa.table({"id": [2], "v": [7]})
    for items in ([TEXT, text, TEXT, numbers], [numbers, TEXT, text], [TEXT, numbers, text]):
        made = asset("out.parquet")(partial(DOORS[door], items))
        with pytest.raises(SchemaError) as caught:
            await made()
        assert caught.value.column == "v"


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", AT_HAND)
async def test_text_without_values_takes_the_type_of_another_frame_in_a_table_of_a_query(
    base: Path, kind: str, other: str
) -> None:
    made = asset("x.parquet")(lambda: [{"n": 1}])
    for forward in (True, False):
        tables = {"given": _together(kind, other, forward)}
        found = await made.query("SELECT id, v FROM given ORDER BY id", tables=tables)
        assert (str(found.types[1]), found.fetchall()) == (OTHERS[other][1], _rows(kind, other))
