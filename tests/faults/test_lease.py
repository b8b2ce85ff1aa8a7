"""One run of an asset at a time, wherever its callers are (S13, S14, S15, S45; promise 3)."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import signal
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from forked_script import Script

from mad_prefect_core import asset
from mad_prefect_core.assets import engine
from mad_prefect_core.errors import AssetRunningError, OptionError, StorageError
from mad_prefect_core.mounts import Location
from mad_prefect_core.process import Process
from mad_prefect_core.runs import history, load_asset_manifest

SCRIPT = """
import json, os, pathlib, sys, time
from datetime import timedelta
from mad_prefect_core import asset

who, how = sys.argv[1], sys.argv[2]
log = pathlib.Path("log.txt")

def say(word):
    with log.open("a") as file:
        file.write(f"{who} {word} {time.monotonic()}\\n")

@asset("x.parquet|csv", name="x", cache_expiration=timedelta(hours=1) if "cached" in how else None)
def x(n: str = "same"):
    say("begins")
    for page in range(4):
        yield [{"who": who, "page": page}]
        if "stops" in how and page == 1:
            say("stops")
            os.kill(os.getpid(), 19)
        if "dies" in how and page == 1:
            os.kill(os.getpid(), 9)
    say("ends")

try:
    artifact = x.call_sync(who) if "arguments" in how else x.call_sync()
    print(json.dumps([str(artifact.from_cache), *sorted({r[0] for r in artifact.query_sync().fetchall()})])
          if hasattr(artifact, "query_sync") else json.dumps([str(artifact.from_cache)]))
except Exception as error:
    print(type(error).__name__, error)
    sys.exit(3)
