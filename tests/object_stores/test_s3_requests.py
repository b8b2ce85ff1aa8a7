"""Single requests to S3: buckets that are elsewhere, and objects of many parts."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from speaking import speaking

from mad_prefect_core.errors import StorageError
from mad_prefect_core.object_stores import transfers
from mad_prefect_core.sdk import ObjectStore
from mad_prefect_core.stores import staged_file
from mad_prefect_s3 import S3Options, S3Storage
from mad_prefect_s3.client import S3Client

STORAGE = S3Storage()
OPTIONS = {"key": "key", "secret": "secret", "region": "us-east-1", "conditional_writes": "trust"}


@pytest.fixture
def server(moto_server: Any) -> Any:
    return moto_server


def client(url: str, **more: Any) -> Any:
    return STORAGE.open("s3://bucket", S3Options(endpoint_url=url, **{**OPTIONS, **more})).fs


def publish(fs: Any, path: str, data: bytes) -> None:
    staged = staged_file(path)
    staged.write_bytes(data)
    ObjectStore(fs).publish(staged, path)


ACTS: dict[str, Callable[[Any], Any]] = {
    "read": lambda fs: ObjectStore(fs).read("bucket/x"),
    "stat": lambda fs: ObjectStore(fs).stat("bucket/x"),
    "list": lambda fs: fs.ls("bucket/x"),
    "replace": lambda fs: ObjectStore(fs).replace("bucket/x", b"data", None),
    "publish": lambda fs: publish(fs, "bucket/x", b"data"),
}


# -- elsewhere ---------------------------------------------------------------------------------------------------------

MALFORMED = (
    b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong</Message>"
    b"<Region>eu-central-1</Region></Error>"
)


def elsewhere(connection: socket.socket) -> None:
    """Answer each request as S3 does where the bucket is in another region."""
    with suppress(OSError):
        while request := connection.recv(2**16):
            body = b"" if request.startswith(b"HEAD") else MALFORMED
            head = b"HTTP/1.1 400 Bad Request\r\nx-amz-bucket-region: eu-central-1\r\nContent-Length: %d\r\n\r\n"
            connection.sendall(head % len(MALFORMED if request.startswith(b"HEAD") else body) + body)


@pytest.mark.parametrize("act", ["read", "stat", "list", "replace", "publish"])
def test_a_wrong_region_is_an_error_that_names_the_right_one(act: str, pauses: list[float]) -> None:
    region = "The bucket is in the region eu-central-1"
    with speaking(elsewhere) as url, pytest.raises(StorageError, match=region) as raised:
        ACTS[act](client(url))
    assert raised.value.path == "s3://bucket/x"
    assert pauses == []


# -- many parts --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5 * 2**40))
def test_ten_thousand_parts_suffice_for_every_object_that_s3_takes(size: int) -> None:
    length = transfers.part_length(size, 8 * 2**20, 10_000)
    assert len(range(0, size, length)) <= 10_000
    assert 5 * 2**20 <= length <= 5 * 2**30


def test_parts_grow_with_an_object_and_make_it_whole(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(S3Client, "most_parts", 3)
    monkeypatch.setattr(transfers, "_AT_ONCE", 1)  # one part at a time, however long
    data = bytes(range(256)) * (28 * 2**20 // 256) + b"end"
    publish(bucket.fs(), bucket.path("x"), data)
    assert bucket.get("x") == data
    assert sum("partNumber" in request.query for request in bucket.proxy.requests) == 3
