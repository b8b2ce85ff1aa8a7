"""What a run could not finish, the next one does: unaided, and without a wait (promises 1, 2)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import DataAsset, asset
from mad_prefect_core.errors import OutcomeUnknownError
from mad_prefect_core.mounts import Location
from mad_prefect_core.runs import lifecycle, load_asset_manifest, publish


@pytest.fixture
def x(base: Path) -> DataAsset[..., Any]:
    @asset("x.parquet|csv", name="x")
    def x(n: int = 0) -> Any:
        return [{"n": 1}]

    return x


def lease(base: Path) -> Any:
    [file] = (base / "_asset_metadata/_leases").glob("*.json")
    return json.loads(file.read_text())


async def test_a_lease_that_could_not_be_given_up_is_not_waited_for_by_the_process_that_held_it(
    base: Path, x: DataAsset[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Location.replace

    def failing(self: Location, data: bytes, expected: str | None) -> str:
        if "/_leases/" in self.key and json.loads(data)["holder"] is None:
            raise PermissionError("read-only by now")
        return replace(self, data, expected)

    with monkeypatch.context() as patched:
        patched.setattr(Location, "replace", failing)
        await x()
    assert lease(base)["holder"] is not None
    await asyncio.wait_for(x(), 20)
    assert lease(base)["holder"] is None


async def test_a_published_run_that_can_not_be_wound_up_is_good_and_the_next_one_winds_it_up(
    base: Path, x: DataAsset[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise OSError("the disk is gone for a moment")

    with monkeypatch.context() as patched:
        patched.setattr(lifecycle, "settle", broken)
        artifact = await x()
    assert lease(base)["left"][0]["run"] == artifact.run.id
    await x()
    assert lease(base)["left"] == []
    assert [str(version.run.status) for version in await x.history()] == ["success", "success"]


async def test_what_could_not_be_deleted_is_deleted_by_a_later_run(
    base: Path, x: DataAsset[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Location) -> None:
        raise PermissionError("in use")

    for _ in range(2):
        await x()
    with monkeypatch.context() as patched:
        patched.setattr(Location, "delete", broken)
        await x()
    assert len(list(base.rglob("*.run"))) == 6
    await x()
    assert len(list(base.rglob("*.run"))) == 4, "of the current run, and of the one before it"
    assert len(list(base.rglob("fragment=*"))) == 1


async def test_what_is_kept_of_a_foreign_file_during_a_publish_never_fails_it_and_is_not_left_behind(
    base: Path, x: DataAsset[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "x.csv").write_text("of 2.x")
    delete = Location.delete

    def broken(self: Location) -> None:
        if self.key.endswith(".before.run"):
            raise PermissionError("in use")
        delete(self)

    with monkeypatch.context() as patched:
        patched.setattr(Location, "delete", broken)
        await x()
    assert (base / "x.csv").read_text() == "n\n1\n"
    assert [path.name for path in base.rglob("*.before.run")] == ["x.csv.before.run"]
    await x()
    assert not list(base.rglob("*.before.run"))


def test_what_a_killed_run_was_about_to_bring_to_the_users_path_is_swept(base: Path, x: DataAsset[..., Any]) -> None:
    script = """
        import os
        from mad_prefect_core import asset

        replace = os.replace

        def dies(source, target):
            if str(target).endswith("/x.csv"):
                os._exit(9)
            replace(source, target)

        os.replace = dies

        @asset("x.parquet|csv", name="x")
        def x(n: int = 0):
            return [{"n": 2}]

        x.call_sync()
    """
    x.call_sync()
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert killed.returncode == 9
    (base / ".x.csv.notes").write_text("somebody else's")
    staged = [path for path in base.iterdir() if path.name.startswith(".x.csv.") and path.name != ".x.csv.notes"]
    assert len(staged) == 1
    x.call_sync()
    assert not staged[0].exists()
    assert (base / ".x.csv.notes").exists()
    assert (base / "x.csv").read_text() == "n\n1\n"


async def test_a_switch_of_unknown_outcome_loses_neither_result(
    base: Path, x: DataAsset[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await x()
    replace = Location.replace

    def answer_lost(self: Location, data: bytes, expected: str | None) -> str:
        token = replace(self, data, expected)
        if self.key.endswith("manifest.json"):
            monkeypatch.setattr(publish, "read_manifest", unreachable)
            monkeypatch.setattr(publish, "change_manifest", unreachable)
            raise TimeoutError("no answer")
        return token

    def unreachable(*_: Any) -> Any:
        raise TimeoutError("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(Location, "replace", answer_lost)
        with pytest.raises(OutcomeUnknownError, match="Nothing was deleted"):
            await x()
    monkeypatch.undo()
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{base}")
    manifest = await load_asset_manifest(x.name, x.id)
    assert manifest is not None
    assert manifest.last_run is not None
    assert manifest.last_run.id != before.run.id
    for result in [*manifest.results, *before.run.results]:
        assert (base / result.file).exists()
    await x()
    assert [str(version.run.status) for version in await x.history()] == ["success"] * 3
    assert lease(base)["left"] == []


async def test_a_superseded_result_that_is_gone_is_not_listed_as_kept(base: Path, x: DataAsset[..., Any]) -> None:
    kept = x.with_options(snapshot_artifacts=True)
    runs = [(await kept()).run for _ in range(2)]
    for result in runs[0].results:
        (base / result.file).unlink()  # as a prune does that is killed before it says so
    await kept()
    await kept()
    assert {str(version.run.id): version.kept for version in await kept.history()}[runs[0].id] is False
    assert {str(version.run.id): version.kept for version in await kept.history()}[runs[1].id] is True
