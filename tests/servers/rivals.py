"""Processes and threads that run, read and overwrite assets on one object store at once (S13-S16, S18-S21).

`MAD_PREFECT_FAULTS=long` tries it as often as it takes to be sure.
"""

from __future__ import annotations

import asyncio
import faulthandler
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from racing import PAGES, WRITERS, Log, rival

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.errors import ResultGoneError

CLIENTS = [f"mad_prefect_{name}.client" for name in ("s3", "gcs", "azure")]
LONG = os.environ.get("MAD_PREFECT_FAULTS") == "long"


class Trials:
    """How often something was tried, and what went wrong."""

    def __init__(self) -> None:
        self.count = 0
        self.violations: list[str] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        """A trial. Assertions that fail in the block are its violations."""
        self.count += 1
        try:
            yield
        except AssertionError as error:
            self.violations.append(f"trial {self.count}: {error}")

    def hold(self) -> None:
        """To be called at the end."""
        assert self.count
        assert not self.violations, "\n".join(self.violations)


class Processes:
    """Processes beside this one, on the same base."""

    def __init__(self, modules: Sequence[str]) -> None:
        script = Path(__file__).with_name("racing.py")
        command = [sys.executable, str(script), *modules]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def at_once(self, how: str, values: list[int], log: Path) -> list[dict[str, Any]]:
        """What each says that does `how`, one for each value. A process that hangs fails the test."""
        assert self._process.stdin
        assert self._process.stdout
        watch = threading.Timer(120, self._process.kill)
        watch.start()
        try:
            job = {"how": how, "values": values, "log": str(log), "environment": dict(os.environ)}
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        assert line, "the processes hang, or the one that forks has died"
        found: list[dict[str, Any]] = json.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def shown(bucket: Any) -> int:
    """The value at both of the user's paths. Fails where they are not whole, or not of one run."""
    rows = pq.read_table(io.BytesIO(bucket.get("lake/x.parquet"))).to_pylist()
    lines = [line.split(",") for line in bucket.get("lake/x.csv").decode().splitlines()]
    assert lines == [["n", "page"], *([str(row["n"]), str(row["page"])] for row in rows)]
    assert [row["page"] for row in rows] == list(range(PAGES))
    assert len({row["n"] for row in rows}) == 1
    return int(rows[0]["n"])


def runs_of(log: Log) -> list[int]:
    """The values of the runs since this was asked last, in order. Fails if one began before the last had ended."""
    lines = [(value, word) for value, word in log.lines() if word != "failed"]
    log.clear()
    begun, ended = ([value for value, word in lines if word == wanted] for wanted in ("begins", "ends"))
    assert [word for _, word in lines] == ["begins", "ends"] * len(begun)
    assert begun == ended
    return begun


def pairs(suffix: str, data: bytes) -> list[tuple[int, int]]:
    """The rows of a file, read without DuckDB."""
    if suffix == "csv":
        return [(int(n), int(row)) for n, row in (line.split(b",") for line in data.splitlines()[1:])]
    rows = pq.read_table(io.BytesIO(data)).to_pylist() if suffix == "parquet" else map(json.loads, data.splitlines())
    return [(row["n"], row["row"]) for row in rows]


