"""A bucket of its own on a server for each test, behind a proxy that counts requests and makes them fail."""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core.stores import opened
from mad_prefect_gcs import GCSOptions, GCSStorage

sys.path.append(str(Path(__file__).parents[1] / "servers"))

from gcs_server import Bucket as Held
from gcs_server import GCSServer, gcs
from http_proxy import Proxy, Request, proxy_to

pytest.register_assert_rewrite("failed_runs", "large_results", "rivals")


STORAGE = GCSStorage()


@dataclass(frozen=True)
class Bucket:
    """A bucket of one test alone, and the storage `gcs` on it through the proxy."""

    server: GCSServer
    proxy: Proxy
    name: str

    @property
    def url(self) -> str:
        return f"gs://{self.name}"

    @property
    def held(self) -> Held:
        return self.server.buckets[self.name]

    def fs(self, **more: Any) -> Any:
        return opened(STORAGE, self.url, GCSOptions(**{"endpoint_url": self.proxy.url, **more})).fs

    def path(self, key: str) -> str:
        return f"{self.name}/{key}"

    def put(self, key: str, data: bytes, **said: Any) -> str:
        """Written by somebody else."""
        self.server.put(self.name, key, data, **said)
        return self.path(key)

    def get(self, key: str) -> bytes:
        return self.held.objects[key].data

    def written(self, request: Request) -> str | None:
        """The key of an object that a request writes, if it does."""
        if "/upload/" in request.path:
            found = re.search(rb'"name": "([^"]*)"', request.start)
            return found[1].decode() if found else None
        copied = re.search("/rewriteTo/b/[^/]*/o/(.*)", request.path)
        return copied[1] if copied else None

    def read(self, request: Request) -> str | None:
        """The key of an object that a request reads or looks up, if it does."""
        return request.path.partition("/o/")[2] if request.method == "GET" else None

    def listed(self) -> list[str]:
        return sorted(self.held.objects)


@pytest.fixture(scope="session")
def shared_server() -> Iterator[GCSServer]:
    """For tests that change nothing about the server but their own bucket."""
    with gcs() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[GCSServer]:
    """A server of one test alone."""
    with gcs() as server:
        yield server


@pytest.fixture
def new_bucket() -> Iterator[Callable[[GCSServer], Bucket]]:
    proxies = []

    def make(server: GCSServer) -> Bucket:
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        server.buckets[name] = Held()
        manager = proxy_to(server.url)
        proxies.append(manager)
        return Bucket(server, manager.__enter__(), name)

    yield make
    for manager in proxies:
        manager.__exit__(None, None, None)


@pytest.fixture
def bucket(shared_server: GCSServer, new_bucket: Callable[[GCSServer], Bucket]) -> Bucket:
    return new_bucket(shared_server)


@pytest.fixture
def own_bucket(own_server: GCSServer, new_bucket: Callable[[GCSServer], Bucket]) -> Bucket:
    """A bucket on a server of one test alone."""
    return new_bucket(own_server)


@pytest.fixture
def based(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """Relative paths are below `lake/` in the bucket."""
    for name in ("FILESYSTEM_BLOCK_NAME", "ASSET_METADATA_LOCATION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.proxy.url)
    monkeypatch.setenv("FILESYSTEM_URL", f"{bucket.url}/lake")
    monkeypatch.chdir(tmp_path)
    return bucket


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of whoever runs the tests."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