"""

Start = Callable[..., Script]


@pytest.fixture
def start(base: Path, tmp_path: Path) -> Start:
    script = tmp_path / "runner.py"
    script.write_text(textwrap.dedent(SCRIPT))
    numbers = itertools.count()

    def started(who: str, how: str = "", seconds: float = 30) -> Script:
        environment = {**os.environ, "MAD_PREFECT_LEASE_SECONDS": str(seconds)}
        return Script(script, [who, how], environment, tmp_path / f"printed{next(numbers)}.txt")

    return started


def _ended(process: Script) -> int | None:
    output, _ = process.communicate(timeout=60)
    print(output)
    return process.returncode


def _log() -> list[list[str]]:
    path = Path("log.txt")
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def _until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


def _who(base: Path) -> tuple[set[str], set[str]]:
    connection = duckdb.connect()
    found = []
    for reader in ("read_parquet", "read_csv"):
        path = str(base / f"x.{reader[5:]}")
        rows = connection.execute(f"SELECT who, count(*) FROM {reader}($p) GROUP BY ALL", {"p": path}).fetchall()
        assert [count for _, count in rows] == [4]
        found.append({str(who) for who, _ in rows})
    return found[0], found[1]


def _lease(base: Path) -> Path:
    [lease] = (base / "_asset_metadata/_leases").glob("*.json")
    return lease


async def test_s45_five_concurrent_cached_calls_run_the_function_once_and_all_get_the_answer(base: Path) -> None:
    runs = []

    @asset("x.parquet", cache_expiration=timedelta(hours=1))
    async def x() -> Any:
        runs.append(1)
        await asyncio.sleep(0.1)
        return [{"n": len(runs)}]

    artifacts = await asyncio.gather(*(x() for _ in range(5)))
    assert runs == [1]
    assert sorted(artifact.from_cache for artifact in artifacts) == [False, True, True, True, True]
    for artifact in artifacts:
        relation = await artifact.query()
        assert relation is not None
        assert relation.fetchall() == [(1,)]


def test_s45_five_processes_that_call_a_cached_asset_run_it_once(base: Path, start: Start) -> None:
    processes = [start(str(n), "cached") for n in range(5)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 5, outputs
    assert [word for _, word, _ in _log()] == ["begins", "ends"]


@pytest.mark.parametrize("how", ["", "arguments"])
def test_s13_s15_processes_run_one_after_the_other_and_all_files_are_of_one_run(
    base: Path, start: Start, how: str
) -> None:
    for turn in range(4):
        processes = [start(f"{turn}-{n}", how) for n in range(3)]
        outputs = [process.communicate(timeout=60)[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * 3, outputs
        parquet, csv = _who(base)
        assert parquet == csv
    entries = _log()
    assert [word for _, word, _ in entries] == ["begins", "ends"] * 12
    assert [entries[i][0] for i in range(0, 24, 2)] == [entries[i][0] for i in range(1, 24, 2)]


async def test_s14_tasks_that_run_one_asset_never_overlap(base: Path) -> None:
    under_way = 0

    @asset("x.json")
    async def x(n: int) -> Any:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        for page in range(3):
            await asyncio.sleep(0.005)
            yield [{"n": n, "page": page}]
        under_way -= 1

    relations = await asyncio.gather(*(x.with_arguments(n).query("ORDER BY page") for n in range(12)))
    for n, relation in enumerate(relations):
        assert relation is not None
        assert relation.fetchall() == [(n, 0), (n, 1), (n, 2)]


async def test_on_running_fail_says_at_once_who_runs(base: Path) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @asset("x.json", on_running="fail")
    async def x() -> Any:
        begun.set()
        await go.wait()
        return [{"n": 1}]

    running = asyncio.create_task(x())
    await begun.wait()
    with pytest.raises(AssetRunningError, match=rf"under way since .* in process {os.getpid()} on .*x\.json"):
        await x()
    go.set()
    await running


@pytest.mark.parametrize("first_fails", [False, True])
async def test_on_running_reuse_takes_the_result_of_the_run_it_waited_for_unless_that_failed(
    base: Path, first_fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    begun, go, runs = asyncio.Event(), asyncio.Event(), []

    @asset("x.json", on_running="reuse")
    async def x() -> Any:
        runs.append(1)
        n = len(runs)
        begun.set()
        await go.wait()
        if first_fails and n == 1:
            raise RuntimeError("no data today")
        return [{"n": n}]

    first = asyncio.create_task(x())
    await begun.wait()
    others = [asyncio.create_task(x()) for _ in range(3)]
    await _waiting(caplog, 3)
    go.set()
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)
    assert isinstance(outcomes[0], RuntimeError) == first_fails
    assert len(runs) == (2 if first_fails else 1)
    for artifact in outcomes[1:]:
        assert not isinstance(artifact, BaseException)
        relation = await artifact.query()
        assert relation is not None
        assert relation.fetchall() == [(len(runs),)]
    await x()
    assert len(runs) == (3 if first_fails else 2), "a call that did not wait runs"


@pytest.mark.parametrize("earlier", [True, False])
async def test_on_running_reuse_takes_a_result_that_was_made_between_two_looks_at_the_lease(
    base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, earlier: bool
) -> None:
    caplog.set_level(logging.INFO)
    begun, go, runs = asyncio.Event(), asyncio.Event(), []

    @asset("x.json", on_running="reuse")
    async def x() -> Any:
        runs.append(1)
        if len(runs) == 1 and earlier:
            return [{"n": 1}]
        if not go.is_set():
            begun.set()
            await go.wait()
            raise RuntimeError("no data today")
        return [{"n": len(runs)}]

    if earlier:
        await x()
    failing = asyncio.create_task(x())
    await begun.wait()
    monkeypatch.setattr(engine, "_FIRST_DELAY", 1.5)  # s, in which a whole run comes and goes
    seldom = asyncio.create_task(x())
    await _waiting(caplog, 1)
    monkeypatch.setattr(engine, "_FIRST_DELAY", 0.01)
    often = asyncio.create_task(x())
    await _waiting(caplog, 2)
    go.set()
    with pytest.raises(RuntimeError, match="no data today"):
        await failing
    assert (await often).run.id == (await seldom).run.id
    assert len(runs) == (3 if earlier else 2)


async def test_on_running_reuse_takes_no_result_that_was_rolled_back_to_meanwhile(
    base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    begun, go, runs = asyncio.Event(), asyncio.Event(), []

    @asset("x.json", on_running="reuse", snapshot_artifacts=True)
    async def x() -> Any:
        runs.append(1)
        if len(runs) == 3:
            begun.set()
            await go.wait()
            raise RuntimeError("no data today")
        return [{"n": len(runs)}]

    first, _ = await x(), await x()
    failing = asyncio.create_task(x())
    await begun.wait()
    monkeypatch.setattr(engine, "_FIRST_DELAY", 1.5)  # s, in which a whole rollback comes and goes
    call = asyncio.create_task(x())
    await _waiting(caplog, 1)
    go.set()
    with pytest.raises(RuntimeError, match="no data today"):
        await failing
    await x.rollback(str(first.run.id))
    artifact = await call
    assert not artifact.from_cache
    assert (await artifact.query()).fetchall() == [(4,)]


async def test_on_running_reuse_takes_no_result_of_a_rollback_that_it_waited_for(
    base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    holds, go, runs = threading.Event(), threading.Event(), []

    @asset("x.json", on_running="reuse", snapshot_artifacts=True)
    async def x() -> Any:
        runs.append(1)
        return [{"n": len(runs)}]

    first, _ = await x(), await x()
    execute = history._Rollback.execute

    def slow(self: Any, *arguments: Any) -> None:
        holds.set()
        assert go.wait(30)
        execute(self, *arguments)

    monkeypatch.setattr(history._Rollback, "execute", slow)
    rollback = asyncio.create_task(x.rollback(str(first.run.id)))
    assert await asyncio.to_thread(holds.wait, 30)
    call = asyncio.create_task(x())
    await _waiting(caplog, 1)
    go.set()
    await rollback
    artifact = await call
    assert not artifact.from_cache
    assert (await artifact.query()).fetchall() == [(3,)]


async def _waiting(caplog: pytest.LogCaptureFixture, calls: int) -> None:
    while sum("waits for run" in message for message in caplog.messages) < calls:  # noqa: ASYNC110 - no event tells of a log line
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("calls", ["gold", "call_sync"])
async def test_a_call_that_blocks_the_loop_of_the_run_it_waits_for_is_told_so_instead_of_hanging(
    base: Path, calls: str
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @asset("bronze.json")
    async def bronze() -> Any:
        begun.set()
        await go.wait()
        return [{"n": 1}]

    @asset("gold.json")
    def gold() -> Any:
        return bronze.query_sync()

    running = asyncio.create_task(bronze())
    await begun.wait()
    with pytest.raises(AssetRunningError, match=r"blocked by\s+call_sync.*await the asset"):
        await gold() if calls == "gold" else bronze.call_sync()
    go.set()
    await running


@pytest.mark.parametrize("found", ["of another machine", "cut short"])
async def test_on_running_fail_and_rollback_get_past_a_holder_that_died_elsewhere(
    base: Path, start: Start, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAD_PREFECT_LEASE_SECONDS", "2")

    @asset("x.parquet|csv", name="x", on_running="fail", snapshot_artifacts=True)
    def x() -> Any:
        return [{"who": "here", "page": page} for page in range(4)]

    await x()
    await x()

    def die() -> None:
        lease = _lease(base)
        body = json.loads(lease.read_text())
        holder = body["left"][0] if body["left"] else None
        process = {"host": "h", "place": "elsewhere", "pid": 1, "born": "1"}
        body["holder"] = holder or {"run": "r", "asset_name": "x", "asset_id": x.id, "since": "2020-01-01T00:00:00Z"}
        body["holder"]["process"] = process
        lease.write_text(json.dumps(body) if found == "of another machine" else json.dumps(body)[:80])

    die()
    await asyncio.wait_for(x(), 30)
    die()
    await asyncio.wait_for(x.rollback((await x.history())[-1]), 30)


def test_a_process_of_which_the_machine_does_not_tell_is_not_taken_for_gone() -> None:
    this = Process.this()
    assert not this.is_gone()
    assert not this.model_copy(update={"born": "alive"}).is_gone()
    assert this.model_copy(update={"born": "12345"}).is_gone()
    assert not this.model_copy(update={"place": "elsewhere", "born": "12345"}).is_gone()


def test_an_on_running_that_is_none_of_them_is_refused() -> None:
    with pytest.raises(OptionError, match=r"on_running can't be 'skip'.*wait, reuse, fail"):
        asset("x.json", on_running="skip")(lambda: None)  # type: ignore[arg-type]


async def test_many_more_waiting_calls_than_threads_end_and_let_others_run(base: Path) -> None:
    @asset("x.json")
    async def x(n: int) -> Any:
        yield await other.with_arguments(n).query()

    @asset("other/{n}.json")
    async def other(n: int) -> Any:
        await asyncio.sleep(0)
        return [{"n": n}]

    await asyncio.wait_for(asyncio.gather(*(x(n) for n in range(20))), 60)


async def test_an_asset_that_calls_itself_with_the_same_arguments_is_told_so_instead_of_hanging(base: Path) -> None:
    @asset("x.json")
    async def x(n: int) -> Any:
        yield [{"n": n}]
        if n < 3:
            yield await x.with_arguments(n + 1).query()
        if n == 3:
            await x(n)

    with pytest.raises(AssetRunningError, match="calls itself"):
        await asyncio.wait_for(x(0), 30)


@pytest.mark.parametrize("between", [0, 2], ids=["each other", "round a ring"])
@pytest.mark.parametrize("sync", [False, True], ids=["tasks", "threads"])
async def test_assets_that_wait_for_each_other_are_told_so_instead_of_hanging(
    base: Path, between: int, sync: bool
) -> None:
    """Each holds its own lease when it asks for that of the next one."""
    count = 2 + between
    begun = threading.Barrier(count)
    ring: list[Any] = []

    def make(n: int) -> Any:
        @asset(f"{n}.json", name=f"ring{n}")
        async def x(caller: str = "") -> Any:
            if not caller:
                await asyncio.to_thread(begun.wait, 20)
                following = ring[(n + 1) % count].with_arguments(f"of {n}")
                yield following.query_sync() if sync else await following.query()
            yield [{"n": n}]

        return x

    ring += [make(n) for n in range(count)]

    async def call(n: int) -> Any:
        return await asyncio.to_thread(ring[n].call_sync) if sync else await ring[n]()

    found = await asyncio.wait_for(asyncio.gather(*(call(n) for n in range(count)), return_exceptions=True), 60)
    refused = [outcome for outcome in found if isinstance(outcome, BaseException)]
    assert [type(error) for error in refused] == [AssetRunningError]
    assert "waits for run" in str(refused[0])
    assert "in one direction only" in str(refused[0])


async def test_a_call_that_waits_long_for_its_own_process_says_in_the_log_what_may_be_wrong(
    base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As one from a thread that knows nothing of the run that has started it: it looks like anybody's."""
    monkeypatch.setattr(engine, "_LONG", 0.05)
    warned = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.WARNING:
                loop.call_soon_threadsafe(warned.set)

    watch = Watch()
    engine.logger.addHandler(watch)

    @asset("x.json", name="the_asset")
    async def x() -> Any:
        if not pool_calls:
            pool_calls.append(pool.submit(x.call_sync))
            await asyncio.wait_for(warned.wait(), 30)
        return [{"n": 1}]

    pool_calls: list[Any] = []
    with ThreadPoolExecutor(1) as pool:
        await x()
        await asyncio.wrap_future(pool_calls[0])
    engine.logger.removeHandler(watch)
    [said] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "'the_asset': has been waiting" in said
    assert "copy_context().run" in said


