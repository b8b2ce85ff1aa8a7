"""On S3, Google Cloud Storage and Azure, the N-th request fails for every N: before the server hears of it, after it
acted, once and for ever (S08)."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gcs_server
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azurite import azurite, azurite_missing
from http_proxy import Fault, Proxy, Request, proxy_to
from lake import Effort, Files, Lake, Trials, make
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.s3.models import s3_backends
from s3_server import moto

pytestmark = pytest.mark.faults

FAULTS = {
    "broken once": (Fault(), False),
    "answer lost once": (Fault(reply_lost=True), False),
    "refused for ever": (Fault(status=403), True),
}


@dataclass(frozen=True)
class OnS3:
    """What is below `lake/` in a bucket of moto in this process."""

    client: Any
    bucket: str

    def all(self) -> dict[str, bytes]:
        objects = s3_backends[ACCOUNT]["aws"].buckets[self.bucket].keys  # by requests it would take seconds
        return {key.removeprefix("lake/"): found.value for key, found in list(objects.items())}

    def get(self, key: str) -> bytes | None:
        return self.all().get(key)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"lake/{key}", Body=data)


@dataclass(frozen=True)
class OnGCS:
    """The same in a bucket of our own server."""

    server: gcs_server.GCSServer
    bucket: str

    def all(self) -> dict[str, bytes]:
        objects = self.server.buckets[self.bucket].objects
        return {key.removeprefix("lake/"): found.data for key, found in list(objects.items())}

    def get(self, key: str) -> bytes | None:
        return self.all().get(key)

    def put(self, key: str, data: bytes) -> None:
        self.server.put(self.bucket, f"lake/{key}", data)


@dataclass(frozen=True)
class OnAzure:
    """The same in a container of Azurite."""

    container: Any

    def all(self) -> dict[str, bytes]:
        names = [name for name in self.container.list_blob_names() if name.startswith("lake/")]
        with ThreadPoolExecutor(8) as threads:
            found = threads.map(lambda name: self.get(name.removeprefix("lake/")), names)
            pairs = zip(names, found, strict=True)
            return {name.removeprefix("lake/"): data for name, data in pairs if data is not None}

    def get(self, key: str) -> bytes | None:
        try:
            return bytes(self.container.download_blob(f"lake/{key}").readall())
        except ResourceNotFoundError:
            return None

    def put(self, key: str, data: bytes) -> None:
        self.container.upload_blob(f"lake/{key}", data, overwrite=True)


@dataclass(frozen=True)
class Store:
    """A server behind a proxy. `new` makes a lake in a bucket of its own."""

    proxy: Proxy
    new: Callable[[], Lake]


@contextmanager
def s3() -> Iterator[tuple[Proxy, dict[str, str], Callable[[str], Files]]]:
    """A proxy, the variables by which it is found, and what makes a bucket."""
    with moto() as server, proxy_to(server.url) as proxy:
        client = server.client()

        def bucket(name: str) -> Files:
            client.create_bucket(Bucket=name)
            return OnS3(client, name)

        yield proxy, {**server.environment, "AWS_ENDPOINT_URL": proxy.url}, bucket


@contextmanager
def gcs() -> Iterator[tuple[Proxy, dict[str, str], Callable[[str], Files]]]:
    """The same."""
    with gcs_server.gcs() as server, proxy_to(server.url) as proxy:

        def bucket(name: str) -> Files:
            server.buckets[name] = gcs_server.Bucket()
            return OnGCS(server, name)

        yield proxy, {"STORAGE_EMULATOR_HOST": proxy.url}, bucket


@contextmanager
def azure() -> Iterator[tuple[Proxy, dict[str, str], Callable[[str], Files]]]:
    """The same."""
    if missing := azurite_missing():
        pytest.skip(f"Azurite is {missing}")
    with TemporaryDirectory() as folder, azurite(Path(folder)) as server, proxy_to(server.url) as proxy:

        def bucket(name: str) -> Files:
            return OnAzure(server.client.create_container(name))

        yield proxy, {"AZURE_STORAGE_CONNECTION_STRING": server.connection_string(proxy.url)}, bucket


@pytest.fixture(params=[("s3", s3), ("gs", gcs), ("az", azure)], ids=["s3", "gcs", "azure"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr("mad_prefect_core.retries._FIRST", 0.02)
    protocol, begin = request.param
    with begin() as (proxy, environment, bucket):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

        def new() -> Lake:
            name = f"faults-{uuid.uuid4().hex}"
            monkeypatch.setenv("FILESYSTEM_URL", f"{protocol}://{name}/lake")
            lake = Lake(bucket(name))
            lake.run()
            lake.plant()
            lake.run()
            return lake

        yield Store(proxy, new)


@pytest.mark.parametrize("how", FAULTS)
def test_s08_a_request_fails(store: Store, trials: Trials, effort: Effort, how: str) -> None:
    fault, forever = FAULTS[how]
    lake = store.new()
    for number in itertools.count(1, effort.of(12, 1)):
        asked = itertools.count(1)

        def befall(request: Request, number: int = number, asked: Iterator[int] = asked) -> Fault | None:
            n = next(asked)
            return fault if n == number or (forever and n > number) else None

        old, error = lake.value, None
        lake.value += 1
        store.proxy.faults = befall
        try:
            lake.asset.call_sync()
        except Exception as raised:
            error = raised
        store.proxy.heal()
        if next(asked) <= number:
            break
        wrong = itertools.chain(lake.after(old, lake.value, error), lake.next())
        if not trials.add(f"request {number} {how}", wrong):
            lake = store.new()
    trials.hold()


def test_s14_threads_that_race(store: Store, trials: Trials, effort: Effort) -> None:
    lake = store.new()
    for number in range(effort.of(3, 50)):
        values = range(lake.value + 1, lake.value + 4)
        lake.value = values[-1]
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda value: make(lambda: value).call_sync(), values))
        shown = lake.shown()
        wrong = [] if shown in [(value, value) for value in values] else [f"the paths have {shown} of {values}"]
        lake.published += [str(record.id) for record in lake.successes()]
        trials.add(f"race {number}", itertools.chain(wrong, lake.next()))
    trials.hold()
