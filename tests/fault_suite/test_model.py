"""Runs, failures, crashes, rollbacks, pins and prunes in any order, against a small model of what must be readable."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from lake import Crashing, Effort, Lake, LocalFiles, Trials

from mad_prefect_core import Retention, asset
from mad_prefect_core.plugins import get_host
from mad_prefect_core.testing.faults import faults

pytestmark = pytest.mark.faults

PINS = st.sampled_from(["a", "b"])


class Model(RuleBasedStateMachine):
    """What must be readable: the value of every run that was kept, and of the current one."""

    crashing: Crashing
    trials: Trials

    @initialize(kind=st.sampled_from(["plain", "snapshots", "retention"]))
    def begin(self, kind: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mad_prefect_model_"))
        os.environ["FILESYSTEM_URL"] = f"file://{self.folder}"
        self.options: dict[str, Any] = {"snapshot_artifacts": True} if kind == "snapshots" else {}
        retention = {"retention": Retention(keep_last=2)} if kind == "retention" else {}
        self.lake = Lake(LocalFiles(self.folder), **self.options, **retention)
        self.crashes = kind != "retention"
        self.limited = kind == "retention"
        self.values: dict[str, int] = {}
        """The value of each published run, by id, in order."""
        self.gone: set[str] = set()
        """Those whose data may be gone."""
        self.pins: dict[str, str] = {}
        self.next = 0
        self.run()
        self.lake.plant()

    @rule()
    def run(self) -> None:
        self.lake.value = self._new()
        self.lake.asset.call_sync()
        self._published(self.lake.value)
        self._check(self.lake.settled())

    @rule(number=st.integers(1, 60), forever=st.booleans(), after=st.booleans())
    def fail(self, number: int, forever: bool, after: bool) -> None:
        old, self.lake.value = self._current(), self._new()
        error = None
        target = (get_host().storage_for("file").store, ("link", "publish", "read", "replace", "stage", "stat"))
        with faults(target, fail_at=number, forever=forever, when="after" if after else "before"):
            try:
                self.lake.asset.call_sync()
            except Exception as raised:
                error = raised
        self._either(old, self.lake.after(old, self.lake.value, error))

    @precondition(lambda self: self.crashes)
    @rule(number=st.integers(1, 60), after=st.booleans())
    def crash(self, number: int, after: bool) -> None:
        old, self.lake.value = self._current(), self._new()
        job = {"fail_at": number, "when": "after" if after else "before", "options": self.options}
        self.crashing.wait(self.crashing.start(self.lake.value, signal=signal.SIGKILL, **job))
        self._either(old, self.lake.after(old, self.lake.value, None, known=False, torn=True))

    @rule(data=st.data())
    def rollback(self, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from(self._readable()))
        before = self._id()
        _wait(self.lake.asset.rollback(run_id))
        if self._id() != before:
            self._published(self.values[run_id])
            self.lake.published.append(self._id())
        assert self.lake.shown() == (self.values[run_id],) * 2

    @rule(name=PINS, data=st.data())
    def pin(self, name: str, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from(self._readable()))
        _wait(self.lake.asset.pin(name, run_id))
        self.pins[name] = run_id

    @precondition(lambda self: self.pins)
    @rule(data=st.data())
    def unpin(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.pins)))
        _wait(self.lake.asset.unpin(name))
        run_id = self.pins.pop(name)
        if not self.options and run_id not in self.pins.values():
            self.gone |= {run_id} - {self._id()}

    @rule(keep=st.integers(1, 3))
    def prune(self, keep: int) -> None:
        gc.collect()
        _wait(self.lake.asset.prune(Retention(keep_last=keep)))
        self.gone |= set(list(self.values)[:-keep]) - set(self.pins.values())

    def teardown(self) -> None:
        if not hasattr(self, "values"):
            return
        for run_id in self._readable():
            version = _wait(self.lake.asset.at(run_id))
            rows = _wait(version.query("SELECT DISTINCT n FROM data")).fetchall()
            assert rows == [(self.values[run_id],)]
        gc.collect()
        self.run()
        shutil.rmtree(self.folder)

    def _new(self) -> int:
        gc.collect()
        self.next += 1
        return self.next

    def _id(self) -> str:
        manifest = self.lake.manifest()
        assert manifest is not None
        assert manifest.last_run is not None
        return manifest.last_run.id

    def _current(self) -> int:
        return self.values[self._id()]

    def _published(self, value: int) -> None:
        run_id = self._id()
        if run_id not in self.lake.published:
            self.lake.published.append(run_id)
        self.values[run_id] = value
        keep = 2 if self.limited else 10_000 if self.options else 1
        self.gone |= set(list(self.values)[:-keep]) - set(self.pins.values())

    def _either(self, old: int, wrong: Any) -> None:
        self._check(wrong)
        if self._id() not in self.values:
            self._published(self.lake.value)
        self.lake.value = self._current()

    def _readable(self) -> list[str]:
        current = self._id()
        return [run_id for run_id in self.values if run_id == current or run_id not in self.gone]

    def _check(self, wrong: Any) -> None:
        found = list(wrong)
        self.trials.add("a step", found)
        assert found == []


def test_any_sequence_of_runs_failures_crashes_rollbacks_and_prunes(
    crashing: Crashing, trials: Trials, effort: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESYSTEM_URL", "")
    Model.crashing, Model.trials = crashing, trials
    steps = settings(
        max_examples=effort.of(4, 200),
        stateful_step_count=effort.of(10, 30),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Model, settings=steps)
    trials.hold()


ROWS = st.lists(
    st.fixed_dictionaries(
        {"a": st.integers(-5, 5)},
        optional={"b": st.text("xy1-", max_size=3) | st.none(), "c": st.lists(st.integers(0, 3), max_size=2)},
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("fragments", ["json", "parquet", "csv"])
def test_rows_split_differently_into_batches_are_the_same_result(
    base: Path, trials: Trials, effort: Effort, fragments: str
) -> None:
    @settings(max_examples=effort.of(8, 200))
    @given(rows=ROWS, cuts=st.sets(st.integers(1, 7)))
    def same(rows: list[dict[str, Any]], cuts: set[int]) -> None:
        results = []
        for at in ([0, len(rows)], sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})):
            pages = [rows[first:last] for first, last in pairwise(at)]

            @asset("split.parquet", artifact_filetype=fragments)
            def x(pages: Any = pages) -> Any:
                yield from pages

            relation = x.query_sync()
            results.append((relation.columns, [str(kind) for kind in relation.types], relation.fetchall()))
        trials.add(f"{rows} cut at {cuts}", [] if results[0] == results[1] else [f"{results[0]} is not {results[1]}"])

    same()
    trials.hold()


def _wait(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)
