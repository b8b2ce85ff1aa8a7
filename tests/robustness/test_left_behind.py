"""What a failed run left is recorded in the lease until it is gone, whatever becomes of the run or of the sweep."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import asset
from mad_prefect_core.errors import OutcomeUnknownError
from mad_prefect_core.mounts import Location
from mad_prefect_core.process import Process
from mad_prefect_core.runs import lifecycle, recovery, sweep
from mad_prefect_core.runs.history import _Rollback
from mad_prefect_core.runs.lease import Holder, Lease
from mad_prefect_core.runs.manifest import read_manifest
from mad_prefect_core.runs.record import DataAssetRun, RunStatus

DAY = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)


class _EndedError(BaseException):
    """As if the process ended here."""


def pages(*values: object) -> Any:
    @asset("x.parquet", name="x")
    def x() -> Iterator[Any]:
        for value in values:
            if isinstance(value, Exception):
                raise value
            yield [{"n": value}]

    return x


def fragments(base: Path) -> list[Path]:
    return [path for path in base.rglob("fragment=*") if path.is_file()]


def stored(base: Path) -> tuple[Holder | None, tuple[Holder, ...]]:
    """Who holds the only lease, and what it knows of others."""
    (lease,) = (base / "_asset_metadata" / "_leases").glob("[0-9a-f]*.json")
    return Lease(lease.stem).look()


def test_a_sweep_that_is_interrupted_leaves_the_failed_run_to_the_next(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> bool:
        raise _EndedError

    with monkeypatch.context() as patched:
        patched.setattr(lifecycle, "sweep_failed", end)
        with pytest.raises(_EndedError):
            pages(1, ValueError("no more")).call_sync()
    assert len(fragments(base)) == 1
    pages(2).call_sync()
    pages(3).call_sync()
    assert len(fragments(base)) == 1  # that of the current run
    assert stored(base) == (None, ())


def test_a_run_within_a_run_is_known_to_the_lease_before_it_writes(base: Path) -> None:
    seen = []

    @asset("x.parquet", name="x")
    async def x(depth: int = 0) -> Any:
        if depth == 0:
            await x(1)
        else:
            holder, left = stored(base)
            seen.append((holder, left, [run.is_gone() for run in left]))
        return [{"n": depth}]

    x.call_sync()
    ((holder, (within,), gone),) = seen
    assert holder is not None
    assert within.run != holder.run
    assert within.folders
    assert gone == [False]
    assert stored(base) == (None, ())


def test_a_rollback_is_known_to_the_lease_before_it_writes(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @asset("x.parquet", name="x", snapshot_artifacts=True)
    def x() -> Any:
        return [{"n": 1}]

    first = x.call_sync()
    x.call_sync()
    seen = []
    take_results = _Rollback._take_results
    monkeypatch.setattr(_Rollback, "_take_results", lambda self: (seen.append(stored(base)), take_results(self)))
    asyncio.run(x.rollback(first.run.id))
    ((_, left),) = seen
    assert [len(each.folders) for each in left] == [1]
    assert stored(base) == (None, ())


def test_a_run_that_ends_while_another_sweeps_is_not_forgotten(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = Lease("0" * 32)
    assert lease.take(_holder()) is None
    ended = _holder()
    lease.left = (_holder().over(),)

    def end_another(holder: Holder) -> bool:
        lease.begin(ended)
        lease.end(ended.run, swept=False)
        return True

    monkeypatch.setattr(sweep, "_sweep_dead", end_another)
    sweep.sweep_left(lease)
    lease.release()
    assert stored(base) == (None, (ended.over(),))


def test_a_manifest_that_cannot_be_read_does_not_hide_what_a_dead_run_left(base: Path) -> None:
    artifact = pages(1).call_sync()
    dead = _dead_run(base, artifact.run.asset_id)
    (manifest,) = base.rglob("manifest.json")
    manifest.write_bytes(b"{")
    with pytest.raises(ValueError, match="no more"):
        pages(ValueError("no more")).call_sync()
    assert dead.exists()  # that run may have been the current one
    pages(2).call_sync()
    assert not dead.exists()
    assert stored(base) == (None, ())


def test_a_storage_that_does_not_show_a_record_once_hides_nothing(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = pages(1).call_sync()
    dead = _dead_run(base, artifact.run.asset_id)
    (record,) = base.rglob(f"asset_run_id={dead.parent.name}/metadata.json")
    hidden = record.rename(record.with_name("metadata.hidden"))
    with pytest.raises(ValueError, match="no more"):
        pages(ValueError("no more")).call_sync()
    assert dead.exists()
    hidden.rename(record)
    pages(2).call_sync()
    assert not dead.exists()
    assert stored(base) == (None, ())


def _holder(asset_id: str = "0" * 32) -> Holder:
    return Holder(run=uuid.uuid4().hex, asset_name="x", asset_id=asset_id, process=Process.this(), since=DAY)


def _dead_run(base: Path, asset_id: str) -> Path:
    """A fragment of a run that died, which the lease knows."""
    holder = _holder(asset_id)
    folder = f"_artifacts/asset=x/{holder.run}"
    DataAssetRun(id=holder.run, asset_name="x", asset_id=asset_id, status=RunStatus.RUNNING).write()
    fragment = base / folder / "fragment=0.json"
    fragment.parent.mkdir(parents=True)
    fragment.write_text("[]")
    (lease,) = (base / "_asset_metadata" / "_leases").glob("[0-9a-f]*.json")
    held = Lease(lease.stem)
    assert held.take(holder.model_copy(update={"folders": (folder,)})) is None
    held.begin(holder.model_copy(update={"folders": (folder,)}))
    held.release()
    return fragment


def test_the_only_copy_of_a_users_file_is_not_swept_where_it_could_not_be_put_back(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publish replaces a file of somebody else's, fails, and so does putting that file back."""
    (base / "x.parquet").write_bytes(b"of somebody else")
    link_to = Location.link_to

    def broken(self: Location, target: Location) -> str | None:
        if target.key == "x.csv" or self.key.endswith(".before.run"):
            raise OSError("the disk is gone")
        return link_to(self, target)

    @asset("x.parquet|csv", name="x")
    def x() -> Any:
        return [{"n": 1}]

    with monkeypatch.context() as patched:
        patched.setattr(Location, "link_to", broken)
        with pytest.raises(OutcomeUnknownError):
            x.call_sync()
    assert [path.read_bytes() for path in base.rglob("*.before.run")] == [b"of somebody else"]
    recovery.sweep()  # finishes the run rather than delete what it keeps: the manifest still names it
    current, _ = read_manifest("x", x.id)
    assert current is not None
    assert current.last_run is not None
    assert (base / "x.csv").read_text() == "n\n1\n"
