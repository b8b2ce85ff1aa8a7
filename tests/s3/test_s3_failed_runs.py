"""Runs on S3 whose storage fails on the way (S07, S09, S11, S12). Each name says what a user would lose."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from http_proxy import Fault, Request

from mad_prefect_core import DataAsset, asset
from mad_prefect_core.errors import SchemaError, StorageError
from mad_prefect_core.runs.kept import records_of
from mad_prefect_core.runs.record import RunStatus
from mad_prefect_s3 import S3Storage

STORAGE = S3Storage()


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


@pytest.fixture
def numbers(based: Any) -> Numbers:
    """With a good result."""
    made = Numbers()
    assert made.run() is None
    return made


def results(bucket: Any) -> dict[str, bytes]:
    """All but run records and leases."""
    return {key: bucket.get(key) for key in bucket.listed() if not re.search("/asset_run_id=|/_leases/", key)}


def fails(bucket: Any, method: str, path: str, fault: Fault = Fault(status=500)) -> None:  # noqa: B008  it is frozen
    """Whatever is asked of this path fails from now on."""
    bucket.proxy.fail(fault, times=None, method=method, path=path)


def test_s07_a_batch_that_does_not_fit_leaves_the_last_good_result(based: Any) -> None:
    fail = False

    @asset("x.parquet")
    def numbers() -> Any:
        yield [{"id": 1}]
        if fail:
            yield [{"id": "text"}]

    numbers.query_sync()
    before = results(based)
    fail = True
    with pytest.raises(SchemaError):
        numbers.query_sync()

    assert results(based) == before
    assert numbers.name in str(before)


@pytest.mark.parametrize("status", [403, 503])
def test_s07_a_final_write_that_fails_leaves_the_last_good_result_and_is_recorded(
    based: Any, numbers: Numbers, status: int
) -> None:
    before = results(based)
    fails(based, "PUT", ".parquet.run", Fault(status=status))
    error = numbers.run()
    based.proxy.heal()

    assert isinstance(error, StorageError)
    assert error.asset == "x"
    assert "x.parquet" in str(error.path)
    assert results(based) == before
    assert numbers.rows() == [(1, 0), (1, 1)]
    assert sorted(record.status for record in records_of("x", numbers.asset.id)) == sorted(
        [RunStatus.SUCCESS, RunStatus.FAILED]
    )
    assert numbers.run() is None
    assert numbers.rows() == [(3, 0), (3, 1)]


@pytest.mark.parametrize("path", [".csv.run", "/lake/x.csv", "/lake/x.parquet"])
def test_s09_where_one_of_two_formats_can_not_be_written_both_are_of_the_last_good_run(
    based: Any, numbers: Numbers, path: str
) -> None:
    before = results(based)
    based.proxy.faults = lambda request: (
        Fault(status=403) if request.method == "PUT" and request.path.endswith(path) else None
    )
    assert isinstance(numbers.run(), StorageError)
    based.proxy.heal()

    seen = results(based)
    assert {key: seen[key] for key in ("lake/x.parquet", "lake/x.csv")} == {
        key: before[key] for key in ("lake/x.parquet", "lake/x.csv")
    }
    assert numbers.rows() == [(1, 0), (1, 1)]
    assert numbers.run() is None
    assert numbers.rows() == [(3, 0), (3, 1)]
    assert based.get("lake/x.csv") == b"n,page\n3,0\n3,1\n"


def befall_each(
    bucket: Any, numbers: Numbers, fault: Fault, only: Callable[[Request], bool]
) -> Iterator[tuple[Request, BaseException | None]]:
    """A run for each of these requests of a run, which the fault befalls once. Gives the request, and the error."""
    for number in itertools.count(1):
        seen: list[Request] = []

        def faults(request: Request, number: int = number, seen: list[Request] = seen) -> Fault | None:
            if not only(request):
                return None
            seen.append(request)
            return fault if len(seen) == number else None

        bucket.proxy.faults = faults
        error = numbers.run()
        bucket.proxy.heal()
        if len(seen) < number:
            return
        yield seen[number - 1], error


@pytest.mark.parametrize("fault", [Fault(status=503), Fault()], ids=["503", "broken connection"])
def test_s11_a_run_of_which_any_one_request_fails_once_succeeds_and_counts_that(
    based: Any, numbers: Numbers, fault: Fault
) -> None:
    tried = counted = 0
    for request, error in befall_each(based, numbers, fault, lambda _: True):
        tried += 1
        assert error is None, request
        assert numbers.rows() == [(numbers.value, 0), (numbers.value, 1)]
        counted += bool(numbers.retries)
    assert tried > 10
    if fault.status is not None:  # a broken connection may be mended without us
        assert counted > 10


def test_s11_a_server_that_is_slow_to_answer_is_asked_again(bucket: Any) -> None:
    bucket.put("x", b"1234")
    fs = bucket.fs(read_timeout=0.2)
    bucket.proxy.fail(Fault(wait=1))
    assert STORAGE.stat(fs, bucket.path("x")).size == 4  # type: ignore[union-attr]
    assert fs.retrying.retried == 1
    assert bucket.proxy.count() == 2


def test_s12_an_object_that_is_not_there_for_a_moment_costs_no_row(based: Any, numbers: Numbers) -> None:
    good, tried = 1, 0
    written: set[str] = {f"/{based.name}/{key}" for key in based.listed()}

    def reads(request: Request) -> bool:
        if request.method == "PUT":
            written.add(request.path)
        return request.method in ("GET", "HEAD") and request.path in written

    for request, error in befall_each(based, numbers, Fault(status=404), reads):
        tried += 1
        good = good if error else numbers.value
        assert numbers.rows() == [(good, 0), (good, 1)], request
        assert based.get("lake/x.csv") == f"n,page\n{good},0\n{good},1\n".encode(), request
    assert tried > 3
