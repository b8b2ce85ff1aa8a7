"""The N-th storage operation fails, for every N, once and for ever, before and after it took effect (S08)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from lake import CALLS, Effort, Lake, Trials

from mad_prefect_core.plugins import get_host
from mad_prefect_core.testing.faults import Target, When, faults

pytestmark = pytest.mark.faults

MODES = [(forever, when) for forever in (False, True) for when in ("before", "after")]


def sweep(
    trials: Trials,
    targets: list[Target],
    fresh: Callable[[], Lake],
    numbers: Iterator[int],
    *,
    forever: bool,
    when: When,
) -> None:
    """Have each of these operations of a run fail. A lake goes on to be used as long as nothing is wrong with it."""
    lake = fresh()
    for number in numbers:
        old = lake.value if lake.published else None
        lake.value += 1
        error: BaseException | None = None
        with faults(*targets, fail_at=number, forever=forever, when=when) as injected:
            try:
                lake.asset.call_sync()
            except Exception as raised:
                error = raised
        if len(injected.operations) < number:
            return
        failed = injected.failed[0]
        what = f"operation {number}, {failed.name} of {failed.path}"
        new = lake.value
        if not trials.add(what, itertools.chain(lake.after(old, new, error), lake.next())):
            lake = fresh()


@pytest.mark.parametrize(("forever", "when"), MODES)
def test_s08_local_storage_call(fresh: Any, trials: Trials, effort: Effort, forever: bool, when: When) -> None:
    targets = [(get_host().storage_for("file"), CALLS), LocalFileSystem]
    sweep(trials, targets, fresh, itertools.count(1), forever=forever, when=when)
    trials.hold()
