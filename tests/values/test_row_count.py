"""A run counts the rows that it takes in, rows and columns alike, and publishes no result that has others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.errors import CorruptFileError
from mad_prefect_core.runs import union

TABLE = pa.table({"n": [1, 2, 3]})
DATA: dict[str, Callable[[], Any]] = {
    "rows": lambda: TABLE.to_pylist(),
    "table": lambda: TABLE,
    "table without rows": lambda: TABLE.slice(0, 0),
    "stream": lambda: TABLE.to_reader(max_chunksize=2),
    "pandas": lambda: pd.DataFrame({"n": [1, 2, 3]}),
    "polars": lambda: pl.DataFrame({"n": [1, 2, 3]}),
    "relation": lambda: duckdb.connect().sql("FROM range(3) t(n)"),
    "relation that Arrow has otherwise": lambda: duckdb.connect().sql("SELECT range::HUGEINT AS n FROM range(3)"),
}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("suffix", ["json", "parquet", "csv", "avro"])
async def test_the_rows_of_each_kind_of_data_are_counted(name: str, suffix: str, base: Path) -> None:
    artifact = DataArtifact(f"n.{suffix}", DATA[name]())
    await artifact.persist()
    assert artifact.stored is not None
    assert artifact.stored.rows == (0 if name == "table without rows" else 3)


async def test_a_result_with_other_rows_than_were_taken_in_is_not_published(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 3

    @asset("n.json", artifact_filetype="csv")
    def n() -> Any:
        yield pa.table({"n": list(range(rows))})
        yield pa.table({"n": [1]})

    await n()
    before = (base / "n.json").read_bytes()
    counted = union._counted

    def one_less(*arguments: Any) -> Any:
        count, nulls = counted(*arguments)
        return count - 1, nulls

    monkeypatch.setattr(union, "_counted", one_less)
    rows = 5
    with pytest.raises(CorruptFileError, match="6 rows"):
        await n()
    assert (base / "n.json").read_bytes() == before
