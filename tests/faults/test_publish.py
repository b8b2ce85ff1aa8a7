"""What a user would lose if publishing, sweeping and holding results went wrong."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.errors import (
    ArgumentError,
    LeaseLostError,
    OutcomeUnknownError,
    ResultGoneError,
    StorageError,
    UnsupportedDataError,
)
from mad_prefect_core.mounts import Location
from mad_prefect_core.runs import lease, load_asset_manifest, publish
from mad_prefect_core.runs.kept import read_kept
from mad_prefect_core.runs.manifest import read_manifest


def files(base: Path, pattern: str) -> list[str]:
    return sorted(path.name for path in base.rglob(pattern))


async def rows(of: Any) -> Any:
    relation = await of.query()
    return None if relation is None else relation.fetchall()


async def test_ten_callers_at_once_each_read_the_rows_of_their_own_run(base: Path) -> None:
    @asset("x.parquet")
    async def x(n: int = 0) -> Any:
        yield [{"n": 1}]
        await asyncio.sleep(0)
        yield [{"n": 2}]

    relations = await asyncio.gather(*(x.query() for _ in range(10)))
    assert [relation and relation.fetchall() for relation in relations] == [[(1,), (2,)]] * 10

    del relations
    await x()
    await x()
    assert len(files(base, "*.run")) == 2, "the current result and the one before"
    assert len(files(base, "fragment=*")) == 2


async def test_a_held_result_stays_readable_whatever_runs_come_after_it(base: Path) -> None:
    rows = iter([[{"n": 1}], [{"n": 2}], [{"n": 3}], [{"n": 4}]])

    @asset("x.parquet")
    def x() -> Any:
        return next(rows)

    held = await x()
    for _ in range(3):
        await x()
    relation = await held.query()
    assert relation is not None
    assert relation.fetchall() == [(1,)]


async def test_a_result_whose_files_are_gone_says_so_and_is_not_taken_for_no_data(base: Path) -> None:
    @asset("x.parquet")
    def x() -> Any:
        return [{"n": 1}]

    artifact = await x()
    [own] = base.rglob("*.run")
    own.unlink()
    relation = await artifact.query()  # from the user's path, which has the same bytes
    assert relation is not None
    assert relation.fetchall() == [(1,)]
    assert own.read_bytes() == (base / "x.parquet").read_bytes(), "it is made again, for the history"
    (base / "x.parquet").unlink()
    own.unlink()
    with pytest.raises(ResultGoneError, match=r"x\.parquet"):
        await artifact.query()
    assert not await artifact.exists()


@pytest.mark.parametrize("dies_in", ["_link", "settle"])
async def test_a_run_that_was_killed_after_the_switch_is_finished_by_the_next(base: Path, dies_in: str) -> None:
    (base / "killed.py").write_text(
        textwrap.dedent(
            f"""
            import os, sys
            from mad_prefect_core import asset
            import mad_prefect_core.runs.lifecycle as lifecycle
            import mad_prefect_core.runs.publish as publish

            @asset("x.parquet|csv", name="killed", snapshot_artifacts=True)
            def killed():
                if sys.argv[1] == "fail":
                    raise RuntimeError("no data today")
                return [{{"n": sys.argv[1]}}]

            if sys.argv[1] == "2":
                setattr(publish if "{dies_in}" == "_link" else lifecycle, "{dies_in}", lambda *_: os._exit(9))
            killed.call_sync()
            """
        )
    )

    def run(word: str) -> int:
        return subprocess.run(
            [sys.executable, str(base / "killed.py"), word], capture_output=True, check=False
        ).returncode

    assert [run("1"), run("2"), run("fail")] == [0, 9, 1]
    assert (base / "x.csv").read_text().split() == ["n", "2"]
    relation = await DataArtifact("x.parquet").query()
    assert relation is not None
    assert relation.fetchall() == [("2",)]
    assert len(files(base, "fragment=*")) == 2, "the history of both good runs"
    assert len(files(base, "*.run")) == 4
    [taken] = (base / "_asset_metadata/_leases").glob("*.json")
    assert json.loads(taken.read_text())["left"] == []


@pytest.mark.parametrize("name", ["manifest.json", "history.json"])
async def test_s05_a_manifest_or_history_cut_short_at_any_byte_is_healed_by_the_next_run(base: Path, name: str) -> None:
    numbers = itertools.count(1)

    @asset("x.csv", snapshot_artifacts=True)
    def x() -> Any:
        return [{"n": next(numbers)}]

    for _ in range(3):
        await x()
    [file] = base.rglob(name)
    whole = file.read_bytes()
    for length in reversed(range(len(whole))):
        os.truncate(file, length)
        manifest, token = read_manifest(x.name, x.id)
        assert token is not None
        if name == "manifest.json":
            assert manifest is None
        else:
            assert manifest is not None
            assert [run.rows for run in read_kept(manifest)] == [1]
    for n, length in enumerate(range(0, len(whole), len(whole) // 4), 4):
        file.write_bytes(whole[:length])
        assert (base / "x.csv").read_text() == f"n\n{n - 1}\n"
        assert await rows(x) == [(n,)]
        assert await rows(x.cache_first()) == [(n,)]
        assert [v.kept for v in await x.history()] == [True] * n


async def test_a_publish_that_fails_gives_back_a_file_that_no_run_had_made(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "x.csv").write_text("a\nof 2.x\n")
    link = Location.link_to

    def failing(self: Location, target: Location) -> None:
        link(self, target)
        if target.key == "x.csv" and self.key.endswith("x.csv.run"):
            monkeypatch.setattr(Location, "link_to", link)
            raise OSError("the disk is gone for a moment")

    monkeypatch.setattr(Location, "link_to", failing)

    @asset("x.csv")
    def x() -> Any:
        return [{"a": "new"}]

    with pytest.raises(OSError, match="for a moment"):
        await x()
    assert (base / "x.csv").read_text() == "a\nof 2.x\n"
    assert not files(base, "*.run")


@pytest.mark.parametrize("earlier", ["a run's", "of 2.x"])
async def test_a_run_that_loses_its_lease_between_two_paths_gives_both_back(
    base: Path, monkeypatch: pytest.MonkeyPatch, earlier: str
) -> None:
    rows = [{"a": 1}]

    @asset("x.csv|json")
    def x() -> Any:
        return rows

    if earlier == "of 2.x":
        (base / "x.csv").write_text("a\n1\n")
        (base / "x.json").write_text('{"a":1}\n')
    else:
        await x()
    link = Location.link_to

    def loses(self: Location, target: Location) -> str | None:
        token = link(self, target)
        if target.key == "x.csv" and self.key.endswith("x.csv.run"):
            monkeypatch.setattr(Location, "link_to", link)
            monkeypatch.setattr(lease, "_now", lambda: 1e12)  # as if it had been paused here
        return token

    monkeypatch.setattr(Location, "link_to", loses)
    rows = [{"a": 2}]
    with pytest.raises(LeaseLostError):
        await x()
    assert (base / "x.csv").read_text() == "a\n1\n"
    assert (base / "x.json").read_text() == '{"a":1}\n'


async def test_where_undoing_a_publish_fails_too_nothing_is_deleted(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise OSError("for good")

    monkeypatch.setattr(publish, "_link", broken)
    monkeypatch.setattr(publish, "_undo", broken)

    @asset("x.csv")
    def x() -> Any:
        return [{"a": 1}]

    with pytest.raises(OutcomeUnknownError, match="Nothing was deleted"):
        await x()
    assert files(base, "*.run") == ["x.csv.run"]
    assert len(files(base, "fragment=*")) == 1

    monkeypatch.undo()
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{base}")
    await x()
    assert (base / "x.csv").read_text() == "a\n1\n"


async def test_a_run_of_unknown_outcome_keeps_its_result_when_the_next_one_fails(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise OSError("for good")

    fails = False

    @asset("x.csv")
    def x() -> Any:
        if fails:
            raise RuntimeError("no data today")
        return [{"a": 1}]

    with monkeypatch.context() as patched:
        patched.setattr(publish, "_link", broken)
        patched.setattr(publish, "_undo", broken)
        with pytest.raises(OutcomeUnknownError):
            await x()
    fails = True
    with pytest.raises(RuntimeError, match="no data today"):
        await x()
    manifest = await load_asset_manifest(x.name, x.id)
    assert manifest is not None
    assert [result.path for result in manifest.results] == ["x.csv"]
    assert (base / "x.csv").read_text() == "a\n1\n"
    relation = await x.cache_first().query()
    assert relation is not None
    assert relation.fetchall() == [(1,)]


async def test_s41_names_that_sanitise_alike_are_two_assets(base: Path) -> None:
    @asset("x.json", name="a b", cache_expiration=timedelta(hours=1))
    def one() -> Any:
        return [{"n": 1}]

    @asset("y.json", name="a/b", cache_expiration=timedelta(hours=1))
    def other() -> Any:
        return [{"n": 2}]

    assert one.id != other.id
    for each, rows in ((one, [(1,)]), (other, [(2,)])):
        relation = await each.query()
        assert relation is not None
        assert relation.fetchall() == rows


async def test_a_path_that_is_yielded_twice_is_refused_rather_than_overwritten(base: Path) -> None:
    @asset("x.json")
    def x() -> Any:
        for n in range(2):
            yield DataArtifact("parts/one.json", [{"n": n}])

    with pytest.raises(UnsupportedDataError, match=r"same path.*parts/one\.json.*batch 1"):
        await x()


async def test_arguments_that_are_bound_are_not_passed_over_for_the_latest_result(base: Path) -> None:
    @asset("x.json")
    def x(region: str, day: int) -> Any:
        return [{"region": region}]

    await x("eu", 1)
    await x("us", 1)
    with pytest.raises(ArgumentError, match="needs day"):
        await x.with_arguments("eu").query()


async def test_a_result_path_that_is_a_folder_is_refused_before_the_function_runs(base: Path) -> None:
    (base / "x.csv").mkdir()

    @asset("x.csv")
    def x() -> Any:
        raise AssertionError("ran")

    with pytest.raises(StorageError, match=r"path is a folder.*x\.csv"):
        await x()
    assert await load_asset_manifest(x.name, x.id) is None
