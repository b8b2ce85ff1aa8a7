"""S3 holds the contract of a storage, as plugin authors test theirs, on each server."""

from __future__ import annotations

import os
from typing import Any

import pytest

from mad_prefect_core.testing.storages import StorageContract
from mad_prefect_s3 import S3Storage

LONG = os.environ.get("MAD_PREFECT_FAULTS") == "long"


class S3Contract(StorageContract, contract=True):
    large_megabytes = 250 if LONG else 60
    kill_at_every = 1 if LONG else 3  # each request is several operations, one within the other

    @pytest.fixture
    def storage(self) -> S3Storage:
        return S3Storage()

    @pytest.fixture
    def url(self, held: Any) -> str:
        return f"{held.url}/lake"

    @pytest.fixture
    def options(self, held: Any) -> dict[str, Any]:
        return dict(held.server.options)


class TestMoto(S3Contract):
    large_megabytes = 20  # moto reads an object whole for each of its ranges

    @pytest.fixture
    def options(self, held: Any) -> dict[str, Any]:
        return {**held.server.options, "token": "token-of-a-session"}

    @pytest.fixture
    def held(self, bucket: Any) -> Any:
        return bucket


class TestCephGateway(S3Contract):
    @pytest.fixture
    def held(self, rgw_server: Any, new_bucket: Any) -> Any:
        return new_bucket(rgw_server)
