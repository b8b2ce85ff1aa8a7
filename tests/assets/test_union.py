"""The union of fragments, however it is made: whole, in order, and with nothing left beside it."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mad_prefect_core import DataArtifact, asset

ROWS = 10_000


def batch(number: int, **more: Any) -> list[dict[str, Any]]:
    """Rows that tell their place."""
    first = number * ROWS
    return [{"i": i, "t": f"row {i}", "day": dt.date(2024, 1, 1 + i % 28), **more} for i in range(first, first + ROWS)]


def groups(path: Path) -> list[int]:
    """How many rows each row group of a Parquet file has."""
    about = pq.read_metadata(path)
    return [about.row_group(number).num_rows for number in range(about.num_row_groups)]


def in_order(path: Path) -> bool:
    """Whether the rows are all of a range, in order."""
    numbers = pq.read_table(path)["i"].to_pylist()
    return bool(numbers == list(range(len(numbers))))


def left_over(base: Path) -> list[str]:
    """Files under the base that are none of a finished run's."""
    names = [path.name for path in base.rglob("*") if path.is_file()]
    return [name for name in names if not (name.startswith(("fragment=", "x.")) or name.endswith((".json", ".lock")))]


@pytest.mark.parametrize("filetype", [None, "json", "parquet", "avro"])
async def test_rows_are_united_while_the_function_still_runs(base: Path, filetype: str | None) -> None:
    begun = asyncio.Event()

    @asset("x.parquet|csv", artifact_filetype=filetype)
    async def x() -> AsyncIterator[Any]:
        for number in range(30):
            yield batch(number)
            while number == 25 and not begun.is_set():  # two parts are under way by now, or done
                if sum(path.stat().st_size for path in base.rglob("*.parquet.run*")) > 100_000:
                    begun.set()
                await asyncio.sleep(0.01)

    artifact = await asyncio.wait_for(x(), 120)
    assert begun.is_set()
    assert artifact.run.rows == 30 * ROWS
    assert [result.nulls for result in artifact.run.results] == [{"i": 0, "t": 0, "day": 0}] * 2
    assert in_order(base / "x.parquet")
    assert groups(base / "x.parquet") == [12 * ROWS, 12 * ROWS, 6 * ROWS]
    assert duckdb.sql(f"FROM '{base}/x.parquet' EXCEPT FROM '{base}/x.csv'").fetchall() == []
    assert (await x.query("SELECT count(*), sum(i)")).fetchall() == [(300_000, sum(range(300_000)))]
    assert left_over(base) == []


@pytest.mark.parametrize("at", [0, 20, 29])
async def test_a_batch_that_needs_a_wider_type_has_it_in_all_rows(base: Path, at: int) -> None:
    @asset("x.parquet")
    def x() -> Iterator[Any]:
        for number in range(30):
            yield batch(number, v=1.5 if number == at else 1, **({"new": "!"} if number == at else {}))

    artifact = await x()
    assert artifact.run.results[0].columns["v"] == "DOUBLE"
    assert in_order(base / "x.parquet")
    found = await artifact.query("SELECT count(*), sum(v), count(new)")
    assert found.fetchall() == [(300_000, 300_000 + ROWS / 2, ROWS)]
    assert left_over(base) == []


async def test_text_that_looks_like_dates_in_one_part_alone_stays_text(base: Path) -> None:
    @asset("x.parquet")
    def x() -> Iterator[Any]:
        for number in range(30):
            yield [{**row, "when": "2024-01-02" if number < 20 else "soon"} for row in batch(number)]

    artifact = await x()
    assert artifact.run.results[0].columns["when"] == "VARCHAR"
    found = await artifact.query('SELECT "when", count(*) GROUP BY ALL ORDER BY ALL')
    assert found.fetchall() == [("2024-01-02", 20 * ROWS), ("soon", 10 * ROWS)]


async def test_a_run_that_fails_leaves_nothing_of_its_union(base: Path, stored: Any) -> None:
    fails = False

    @asset("x.parquet")
    def x() -> Iterator[Any]:
        for number in range(26):
            yield batch(number)
        if fails:
            raise RuntimeError("no more pages")

    await x()
    before, fails = stored(), True
    with pytest.raises(RuntimeError, match="no more pages"):
        await x()
    assert stored() == before