@pytest.mark.faults
class RivalTests:
    """To be inherited."""

    @pytest.fixture
    def lake(self) -> Any:
        """A bucket that is the base of all assets."""
        raise NotImplementedError  # the tests of each store give their own

    @pytest.fixture(scope="class")
    @classmethod
    def processes(cls) -> Iterator[Processes]:
        """Started once: to fork a process takes milliseconds, to import seconds."""
        processes = Processes(CLIENTS)
        yield processes
        processes.close()

    @pytest.fixture
    def log(self, tmp_path: Path) -> Log:
        return Log(tmp_path / "log.txt")

    @pytest.fixture
    def at_once(
        self, lake: Any, processes: Processes, tmp_path: Path
    ) -> Callable[[str, list[int]], list[dict[str, Any]]]:
        """What processes say that do something, one for each value."""
        return partial(processes.at_once, log=tmp_path / "log.txt")

    @pytest.fixture
    def trials(self, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[Trials]:
        """What was tried and what went wrong, printed as one line when the test is over."""
        tried = Trials()
        yield tried
        with capsys.disabled():
            print(f"\n{request.node.name}: trials={tried.count} violations={len(tried.violations)}")

    @pytest.fixture
    def watchdog(self) -> Iterator[Callable[[], None]]:
        """Gives a minute more each time it is called. A hang ends the process with every thread's traceback."""
        yield lambda: faulthandler.dump_traceback_later(60, exit=True, file=sys.__stderr__)
        faulthandler.cancel_dump_traceback_later()

    @pytest.mark.parametrize("how", ["run", "run_with_arguments"])
    def test_s13_s15_processes_run_one_after_the_other_and_all_files_are_of_one_run(
        self, lake: Any, at_once: Any, log: Log, trials: Trials, how: str
    ) -> None:
        for number in range(20 if LONG else 2):
            with trials.one():
                values = [10 * number + 1, 10 * number + 2]
                answers = at_once(how, values)
                assert [answer.get("result") for answer in answers] == [[value] for value in values], answers
                runs = runs_of(log)
                assert sorted(runs) == values
                assert shown(lake) == runs[-1]
        trials.hold()

    def test_s13_of_16_processes_that_race_one_wins_and_the_others_are_told(
        self, lake: Any, at_once: Any, log: Log, trials: Trials
    ) -> None:
        for number in range(50 if LONG else 2):
            with trials.one():
                answers = at_once("run_or_fail", [100 * number + writer for writer in range(WRITERS)])
                won = [answer["value"] for answer in answers if answer.get("result") == [answer["value"]]]
                assert len(won) == 1, answers
                assert [answer.get("error") for answer in answers].count("AssetRunningError") == WRITERS - 1, answers
                assert runs_of(log) == won
                assert shown(lake) == won[0]
                relation = rival(-1, log).cache_first().query_sync("ORDER BY page")
                assert relation.fetchall() == [(won[0], page) for page in range(PAGES)]
        trials.hold()

    def test_s14_tasks_run_one_after_the_other_and_all_files_are_of_one_run(
        self, lake: Any, log: Log, trials: Trials, watchdog: Callable[[], None]
    ) -> None:
        async def together(values: list[int]) -> None:
            await asyncio.gather(*(rival(value, log)() for value in values))

        for number in range(20 if LONG else 2):
            watchdog()
            with trials.one():
                values = [10 * number + 1, 10 * number + 2, 10 * number + 3]
                asyncio.run(together(values))
                runs = runs_of(log)
                assert sorted(runs) == values
                assert shown(lake) == runs[-1]
        trials.hold()

    def test_s16_assets_on_8_threads_finish_and_each_has_its_own_rows(
        self, lake: Any, trials: Trials, watchdog: Callable[[], None]
    ) -> None:
        def made(number: int) -> Any:
            @asset(f"many/{number}.{('json', 'parquet', 'csv')[number % 3]}", name=f"many_{number}")
            async def x(turn: int) -> Any:
                for page in range(2):
                    yield [{"number": number, "turn": turn, "page": page}]

            return x

        assets = [made(number) for number in range(8)]
        for turn in range(10 if LONG else 1):
            watchdog()
            calls = [partial(x.with_arguments(turn).query_sync, "ORDER BY page") for x in assets]
            with trials.one(), ThreadPoolExecutor(8) as pool:
                found = list(pool.map(lambda call: call().fetchall(), calls))
                assert found == [[(number, turn, page) for page in range(2)] for number in range(8)]
        trials.hold()

    def test_s18_relations_are_used_by_their_own_methods_in_many_processes_and_none_hangs(
        self, lake: Any, at_once: Any, trials: Trials
    ) -> None:
        [answer] = at_once("run", [7])
        assert answer["result"] == [7]
        wanted = [list(range(PAGES)), PAGES, PAGES, PAGES, 0]
        for answer in at_once("relate", list(range(20 if LONG else 5))):
            with trials.one():
                assert answer.get("result") == wanted, answer
        trials.hold()

    @pytest.mark.parametrize("suffix", ["parquet", "csv", "json"])
    def test_s19_a_reader_beside_a_writer_gets_one_whole_run_each_time(
        self, lake: Any, suffix: str, trials: Trials
    ) -> None:
        value, rows, over = 0, 500, threading.Event()

        @asset(f"y.{suffix}")
        def y() -> Any:
            for start in range(0, rows, rows // 2):
                yield [{"n": value, "row": row} for row in range(start, start + rows // 2)]

        y.call_sync()
        seen: list[int] = []
        wrong: list[BaseException] = []

        def look() -> None:
            try:
                while not over.is_set():
                    through_asset = y.cache_first().query_sync("ORDER BY row").fetchall()
                    for found in (through_asset, pairs(suffix, lake.get(f"lake/y.{suffix}"))):
                        with trials.one():
                            assert found == [(found[0][0], row) for row in range(rows)]
                        seen.append(found[0][0])
            except BaseException as error:
                wrong.append(error)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            for value in range(1, 40 if LONG else 6):  # noqa: B007  the asset's function takes it
                y.call_sync()
        finally:
            over.set()
            thread.join()
        assert not wrong
        trials.hold()
        assert len(set(seen)) > 1
        assert seen[::2] == sorted(seen[::2])

    @pytest.mark.parametrize("suffix", ["parquet", "csv", "json"])
    def test_s20_a_relation_taken_before_newer_runs_gives_old_rows_or_says_that_they_are_gone(
        self, lake: Any, suffix: str
    ) -> None:
        now = 0

        @asset(f"x.{suffix}")
        def x() -> Any:
            return [{"n": now}] * (now + 1)

        relations = []
        for now in range(4):
            relations.append(x.query_sync())
            for then, relation in enumerate(relations):
                try:
                    assert relation.fetchall() == [(then,)] * (then + 1)
                except ResultGoneError:
                    assert then < now - 1, "the run before the last keeps its files"

    def test_s21_a_long_lived_reader_sees_what_another_process_has_written_at_once(
        self, lake: Any, at_once: Any, log: Log
    ) -> None:
        reader, file = rival(-1, log).cache_first(), DataArtifact("x.csv")
        for value in (1, 2, 3):
            at_once("run", [value])
            assert reader.query_sync("SELECT DISTINCT n").fetchall() == [(value,)]
            relation = asyncio.run(file.query("SELECT DISTINCT n"))
            assert relation is not None
            assert relation.fetchall() == [(value,)]
