"""A bucket of its own on a real server for each test, behind a proxy that counts requests and makes them fail.

`bucket` and `based` are on each of all servers. A file about one service has a fixture `server` of its own.
"""

from __future__ import annotations

import os
import re
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mad_prefect_azure import AzureStorage
from mad_prefect_core.stores import opened
from mad_prefect_gcs import GCSStorage
from mad_prefect_gcs.client import GCSClient
from mad_prefect_s3 import S3Storage
from mad_prefect_s3.client import S3Client

sys.path.append(str(Path(__file__).parents[1] / "servers"))

from azurite import Azurite, azurite, azurite_missing
from gcs_server import Bucket as Held
from gcs_server import GCSServer, gcs
from http_proxy import Proxy, Request, proxy_to
from s3_server import Gateway, S3Server, moto, moto_with_signatures, rgw, rgw_missing

pytest.register_assert_rewrite("failed_runs", "large_results", "rivals")

NO_CREDENTIALS = ("FILESYSTEM_BLOCK_NAME", "ASSET_METADATA_LOCATION", "AWS_PROFILE", "AWS_SESSION_TOKEN")


@dataclass(frozen=True)
class Bucket(ABC):
    """A bucket of one test alone, and its storage on it through the proxy."""

    server: Any
    proxy: Proxy
    name: str

    storage: ClassVar[Any]
    scheme: ClassVar[str]
    speaks: ClassVar[str]
    """Whose protocol the server speaks, in messages."""
    secret: ClassVar[str]
    """The name of an option that is one."""
    variable: ClassVar[str]
    """The name of an environment variable that the client looks at."""
    unread: ClassVar[str]
    """The name of one that makes a new client, and means nothing to it."""
    put_by: ClassVar[str] = "PUT"
    """The method of a request that writes an object."""
    requests_of_tail: ClassVar[int] = 1
    """To read the end of an object that is longer."""
    checks_bytes: ClassVar[bool] = True
    """Whether servers compare what comes with its MD5."""
    keeps_backslashes: ClassVar[bool] = True
    """In names."""
    ending: ClassVar[str] = ""
    """What a name needs at its end to keep all before."""

    @classmethod
    @abstractmethod
    def new(cls, server: Any, proxy: Proxy, name: str) -> Bucket:
        """Make it there."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.name}"

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]:
        """By way of the proxy."""

    @property
    @abstractmethod
    def direct(self) -> dict[str, Any]:
        """Options that lead to the server itself."""

    @property
    def unsigned(self) -> dict[str, Any]:
        """Options under which requests go through whose headers a proxy has changed."""
        return {}

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The same as the options, in variables."""

    def store(self, **more: Any) -> Any:
        """By way of the proxy."""
        return opened(self.storage, self.url, self.storage.options(**{**self.options, **more}))

    def fs(self, **more: Any) -> Any:
        return self.store(**more).fs

    def rival(self) -> Any:
        """A store by which somebody else writes, past the proxy."""
        return self.storage.open(self.url, self.storage.options(**self.direct, conditional_writes="trust"))

    def path(self, key: str) -> str:
        return f"{self.name}/{key}"

    @abstractmethod
    def put(self, key: str, data: bytes) -> str:
        """Written by somebody else, in another way than the product's. Returns its path."""

    @abstractmethod
    def get(self, key: str) -> bytes:
        """Read in another way than the product's."""

    @abstractmethod
    def drop(self, key: str) -> None:
        """Deleted by somebody else."""

    @abstractmethod
    def listed(self) -> list[str]:
        """All keys."""

    @abstractmethod
    def left(self) -> Sequence[Any]:
        """Uploads in parts that are not ended, as far as the server keeps them."""

    @abstractmethod
    def written(self, request: Request) -> str | None:
        """The key of an object that a request writes, if it does."""

    @abstractmethod
    def read(self, request: Request) -> str | None:
        """The key of an object that a request reads or looks up, if it does."""

    def pins(self, request: Request, version: str) -> bool:
        """Whether it is for bytes of this version alone."""
        return request.headers.get("if-match", "").strip('"') == version.strip('"')

    @abstractmethod
    def appears(self, request: Request, size: int) -> bool:
        """Whether an object of this size is there when the server has acted on it."""

    @abstractmethod
    def is_part(self, request: Request) -> bool:
        """Whether it brings a part of an object."""