async def test_an_asset_may_call_itself_with_other_arguments(base: Path) -> None:
    @asset("x.json")
    async def x(n: int) -> Any:
        yield [{"n": n}]
        if n:
            yield await x.with_arguments(n - 1).query()

    relation = await x.with_arguments(2).query("ORDER BY n")
    assert relation is not None
    assert relation.fetchall() == [(0,), (1,), (2,)]


def test_a_holder_that_was_killed_on_this_machine_frees_the_lease_at_once_and_is_swept(
    base: Path, start: Start
) -> None:
    assert _ended(start("first")) == 0
    assert _ended(start("dead", "dies")) == -signal.SIGKILL
    assert len(list(base.rglob("fragment=*"))) == 6
    assert _ended(start("third", seconds=600)) == 0
    assert _who(base) == ({"third"}, {"third"})
    assert len(list(base.rglob("fragment=*"))) == 4
    records = [json.loads(path.read_text())["data"] for path in base.rglob("asset_run_id=*/metadata.json")]
    assert sorted(record["status"] for record in records) == ["failed", "success", "success"]


def test_a_holder_that_was_paused_past_its_deadline_can_not_publish(base: Path, start: Start) -> None:
    paused = start("paused", "stops", seconds=1)
    try:
        _until(lambda: [entry for entry in _log() if entry[1] == "stops"])
        assert _ended(start("other")) == 0
        assert _who(base) == ({"other"}, {"other"})
    finally:
        paused.send_signal(signal.SIGCONT)
    output = paused.communicate(timeout=60)[0]
    assert paused.returncode == 3
    assert "LeaseLostError" in output
    assert "Nothing was published" in output
    assert _who(base) == ({"other"}, {"other"})
    assert len(list(base.rglob("*.run"))) == 2, "the two files of the other run"


