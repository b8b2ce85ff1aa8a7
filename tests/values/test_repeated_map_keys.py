"""Maps with a key twice, which DuckDB reads and writes, but gives to nobody: refused before anything is published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.errors import UnsupportedValueError

MAP = pa.MapArray.from_arrays([0, 2], ["k", "k"], [1, 2])
GOOD = pa.MapArray.from_arrays([0, 2], ["k", "l"], [1, 2])
INSIDE: dict[str, Callable[[pa.Array], pa.Array]] = {
    "column": lambda maps: maps,
    "struct": lambda maps: pa.StructArray.from_arrays([maps], ["s"]),
    "list": lambda maps: pa.ListArray.from_arrays([0, 1], maps),
    "map": lambda maps: pa.MapArray.from_arrays([0, 1], ["outer"], maps),
    "structs in a list": lambda maps: pa.ListArray.from_arrays([0, 1], pa.StructArray.from_arrays([maps], ["s"])),
}
DOORS: dict[str, Callable[[str], Any]] = {
    "artifact": lambda file: DataArtifact("given.parquet"),
    "artifact yielded": lambda file: (part for part in [DataArtifact("given.parquet")]),
    "artifacts yielded": lambda file: (part for part in [DataArtifact("given.parquet"), DataArtifact("given.parquet")]),
    "artifacts": lambda file: [DataArtifact("given.parquet"), DataArtifact("given.parquet")],
    "relation": lambda file: duckdb.connect().read_parquet(file),
    "relation of a table": lambda file: _table(file),
    "query of an artifact": lambda file: DataArtifact("given.parquet").query(),
}


def _table(file: str) -> duckdb.DuckDBPyRelation:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE given AS FROM read_parquet(?)", [file])
    return connection.table("given")


def _write(base: Path, maps: pa.Array) -> str:
    file = base / "given.parquet"
    pq.write_table(pa.table({"id": [1], "m": maps}), file)
    return str(file)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("inside", INSIDE)
async def test_a_result_that_nobody_could_read_is_never_published(base: Path, inside: str, door: str) -> None:
    made = asset("out.parquet")(lambda: DOORS[door](file))
    file = _write(base, INSIDE[inside](GOOD))
    await made()
    before = (base / "out.parquet").read_bytes()
    _write(base, INSIDE[inside](MAP))
    with pytest.raises(UnsupportedValueError, match=r"A map has (a|the) key .*more than once") as caught:
        await made()
    assert str(caught.value.column).startswith("m")
    assert (base / "out.parquet").read_bytes() == before


@pytest.mark.parametrize("suffix", ["json", "parquet", "csv", "avro"])
async def test_maps_of_others_come_out_the_same_or_are_refused_by_name(base: Path, suffix: str) -> None:
    made = asset(f"out.{suffix}")(lambda: (part for part in [DataArtifact("given.parquet")]))
    _write(base, INSIDE["struct"](GOOD))
    assert (await made.query()).fetchall() == [(1, {"s": {"k": 1, "l": 2}})]
    _write(base, INSIDE["struct"](MAP))
    with pytest.raises(UnsupportedValueError) as caught:
        await made()
    assert (caught.value.column, caught.value.path) == ("m", "given.parquet")