class S3Bucket(Bucket):
    storage = S3Storage()
    scheme = "s3"
    speaks = "S3"
    secret = "secret"
    variable = "AWS_PROFILE"
    unread = "AWS_EXECUTION_ENV"
    checks_bytes = False  # moto does not

    @classmethod
    def new(cls, server: Any, proxy: Proxy, name: str) -> Bucket:
        server.client().create_bucket(Bucket=name)
        return cls(server, proxy, name)

    @property
    def options(self) -> dict[str, Any]:
        return {**self.server.options, "endpoint_url": self.proxy.url}

    @property
    def direct(self) -> dict[str, Any]:
        return dict(self.server.options)

    @property
    def environment(self) -> dict[str, str]:
        return {**self.server.environment, "AWS_ENDPOINT_URL": self.proxy.url}

    def put(self, key: str, data: bytes) -> str:
        self.server.client().put_object(Bucket=self.name, Key=key, Body=data)
        return self.path(key)

    def get(self, key: str) -> bytes:
        return bytes(self.server.client().get_object(Bucket=self.name, Key=key)["Body"].read())

    def drop(self, key: str) -> None:
        self.server.client().delete_object(Bucket=self.name, Key=key)

    def listed(self) -> list[str]:
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def left(self) -> Sequence[Any]:
        found: list[Any] = self.server.client().list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        return found

    def written(self, request: Request) -> str | None:
        return request.path.removeprefix(f"/{self.name}/") if request.method == "PUT" else None

    def read(self, request: Request) -> str | None:
        return request.path.removeprefix(f"/{self.name}/") if request.method in ("GET", "HEAD") else None

    def appears(self, request: Request, size: int) -> bool:
        whole = size <= S3Client.single
        return request.method == "PUT" if whole else request.method == "POST" and "uploadId=" in request.query

    def is_part(self, request: Request) -> bool:
        return "partNumber=" in request.query


class GCSBucket(Bucket):
    storage = GCSStorage()
    scheme = "gs"
    speaks = "Google Cloud Storage"
    secret = "token"
    variable = "GOOGLE_CLOUD_PROJECT"
    unread = "GOOGLE_CLOUD_ANOTHER"
    put_by = "POST"

    @classmethod
    def new(cls, server: Any, proxy: Proxy, name: str) -> Bucket:
        server.buckets[name] = Held()
        return cls(server, proxy, name)

    @property
    def held(self) -> Held:
        found: Held = self.server.buckets[self.name]
        return found

    @property
    def options(self) -> dict[str, Any]:
        return {"endpoint_url": self.proxy.url}

    @property
    def direct(self) -> dict[str, Any]:
        return {"endpoint_url": self.server.url}

    @property
    def environment(self) -> dict[str, str]:
        return {"STORAGE_EMULATOR_HOST": self.proxy.url}

    def put(self, key: str, data: bytes, **said: Any) -> str:
        self.server.put(self.name, key, data, **said)
        return self.path(key)

    def get(self, key: str) -> bytes:
        return bytes(self.held.objects[key].data)

    def drop(self, key: str) -> None:
        self.server.drop(self.name, key)

    def listed(self) -> list[str]:
        return sorted(self.held.objects)

    def left(self) -> Sequence[Any]:
        return [upload for upload in self.server.uploads.values() if upload.bucket == self.name and not upload.finished]

    def written(self, request: Request) -> str | None:
        if "/upload/" in request.path:
            found = re.search(rb'"name": "([^"]*)"', request.start)
            return found[1].decode() if found else None
        copied = re.search("/rewriteTo/b/[^/]*/o/(.*)", request.path)
        return copied[1] if copied else None

    def read(self, request: Request) -> str | None:
        return request.path.partition("/o/")[2] if request.method == "GET" else None

    def pins(self, request: Request, version: str) -> bool:
        return f"generation={version}" in request.query

    def appears(self, request: Request, size: int) -> bool:
        if size <= GCSClient.single:
            return request.method == "POST"
        return request.headers.get("content-range", "").endswith(f"-{size - 1}/{size}")

    def is_part(self, request: Request) -> bool:
        return request.method == "PUT"


class AzureBucket(Bucket):
    storage = AzureStorage()
    scheme = "az"
    speaks = "Azure"
    secret = "account_key"
    variable = "AZURE_STORAGE_CLIENT_ID"
    unread = "AZURE_ANOTHER"
    requests_of_tail = 2
    keeps_backslashes = False
    ending = "x"

    @classmethod
    def new(cls, server: Any, proxy: Proxy, name: str) -> Bucket:
        server.client.create_container(name)
        return cls(server, proxy, name)

    @property
    def container(self) -> Any:
        """By Microsoft's own client."""
        return self.server.client.get_container_client(self.name)

    @property
    def options(self) -> dict[str, Any]:
        return {**self.server.options, "endpoint_url": self.server.endpoint(self.proxy.url)}

    @property
    def direct(self) -> dict[str, Any]:
        return dict(self.server.options)

    @property
    def unsigned(self) -> dict[str, Any]:
        return {"account_key": None, "sas_token": self.server.sas(self.name)}

    @property
    def environment(self) -> dict[str, str]:
        return {"AZURE_STORAGE_CONNECTION_STRING": self.server.connection_string(self.proxy.url)}

    def put(self, key: str, data: bytes) -> str:
        self.container.upload_blob(key, data, overwrite=True)
        return self.path(key)

    def get(self, key: str) -> bytes:
        return bytes(self.container.download_blob(key).readall())

    def drop(self, key: str) -> None:
        self.container.delete_blob(key)

    def listed(self) -> list[str]:
        return sorted(self.container.list_blob_names())

    def left(self) -> Sequence[Any]:
        return ()  # blocks that no list names are none

    def _key(self, request: Request) -> str:
        return request.path.removeprefix(f"/{self.server.account}/{self.name}/")

    def written(self, request: Request) -> str | None:
        return self._key(request) if request.method == "PUT" else None

    def read(self, request: Request) -> str | None:
        return self._key(request) if request.method in ("GET", "HEAD") else None

    def appears(self, request: Request, size: int) -> bool:
        return request.method == "PUT" and "comp=block&" not in request.query

    def is_part(self, request: Request) -> bool:
        return "comp=block&" in request.query


