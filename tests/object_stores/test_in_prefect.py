"""Assets on S3 in the tasks of a Prefect flow, on its default runner of threads."""

from __future__ import annotations

import faulthandler
import gc
import sys
from collections.abc import Iterator
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
    """A hang ends the process with every thread's traceback, rather than never."""
    faulthandler.dump_traceback_later(120, exit=True, file=sys.__stderr__)
    yield
    gc.collect()
    faulthandler.cancel_dump_traceback_later()


def test_s17_assets_in_8_submitted_tasks_finish_and_each_has_its_own_rows(based: Any) -> None:
    @asset("own/{n}.parquet|csv", name="own_{n}")
    async def own(n: int) -> Any:
        for page in range(3):
            yield [{"n": n, "page": page}]

    @task
    def work(n: int) -> Any:
        return own.with_arguments(n).query_sync("ORDER BY page").fetchall()

    @flow
    def eight() -> Any:
        return [future.result() for future in [work.submit(n) for n in range(8)]]

    assert eight() == [[(n, page) for page in range(3)] for n in range(8)]
    assert based.get("lake/own/7.csv") == b"n,page\n7,0\n7,1\n7,2\n"