@pytest.mark.parametrize("found", ["of another machine", "cut short", "from the future"])
def test_a_lease_that_nobody_renews_is_taken_after_its_time_whatever_the_clocks_say(
    base: Path, start: Start, found: str
) -> None:
    assert _ended(start("dead", "dies", seconds=2)) == -signal.SIGKILL
    lease = _lease(base)
    body = json.loads(lease.read_text())
    if found == "of another machine":
        body["holder"]["process"]["place"] = "elsewhere"
        body["holder"]["since"] = "2199-01-01T00:00:00Z"
        lease.write_text(json.dumps(body))
    elif found == "cut short":
        lease.write_text(lease.read_text()[:100])
    else:
        lease.write_text('{"lease_version": "7", "who": "knows"}')
    begun = time.monotonic()
    assert _ended(start("next", seconds=2)) == 0
    assert time.monotonic() - begun > 2
    assert _who(base) == ({"next"}, {"next"})


async def test_a_lease_is_renewed_while_a_run_takes_longer_than_it_lasts(
    base: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAD_PREFECT_LEASE_SECONDS", "2")

    @asset("x.parquet|csv", name="x")
    async def x() -> Any:
        other = start("other")
        for page in range(4):
            yield [{"who": "slow", "page": page}]
            await asyncio.sleep(0.8)
        assert other.poll() is None
        others.append(other)

    others: list[Any] = []
    await x()
    assert _ended(others[0]) == 0
    assert _who(base) == ({"other"}, {"other"})


async def test_a_write_of_the_lease_or_manifest_whose_answer_was_lost_counts(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mad_prefect_local import LocalStore

    replace = LocalStore.replace
    lost: list[str] = []

    def losing(self: Any, path: str, data: bytes, expected: str | None) -> str:
        token = replace(self, path, data, expected)
        if path not in lost:
            lost.append(path)
            raise ConnectionResetError("the answer was lost")
        return token

    monkeypatch.setattr(LocalStore, "replace", losing)

    @asset("x.json")
    def x() -> Any:
        return [{"n": 1}]

    await x()
    assert len(lost) == 2
    manifest = await load_asset_manifest(x.name, x.id)
    assert manifest is not None
    assert manifest.last_run is not None
    relation = await x.query()
    assert relation is not None
    assert relation.fetchall() == [(1,)]


async def test_a_call_that_is_cancelled_while_it_waits_or_runs_leaves_no_lease_held(base: Path) -> None:
    begun = asyncio.Event()

    @asset("x.json")
    async def x() -> Any:
        begun.set()
        await asyncio.sleep(60)
        return [{"n": 1}]

    running, waiting = asyncio.create_task(x()), asyncio.create_task(x())
    await begun.wait()
    await asyncio.sleep(0.05)
    for task in (waiting, running):
        task.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    assert json.loads(_lease(base).read_text())["holder"] is None


async def test_a_lease_that_can_not_be_written_is_an_error_that_names_the_asset(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Location, data: bytes, expected: str | None) -> str:
        raise PermissionError("read-only")

    monkeypatch.setattr(Location, "replace", broken)

    @asset("x.json", name="the_asset")
    def x() -> Any:
        raise AssertionError("ran")

    with pytest.raises(StorageError, match="read-only") as caught:
        await x()
    assert (caught.value.asset, caught.value.phase) == ("the_asset", "lease")
