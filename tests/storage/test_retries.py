"""Requests that fail are sent again, a bounded number of times, and not all at once."""

from __future__ import annotations

import asyncio
import random

import pytest

from mad_prefect_core.retries import Retries


async def slept(monkeypatch: pytest.MonkeyPatch, attempts: int) -> list[float]:
    seconds: list[float] = []

    async def sleep(for_: float) -> None:
        seconds.append(for_)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    retries = Retries(attempts)
    for attempt in range(1, attempts):
        await retries.pause(attempt, "busy")
    assert retries.retried == attempts - 1
    return seconds


async def test_pauses_grow_differ_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = await slept(monkeypatch, 20), await slept(monkeypatch, 20)
    limits = [min(0.25 * 2**number, 20) for number in range(19)]
    assert all(0 <= seconds <= limit for seconds, limit in zip(one, limits, strict=True))
    assert max(one) > 5
    assert one != other


async def test_pauses_differ_also_between_those_who_seeded_the_generator_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    state = random.getstate()
    random.seed(7)
    one = await slept(monkeypatch, 5)
    random.seed(7)
    other = await slept(monkeypatch, 5)
    random.setstate(state)
    assert one != other


def test_where_all_attempts_failed_the_next_requests_are_tried_once_until_one_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    retries = Retries(6)
    assert list(retries.attempts()) == [1, 2, 3, 4, 5, 6]
    retries.gave_up()
    assert list(retries.attempts()) == [1]
    retries.answered()
    assert list(retries.attempts()) == [1, 2, 3, 4, 5, 6]
    retries.gave_up()
    now += 31
    assert list(retries.attempts()) == [1, 2, 3, 4, 5, 6]


def test_a_request_is_not_sent_again_to_a_server_that_has_said_nothing_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    sent = []
    for number in (attempts := Retries(6).attempts()):
        sent.append(number)
        now += 60
        if attempts.last:
            break
    assert sent == [1, 2]
