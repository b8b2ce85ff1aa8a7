"""Runs on object stores that fail on the way. Each name says what a user would lose."""

from __future__ import annotations

from typing import Any

import pytest
from failed_runs import FailedRunTests
from http_proxy import Fault


class TestObjectStores(FailedRunTests):
    @pytest.fixture
    def lake(self, based: Any) -> Any:
        return based


def test_s11_a_server_that_is_slow_to_answer_is_asked_again(bucket: Any) -> None:
    bucket.put("x", b"1234")
    store = bucket.store(read_timeout=1)
    bucket.proxy.fail(Fault(wait=60))
    assert store.stat(bucket.path("x")).size == 4
    assert store.fs.retried == 1
    assert bucket.proxy.count() == 2
