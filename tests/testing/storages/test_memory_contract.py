"""A storage that DuckDB can't read by itself and no other process sees, held to the contract of all storages."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from memory_storage import MemoryStorage

from mad_prefect_core.testing import StorageContract


class TestMemory(StorageContract):
    shared_between_processes = False
    large_megabytes = 250 if os.environ.get("MAD_PREFECT_FAULTS") == "long" else 60

    @pytest.fixture
    def storage(self) -> MemoryStorage:
        return MemoryStorage()

    @pytest.fixture
    def url(self) -> Iterator[str]:
        folder = uuid.uuid4().hex
        yield f"memory://{folder}"
        with contextlib.suppress(FileNotFoundError):
            MemoryFileSystem().rm(f"/{folder}", recursive=True)
