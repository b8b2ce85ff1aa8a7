"""Processes that are killed: at every storage call of a run, and at random times, while readers look (S01-S04)."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from lake import Crashing, Effort, Lake, Trials, looks

from mad_prefect_core import Retention

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("when", ["before", "after"])
def test_s01_s03_killed_at_a_storage_call(
    fresh: Callable[..., Lake], crashing: Crashing, trials: Trials, effort: Effort, when: str
) -> None:
    lake = fresh()
    for number in itertools.count(effort.of(1 + 6 * (when == "after"), 1), effort.of(12, 1)):
        old = lake.value
        lake.value += 1
        status = crashing.wait(crashing.start(lake.value, fail_at=number, when=when, signal=signal.SIGKILL))
        if status == 99:
            break
        assert status in (
            -signal.SIGKILL,
            0,
        )  # nothing comes after what raises
        wrong = lake.after(old, lake.value, None, known=False, torn=True)
        if not trials.add(f"killed {when} operation {number}", itertools.chain(wrong, lake.next())):
            lake = fresh()
    trials.hold()


@pytest.mark.parametrize("by", ["prune", "retention"])
def test_killed_while_earlier_runs_are_pruned(
    fresh: Callable[..., Lake], crashing: Crashing, trials: Trials, effort: Effort, by: str
) -> None:
    """By the command, or by a run with a retention. Who prunes next finishes it."""
    options: dict[str, Any] = {"snapshot_artifacts": True} if by == "prune" else {}
    job = {"prune": 1, "options": options} if by == "prune" else {"keep_last": 1}
    lake = fresh(**options, **({"retention": Retention(keep_last=1)} if by == "retention" else {}))
    for number in itertools.count(effort.of(10 if by == "prune" else 66, 1), effort.of(16 if by == "prune" else 9, 1)):
        if by == "prune":
            lake.run()
        old = lake.value
        lake.value += by == "retention"
        killed = crashing.start(lake.value, fail_at=number, signal=signal.SIGKILL, **job)
        if crashing.wait(killed) == 99:
            break
        wrong = [*lake.after(old, lake.value, None, known=False, torn=True), *lake.past()]
        if by == "prune":
            asyncio.run(lake.asset.prune(Retention(keep_last=1)))
        if not trials.add(f"killed at operation {number}", itertools.chain(wrong, lake.next())):
            lake = fresh(**options)
    trials.hold()


def test_s01_s02_killed_at_a_random_time_while_readers_look(
    fresh: Callable[..., Lake], crashing: Crashing, trials: Trials, effort: Effort
) -> None:
    lake, chance = fresh(), random.Random(7)
    begun = time.monotonic()
    assert crashing.wait(crashing.start(lake.value)) == 0
    took = time.monotonic() - begun
    for number in range(effort.of(8, 200)):
        lake = lake if number else fresh()
        old = lake.value
        lake.value += 1
        process = crashing.start(lake.value)
        with looks(lake, {old, lake.value}) as seen:
            time.sleep(chance.random() * took)
            with suppress(ProcessLookupError):  # it was over
                os.kill(process, signal.SIGKILL)
            status = crashing.wait(process)
        assert status in (-signal.SIGKILL, 0)
        wrong = lake.after(old, lake.value, None, known=False, torn=True)
        if not trials.add(f"kill {number}", itertools.chain(seen, wrong, lake.next())):
            lake = fresh()
    trials.hold()
