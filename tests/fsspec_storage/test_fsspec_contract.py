"""fsspec's filesystems held to the contract of all storages, as far as each promises it."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from mad_prefect_core.testing import StorageContract
from mad_prefect_fsspec.storage import FsspecStorage, storage_for

LONG = os.environ.get("MAD_PREFECT_FAULTS") == "long"
LARGE = 20 if os.environ.get("MAD_PREFECT_LARGE") == "long" else 3
"""Megabytes: servers and clients share one interpreter here."""


def storage_of(protocol: str) -> FsspecStorage:
    storage = storage_for(protocol)
    assert storage is not None
    return storage


class TestMemory(StorageContract):
    shared_between_processes = False
    large_megabytes = 10 * LARGE

    @pytest.fixture
    def storage(self) -> FsspecStorage:
        return storage_of("memory")

    @pytest.fixture
    def url(self) -> Iterator[str]:
        folder = uuid.uuid4().hex
        yield f"memory://{folder}"
        with contextlib.suppress(FileNotFoundError):
            MemoryFileSystem().rm(f"/{folder}", recursive=True)


class TestSFTP(StorageContract):
    """By paramiko."""

    large_megabytes = LARGE
    kill_at_every = 11

    @pytest.fixture
    def storage(self) -> FsspecStorage:
        return storage_of("sftp")

    @pytest.fixture
    def url(self, sftp: int, tmp_path: Path) -> str:
        return f"sftp://ada@127.0.0.1:{sftp}{tmp_path}/lake"

    @pytest.fixture
    def options(self, password: str) -> dict[str, Any]:
        return {"password": password, "look_for_keys": False, "allow_agent": False}


class TestFTP(StorageContract):
    large_megabytes = LARGE

    @pytest.fixture
    def storage(self) -> FsspecStorage:
        return storage_of("ftp")

    @pytest.fixture
    def url(self, ftp: int) -> str:
        return f"ftp://ada@127.0.0.1:{ftp}/{uuid.uuid4().hex}"

    @pytest.fixture
    def options(self, password: str) -> dict[str, Any]:
        return {"password": password}


class TestWebDAV(StorageContract):
    """By webdav4, which takes no names with `#`, `%`, `;` or `?`: they are refused."""

    large_megabytes = LARGE
    not_secret = ("base_url",)
    fail_at_every = 1 if LONG else 4  # a round takes up to a second

    @pytest.fixture(autouse=True)
    def _patience(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """A writer that could not let go of its lock holds up the next one, here for less than 20 seconds."""
        if "that_fails" in request.node.name:
            monkeypatch.setattr("mad_prefect_fsspec.storage._PATIENCE", 0.2)

    @pytest.fixture
    def storage(self) -> FsspecStorage:
        return storage_of("webdav")

    @pytest.fixture
    def url(self, webdav: str) -> str:
        return f"webdav://{uuid.uuid4().hex}"

    @pytest.fixture
    def options(self, webdav: str, password: str) -> dict[str, Any]:
        return {"base_url": webdav, "auth": ("ada", password)}
