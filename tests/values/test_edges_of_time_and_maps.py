"""Moments whose year in UTC Python has not, and maps that never had a key: they come out as they are."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from mad_prefect_core import asset

HALF_MINUTE = dt.timezone(dt.timedelta(hours=2, seconds=30))
MOMENTS = {
    "0001-12-31 (BC) 15:00:00": dt.datetime(1, 1, 1, 5, tzinfo=dt.timezone(dt.timedelta(hours=14))),
    "0001-12-31 (BC) 21:59:30.000007": dt.datetime(1, 1, 1, microsecond=7, tzinfo=HALF_MINUTE),
    "0001-12-31 (BC) 14:41:01": dt.datetime(1, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")),
    "10000-01-01 02:00:29.999999": dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=2, seconds=30))),
}
MAPS = ("map{}", "map([], [])", "{'a': map{}}", "[map{}]", "map{'k': map{}}")


def _asset(path: str, data: Any) -> Any:
    return asset(path)(lambda: data)


@pytest.mark.parametrize("filetype", ["json", "parquet", "csv", "avro"])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_moment_beyond_the_years_of_python_is_kept(base: Path, moment: str, filetype: str) -> None:
    value = MOMENTS[moment]
    made = asset("out.parquet", artifact_filetype=filetype)(lambda: [{"v": value, "inside": {"l": [value]}}])
    found = await made.query("SELECT (v AT TIME ZONE 'UTC')::VARCHAR, (inside.l[1] AT TIME ZONE 'UTC')::VARCHAR")
    assert found.fetchall() == [(moment, moment)]


@pytest.mark.parametrize("suffix", ["json", "parquet", "csv", "avro"])
@pytest.mark.parametrize("sql", MAPS)
async def test_a_map_that_never_had_a_key_is_kept(base: Path, sql: str, suffix: str) -> None:
    expected = duckdb.sql(f"SELECT {sql}").fetchall()
    doors: list[Any] = [
        duckdb.connect().sql(f"SELECT {sql} AS m"),
        duckdb.sql(f"SELECT {sql} AS m").to_arrow_table(),
        duckdb.sql(f"SELECT {sql} AS m").to_arrow_reader(),
    ]
    for number, data in enumerate(doors):
        assert (await _asset(f"{number}.{suffix}", data).query()).fetchall() == expected
