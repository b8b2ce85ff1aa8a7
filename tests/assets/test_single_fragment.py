"""A result that has one fragment of its own kind is not written twice, and is what it would have been."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from mad_prefect_core import DataArtifact, asset
from mad_prefect_csv import WriteCSVOptions
from mad_prefect_parquet import ReadParquetOptions, WriteParquetOptions

ROWS = "SELECT range AS n, IF(range % 2 = 0, NULL, 'text') AS t FROM range(10)"


def _table() -> pa.Table:
    return pa.table({"n": range(10), "t": [None if n % 2 == 0 else "text" for n in range(10)]})


def _fragments(base: Path) -> list[Path]:
    return sorted(base.rglob("fragment=*"))


@pytest.mark.parametrize("data", [lambda: duckdb.sql(ROWS), _table, lambda: _table().to_pandas()])
async def test_one_fragment_of_the_results_format_is_its_result(base: Path, data: Callable[[], Any]) -> None:
    @asset("x.parquet")
    def x() -> Any:
        return data()

    artifact = await x()
    (fragment,) = _fragments(base)
    assert fragment.samefile(base / "x.parquet")
    (record,) = artifact.run.results
    assert record.sha256 == hashlib.sha256((base / "x.parquet").read_bytes()).hexdigest()
    assert record.size == fragment.stat().st_size
    assert record.columns == {"n": "BIGINT", "t": "VARCHAR"}
    assert record.nulls == {"n": 0, "t": 5}
    assert artifact.run.rows == 10
    assert (await artifact.query("SELECT sum(n), count(t)")).fetchall() == [(45, 5)]


async def test_the_other_results_are_written_beside_it(base: Path) -> None:
    @asset("x.parquet|csv")
    def x() -> Any:
        return duckdb.sql(ROWS)

    artifact = await x()
    assert _fragments(base)[0].samefile(base / "x.parquet")
    assert len((base / "x.csv").read_text().splitlines()) == 11
    assert [result.nulls for result in artifact.run.results] == [{"n": 0, "t": 5}] * 2


async def test_the_result_outlives_its_fragment_and_that_of_the_next_run(base: Path) -> None:
    @asset("x.parquet")
    def x(n: int) -> Any:
        return duckdb.sql(f"SELECT {n} AS n")

    first = await x.with_arguments(1)()
    _fragments(base)[0].unlink()
    await x.with_arguments(2)()
    assert (await first.query()).fetchall() == [(1,)]
    assert duckdb.sql(f"FROM '{base}/x.parquet'").fetchall() == [(2,)]


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("x.pq", {}),
        ("x.csv", {"artifact_filetype": "parquet"}),
        ("x.csv", {"artifact_filetype": "csv", "write_options": WriteCSVOptions(delim=";")}),
        ("x.parquet", {"artifacts_dir": "parts/day=1"}),
    ],
)
async def test_what_would_not_be_the_same_is_written_anew(base: Path, path: str, options: dict[str, Any]) -> None:
    @asset(path, **options)
    def x() -> Any:
        return _table()

    artifact = await x()
    assert not _fragments(base)[0].samefile(base / path)
    assert (await artifact.query("SELECT sum(n), count(t)")).fetchall() == [(45, 5)]


async def test_a_column_whose_values_are_all_missing_has_the_recorded_type_in_the_file(base: Path) -> None:
    @asset("x.parquet")
    def x() -> Any:
        return pa.table({"a": [1, 2], "b": pa.nulls(2)})

    columns = dict((await x()).run.results[0].columns)
    described = duckdb.sql(f"DESCRIBE FROM '{base}/x.parquet'").fetchall()
    assert {name: kind for name, kind, *_ in described} == columns


async def test_a_users_own_file_is_not_made_the_result_of_a_run(base: Path) -> None:
    @asset("x.parquet")
    def x() -> Any:
        return DataArtifact("mine.parquet", _table())

    artifact = await x()
    (base / "mine.parquet").write_bytes(b"overwritten in place")
    assert (await artifact.query("SELECT sum(n)")).fetchall() == [(45,)]


async def test_an_artifact_with_write_options_of_its_own_does_not_decide_those_of_the_result(base: Path) -> None:
    @asset("x.parquet", write_options=WriteParquetOptions(compression="zstd"))
    def x() -> Any:
        path = "mine.parquet"
        return DataArtifact(path, _table(), write_options=WriteParquetOptions(compression="gzip"))

    await x()
    codecs = duckdb.sql(f"SELECT DISTINCT compression FROM parquet_metadata('{base}/x.parquet')").fetchall()
    assert codecs == [("ZSTD",)]


async def test_frames_of_the_same_kind_keep_their_order_over_many_fragments(base: Path) -> None:
    @asset("x.parquet", read_options=ReadParquetOptions())
    def x() -> Any:
        for start in range(0, 100, 10):
            yield pd.DataFrame({"n": range(start, start + 10)})

    rows = (await (await x()).query()).fetchall()
    assert rows == [(n,) for n in range(100)]
