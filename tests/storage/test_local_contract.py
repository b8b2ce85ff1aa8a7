"""The local storage, held to the contract of all storages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mad_prefect_core.testing import StorageContract
from mad_prefect_local import LocalStorage


class TestLocal(StorageContract):
    large_megabytes = 250 if os.environ.get("MAD_PREFECT_FAULTS") == "long" else 60

    @pytest.fixture
    def storage(self) -> LocalStorage:
        return LocalStorage()

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"file://{tmp_path}/lake"
