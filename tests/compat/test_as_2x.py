"""`compat=2`: results as 2.x made them, where the difference is no error. All that is expected here was measured on
mad-prefect 2.3.0 with DuckDB 1.4.5."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mad_prefect_core import DataAsset, asset
from mad_prefect_core.errors import OptionError

_ROW = {"day": "2020-01-01", "z": "2020-01-01T10:00:00Z", "off": "2020-01-01T10:00:00+02:00", "n": Decimal("1.10"),
        "in": {"list": [Decimal("2.5"), None]}}  # fmt: skip


def _asset(data: Any, path: str = "x/r.parquet", **options: Any) -> DataAsset[..., Any]:
    async def rows() -> Any:
        yield data
        yield data

    made: DataAsset[..., Any] = asset(path, name="n.m", **options)(rows)
    return made


def _types(of: DataAsset[..., Any]) -> dict[str, str]:
    relation = of.query_sync()
    return dict(zip(relation.columns, map(str, relation.types), strict=True))


@pytest.mark.parametrize("path", ["r.parquet", "r.json"])
@pytest.mark.parametrize("kind", ["rows", "a frame"])
def test_values_are_as_2x_stored_them(base: Path, path: str, kind: str) -> None:
    relation = _asset(
        [_ROW] if kind == "rows" else pd.DataFrame([_ROW]), path, artifacts_dir="art", compat=2
    ).query_sync()
    found = dict(zip(relation.columns, map(str, relation.types), strict=True))
    assert found == {
        "day": "DATE", "z": "TIMESTAMP", "off": "VARCHAR", "n": "DOUBLE", "in": "STRUCT(list DOUBLE[])",
    }  # fmt: skip
    row = (dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 10), _ROW["off"], 1.1, {"list": [2.5, None]})
    assert relation.fetchall() == [row, row]


def test_without_the_switch_they_keep_their_meaning(base: Path) -> None:
    assert _types(_asset([_ROW]))["n"] == "DECIMAL(3,2)"
    assert _types(_asset(pd.DataFrame([_ROW])))["day"] == "VARCHAR"


SNAPSHOT = ["day", "month", "runtime", "year"]
COLUMNS: dict[tuple[bool, str, str], list[str]] = {
    (False, "", "x/r.parquet"): ["asset"],
    (False, "", "x/k=v/r.parquet"): ["asset", "k"],
    (False, "art", "x/r.parquet"): [],
    (False, "art", "x/k=v/r.parquet"): ["k"],
    (False, "art/region=eu", "x/k=v/r.parquet"): ["region", "k"],
    (True, "", "x/r.parquet"): ["asset", *SNAPSHOT],
    (True, "", "x/k=v/r.parquet"): ["asset", "day", "k", "month", "runtime", "year"],
    (True, "art/region=eu", "x/k=v/r.parquet"): ["day", "month", "region", "runtime", "year", "k"],
}


@pytest.mark.parametrize(("given", "added"), COLUMNS.items())
def test_the_columns_that_2x_added_are_there(base: Path, given: tuple[bool, str, str], added: list[str]) -> None:
    snapshot, folder, path = given
    with_it = _asset([{"x": 1}], path, artifacts_dir=folder, snapshot_artifacts=snapshot, compat=2)
    assert list(_types(with_it)) == ["x", *added]
    if snapshot:
        [year, month, day] = with_it.query_sync("SELECT DISTINCT year, month, day").fetchall()[0]
        assert abs(dt.date(year, month, day) - dt.datetime.now(dt.UTC).date()) <= dt.timedelta(days=1)


def test_the_setting_is_for_all_assets_and_the_option_for_one(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAD_PREFECT_COMPAT", "2")
    assert "asset" in _types(_asset([{"x": 1}]))
    assert "asset" not in _types(_asset([{"x": 1}], compat=3))
    monkeypatch.setenv("MAD_PREFECT_COMPAT", "1")
    with pytest.raises(OptionError, match="MAD_PREFECT_COMPAT can't be '1'"):
        asyncio.run(_asset([{"x": 1}])())


def test_a_result_that_was_made_in_another_way_is_no_cache_hit(base: Path) -> None:
    plain = _asset([{"x": 1}]).cache_first()
    assert not asyncio.run(plain()).from_cache
    assert asyncio.run(plain()).from_cache
    assert not asyncio.run(plain.with_options(compat=2)()).from_cache


def test_a_version_that_is_none_is_refused_where_the_asset_is_defined(base: Path) -> None:
    with pytest.raises(OptionError, match="compat"):
        _asset([{"x": 1}], compat=1)
