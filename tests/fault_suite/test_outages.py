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
from lake import Effort, Lake, LocalFiles, Trials
from test_object_stores import Store, store  # noqa: F401  a fixture

from mad_prefect_core.plugins import get_host
from mad_prefect_core.testing.faults import Operation, When, faults, refuse

pytestmark = pytest.mark.faults

CHANGES = ("link", "publish", "replace", "stage", "sync")
ATTEMPTS = 9  # more than are made of one request
LASTING = {"once": 1, "a while": 3, "until after the run": 10**6}


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
    targets = [(get_host().storage_for("file"), CHANGES), (LocalFileSystem, ("rm_file", "rmdir"))]
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


@pytest.mark.parametrize("lasting", LASTING)
@pytest.mark.parametrize("lost", ["the answers", "the requests"])
def test_s53_on_object_stores_an_outage_leaves_nothing_behind(
    store: Store,  # noqa: F811
    trials: Trials,
    effort: Effort,
    lost: str,
    lasting: str,
) -> None:
    first = 2 + 3 * list(LASTING).index(lasting) + 9 * (lost == "the answers")
    for number in itertools.count(effort.of(first, 1), effort.of(23, 1)):
        lake = store.new()

        at = [0]

        def befall(request: Request, at: list[int] = at, number: int = number) -> Fault | None:
            changes = request.method in ("PUT", "POST", "DELETE")
            at[0] += changes
            if not number <= at[0] < number + ATTEMPTS * LASTING[lasting]:
                return None
            return Fault(reply_lost=changes and lost == "the answers")

        store.proxy.faults = befall
        attempt(lake)
        store.proxy.heal()
        if at[0] < number:
            break
        trials.add(f"change {number}", left_behind(lake))
    trials.hold()
