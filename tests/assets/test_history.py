"""Earlier results stay readable, comparable and recoverable, and are deleted by policy alone."""

from __future__ import annotations

import datetime as dt
import gc
import itertools
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mad_prefect_core import DataAsset, Retention, asset
from mad_prefect_core.errors import (
    ArgumentError,
    AssetRunningError,
    CorruptFileError,
    ManifestError,
    OptionError,
    VersionError,
)
from mad_prefect_core.runs import AssetVersion, lifecycle, load_asset_manifest
from mad_prefect_core.runs.history import History


async def rows(of: Any, query: str | None = None) -> Any:
    relation = await of.query(query)
    return None if relation is None else relation.fetchall()


def counting(path: str, **options: Any) -> DataAsset[..., Any]:
    numbers = itertools.count(1)

    @asset(path, name="counting", **options)
    def x() -> Any:
        n = next(numbers)
        return [{"id": i, "n": n} for i in range(n)]

    return x


def results_on_disk(base: Path) -> int:
    return len(list(base.rglob("*.run")))


@pytest.mark.parametrize("suffix", ["json", "parquet", "csv"])
async def test_every_run_of_a_snapshot_asset_can_be_read_by_id_prefix_and_moment(base: Path, suffix: str) -> None:
    x = counting(f"x.{suffix}", snapshot_artifacts=True)
    for _ in range(4):
        await x()
    history = await x.history()
    assert [version.run.rows for version in history] == [4, 3, 2, 1]
    assert [version.current for version in history] == [True, False, False, False]
    assert all(version.kept for version in history)
    for version in history:
        run = version.run
        assert run.materialized is not None
        for which in (str(run.id), str(run.id)[:12], run.materialized, version):
            found = await x.at(which)
            assert (await rows(found, "ORDER BY id")) == [(i, run.rows) for i in range(run.rows or 0)]
    first = history[-1].run.materialized
    assert first is not None
    with pytest.raises(VersionError, match="no run 20"):
        await x.at(first - dt.timedelta(seconds=1))
    assert (await rows(await x.at(dt.datetime.now(dt.UTC)), "SELECT count(*)")) == [(4,)]


async def test_without_snapshots_the_history_names_all_runs_and_says_which_can_not_be_read(base: Path) -> None:
    fail = False

    @asset("x.parquet")
    def x() -> Any:
        if fail:
            raise RuntimeError("no data today")
        return [{"n": 1}]

    for fail in (False, False, False, True):
        try:
            await x()
        except RuntimeError:
            assert fail
    history = await x.history()
    assert [(str(v.run.status), v.kept) for v in history] == [
        ("failed", False),
        ("success", True),
        ("success", True),
        ("success", False),
    ]
    with pytest.raises(VersionError, match=r"not kept.*snapshot_artifacts, retention or a pin"):
        await history[-1].query()
    with pytest.raises(VersionError, match="It failed"):
        await history[0].query()


@pytest.mark.parametrize("which", ["nothing", "abc", dt.datetime(2020, 1, 1)])
async def test_a_version_that_is_not_there_is_said_with_where_to_look(base: Path, which: Any) -> None:
    x = counting("x.json")
    await x()
    with pytest.raises(VersionError, match=r"no run|time zone"):
        await x.at(which)


async def test_a_rollback_shows_the_earlier_result_at_every_path_and_is_a_run_of_its_own(base: Path) -> None:
    x = counting("x.parquet|csv|json", retention=Retention(keep_last=10), cache_expiration=dt.timedelta(hours=1))
    for _ in range(3):
        await x.with_options(cache_expiration=None)()
    before = {name: (base / name).read_bytes() for name in ("x.parquet", "x.csv", "x.json")}
    one = (await x.history())[-1]
    made = await x.rollback(one.run.materialized)
    assert made.rolled_back_to == one.run.id
    assert (base / "x.csv").read_text() == "id,n\n0,1\n"
    assert json.loads((base / "x.json").read_text()) == {"id": 0, "n": 1}
    assert [version.run.rows for version in await x.history()] == [1, 3, 2, 1]
    assert (await x()).from_cache
    assert await rows(x) == [(0, 1)]
    again = await x.rollback((await x.history())[1])
    assert again.rows == 3
    assert {name: (base / name).read_bytes() for name in before} == before
    assert (await x.rollback(str(again.id))).id == again.id, "it is current already"


