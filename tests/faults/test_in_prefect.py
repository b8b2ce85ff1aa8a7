"""Assets in the tasks of Prefect's flows, on its default runner of threads (S17; promise 13)."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task

from mad_prefect_core import asset

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    # Prefect's own connections to its server are left to the garbage collector when their event loop ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _watchdog() -> Iterator[None]:
    faulthandler.dump_traceback_later(60, exit=True, file=sys.__stderr__)
    yield
    gc.collect()
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_s17_assets_in_8_submitted_tasks_finish_and_each_has_its_own_rows(base: Path, kind: str) -> None:
    @asset("shared.parquet|csv", name="shared")
    async def shared(n: int) -> Any:
        for page in range(3):
            await asyncio.sleep(0)
            yield [{"n": n, "page": page}]

    @asset("own/{n}.json", name="own_{n}")
    async def own(n: int) -> Any:
        yield await shared.with_arguments(n).query("ORDER BY page")

    @task
    def in_a_thread(n: int) -> Any:
        return own.with_arguments(n).query_sync("ORDER BY page").fetchall()

    @task
    async def on_a_loop(n: int) -> Any:
        return (await own.with_arguments(n).query("ORDER BY page")).fetchall()

    @flow
    def eight() -> Any:
        work = in_a_thread if kind == "sync" else on_a_loop
        return [future.result() for future in [work.submit(n) for n in range(8)]]

    assert eight() == [[(n, page) for page in range(3)] for n in range(8)]
