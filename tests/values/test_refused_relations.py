"""After a relation was refused, the user's connection takes other queries, also while the error is at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.errors import DataError

ROWS = 300_000  # several of the batches in which rows are read
BAD_TEXT = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
SQL = {
    "map with a key twice": "FROM 'map.parquet'",
    "text that is not UTF-8": "FROM bad_text",
    "integer of 39 digits": f"SELECT 170141183460469231731687303715884105727::HUGEINT AS v FROM range({ROWS})",
    "type": "SELECT '101'::BIT AS v",
    "its own error": f"SELECT CASE WHEN range > 200_000 THEN error('no') ELSE 1 END AS v FROM range({ROWS})",
    "value that a format can't hold": f"SELECT INTERVAL (-range) MONTH AS v FROM range({ROWS})",
    "other type than before": f"SELECT 'x' AS n FROM range({ROWS})",
}
DOORS: dict[str, Callable[[Any, str], Any]] = {
    "returned": lambda given, suffix: asset(f"out.{suffix}")(lambda: given)(),
    "yielded": lambda given, suffix: asset(f"out.{suffix}")(lambda: (yield from [{"n": 1}, given]))(),
    "in a list": lambda given, suffix: asset(f"out.{suffix}")(lambda: [pa.table({"n": [1]}), given])(),
    "artifact": lambda given, suffix: DataArtifact(f"out.{suffix}", given).persist(),
}


ALONE = ("returned", "artifact")  # nothing comes before it
CASES = [(kind, door) for kind in SQL for door in DOORS if not (kind == "other type than before" and door in ALONE)]


@pytest.mark.parametrize("suffix", ["parquet", "avro"])
@pytest.mark.parametrize(("kind", "door"), CASES)
async def test_the_connection_of_a_refused_relation_goes_on(
    base: Path, monkeypatch: pytest.MonkeyPatch, kind: str, door: str, suffix: str
) -> None:
    monkeypatch.chdir(base)
    pq.write_table(pa.table({"v": pa.MapArray.from_arrays([0, 2], ["k", "k"], [1, 2])}), "map.parquet")
    connection = duckdb.connect()
    connection.register("bad_text", pa.table({"v": BAD_TEXT}))
    given = connection.sql(SQL[kind])
    with pytest.raises(DataError) as caught:
        await DOORS[door](given, suffix)
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
    assert caught.value.__traceback__ is not None