async def test_a_run_that_is_cancelled_leaves_nothing_of_its_union(base: Path, stored: Any) -> None:
    reached = asyncio.Event()

    @asset("x.parquet")
    async def x() -> AsyncIterator[Any]:
        for number in range(26):
            yield batch(number)
        reached.set()
        await asyncio.sleep(600)

    task = asyncio.create_task(x())
    await asyncio.wait_for(reached.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stored() == {}


async def test_frames_are_joined_as_they_were_written(base: Path) -> None:
    @asset("x.parquet")
    def x() -> Iterator[Any]:
        for number in range(3):
            yield pa.table({"i": range(number * 100_000, (number + 1) * 100_000)})

    artifact = await x()
    assert in_order(base / "x.parquet")
    assert artifact.run.rows == 300_000
    fragments = sorted(base.rglob("fragment=*"))
    assert groups(base / "x.parquet") == [size for path in fragments for size in groups(path)]
    sizes = [path.stat().st_size for path in fragments]
    whole = (base / "x.parquet").read_bytes()
    assert all(path.read_bytes()[4 : size // 2] in whole for path, size in zip(fragments, sizes, strict=True))


@pytest.mark.parametrize("filetype", ["json", "csv"])
async def test_many_small_fragments_are_one_result_in_order(base: Path, filetype: str) -> None:
    @asset("x.parquet|json", artifact_filetype=filetype)
    def x() -> Iterator[Any]:
        for number in range(150):
            yield [{"i": number, "t": None if number % 2 else "ä\n'", **({"late": 1.5} if number > 100 else {})}]

    artifact = await x()
    assert in_order(base / "x.parquet")
    assert artifact.run.results[0].nulls == {"i": 0, "t": 75, "late": 101}
    found = duckdb.sql(f"SELECT count(*), min(t), sum(late) FROM '{base}/x.json'")
    assert found.fetchall() == [(150, "ä\n'", 49 * 1.5)]


def test_what_a_killed_run_has_left_of_its_union_is_swept(base: Path) -> None:
    (base.parent / "killed.py").write_text(
        textwrap.dedent(
            f"""
            import os, signal, sys, time
            from pathlib import Path
            from mad_prefect_core import DataArtifact, asset

            @asset("x.parquet", name="x")
            def x():
                for number in range(26 if sys.argv[1:] else 2):
                    yield [{{"i": i}} for i in range(number * {ROWS}, (number + 1) * {ROWS})]
                while sys.argv[1:]:
                    if any(path.stat().st_size > 100_000 for path in Path({str(base)!r}).rglob(".*.run*")):
                        os.kill(os.getpid(), signal.SIGKILL)
                    time.sleep(0.01)

            x.call_sync()
            """
        )
    )

    def run(*arguments: str) -> int:
        command = [sys.executable, str(base.parent / "killed.py"), *arguments]
        return subprocess.run(command, check=False, timeout=120).returncode

    assert run("die") == -signal.SIGKILL
    assert left_over(base) != []
    assert run() == 0
    assert left_over(base) == []
    assert in_order(base / "x.parquet")


async def test_a_list_that_grows_while_its_rows_are_written_is_stored_as_it_was(base: Path) -> None:
    buffer: list[dict[str, int]] = []
    produced = 20_000

    async def produce() -> None:
        for i in range(produced):
            buffer.append({"i": i})
            if i % 20 == 0:
                await asyncio.sleep(0)

    @asset("x.parquet")
    async def x() -> AsyncIterator[Any]:
        producer = asyncio.create_task(produce())
        while buffer or not producer.done():
            count = len(buffer)
            if count:
                yield buffer
            del buffer[:count]
            await asyncio.sleep(0)

    await x()
    assert in_order(base / "x.parquet")
    assert len(pq.read_table(base / "x.parquet")) == produced


async def test_a_column_that_comes_late_is_one_also_where_a_folder_has_its_name(base: Path) -> None:
    @asset("x.parquet|json", artifacts_dir="raw/region=eu")
    def x() -> Iterator[Any]:
        for number in range(30):
            yield batch(number, **({"region": "us"} if number == 28 else {}))

    artifact = await x()
    assert [result.nulls["region"] for result in artifact.run.results] == [290_000, 290_000]


async def test_an_artifact_that_its_owner_writes_again_is_one_version_in_all_results(base: Path) -> None:
    @asset("x.parquet|json")
    async def x() -> AsyncIterator[Any]:
        for number in range(26):
            yield DataArtifact(f"own/{number}.json", batch(number, v="old"))
        await DataArtifact("own/0.json", batch(0, v="new")).persist()

    await x()
    query = "SELECT count_if(v = 'new'), count(*) FROM '{}'"
    found = [duckdb.sql(query.format(base / name)).fetchall() for name in ("x.parquet", "x.json")]
    assert found == [[(ROWS, 260_000)]] * 2


async def test_fragments_are_united_without_room_for_temporary_files(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(base / "nowhere"))

    @asset("x.json")
    def x() -> Iterator[Any]:
        for number in range(70):
            yield [{"i": number}]

    assert (await x()).run.rows == 70


def test_a_task_that_is_destroyed_with_its_loop_leaves_neither_files_nor_a_lease(base: Path) -> None:
    (base.parent / "destroyed.py").write_text(
        textwrap.dedent(
            f"""
            import asyncio, gc, sys, threading
            from mad_prefect_core import DataArtifact, asset

            sys.unraisablehook = lambda problem: None  # Python says of each generator that it could not be closed
            reached = threading.Event()

            @asset("x.parquet", name="x")
            async def x():
                if reached.is_set():
                    yield [{{"i": 0}}]
                    return
                for number in range(26):
                    yield [{{"i": i}} for i in range({ROWS})]
                reached.set()
                await asyncio.sleep(600)

            loop = asyncio.new_event_loop()
            task = loop.create_task(x())
            while not reached.is_set():
                loop.run_until_complete(asyncio.sleep(0.01))
            loop.close()
            del task
            gc.collect()
            print([thread.name for thread in threading.enumerate() if "union" in thread.name])
            print(x.call_sync().run.rows)
            """
        )
    )
    command = [sys.executable, str(base.parent / "destroyed.py")]
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["[]", "1"], done.stderr
    assert left_over(base) == []