async def test_a_rollback_that_fails_changes_nothing(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = counting("x.csv", snapshot_artifacts=True)
    await x()
    await x()
    first = (await x.history())[-1]

    from mad_prefect_local import LocalStore

    link = LocalStore.link

    def broken(self: Any, source: str, path: str) -> None:
        if path.endswith("/x.csv"):
            monkeypatch.setattr(LocalStore, "link", link)
            raise OSError("the disk is gone for a moment")
        link(self, source, path)

    monkeypatch.setattr(LocalStore, "link", broken)
    with pytest.raises(OSError, match="for a moment"):
        await x.rollback(first)
    assert (base / "x.csv").read_text() == "id,n\n0,2\n1,2\n"
    assert await rows(await x.at(dt.datetime.now(dt.UTC)), "SELECT count(*)") == [(2,)]
    assert results_on_disk(base) == 2
    assert [(str(v.run.status), v.current) for v in await x.history()] == [
        ("failed", False),
        ("success", True),
        ("success", False),
    ]


async def test_a_rollback_to_what_is_not_kept_or_while_a_run_is_under_way_is_refused(base: Path) -> None:
    seen: list[Any] = []

    @asset("x.json")
    async def x(roll: bool = False) -> Any:
        if roll:
            history = await x.with_arguments(False).history()
            with pytest.raises(AssetRunningError, match="under way"):
                await x.with_arguments(False).rollback(history[1])
            seen.append(1)
        return [{"n": 1}]

    for _ in range(3):
        await x(False)
    with pytest.raises(VersionError, match="not kept"):
        await x.with_arguments(False).rollback((await x.with_arguments(False).history())[-1])
    await x(True)
    assert seen


async def test_a_pinned_version_outlives_retention_until_it_is_unpinned(base: Path) -> None:
    x = counting("x.parquet", retention=Retention(keep_last=2))
    await x()
    pinned = await x.pin("good")
    assert pinned.pins == ("good",)
    for _ in range(4):
        await x()
    assert await rows(await x.at("good")) == [(0, 1)]
    assert [v.run.rows for v in await x.history() if v.kept] == [5, 4, 1]
    await x.unpin("good")
    await x()
    assert [v.run.rows for v in await x.history() if v.kept] == [6, 5]
    with pytest.raises(VersionError):
        await x.unpin("good")


async def test_a_pin_keeps_a_version_of_an_asset_without_history_and_unpinning_deletes_it(base: Path) -> None:
    x = counting("x.parquet")
    await x()
    await x.pin("audit 2026/Q3")
    for _ in range(3):
        await x()
    assert await rows(await x.at("audit 2026/Q3")) == [(0, 1)]
    assert results_on_disk(base) == 3
    await x.pin("audit 2026/Q3")
    assert results_on_disk(base) == 2, "a pin that moves lets go of what it kept"
    await x()
    await x()
    assert results_on_disk(base) == 3
    await x.unpin("audit 2026/Q3")
    assert results_on_disk(base) == 2


async def test_prune_says_what_it_would_delete_and_then_deletes_exactly_that(base: Path) -> None:
    x = counting("x.json|csv", snapshot_artifacts=True)
    for _ in range(5):
        await x()
    (base / "_artifacts/asset=counting/mine.run").write_text("mine")
    before = {path for path in base.rglob("*") if path.is_file()}
    planned = await x.prune(Retention(keep_last=3), dry_run=True)
    assert {path for path in base.rglob("*") if path.is_file()} == before
    assert [entry.run.rows for entry in planned] == [1, 2]
    assert all(len(entry.files) == 3 for entry in planned), "two results and a fragment"
    assert [entry.size for entry in planned] == [
        sum((base / file).stat().st_size for file in entry.files) for entry in planned
    ]
    assert await x.prune(Retention(keep_last=3)) == planned
    gone = {path.relative_to(base).as_posix() for path in before if not path.exists()}
    assert gone == {file for entry in planned for file in entry.files}
    assert [(v.run.rows, v.kept) for v in await x.history()] == [
        (5, True),
        (4, True),
        (3, True),
        (2, False),
        (1, False),
    ]
    assert await x.prune(Retention(keep_last=3)) == []


async def test_prune_without_a_policy_is_refused(base: Path) -> None:
    x = counting("x.json")
    await x()
    with pytest.raises(OptionError, match="no retention"):
        await x.prune()
    with pytest.raises(ValueError, match="at least one rule"):
        Retention()


async def test_a_version_that_somebody_reads_is_not_pruned_under_him(base: Path) -> None:
    x = counting("x.parquet", snapshot_artifacts=True)
    for _ in range(4):
        await x()
    held = await (await x.history())[-1].query()
    assert held is not None
    await x.prune(Retention(keep_last=1))
    assert held.fetchall() == [(0, 1)]


@pytest.mark.parametrize("damage", ["cut", "gone", "garbage"])
async def test_a_lost_history_file_is_made_anew_from_the_run_records(base: Path, damage: str) -> None:
    x = counting("x.parquet", snapshot_artifacts=True)
    for _ in range(4):
        await x()
    [file] = base.rglob("history.json")
    if damage == "gone":
        file.unlink()
    else:
        file.write_text(file.read_text()[:50] if damage == "cut" else '{"history_version": "many"}')
    assert [v.kept for v in await x.history()] == [True] * 4
    await x()
    assert [v.run.rows for v in await x.history() if v.kept] == [5, 4, 3, 2, 1]


async def test_a_history_of_a_later_release_is_refused_and_left_alone(base: Path) -> None:
    x = counting("x.parquet", snapshot_artifacts=True)
    for _ in range(3):
        await x()
    [file] = base.rglob("history.json")
    file.write_text('{"history_version": "8"}')
    with pytest.raises(ManifestError, match=r"version 8.*Update"):
        await x.history()
    assert file.read_text() == '{"history_version": "8"}'


async def test_a_lost_manifest_loses_no_history_and_no_pin(base: Path) -> None:
    x = counting("x.parquet", retention=Retention(keep_last=2))
    await x()
    await x.pin("audited")
    for _ in range(3):
        await x()
    [manifest] = base.rglob("manifest.json")
    manifest.write_text(manifest.read_text()[:100])
    await x()
    assert await rows(await x.at("audited")) == [(0, 1)]
    assert [v.run.rows for v in await x.history() if v.kept] == [5, 4, 1]
    await x()
    assert [v.run.rows for v in await x.history() if v.kept] == [6, 5, 1]
    assert results_on_disk(base) == 3


async def test_what_was_pinned_meanwhile_is_not_pruned(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = counting("x.parquet", snapshot_artifacts=True)
    for _ in range(4):
        await x()
    planned = History._to_prune

    def then_pinned(self: History, retention: Retention) -> Any:
        found = planned(self, retention)
        monkeypatch.setattr(History, "_to_prune", planned)
        self.pin("audited", str(found[0].run.id))
        return found

    monkeypatch.setattr(History, "_to_prune", then_pinned)
    pruned = await x.prune(Retention(keep_last=1))
    assert [entry.run.rows for entry in pruned] == [2]
    assert await rows(await x.at("audited")) == [(0, 1)]


@pytest.mark.parametrize("name", ["", "2026-11-22", "0123456789abcdef0123456789abcdef"])
async def test_a_pin_that_reads_as_something_else_is_refused(base: Path, name: str) -> None:
    x = counting("x.json")
    await x()
    with pytest.raises(VersionError, match="can't be named"):
        await x.pin(name)


async def test_a_rollback_to_bytes_that_have_changed_is_refused(base: Path) -> None:
    x = counting("x.csv", snapshot_artifacts=True)
    for _ in range(3):
        await x()
    first = (await x.history())[-1]
    file = base / first.run.results[0].file
    file.write_bytes(file.read_bytes().replace(b"1", b"7"))
    with pytest.raises(CorruptFileError, match="not what it wrote"):
        await x.rollback(first)
    assert [v.current for v in await x.history() if v.run.rows == 3] == [True]


async def test_retention_and_expiration_may_mean_for_ever(base: Path) -> None:
    x = counting("x.csv", retention=Retention(max_age=dt.timedelta(days=999999)), cache_expiration=dt.timedelta.max)
    await x()
    assert (await x()).from_cache
    told = await x.explain()
    assert (told.hit, told.expires) == (True, None)


async def test_what_changes_a_history_needs_all_arguments(base: Path) -> None:
    @asset("x.json")
    def x(n: int) -> Any:
        return [{"n": n}]

    await x(1)
    for change in (x.prune(Retention(keep_last=1)), x.pin("a"), x.unpin("a"), x.rollback("abcd")):
        with pytest.raises(ArgumentError, match="needs n"):
            await change


async def test_reading_the_past_needs_no_options_of_today(base: Path) -> None:
    from mad_prefect_csv import WriteCSVOptions

    x = counting("x.csv", snapshot_artifacts=True, write_options=WriteCSVOptions(delim=";"))
    await x()
    y = x.with_options(write_options=WriteCSVOptions(delim="|"))
    await y()
    assert [await rows(v) for v in await y.history()] == [[(0, 2), (1, 2)], [(0, 1)]]


async def test_an_asset_without_bound_arguments_has_the_history_of_its_latest_result(base: Path) -> None:
    @asset("x.json")
    def x(n: int) -> Any:
        return [{"n": n}]

    await x(1)
    await x(2)
    assert [await rows(v) for v in await x.history()] == [[(2,)]]
    assert [await rows(v) for v in await x.with_arguments(1).history()] == [[(1,)]]


async def test_one_run_is_found_by_its_id_without_reading_the_records_of_others(base: Path) -> None:
    x = counting("x.parquet", snapshot_artifacts=True)
    for _ in range(3):
        await x()
    first = (await x.history())[-1]
    for record in base.rglob("asset_run_id=*/metadata.json"):
        if str(first.run.id) not in str(record):
            record.unlink()
            record.mkdir()  # whoever reads it now finds no record
    assert await rows(await x.at(str(first.run.id))) == [(0, 1)]
    with pytest.raises(VersionError, match=f"no run {'0' * 32}"):
        await x.at("0" * 32)
    assert [version.run.id for version in await x.history()] == [first.run.id]


async def test_a_version_whose_files_were_deleted_says_so_and_can_be_pruned(base: Path) -> None:
    x = counting("x.parquet|csv", snapshot_artifacts=True)
    for _ in range(4):
        await x()
    first, *_, current = reversed(await x.history())
    (base / first.run.results[0].file).unlink()
    for use in (first.query(), x.diff(first), x.rollback(first)):
        with pytest.raises(VersionError, match=r"is gone.*prune again"):
            await use
    await x.prune(Retention(keep_last=2))
    assert [v.kept for v in await x.history()] == [True, True, False, False]
    (base / current.run.results[0].file).unlink()
    assert await rows(current, "SELECT count(*)") == [(4,)], "its path has the same bytes"


@pytest.mark.parametrize("suffix", ["csv", "json"])
async def test_the_past_is_read_with_the_users_limits_as_the_present_is(base: Path, suffix: str) -> None:
    from mad_prefect_csv import ReadCSVOptions
    from mad_prefect_json import ReadJsonOptions

    pages = iter([[{"n": 1, "text": "x" * 40_000_000}], [{"n": 1, "text": "short"}]])
    limits = [ReadCSVOptions(max_line_size=1 << 26), ReadJsonOptions(maximum_object_size=1 << 27)]

    @asset(f"x.{suffix}", artifact_filetype="parquet", snapshot_artifacts=True, read_options=limits)
    def x() -> Any:
        return next(pages)

    await x()
    await x()
    first = (await x.history())[-1]
    assert await rows(await x.at(first), "SELECT length(text) FROM data") == [(40_000_000,)]
    assert (await x.diff(first, key="n")).counts() == {"added": 0, "removed": 0, "changed": 1}


async def test_a_clock_that_was_set_back_does_not_change_which_version_is_the_newest(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Behind(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return dt.datetime.now(tz) - dt.timedelta(hours=1)

    x = counting("x.parquet", retention=Retention(keep_last=10))
    for _ in range(3):
        await x()
    monkeypatch.setattr(lifecycle, "dt", SimpleNamespace(datetime=Behind, UTC=dt.UTC))
    await x()
    history = await x.history()
    assert [(v.run.rows, v.current) for v in history] == [(4, True), (3, False), (2, False), (1, False)]
    assert history[0].run.materialized < history[-1].run.materialized  # type: ignore[operator]
    assert await rows(await x.at(dt.datetime.now(dt.UTC)), "SELECT count(*)") == [(4,)]
    await x.rollback(history[1])
    assert [v.run.rows for v in await x.history() if v.current] == [3]
    assert await rows(await x.at(dt.datetime.now(dt.UTC)), "SELECT count(*)") == [(3,)]


async def test_a_version_that_was_read_when_it_was_unpinned_is_let_go_of_by_a_later_run(base: Path) -> None:
    x = counting("x.parquet")
    await x()
    pinned = await x.pin("audited")
    for _ in range(3):
        await x()
    held = await pinned.query()
    assert held is not None
    await x.unpin("audited")
    await x()
    assert held.fetchall() == [(0, 1)]
    assert results_on_disk(base) == 3
    del held, pinned
    gc.collect()
    await x()
    assert results_on_disk(base) == 2
    assert [v.run.rows for v in await x.history() if v.kept] == [6, 5]


# -- differences ----------------------------------------------------------------------------------------------------


async def versions(path: str, *contents: Any) -> list[AssetVersion]:
    pages = iter(contents)

    @asset(path, name="compared", snapshot_artifacts=True)
    def x() -> Any:
        return next(pages)

    for _ in contents:
        await x()
    return list(reversed(await x.history()))


async def compare(path: str, before: Any, after: Any, key: Any = None) -> Any:
    old, new = await versions(path, before, after)

    @asset(path, name="compared")
    def x() -> Any: ...

    return await x.diff(old, new, key=key)


@pytest.mark.parametrize("suffix", ["json", "parquet", "csv"])
async def test_a_diff_by_key_has_the_rows_added_removed_and_changed(base: Path, suffix: str) -> None:
    before = [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 3, "v": None}]
    after = [{"id": 2, "v": "B"}, {"id": 3, "v": None}, {"id": 4, "v": "d"}]
    found = await compare(f"x.{suffix}", before, after, key="id")
    assert found.added.fetchall() == [(4, "d")]
    assert found.removed.fetchall() == [(1, "a")]
    assert found.changed.fetchall() == [(2, {"v": "b"}, {"v": "B"})]
    assert found.counts() == {"added": 1, "removed": 1, "changed": 1}


async def test_a_diff_without_a_key_counts_equal_rows(base: Path) -> None:
    found = await compare("x.parquet", [{"n": 1}] * 3 + [{"n": 2}], [{"n": 1}] + [{"n": 3}] * 2)
    assert sorted(found.removed.fetchall()) == [(1,), (1,), (2,)]
    assert found.added.fetchall() == [(3,), (3,)]
    assert found.changed is None


async def test_a_diff_says_which_columns_came_went_and_changed_type(base: Path) -> None:
    before = [{"id": 1, "gone": 1, "kind": 5, "same": "x"}]
    after = [{"id": 1, "new": True, "kind": "5", "same": "x"}]
    found = await compare("x.parquet", before, after, key=["id"])
    assert found.columns_added == {"new": "BOOLEAN"}
    assert found.columns_removed == {"gone": "BIGINT"}
    assert found.columns_changed == {"kind": ("BIGINT", "VARCHAR")}
    assert found.changed.fetchall() == [
        (1, {"gone": 1, "kind": 5, "same": "x"}, {"new": True, "kind": "5", "same": "x"})
    ]


@pytest.mark.parametrize("name", ["a", "data", "before", "_a", "_row", 'q"uote', "se;lect", "r n"])
async def test_columns_of_any_name_are_compared(base: Path, name: str) -> None:
    found = await compare("x.parquet", [{name: 1, "k": 1}], [{name: 2, "k": 1}], key="k")
    assert found.counts() == {"added": 0, "removed": 0, "changed": 1}
    assert (await compare("y.parquet", [{name: 1}], [{name: 2}], key=name)).counts() == {
        "added": 1,
        "removed": 1,
        "changed": 0,
    }
    assert (await compare("z.parquet", [{name: 1}], [{name: 2}])).counts() == {"added": 1, "removed": 1}


async def test_a_key_that_is_not_unique_or_not_there_is_refused(base: Path) -> None:
    with pytest.raises(VersionError, match=r"not unique.*\(1,\)"):
        await compare("x.parquet", [{"id": 1}, {"id": 1}], [{"id": 1}], key="id")
    with pytest.raises(VersionError, match=r"key nope is not a column of both.*id"):
        await compare("y.parquet", [{"id": 1}], [{"id": 1}], key="nope")


_ROWS = st.lists(
    st.fixed_dictionaries({"a": st.sampled_from([None, 0, 1]), "b": st.sampled_from([None, "", "x", "NULL"])})
)


@settings(max_examples=15)
@given(before=_ROWS, after=_ROWS)
def test_the_differences_taken_together_make_one_version_of_the_other(
    tmp_path_factory: pytest.TempPathFactory, before: Any, after: Any
) -> None:
    import asyncio

    from mad_prefect_core import Settings, use_settings

    folder = tmp_path_factory.mktemp("diff")
    schema = [{"a": 9, "b": "of type"}]
    with use_settings(Settings(filesystem_url=f"file://{folder}")):
        found = asyncio.run(compare("x.parquet", before + schema, after + schema))
        removed, added = (side.project("a, b").fetchall() for side in (found.removed, found.added))
    left = [(row["a"], row["b"]) for row in before]
    for row in removed:
        left.remove(row)
    assert sorted(map(repr, left + added)) == sorted(repr((row["a"], row["b"])) for row in after)
    assert not {*removed} & {*added}
    shutil.rmtree(folder)


# -- retention ------------------------------------------------------------------------------------------------------

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def ages(*days: float) -> list[tuple[str, dt.datetime]]:
    return [(str(day), NOW - dt.timedelta(days=day)) for day in days]


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ({"keep_last": 2}, {"0", "0.1"}),
        ({"keep_daily": 2}, {"0", "1"}),
        ({"keep_weekly": 2}, {"0", "6.9"}),
        ({"keep_monthly": 2}, {"0", "23"}),
        ({"keep_last": 1, "keep_monthly": 3}, {"0", "23", "60"}),
        ({"max_age": dt.timedelta(days=2)}, {"0", "0.1", "1", "1.1"}),
        ({"max_age": dt.timedelta(days=30), "keep_monthly": 3}, {"0", "23"}),
    ],
)
def test_a_retention_keeps_what_its_rules_say(rules: Any, kept: set[str]) -> None:
    runs = ages(0, 0.1, 1, 1.1, 6.9, 7.1, 23, 60, 400)
    assert Retention(**rules).kept(runs, NOW) == kept


@given(
    days=st.lists(st.floats(0, 1000), max_size=30, unique=True),
    last=st.integers(1, 10),
    daily=st.none() | st.integers(1, 10),
)
def test_a_retention_that_wants_more_never_keeps_less(days: list[float], last: int, daily: int | None) -> None:
    runs = ages(*days)
    some = Retention(keep_last=last).kept(runs, NOW)
    more = Retention(keep_last=last + 1, keep_daily=daily).kept(runs, NOW)
    assert some <= more
    assert len(some) == min(last, len(runs))


async def test_a_retention_is_applied_by_each_run_and_touches_no_foreign_file(base: Path) -> None:
    x = counting("x.parquet", retention=Retention(keep_last=3))
    for _ in range(6):
        await x()
        for folder in {path.parent for path in base.rglob("*.run")}:
            (folder / "foreign.txt").write_text("mine")
    assert results_on_disk(base) == 3
    assert len(list(base.rglob("foreign.txt"))) == 6
    manifest = await load_asset_manifest(x.name, x.id)
    assert manifest is not None
    assert len(manifest.superseded) == 1


@pytest.mark.parametrize("last", [2, 3, 5])
async def test_as_many_versions_are_kept_as_the_retention_says(base: Path, last: int) -> None:
    x = counting("x.parquet", retention=Retention(keep_last=last))
    for _ in range(last + 4):
        await x()
        kept = [version for version in await x.history() if version.kept]
    assert len(kept) == last
