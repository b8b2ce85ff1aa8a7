"""Runs on S3 whose storage fails on the way. Each name says what a user would lose."""

from __future__ import annotations

from typing import Any

import pytest
from failed_runs import FailedRunTests
from http_proxy import Fault

from mad_prefect_s3 import S3Storage, S3Store

STORAGE = S3Storage()


class TestS3(FailedRunTests):
    @pytest.fixture
    def lake(self, based: Any) -> Any:
        return based


def test_s11_a_server_that_is_slow_to_answer_is_asked_again(bucket: Any) -> None:
    bucket.put("x", b"1234")
    fs = bucket.fs(read_timeout=1)
    bucket.proxy.fail(Fault(wait=60))
    assert S3Store(fs).stat(bucket.path("x")).size == 4  # type: ignore[union-attr]
    assert fs.retrying.retried == 1
    assert bucket.proxy.count() == 2
