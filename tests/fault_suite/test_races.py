"""Several processes, threads and event loops that run one asset at once never mix, and never hang (S13-S16)."""

from __future__ import annotations

import asyncio
import faulthandler
import itertools
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lake import Crashing, Effort, Lake, Trials, looks, make

pytestmark = pytest.mark.faults


@pytest.fixture
def watchdog() -> Iterator[Callable[[], None]]:
    """Gives 30 seconds more each time it is called. A hang ends the process with every thread's traceback."""
    yield lambda: faulthandler.dump_traceback_later(30, exit=True, file=sys.__stderr__)
    faulthandler.cancel_dump_traceback_later()


def test_s13_processes_that_race(
    fresh: Callable[..., Lake], crashing: Crashing, trials: Trials, effort: Effort
) -> None:
    lake = fresh()
    for number in range(effort.of(6, 100)):
        old = lake.value
        values = range(old + 1, old + 3 + number % 2)
        lake.value = values[-1]
        with looks(lake, {old, *values}) as seen:
            statuses = [crashing.wait(process) for process in [crashing.start(value) for value in values]]
        wrong = [] if statuses == [0] * len(values) else [f"the processes ended with {statuses}"]
        shown = lake.shown()
        wrong += [] if shown in [(value, value) for value in values] else [f"the paths have {shown} of {values}"]
        lake.published += [str(record.id) for record in lake.successes()]
        trials.add(f"race {number}", itertools.chain(seen, wrong, lake.next()))
    trials.hold()


def test_s16_threads_and_event_loops_together(
    base: Path, trials: Trials, effort: Effort, watchdog: Callable[[], None]
) -> None:
    async def several(number: int) -> list[Any]:
        assets = [
            make(partial(int, number * 10 + turn)).with_options(path=f"{number}-{turn}.parquet") for turn in range(2)
        ]
        shared = make(lambda: number)
        await asyncio.gather(*(x() for x in assets), shared())
        relations = await asyncio.gather(*(x.cache_first().query("SELECT DISTINCT n FROM data") for x in assets))
        return [relation.fetchall() for relation in relations if relation is not None]

    for turn in range(effort.of(3, 50)):
        watchdog()
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda number: asyncio.run(several(number)), range(6)))
        wanted = [[[(number * 10 + asset,)] for asset in range(2)] for number in range(6)]
        trials.add(f"turn {turn}", [] if found == wanted else [f"{found} is not {wanted}"])
    trials.hold()
