"""Several processes, threads and event loops that run one asset at once never mix, and never hang (S13-S18)."""

from __future__ import annotations

import asyncio
import faulthandler
import itertools
import os
import subprocess
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


RELATION = """
import sys
from lake import make

relation = make(lambda: 7).cache_first().query_sync()
found = [
    relation.filter("page = 1").fetchall(),
    relation.aggregate("count(*), min(n)").fetchall(),
    relation.order("page DESC").limit(1).to_arrow_table().to_pylist(),
    [row for batch in relation.to_arrow_reader() for row in batch.to_pylist()],
    relation.query("t", "SELECT sum(n) FROM t").fetchall(),
]
print(found)
"""


def test_s18_a_relations_own_methods_never_hang(
    fresh: Callable[..., Lake], trials: Trials, effort: Effort, tmp_path: Path
) -> None:
    """In processes of their own, several at once, each of which goes on with a relation that it was given."""
    lake = fresh()
    value = lake.value
    rows = [{"n": value, "page": 0}, {"n": value, "page": 1}]
    wanted = [[(value, 1)], [(2, value)], rows[1:], rows, [(2 * value,)]]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", RELATION]
    for turn in range(effort.of(1, 5)):
        processes = [
            subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        for number, process in enumerate(processes):
            try:
                found, _ = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                found, _ = process.communicate()
            wrong = [] if found.strip() == str(wanted) else [f"it ended with {process.returncode} and {found!r}"]
            trials.add(f"process {number} of turn {turn}", wrong)
    trials.hold()
