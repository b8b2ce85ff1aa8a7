"""Each object store holds the contract of a storage, as plugin authors test theirs, on each server."""

from __future__ import annotations

import os
from typing import Any

import pytest

from mad_prefect_core.testing.storages import StorageContract

LONG = os.environ.get("MAD_PREFECT_FAULTS") == "long"


class ObjectStoreContract(StorageContract, contract=True):
    large_megabytes = 250 if LONG else 20  # of one of them 60: all share what reads
    fail_at_every = 1 if LONG else 2

    @pytest.fixture
    def held(self) -> Any:
        """A bucket."""
        raise NotImplementedError  # each server gives its own

    @pytest.fixture
    def storage(self, held: Any) -> Any:
        return held.storage

    @pytest.fixture
    def url(self, held: Any) -> str:
        return f"{held.url}/lake"

    @pytest.fixture
    def options(self, held: Any) -> dict[str, Any]:
        return dict(held.direct)


class S3Contract(ObjectStoreContract, contract=True):
    kill_at_every = 1 if LONG else 3  # each request is several operations, one within the other
    fail_at_every = kill_at_every


class TestMoto(S3Contract):
    large_megabytes = 20  # moto reads an object whole for each of its ranges

    @pytest.fixture
    def options(self, held: Any) -> dict[str, Any]:
        return {**held.direct, "token": "t0k3n-0f-4-s3ss10n"}

    @pytest.fixture
    def held(self, moto_server: Any, new_bucket: Any) -> Any:
        return new_bucket(moto_server)


class TestCephGateway(S3Contract):
    @pytest.fixture
    def held(self, rgw_server: Any, new_bucket: Any) -> Any:
        return new_bucket(rgw_server)


class TestGCS(ObjectStoreContract):
    large_megabytes = 250 if LONG else 60

    @pytest.fixture
    def held(self, own_bucket: Any) -> Any:
        return own_bucket

    @pytest.fixture
    def options(self, held: Any) -> dict[str, Any]:
        return {**held.direct, "token": held.server.token()}


class TestAzurite(ObjectStoreContract):
    @pytest.fixture
    def held(self, azurite_server: Any, new_bucket: Any) -> Any:
        return new_bucket(azurite_server)
