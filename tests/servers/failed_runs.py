"""Runs on an object store whose data does not fit, whose storage fails, or that are cancelled (S07, S09-S12).

`MAD_PREFECT_FAULTS=long` tries every request.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from http_proxy import Fault, Request

from mad_prefect_core import DataAsset, asset
from mad_prefect_core.errors import SchemaError, StorageError
from mad_prefect_core.runs.kept import records_of
from mad_prefect_core.runs.record import RunStatus

EACH = 1 if os.environ.get("MAD_PREFECT_FAULTS") == "long" else 3
"""Something befalls every so-many-th request of a run."""


class Numbers:
    """An asset with two results, of which all rows have one value."""

    def __init__(self) -> None:
        self.value = 0
        self.retries: int | None = None
        """Of the last good run, as its record has it."""

        @asset("x.parquet|csv", name="x")
        def x() -> Iterator[Any]:
            for page in range(2):
                yield [{"n": self.value, "page": page}]

        self.asset: DataAsset[..., Any] = x

    def run(self) -> BaseException | None:
        """Run it with the next value. What it raises."""
        self.value += 1
        try:
            self.retries = self.asset.call_sync().run.retries
        except Exception as error:
            return error
        return None

    def rows(self) -> list[tuple[int, int]]:
        """As readers get them."""
        relation = self.asset.cache_first().query_sync("SELECT n, page ORDER BY page")
        found: list[tuple[int, int]] = relation.fetchall()
        return found


def results(lake: Any) -> dict[str, bytes]:
    """All but run records and leases."""
    return {key: lake.get(key) for key in lake.listed() if not re.search("/asset_run_id=|/_leases/", key)}


def whole(lake: Any, numbers: Numbers, value: int) -> None:
    """Readers get this value, by the asset and by both paths."""
    assert numbers.rows() == [(value, 0), (value, 1)]
    assert lake.get("lake/x.csv") == f"n,page\n{value},0\n{value},1\n".encode()


class FailedRunTests:
    """To be inherited for each kind of object store."""

    @pytest.fixture
    def lake(self) -> Any:
        """A bucket that is the base of all assets."""
        raise NotImplementedError  # the tests of each store give their own

    @pytest.fixture(autouse=True)
    def _short_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between attempts."""
        monkeypatch.setattr("mad_prefect_core.retries._FIRST", 0.02)

    @pytest.fixture
    def numbers(self, lake: Any) -> Numbers:
        """With a good result."""
        made = Numbers()
        assert made.run() is None
        return made

    def test_s07_a_batch_that_does_not_fit_leaves_the_last_good_result(self, lake: Any) -> None:
        fail = False

        @asset("x.parquet")
        def numbers() -> Any:
            yield [{"id": 1}]
            if fail:
                yield [{"id": "text"}]

        numbers.query_sync()
        before = results(lake)
        fail = True
        with pytest.raises(SchemaError):
            numbers.query_sync()

        assert results(lake) == before
        assert numbers.name in str(before)

    @pytest.mark.parametrize("status", [403, 503])
    def test_s07_a_final_write_that_fails_leaves_the_last_good_result_and_is_recorded(
        self, lake: Any, numbers: Numbers, status: int
    ) -> None:
        before = results(lake)
        lake.proxy.faults = lambda r: Fault(status=status) if ".parquet.run" in (lake.written(r) or "") else None
        error = numbers.run()
        lake.proxy.heal()

        assert isinstance(error, StorageError)
        assert (error.asset, error.phase) == ("x", "union")
        assert "x.parquet" in str(error.path)
        assert results(lake) == before
        whole(lake, numbers, 1)
        assert sorted(record.status for record in records_of("x", numbers.asset.id)) == sorted(
            [RunStatus.SUCCESS, RunStatus.FAILED]
        )
        assert numbers.run() is None
        whole(lake, numbers, 3)

    @pytest.mark.parametrize("key", [".csv.run", "lake/x.csv", "lake/x.parquet"])
    def test_s09_where_one_of_two_formats_can_not_be_written_both_are_of_the_last_good_run(
        self, lake: Any, numbers: Numbers, key: str
    ) -> None:
        before = results(lake)
        lake.proxy.faults = lambda r: Fault(status=403) if (lake.written(r) or "").endswith(key) else None
        assert isinstance(numbers.run(), StorageError)
        lake.proxy.heal()

        seen = results(lake)
        for path in ("lake/x.parquet", "lake/x.csv"):
            assert seen[path] == before[path]
        whole(lake, numbers, 1)
        assert numbers.run() is None
        whole(lake, numbers, 3)

    def test_s10_a_run_that_is_cancelled_at_any_request_leaves_the_old_result_or_the_new_one(
        self, lake: Any, numbers: Numbers
    ) -> None:
        async def cancelled(number: int) -> tuple[int, Any]:
            loop, task = asyncio.get_running_loop(), asyncio.ensure_future(numbers.asset())
            asked = itertools.count(1)

            def cancel(request: Request) -> None:
                if next(asked) == number:
                    loop.call_soon_threadsafe(task.cancel)

            lake.proxy.faults = cancel
            [outcome] = await asyncio.gather(task, return_exceptions=True)
            lake.proxy.heal()
            return next(asked) - 1, outcome

        for number in itertools.count(1, EACH):
            old, numbers.value = numbers.value, numbers.value + 1
            requests, outcome = asyncio.run(cancelled(number))
            if requests < number:
                break
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, asyncio.CancelledError), number
            [(value, _), _] = numbers.rows()
            assert value in (old, numbers.value), number
            whole(lake, numbers, value)
            assert numbers.run() is None, number
            whole(lake, numbers, numbers.value)
        assert number > 10

    def befall(
        self,
        lake: Any,
        numbers: Numbers,
        fault: Fault,
        only: Callable[[Request], bool] = lambda _: True,
        each: int = 1,
    ) -> Iterator[tuple[Request, BaseException | None]]:
        """A run for every `each`th of these requests of a run, which the fault befalls once. Gives the request, and the
        error."""
        for number in itertools.count(1, each):
            seen: list[Request] = []

            def faults(request: Request, number: int = number, seen: list[Request] = seen) -> Fault | None:
                if not only(request):
                    return None
                seen.append(request)
                return fault if len(seen) == number else None

            lake.proxy.faults = faults
            error = numbers.run()
            lake.proxy.heal()
            if len(seen) < number:
                return
            yield seen[number - 1], error

    @pytest.mark.parametrize("fault", [Fault(status=503), Fault()], ids=["503", "broken connection"])
    def test_s11_a_run_of_which_any_one_request_fails_once_succeeds_and_counts_that(
        self, lake: Any, numbers: Numbers, fault: Fault
    ) -> None:
        tried = counted = 0
        for request, error in self.befall(lake, numbers, fault, each=EACH):
            tried += 1
            assert error is None, request
            whole(lake, numbers, numbers.value)
            counted += bool(numbers.retries)
        assert tried > 10 / EACH
        if fault.status is not None:  # a broken connection may be mended without us
            assert counted

    def test_s12_an_object_that_is_not_there_for_a_moment_costs_no_row(self, lake: Any, numbers: Numbers) -> None:
        good, tried = 1, 0
        there = set(lake.listed())

        def reads(request: Request) -> bool:
            if (key := lake.written(request)) is not None:
                there.add(key)
            return lake.read(request) in there

        for request, error in self.befall(lake, numbers, Fault(status=404), reads):
            tried += 1
            good = good if error else numbers.value
            assert lake.get("lake/x.csv").startswith(f"n,page\n{good},".encode()), request  # before anything mends it
            whole(lake, numbers, good)
        assert tried > 3
