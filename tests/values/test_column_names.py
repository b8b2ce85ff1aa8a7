"""A column name that files lose is refused by name, whatever the data come as; all others are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mad_prefect_core import asset
from mad_prefect_core.batch import ColumnBatch, RelationBatch, RowBatch, SchemaGrowth
from mad_prefect_core.errors import DataError, SchemaError

DOORS: dict[str, Callable[[str], Any]] = {
    "rows": lambda name: RowBatch([{"fine": 1, name: 1}]),
    "nested rows": lambda name: RowBatch([{"s": [{"fine": 1, name: 1}]}]),
    "pandas": lambda name: ColumnBatch(pd.DataFrame({"fine": [1], name: [1]})),
    "polars": lambda name: ColumnBatch(pl.DataFrame({"fine": [1], name: [1]})),
    "table": lambda name: ColumnBatch(pa.table({"fine": [1], name: [1]})),
    "record batch": lambda name: ColumnBatch(pa.record_batch({"fine": [1], name: [1]})),
    "struct array": lambda name: ColumnBatch(pa.array([{"fine": 1, name: 1}])),
    "nested table": lambda name: ColumnBatch(pa.table({"s": [[{"fine": 1, name: 1}]]})),
    "stream": lambda name: ColumnBatch(pa.table({"fine": [1], name: [1]}).to_reader()),
    "map of structs": lambda name: ColumnBatch(
        pa.schema([("m", pa.map_(pa.string(), pa.struct([("fine", pa.int8()), (name, pa.int8())])))]).empty_table()
    ),
    "union": lambda name: ColumnBatch(
        pa.table({"u": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])] * 2, ["fine", name])})
    ),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["a\0b", "a\rb", "\r", "a\r\n", "", "FINE"])
def test_a_name_that_files_lose_is_refused_by_name(door: str, name: str) -> None:
    with pytest.raises(DataError) as caught:
        DOORS[door](name)
    assert str(caught.value.column).endswith(name)


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a b", "ä", "a\x01b", "\x85", "a\u2028b"])
@pytest.mark.parametrize("result", ["json", "csv", "parquet", "avro"])
async def test_other_control_characters_are_kept(name: str, result: str, base: Path) -> None:
    @asset(f"named.{result}", artifact_filetype=result)
    def named() -> list[dict[str, str]]:
        return [{name: "x", "z": "y"}, {name: "", "z": "y"}]

    found = await named.query()
    assert found.columns == [name, "z"]
    assert found.fetchall() == [("x", "y"), ("", "y")]


def test_names_of_two_batches_that_differ_in_case_alone_are_refused() -> None:
    growth = SchemaGrowth()
    growth.add(pa.schema([("id", pa.int64()), ("s", pa.struct([("a", pa.int64())]))]), {})
    with pytest.raises(SchemaError, match="'id' and 'ID'"):
        growth.add(pa.schema([("ID", pa.int64())]), {})
    with pytest.raises(SchemaError, match="'a' and 'A'") as caught:
        growth.add(pa.schema([("s", pa.struct([("A", pa.int64())]))]), {})
    assert caught.value.column == "s.A"


@pytest.mark.parametrize("columns", ["1 AS a, 2 AS a", "1 AS a, 2 AS A", "{'a': 1, 'b\rc': 2} AS s"])
def test_a_relation_with_such_names_is_refused(columns: str) -> None:
    with duckdb.connect() as connection, pytest.raises(DataError) as caught:
        RelationBatch(connection.sql(f"SELECT {columns}"))
    assert caught.value.column is not None
