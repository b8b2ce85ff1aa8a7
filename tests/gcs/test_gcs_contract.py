"""Google Cloud Storage holds the contract of a storage, as plugin authors test theirs."""

from __future__ import annotations

import os
from typing import Any

import pytest

from mad_prefect_core.testing.storages import StorageContract
from mad_prefect_gcs import GCSStorage


class TestGCS(StorageContract):
    large_megabytes = 250 if os.environ.get("MAD_PREFECT_FAULTS") == "long" else 60

    @pytest.fixture
    def storage(self) -> GCSStorage:
        return GCSStorage()

    @pytest.fixture
    def url(self, own_bucket: Any) -> str:
        return f"{own_bucket.url}/lake"

    @pytest.fixture
    def options(self, own_bucket: Any) -> dict[str, Any]:
        return {"endpoint_url": own_bucket.server.url, "token": own_bucket.server.token()}
