"""A bucket on a real server for each test, behind a proxy that counts requests and makes them fail."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core.stores import opened
from mad_prefect_s3 import S3Options, S3Storage

sys.path.append(str(Path(__file__).parents[1] / "servers"))

from http_proxy import Proxy, Request, proxy_to
from s3_server import Gateway, S3Server, moto, moto_with_signatures, rgw, rgw_missing

pytest.register_assert_rewrite("failed_runs", "large_results", "rivals")


STORAGE = S3Storage()


@dataclass(frozen=True)
class Bucket:
    """A bucket of one test alone, and the storage `s3` on it through the proxy."""

    server: S3Server
    proxy: Proxy
    name: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    @property
    def options(self) -> dict[str, Any]:
        return {**self.server.options, "endpoint_url": self.proxy.url}

    def fs(self, **more: Any) -> Any:
        return opened(STORAGE, self.url, S3Options(**{**self.options, **more})).fs

    def path(self, key: str) -> str:
        return f"{self.name}/{key}"

    def put(self, key: str, data: bytes) -> str:
        """Written by somebody else."""
        self.server.client().put_object(Bucket=self.name, Key=key, Body=data)
        return self.path(key)

    def get(self, key: str) -> bytes:
        return bytes(self.server.client().get_object(Bucket=self.name, Key=key)["Body"].read())

    def written(self, request: Request) -> str | None:
        """The key of an object that a request writes, if it does."""
        return request.path.removeprefix(f"/{self.name}/") if request.method == "PUT" else None

    def read(self, request: Request) -> str | None:
        """The key of an object that a request reads or looks up, if it does."""
        return request.path.removeprefix(f"/{self.name}/") if request.method in ("GET", "HEAD") else None

    def listed(self) -> list[str]:
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


@pytest.fixture(scope="session")
def moto_server() -> Iterator[S3Server]:
    with moto() as server:
        yield server


@pytest.fixture(scope="session")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Over TLS, with signatures checked."""
    with moto_with_signatures(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def rgw_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    if missing := rgw_missing():
        pytest.skip(f"Ceph's gateway is {missing}")
    large = os.environ.get("MAD_PREFECT_LARGE") == "long"
    with rgw(tmp_path_factory.mktemp("rgw"), on_disk=large) as server:
        yield server


@pytest.fixture(params=["moto", "rgw"])
def any_server(request: pytest.FixtureRequest) -> S3Server:
    """Each of two servers that nobody wrote together."""
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def new_bucket() -> Iterator[Callable[[S3Server], Bucket]]:
    proxies = []

    def make(server: S3Server) -> Bucket:
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        server.client().create_bucket(Bucket=name)
        manager = proxy_to(server.url)
        proxies.append(manager)
        return Bucket(server, manager.__enter__(), name)

    yield make
    for manager in proxies:
        manager.__exit__(None, None, None)


@pytest.fixture
def bucket(moto_server: S3Server, new_bucket: Callable[[S3Server], Bucket]) -> Bucket:
    return new_bucket(moto_server)


@pytest.fixture
def any_bucket(any_server: S3Server, new_bucket: Callable[[S3Server], Bucket]) -> Bucket:
    """A bucket on each server."""
    return new_bucket(any_server)


@pytest.fixture(params=["strict", "rgw"])
def any_strict(request: pytest.FixtureRequest, new_bucket: Callable[[S3Server], Bucket]) -> Bucket:
    """A bucket on each server that checks signatures."""
    return new_bucket(request.getfixturevalue(f"{request.param}_server"))


@pytest.fixture
def based(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """Relative paths are below `lake/` in the bucket."""
    _base_on(bucket, monkeypatch, tmp_path)
    return bucket


@pytest.fixture
def any_based(any_bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """The same on each server."""
    _base_on(any_bucket, monkeypatch, tmp_path)
    return any_bucket


@pytest.fixture(scope="module")
def rgw_based(rgw_server: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """The same on Ceph's gateway, for all tests of a module together."""
    with pytest.MonkeyPatch.context() as monkeypatch, proxy_to(rgw_server.url) as proxy:
        bucket = Bucket(rgw_server, proxy, f"bucket-{uuid.uuid4().hex[:12]}")
        rgw_server.client().create_bucket(Bucket=bucket.name)
        _base_on(bucket, monkeypatch, tmp_path_factory.mktemp("here"))
        yield bucket


def _base_on(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FILESYSTEM_BLOCK_NAME", "ASSET_METADATA_LOCATION", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**bucket.server.environment, "AWS_ENDPOINT_URL": bucket.proxy.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FILESYSTEM_URL", f"{bucket.url}/lake")
    monkeypatch.chdir(tmp_path)