BUCKETS: dict[type, type[Bucket]] = {
    S3Server: S3Bucket,
    Gateway: S3Bucket,
    GCSServer: GCSBucket,
    Azurite: AzureBucket,
}


# -- servers -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def moto_server() -> Iterator[S3Server]:
    with moto() as server:
        yield server


@pytest.fixture(scope="session")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """S3 over TLS, with signatures checked."""
    with moto_with_signatures(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def rgw_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    if missing := rgw_missing():
        pytest.skip(f"Ceph's gateway is {missing}")
    large = os.environ.get("MAD_PREFECT_LARGE") == "long"
    with rgw(tmp_path_factory.mktemp("rgw"), on_disk=large) as server:
        yield server


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GCSServer]:
    """For tests that change nothing about the server but their own bucket."""
    with gcs() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[GCSServer]:
    """A server of one test alone."""
    with gcs() as server:
        yield server


@pytest.fixture(scope="session")
def azurite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    if missing := azurite_missing():
        pytest.skip(f"Azurite is {missing}")
    with azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(params=["moto", "rgw", "gcs", "azurite"])
def server(request: pytest.FixtureRequest) -> Any:
    """Each of all."""
    return request.getfixturevalue(f"{request.param}_server")


@pytest.fixture(params=["moto", "rgw"])
def any_server(request: pytest.FixtureRequest) -> S3Server:
    """Each of two for S3 that nobody wrote together."""
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    return server


# -- buckets -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def new_bucket() -> Iterator[Callable[[Any], Bucket]]:
    proxies = []

    def make(server: Any) -> Bucket:
        manager = proxy_to(server.url)
        proxies.append(manager)
        return BUCKETS[type(server)].new(server, manager.__enter__(), f"bucket-{uuid.uuid4().hex[:12]}")

    yield make
    for manager in proxies:
        manager.__exit__(None, None, None)


@pytest.fixture
def bucket(server: Any, new_bucket: Callable[[Any], Bucket]) -> Bucket:
    return new_bucket(server)


@pytest.fixture
def own_bucket(own_server: GCSServer, new_bucket: Callable[[Any], Bucket]) -> Bucket:
    """A bucket on a server of one test alone."""
    return new_bucket(own_server)


@pytest.fixture
def any_bucket(any_server: S3Server, new_bucket: Callable[[Any], Bucket]) -> Bucket:
    """A bucket on each server for S3."""
    return new_bucket(any_server)


@pytest.fixture(params=["strict", "rgw"])
def any_strict(request: pytest.FixtureRequest, new_bucket: Callable[[Any], Bucket]) -> Bucket:
    """A bucket on each server for S3 that checks signatures."""
    return new_bucket(request.getfixturevalue(f"{request.param}_server"))


@pytest.fixture
def based_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Bucket], Bucket]:
    """Makes relative paths be below `lake/` in a bucket."""

    def base(bucket: Bucket) -> Bucket:
        _base_on(bucket, monkeypatch, tmp_path)
        return bucket

    return base


@pytest.fixture
def based(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """Relative paths are below `lake/` in the bucket."""
    _base_on(bucket, monkeypatch, tmp_path)
    return bucket


@pytest.fixture
def any_based(any_bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """The same on each server for S3."""
    _base_on(any_bucket, monkeypatch, tmp_path)
    return any_bucket


@pytest.fixture(scope="module")
def rgw_based(rgw_server: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """The same on Ceph's gateway, for all tests of a module together."""
    with pytest.MonkeyPatch.context() as monkeypatch, proxy_to(rgw_server.url) as proxy:
        bucket = S3Bucket.new(rgw_server, proxy, f"bucket-{uuid.uuid4().hex[:12]}")
        _base_on(bucket, monkeypatch, tmp_path_factory.mktemp("here"))
        yield bucket


def _base_on(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NO_CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FILESYSTEM_URL", f"{bucket.url}/lake")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "GOOGLE_", "STORAGE_EMULATOR_HOST")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / "azure"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
