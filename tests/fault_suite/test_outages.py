"""An outage begins at the N-th change and outlasts all retries; after two good runs nothing is left behind (S53)."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from http_proxy import Fault, Request
from lake import Effort, Lake, LocalFiles, Trials, make
from test_object_stores import Store, store  # noqa: F401  a fixture

from mad_prefect_core.plugins import get_host
from mad_prefect_core.testing.faults import Operation, When, faults, refuse

pytestmark = pytest.mark.faults

CHANGES = ("link", "publish", "replace", "stage", "sync")
LASTING = {"once": 1, "a while": 3, "until after the run": 10**6}
LOST = {"answers": Fault(reply_lost=True), "requests": Fault(), "requests that arrive later": Fault(late=True)}


def left_behind(lake: Lake) -> Iterator[str]:
    """What is there after two good runs that no run which may be read still has."""
    lake.note()
    for _ in range(2):
        yield from lake.next()
    if isinstance(lake.files, LocalFiles):
        for path in lake.files.base.rglob("*"):
            if path.is_dir() and not any(path.iterdir()):
                yield f"an empty folder is left: {path}"
    for key, data in lake.files.all().items():
        if "/_leases/" in f"/{key}" and re.fullmatch(r"[0-9a-f]{32}\.json", key.rpartition("/")[2]):
            lease = json.loads(data)
            if lease["holder"] or lease["left"]:
                yield f"the lease still has {lease}"


def attempt(lake: Lake) -> None:
    """A run that may fail. Nothing of it is held afterwards."""
    lake.value += 1
    with contextlib.suppress(Exception):
        lake.asset.call_sync()
    gc.collect()


@pytest.mark.parametrize("options", [{}, {"snapshot_artifacts": True, "artifacts_dir": "pages"}], ids=["", "snapshots"])
@pytest.mark.parametrize("lasting", LASTING)
@pytest.mark.parametrize("when", ["before", "after"])
def test_s53_on_local_disk_an_outage_leaves_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trials: Trials,
    effort: Effort,
    when: When,
    lasting: str,
    options: dict[str, Any],
) -> None:
    targets = [(get_host().storage_for("file").store, CHANGES), (LocalFileSystem, ("rm_file", "rmdir"))]
    first = 1 + list(LASTING).index(lasting) + 3 * (when == "after")
    for number in itertools.count(effort.of(first, 1), effort.of(6, 1)):
        base = tmp_path / f"base{number}"
        monkeypatch.setenv("FILESYSTEM_URL", f"file://{base}")
        lake = Lake(LocalFiles(base), **options)
        lake.run()

        def fail(operation: Operation, end: int = number + LASTING[lasting]) -> None:
            if operation.number < end:
                refuse(operation)

        with faults(*targets, fail_at=number, forever=True, when=when, action=fail) as injected:
            attempt(lake)
        if len(injected.operations) < number:
            break
        trials.add(f"change {number}, {injected.failed[0]}", left_behind(lake))
    trials.hold()


class Outage:
    """From the N-th call on that changes something, all attempts of some such calls are lost, and other calls fail."""

    def __init__(self, first: int, calls: int, lost: Fault) -> None:
        self.seen: list[tuple[str, ...]] = []
        """The different calls so far that change something."""
        self._first = first
        self._end = first + calls
        self._lost = lost

    def __call__(self, request: Request) -> Fault | None:
        changes = request.method in ("PUT", "POST", "DELETE")
        call = (request.method, request.path, request.query, request.headers.get("x-amz-meta-mad-prefect-write", ""))
        if changes and call not in self.seen:
            self.seen.append(call)
        if not self._first <= (self.seen.index(call) + 1 if changes else len(self.seen)) < self._end:
            return None
        return self._lost if changes else Fault()


@pytest.mark.parametrize("lasting", LASTING)
@pytest.mark.parametrize("lost", LOST)
def test_s53_on_object_stores_an_outage_leaves_nothing_behind(
    store: Store,  # noqa: F811
    trials: Trials,
    effort: Effort,
    lost: str,
    lasting: str,
) -> None:
    first = 2 + list(LASTING).index(lasting) + 2 * list(LOST).index(lost)
    for number in itertools.count(effort.of(first, 1), effort.of(23, 1)):
        lake = store.new()
        store.proxy.faults = outage = Outage(number, LASTING[lasting], LOST[lost])
        attempt(lake)
        store.proxy.heal()
        store.proxy.deliver()
        if len(outage.seen) < number:
            break
        trials.add(f"change {number}", left_behind(lake))
    trials.hold()


def test_s53_a_request_that_arrives_late_leaves_nothing_behind(store: Store, trials: Trials) -> None:  # noqa: F811
    lake = store.new()
    for path in ("fragment=0", "x.csv.run", "manifest.json"):
        store.proxy.fail(Fault(late=True), times=None, path=path)
        attempt(lake)
        store.proxy.heal()
        store.proxy.deliver()
        trials.add(path, left_behind(lake))
    trials.hold()


def test_s53_a_switch_that_arrives_after_the_sweep_is_refused(store: Store) -> None:  # noqa: F811
    lake = store.new()
    good = lake.value
    # The manifest can be read, so that the run is known not to be current.
    store.proxy.faults = lambda request: (
        Fault(late=True) if request.method in ("PUT", "POST") and b'"last_run"' in request.start else None
    )
    attempt(lake)
    store.proxy.heal()

    def fail() -> int:
        store.proxy.deliver()  # the next run has swept what the first one left
        raise ValueError("no data")

    with pytest.raises(ValueError, match="no data"):
        make(fail).call_sync()
    assert lake.read() == good
    assert list(left_behind(lake)) == []
