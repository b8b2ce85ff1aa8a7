"""Ceph's gateway is killed in the middle of a run, and started again. Each name says what a user would lose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import pytest
from failed_runs import Numbers, whole

from mad_prefect_core.errors import StorageError

MOMENTS = {"fragment=1.json": "write", "x.csv.run": "union", "manifest.json": "publish", "lake/x.csv": "publish"}
"""The phase in which a run writes a key that ends so."""


@contextmanager
def killed(lake: Any, key: str, when: str, then: Callable[[], None] = lambda: None) -> Iterator[None]:
    """The gateway is killed at a write, before it hears of it or after it has acted on it."""
    ask, lock, left = lake.proxy.ask, threading.Lock(), [key]

    def kill(method: str, path: str, body: bytes, headers: Any) -> Any:
        with lock:
            if left and method == "PUT" and unquote(path).endswith(left[0]):
                left.clear()
                if when == "after":
                    ask(method, path, body, headers)
                lake.server.kill()
                then()
                raise ConnectionResetError
        return ask(method, path, body, headers)

    lake.proxy.ask = kill
    try:
        yield
    finally:
        lake.proxy.ask = ask
    assert not left


@pytest.fixture
def lake(rgw_based: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The base of all assets, on a gateway that runs again when the test is over."""
    monkeypatch.setenv("MAD_PREFECT_LEASE_SECONDS", "3")  # the next run waits for that of the one that failed
    yield rgw_based
    if not rgw_based.server.running:
        rgw_based.server.begin()


@pytest.fixture(scope="module")
def shared() -> Numbers:
    """One asset for all: a gateway that was killed makes no bucket for half a minute."""
    return Numbers()


@pytest.fixture
def numbers(lake: Any, shared: Numbers) -> Numbers:
    """With a good result."""
    assert shared.run() is None
    return shared


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("key", MOMENTS)
def test_a_run_whose_server_is_killed_says_so_and_loses_nothing_and_the_next_one_succeeds(
    lake: Any, numbers: Numbers, key: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mad_prefect_core.retries._FIRST", 0.02)
    old, new = numbers.value, numbers.value + 1
    with killed(lake, key, when):
        error = numbers.run()
    assert isinstance(error, StorageError)
    assert (error.asset, error.phase) == ("x", MOMENTS[key]), error
    assert f"{lake.url}/lake/" in str(error)
    lake.server.begin()

    [(value, _), _] = rows = numbers.rows()
    assert rows == [(value, 0), (value, 1)]
    assert value in ((old, new) if MOMENTS[key] == "publish" else (old,))
    assert lake.get("lake/x.csv") in [f"n,page\n{n},0\n{n},1\n".encode() for n in {old, value}]
    assert numbers.run() is None
    whole(lake, numbers, numbers.value)


def test_a_run_whose_server_is_killed_for_good_ends_within_the_time_of_the_page(
    lake: Any, numbers: Numbers, pauses: list[float]
) -> None:
    with killed(lake, "fragment=1.json", "before"):
        assert isinstance(numbers.run(), StorageError)
    assert 0 < sum(pauses) <= 8


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("key", MOMENTS)
def test_a_run_whose_server_is_killed_and_started_again_goes_on(
    lake: Any, numbers: Numbers, key: str, when: str
) -> None:
    with killed(lake, key, when, lake.server.begin):
        assert numbers.run() is None
    whole(lake, numbers, numbers.value)
