"""On S3, the N-th request fails for every N: before the server hears of it, after it acted, once and for ever (S08)."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from http_proxy import Fault, Proxy, Request, proxy_to
from lake import Effort, Lake, Trials, make
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.s3.models import s3_backends
from s3_server import S3Server, moto

pytestmark = pytest.mark.faults

FAULTS = {
    "broken once": (Fault(), False),
    "answer lost once": (Fault(reply_lost=True), False),
    "refused for ever": (Fault(status=403), True),
}


@dataclass(frozen=True)
class BucketFiles:
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


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with moto() as running:
        yield running


@pytest.fixture
def proxy(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with proxy_to(server.url) as running:
        for name, value in {**server.environment, "AWS_ENDPOINT_URL": running.url}.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def fresh_on_s3(server: S3Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Lake]:
    client = server.client()

    def make() -> Lake:
        bucket = f"faults-{uuid.uuid4().hex}"
        client.create_bucket(Bucket=bucket)
        monkeypatch.setenv("FILESYSTEM_URL", f"s3://{bucket}/lake")
        lake = Lake(BucketFiles(client, bucket))
        lake.run()
        lake.plant()
        lake.run()
        return lake

    return make


@pytest.mark.parametrize("how", FAULTS)
def test_s08_a_request_fails(
    fresh_on_s3: Callable[[], Lake], proxy: Proxy, trials: Trials, effort: Effort, how: str
) -> None:
    fault, forever = FAULTS[how]
    lake = fresh_on_s3()
    for number in itertools.count(1, effort.of(12, 1)):
        asked = itertools.count(1)

        def befall(request: Request, number: int = number, asked: Iterator[int] = asked) -> Fault | None:
            n = next(asked)
            return fault if n == number or (forever and n > number) else None

        old, error = lake.value, None
        lake.value += 1
        proxy.faults = befall
        try:
            lake.asset.call_sync()
        except Exception as raised:
            error = raised
        proxy.heal()
        if next(asked) <= number:
            break
        wrong = itertools.chain(lake.after(old, lake.value, error), lake.next())
        if not trials.add(f"request {number} {how}", wrong):
            lake = fresh_on_s3()
    trials.hold()


def test_s13_runs_that_race(fresh_on_s3: Callable[[], Lake], proxy: Proxy, trials: Trials, effort: Effort) -> None:
    lake = fresh_on_s3()
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
