"""No hang, and right answers, however many threads and loops run assets at once (S16; promise 13)."""

from __future__ import annotations

import asyncio
import faulthandler
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import asset


@pytest.fixture
def watchdog() -> Iterator[None]:
    """A hang ends the process with every thread's traceback, rather than never."""
    faulthandler.dump_traceback_later(30, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def _make(n: int) -> Any:
    suffix = ("json", "parquet", "csv")[n % 3]

    @asset(f"many/{n}.{suffix}", name=f"many_{n}", artifact_filetype=("parquet", "csv", "json", None)[n % 4])
    async def x(turn: int) -> Any:
        for page in range(3):
            await asyncio.sleep(0)
            yield [{"n": n, "turn": turn, "i": page * 10 + i} for i in range(10)]

    return x


@pytest.mark.parametrize("turn", range(5))
@pytest.mark.usefixtures("watchdog")
def test_s16_24_assets_on_8_threads_finish_and_each_has_its_own_rows(base: Path, turn: int) -> None:
    made = [_make(n) for n in range(24)]

    def work(n: int) -> Any:
        bound = made[n].with_arguments(turn)
        rows = bound.query_sync("ORDER BY i").fetchall()
        joined = bound.cache_first().query_sync("SELECT count(*) FROM data a JOIN data b USING (i)").fetchall()
        return rows, joined

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(24)))
    assert found == [([(n, turn, i) for i in range(30)], [(30,)]) for n in range(24)]


@pytest.mark.usefixtures("watchdog")
async def test_many_assets_in_one_loop_finish_and_each_has_its_own_rows(base: Path) -> None:
    made = [_make(n).with_arguments(0) for n in range(24)]
    relations = await asyncio.gather(*(x.query("ORDER BY i") for x in made))
    assert [relation.fetchall() for relation in relations] == [[(n, 0, i) for i in range(30)] for n in range(24)]


@pytest.mark.usefixtures("watchdog")
def test_one_asset_with_many_arguments_on_threads_never_mixes_rows(base: Path) -> None:
    @asset("by/{n}.parquet", name="by", artifacts_dir="raw")
    def x(n: int) -> Any:
        for page in range(4):
            yield [{"n": n, "page": page}]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(x.call_sync, range(16)))
    for n in range(16):
        assert x.with_arguments(n).cache_first().query_sync().fetchall() == [(n, page) for page in range(4)]
