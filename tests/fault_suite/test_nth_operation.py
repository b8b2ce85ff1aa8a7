"""The N-th storage operation fails, for every N, once and for ever, before and after it took effect (S08)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from lake import CALLS, Effort, Lake, LocalFiles, Trials, says_unknown
from memory_storage import MemoryFiles

from mad_prefect_core import Retention
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
def test_s08_on_local_disk(
    fresh: Callable[..., Lake], trials: Trials, effort: Effort, forever: bool, when: When
) -> None:
    targets = [(get_host().storage_for("file").store, CALLS), LocalFileSystem]
    first = effort.of(1 + MODES.index((forever, when)), 1)  # so that most fail in one way or another
    sweep(trials, targets, fresh, itertools.count(first, effort.of(5, 1)), forever=forever, when=when)
    trials.hold()


@pytest.mark.parametrize(("forever", "when"), MODES)
def test_s08_in_memory(
    fresh_in_memory: Callable[..., Lake], trials: Trials, effort: Effort, forever: bool, when: When
) -> None:
    targets = [(get_host().storage_for("memory").store, CALLS), MemoryFiles]
    numbers = itertools.count(effort.of(2 + 20 * MODES.index((forever, when)), 1), effort.of(83, 1))
    sweep(trials, targets, fresh_in_memory, numbers, forever=forever, when=when)
    trials.hold()


@pytest.mark.parametrize(("forever", "when"), MODES)
def test_s08_by_the_systems_calls(
    fresh: Callable[..., Lake], trials: Trials, effort: Effort, tmp_path: Path, forever: bool, when: When
) -> None:
    numbers = itertools.count(effort.of(3, 1), effort.of(83, 1))
    sweep(trials, [tmp_path], fresh, numbers, forever=forever, when=when)
    trials.hold()


@pytest.mark.parametrize(
    "options", [{"snapshot_artifacts": True}, {"retention": Retention(keep_last=2)}], ids=["snapshots", "retention"]
)
@pytest.mark.parametrize(("forever", "when"), MODES)
def test_s08_with_history(
    fresh: Callable[..., Lake], trials: Trials, effort: Effort, options: Any, forever: bool, when: When
) -> None:
    targets = [(get_host().storage_for("file").store, CALLS), LocalFileSystem]
    numbers = itertools.count(effort.of(4, 1), effort.of(31, 1))
    sweep(trials, targets, lambda: fresh(**options), numbers, forever=forever, when=when)
    trials.hold()


@pytest.mark.parametrize("there", [False, True], ids=["nothing", "files of others"])
@pytest.mark.parametrize(("forever", "when"), MODES)
def test_s04_s08_the_first_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trials: Trials,
    effort: Effort,
    there: bool,
    forever: bool,
    when: When,
) -> None:
    """Before it there is nothing, or what another program has put at the very paths."""
    targets = [(get_host().storage_for("file").store, CALLS), LocalFileSystem]
    for number in itertools.count(effort.of(1 + there, 1), effort.of(17, 1)):
        base = tmp_path / f"first{number}"
        monkeypatch.setenv("FILESYSTEM_URL", f"file://{base}")
        lake = Lake(LocalFiles(base))
        before = dict.fromkeys(lake.paths, b"of 2.x") if there else {}
        for path, data in before.items():
            lake.files.put(path, data)
        lake.value, error = 1, None
        with faults(*targets, fail_at=number, forever=forever, when=when) as injected:
            try:
                lake.asset.call_sync()
            except Exception as raised:
                error = raised
        if len(injected.operations) < number:
            break
        found = {path: data for path in lake.paths if (data := lake.files.get(path)) is not None}
        wrong = []
        if error is None and lake.shown() != (1, 1):
            wrong.append(f"the paths have {lake.shown()} after a good run")
        if error is not None and found != before and not says_unknown(error):
            wrong.append(f"the paths have {found} after {error!r}")
        lake.note()
        trials.add(f"operation {number}, {injected.failed[0]}", itertools.chain(wrong, lake.next()))
    trials.hold()
