"""A failed run leaves what was there, and the next one recovers unaided (S06, S19, S22–S24; promises 1, 2, 7)."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.errors import DataError, NoResultError, SchemaError, StorageError

Stored = Callable[[], dict[str, bytes]]


class Broken(Exception):
    pass


def _records(base: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text())["data"] for path in base.rglob("asset_run_id=*/metadata.json")]
    return sorted(found, key=lambda record: record["runtime"])


@pytest.mark.parametrize("fragments", ["json", "parquet", "csv"])
@pytest.mark.parametrize("after", [0, 1, 3])
async def test_s06_a_raise_after_batch_k_leaves_the_last_good_result_and_is_recorded(
    base: Path, stored: Stored, after: int, fragments: str
) -> None:
    broken = False

    @asset("x.json|parquet", artifact_filetype=fragments)
    async def x() -> Any:
        for n in range(5):
            if broken and n == after:
                raise Broken("no more pages")
            yield [{"n": n}]

    await x()
    before, broken = stored(), True
    with pytest.raises(Broken) as caught:
        await x()
    note = " ".join(caught.value.__notes__)
    assert x.name in note
    assert "'x.json'" in note
    assert "phase 'collect'" in note
    assert stored() == before
    record = _records(base)[-1]
    assert (record["status"], record["phase"]) == ("failed", "collect")
    assert "no more pages" in record["error"]
    broken = False
    assert (await x.query()).fetchall() == [(n,) for n in range(5)]


@pytest.mark.parametrize("kind", ["function", "generator", "coroutine"])
async def test_the_note_on_a_users_error_names_asset_path_and_phase_whatever_the_function_is(
    base: Path, kind: str
) -> None:
    if kind == "function":

        def fn() -> Any:
            raise Broken

    elif kind == "generator":

        def fn() -> Any:
            yield [{"a": 1}]
            raise Broken

    else:

        async def fn() -> Any:
            raise Broken

    x = asset("x.json", name="the_asset")(fn)
    with pytest.raises(Broken) as caught:
        await x()
    note = " ".join(caught.value.__notes__)
    assert "the_asset" in note
    assert "x.json" in note
    assert "phase 'collect'" in note


async def test_s07_batches_that_can_not_be_unified_leave_the_last_good_result(base: Path, stored: Stored) -> None:
    second: Any = 2

    @asset("x.parquet|csv")
    def x() -> Any:
        yield [{"a": 1}]
        yield [{"a": second}]

    await x()
    before = stored()
    for second in ("text", [1], {"b": 1}, Decimal("1E-38"), dt.date(2020, 1, 1)):  # noqa: B007  the asset yields it
        with pytest.raises(SchemaError) as caught:
            await x()
        assert caught.value.column == "a"
        assert caught.value.asset == x.name
        assert caught.value.batch == 1
        assert stored() == before
        assert _records(base)[-1]["phase"] in ("collect", "union")


async def test_s09_a_result_that_one_of_the_formats_can_not_hold_changes_none_of_them(
    base: Path, stored: Stored
) -> None:
    value: Any = dt.timedelta(seconds=1)

    @asset("x.json|parquet|csv")
    def x() -> Any:
        return [{"v": value}]

    await x()
    before, value = stored(), dt.timedelta(microseconds=-1)
    with pytest.raises(DataError) as caught:
        await x()
    assert caught.value.column == "v"
    assert caught.value.path == "x.parquet"
    assert stored() == before


@pytest.mark.parametrize("phase", ["collect", "union", "publish"])
async def test_a_full_disk_in_any_phase_leaves_the_last_good_result(
    base: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    n = 1

    @asset("x.parquet|csv")
    def x() -> Any:
        return [{"n": n}]

    await x()
    before, n = stored(), 2

    from mad_prefect_local import LocalStore

    real_publish, real_link = LocalStore.publish, LocalStore.link

    def publish(self: Any, staged: Path, path: str, **more: Any) -> None:
        if ("fragment=" in path and phase == "collect") or (path.endswith("x.csv.run") and phase == "union"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real_publish(self, staged, path, **more)

    def link(self: Any, source: str, path: str) -> None:
        if path.endswith("/x.csv") and phase == "publish" and n == 2:
            monkeypatch.undo()  # what undoes it works again
            monkeypatch.setenv("FILESYSTEM_URL", f"file://{base}")
            raise OSError(errno.ENOSPC, "No space left on device")
        real_link(self, source, path)

    monkeypatch.setattr(LocalStore, "publish", publish)
    monkeypatch.setattr(LocalStore, "link", link)
    with pytest.raises(OSError, match="No space left"):
        await x()
    monkeypatch.setattr(LocalStore, "publish", real_publish)
    monkeypatch.setattr(LocalStore, "link", real_link)
    after = stored()
    for name in ("x.parquet", "x.csv"):
        assert after[name] == before[name]
    assert after.keys() == before.keys()
    assert (await DataArtifact("x.csv").query()).fetchall() == [(1,)]
    assert (await x.cache_first().query()).fetchall() == [(1,)]
    assert (await x.query()).fetchall() == [(2,)]


@pytest.mark.parametrize("pages", [0, 1, 3])
async def test_s10_a_cancelled_run_leaves_the_last_good_result(base: Path, stored: Stored, pages: int) -> None:
    slow = False

    @asset("x.json")
    async def x() -> Any:
        for n in range(4):
            if slow and n == pages:
                await asyncio.sleep(60)
            yield [{"n": n}]

    await x()
    before, slow = stored(), True
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(x(), 0.3)
    assert stored() == before
    assert _records(base)[-1]["status"] == "failed"
    slow = False
    assert len((await x.query()).fetchall()) == 4


async def test_s19_a_reader_that_polls_never_sees_a_partial_result_while_a_writer_overwrites_it(base: Path) -> None:
    size = 2000

    @asset("x.json|parquet|csv")
    def x(n: int) -> Any:
        return [{"n": n, "i": i} for i in range(size)]

    await x(0)
    done = asyncio.Event()
    seen: list[tuple[int, int]] = []

    def look() -> None:
        connection = duckdb.connect()
        for reader in ("read_json", "read_parquet", "read_csv"):
            path = str(base / f"x.{reader[5:]}")
            seen.append(
                connection.sql(f"SELECT count(*), count(DISTINCT n) FROM {reader}($p)", params={"p": path}).fetchall()[
                    0
                ]
            )

    async def read() -> None:
        while not done.is_set():
            await asyncio.to_thread(look)

    reading = asyncio.create_task(read())
    for n in range(8):
        await x(n)
    done.set()
    await reading
    assert len(seen) >= 3
    assert set(seen) == {(size, 1)}


async def test_nothing_that_a_reader_of_a_suffix_would_match_appears_before_the_result(base: Path) -> None:
    seen: set[str] = set()

    @asset("out/x.parquet", artifacts_dir="raw")
    def x() -> Any:
        yield [{"a": 1}]
        seen.update(str(p.relative_to(base)) for p in (base / "out").rglob("*.parquet"))
        yield [{"a": 2}]

    await x()
    assert not seen
    assert [p.name for p in (base / "out").rglob("*.parquet")] == ["x.parquet"]


# -- empty runs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["json", "parquet", "csv"])
@pytest.mark.parametrize("empty", ["nothing", "empty list", "generator"])
async def test_s22_an_empty_run_replaces_the_result_and_keeps_its_columns(base: Path, suffix: str, empty: str) -> None:
    good = True

    @asset(f"x.{suffix}|parquet" if suffix != "parquet" else "x.parquet")
    def x() -> Any:
        if good:
            return [{"a": 1, "d": dt.date(2020, 1, 1)}]
        return {"nothing": None, "empty list": [], "generator": (row for row in ())}[empty]

    await x()
    good = False
    direct = await x.query()
    assert direct is not None
    cached = await x.cache_first().query()
    assert cached is not None
    for relation in (direct, cached):
        assert (relation.columns, [str(t) for t in relation.types]) == (["a", "d"], ["BIGINT", "DATE"])
        assert relation.fetchall() == []

    @asset("down.json", name="down")
    async def down() -> Any:
        return x.cache_first()

    downstream = await down.query()
    assert downstream is not None
    assert downstream.fetchall() == []
    assert downstream.columns == ["a", "d"]
    good = True
    assert len((await x.query()).fetchall()) == 1


async def test_s23_an_empty_result_is_a_cache_hit(base: Path) -> None:
    runs = []

    @asset("x.json", cache_expiration=dt.timedelta(hours=1))
    def x() -> Any:
        runs.append(1)
        return []

    await x()
    await x()
    with pytest.raises(NoResultError):
        await x.query()
    assert len(runs) == 1


@pytest.mark.parametrize("place", ["first", "middle", "last", "all between"])
async def test_s24_an_empty_page_ends_nothing(base: Path, place: str) -> None:
    pages: dict[str, list[Any]] = {
        "first": [[], [1], [2]],
        "middle": [[1], [], [2]],
        "last": [[1], [2], []],
        "all between": [[], None, [1], [], None, [2], []],
    }

    @asset("x.parquet")
    async def x() -> Any:
        def inner() -> Any:
            for page in pages[place]:
                yield page and [{"n": n} for n in page]

        yield inner()

    assert (await x.query()).fetchall() == [(1,), (2,)]


async def test_an_empty_frame_is_a_typed_empty_result(base: Path) -> None:
    import pyarrow as pa

    @asset("x.parquet|csv|json")
    def x() -> Any:
        return pa.table({"a": pa.array([], pa.int16()), "t": pa.array([], pa.timestamp("us"))})

    relation = await x.query()
    assert relation is not None
    assert (relation.columns, [str(t) for t in relation.types], relation.fetchall()) == (
        ["a", "t"],
        ["SMALLINT", "TIMESTAMP"],
        [],
    )


async def test_rows_without_a_column_are_an_error_and_not_a_silence(base: Path) -> None:
    @asset("x.json")
    def x() -> Any:
        return [{}, {}]

    with pytest.raises(DataError, match="column"):
        await x()


async def test_a_base_that_can_not_be_written_is_an_error_that_names_it(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "file").write_text("in the way")
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{base}/file")

    @asset("x.json")
    def x() -> Any:
        return [{"a": 1}]

    with pytest.raises((StorageError, OSError)) as caught:
        await x()
    text = str(caught.value) + "".join(getattr(caught.value, "__notes__", ()))
    assert x.name in text
    assert "file" in text
    assert (base / "file").read_text() == "in the way"
    assert os.listdir(base) == ["file"]


# -- what is not ours ---------------------------------------------------------------------------------------------


async def test_foreign_files_anywhere_are_never_touched(base: Path) -> None:
    fail = False

    @asset("out/x.parquet|json", artifacts_dir="lake/raw")
    def x(n: int) -> Any:
        yield [{"n": n}]
        if fail:
            raise Broken

    await x(0)
    folders = {path.parent for path in base.rglob("*") if path.is_file()} | {base / "lake", base / "out/_artifacts"}
    planted = {}
    for folder in folders:
        for name in ("mine.parquet", "fragment=0.csv.bak", "notes.txt", ".hidden", "fragment.json"):
            file = folder / name
            file.write_bytes(b"mine")
            planted[file] = b"mine"
    for n in range(3):
        await x(n)
    fail = True
    with pytest.raises(Broken):
        await x(0)
    fail = False
    await x(0)
    assert {file: file.read_bytes() for file in planted if file.exists()} == planted


@pytest.mark.parametrize("folder", [".", "/", "lake", "./lake/", "lake/raw"])
async def test_s36_a_folder_of_fragments_with_foreign_files_keeps_them(base: Path, folder: str) -> None:
    (base / "lake/raw").mkdir(parents=True)
    foreign = [base / "a.json", base / "lake/b.parquet", base / "lake/raw/fragment=0.json", base / "lake/raw/c.csv"]
    for file in foreign:
        file.write_text('{"foreign": true}')

    @asset("out/x.json", artifacts_dir=folder)
    def x() -> Any:
        return [{"a": 1}]

    for _ in range(3):
        assert (await x.query()).fetchall() == [(1,)]
    assert [file.read_text() for file in foreign] == ['{"foreign": true}'] * 4


@pytest.mark.parametrize("folder", ["..", "../..", "a/../../b", "../base2"])
async def test_s36_a_folder_of_fragments_above_the_base_is_refused_before_anything_is_written(
    base: Path, folder: str
) -> None:
    ran = []

    def x() -> Any:
        ran.append(1)
        return [{"a": 1}]

    async def defined_and_called() -> None:
        await asset("x.json", artifacts_dir=folder)(x)()

    with pytest.raises(ValueError, match=r"\.\."):
        await defined_and_called()
    assert not ran
    assert list(base.iterdir()) == []


async def test_the_fragments_of_superseded_and_failed_runs_are_swept(base: Path) -> None:
    fail = False

    @asset("x.parquet", artifacts_dir="raw")
    def x() -> Any:
        yield [{"a": 1}]
        if fail:
            raise Broken

    for n in range(6):
        fail = n in (2, 4)
        try:
            await x()
        except Broken:
            assert fail
    assert len(list((base / "raw").rglob("fragment=*"))) == 1
    assert len(list(base.rglob("*.run"))) == 2  # that of the current run, and of the one before it for who reads it
    assert not list(base.rglob("*.tmp*"))
