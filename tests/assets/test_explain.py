"""Why the next call of an asset would run or hit, in words and as data."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import DataAsset, asset

HOUR = timedelta(hours=1)


def make(**options: Any) -> DataAsset[..., Any]:
    @asset("x.json|csv", name="explained", **({"cache_expiration": HOUR} | options))
    def x(n: int = 0) -> Any:
        return [{"n": n}]

    return x


def edited(base: Path, **fields: Any) -> None:
    [manifest] = base.rglob("manifest.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | fields))


async def test_each_reason_to_run_is_told_and_nothing_runs_by_asking(base: Path) -> None:
    from mad_prefect_csv import WriteCSVOptions

    x = make()
    assert (await x.explain()).reason == "no_result"
    assert not list(base.rglob("manifest.json"))
    await x()
    assert (await x.explain()).reason == "hit"
    assert (await x.explain(1)).reason == "no_result"
    assert (await make(cache_expiration=None).explain()).reason == "no_expiration"
    assert (await make(cache_expiration=timedelta(microseconds=1)).explain()).reason == "expired"
    other = await make(write_options=WriteCSVOptions(delim=";")).explain()
    assert other.reason == "options"
    assert not other.hit
    csv = (base / "x.csv").read_bytes()
    (base / "x.csv").write_bytes(csv[:-1])
    damaged = await x.explain()
    assert damaged.reason == "files"
    assert damaged.text == "It runs: x.csv is gone, or not as its run wrote it."
    (base / "x.csv").write_bytes(csv)
    assert (await x.explain()).hit
    edited(base, last_materialized="2199-01-01T00:00:00Z")
    assert (await x.explain()).reason == "future"


async def test_a_hit_says_which_run_answers_and_until_when(base: Path) -> None:
    x = make()
    artifact = await x()
    found = await x.explain()
    assert found.run == artifact.run.id
    assert found.materialized == artifact.run.materialized
    assert found.materialized is not None
    assert found.expires == found.materialized + HOUR
    assert found.text.startswith("It hits: the result of 20")


@pytest.mark.parametrize("damaged", [False, True])
async def test_what_explain_says_is_what_the_call_does(base: Path, damaged: bool) -> None:
    x = make()
    await x()
    if damaged:
        (base / "x.json").unlink()
    told = await x.explain()
    assert (await x()).from_cache == told.hit == (not damaged)
