"""Single requests to S3: servers that say nothing, stop to listen or are elsewhere, and objects of many parts."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from http_proxy import Fault
from hypothesis import given
from hypothesis import strategies as st

from mad_prefect_core import asset
from mad_prefect_core.errors import ResultGoneError, StorageError
from mad_prefect_core.stores import staged_file
from mad_prefect_s3 import S3Options, S3Storage, S3Store, transfers

STORAGE = S3Storage()
OPTIONS = {"key": "key", "secret": "secret", "region": "us-east-1", "conditional_writes": "trust"}


@contextmanager
def server(speak: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that speaks so on each connection."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 2**10)
    held = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection = listening.accept()[0]
                held.append(connection)
                threading.Thread(target=speak, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()
        for connection in held:
            connection.close()


def client(url: str, **more: Any) -> Any:
    return STORAGE.open("s3://bucket", S3Options(endpoint_url=url, **{**OPTIONS, **more})).fs


def publish(fs: Any, path: str, data: bytes) -> None:
    staged = staged_file(path)
    staged.write_bytes(data)
    S3Store(fs).publish(staged, path)


ACTS: dict[str, Callable[[Any], Any]] = {
    "read": lambda fs: S3Store(fs).read("bucket/x"),
    "stat": lambda fs: S3Store(fs).stat("bucket/x"),
    "list": lambda fs: fs.ls("bucket/x"),
    "replace": lambda fs: S3Store(fs).replace("bucket/x", b"data", None),
    "publish": lambda fs: publish(fs, "bucket/x", b"data"),
    "publish parts": lambda fs: publish(fs, "bucket/x", bytes(20 * 2**20)),
}


def silent(connection: socket.socket) -> None:
    """Say nothing for half a minute, and then something that is no sign of a server that is away."""
    threading.Event().wait(30)
    with suppress(OSError):  # the client has given it up
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("act", ACTS)
def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(act: str) -> None:
    with server(silent) as url:
        fs = client(url, attempts=2, connect_timeout=0.2, read_timeout=0.2)
        with pytest.raises(StorageError, match="did not answer") as raised:
            ACTS[act](fs)
    assert raised.value.path == "s3://bucket/x"


def taking_slowly(connection: socket.socket) -> None:
    """Take a request at 8 MiB a second, and answer it with an ETag."""
    taken = b""
    with suppress(OSError):
        while b"\r\n\r\n" not in taken:
            taken += connection.recv(2**16)
        head, _, rest = taken.partition(b"\r\n\r\n")
        if b"100-continue" in head.lower():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        left = length - len(rest)
        for step in range(left, 0, -(2**18)):
            time.sleep(1 / 32)
            while left > step - 2**18 and left:
                left -= len(connection.recv(min(2**16, left)))
        connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n')


def test_a_slow_upload_goes_through_as_long_as_the_server_takes_some_of_it() -> None:
    with server(taking_slowly) as url:
        fs = client(url, attempts=1, connect_timeout=1, read_timeout=0.7)
        started = time.monotonic()
        publish(fs, "bucket/x", bytes(16 * 2**20))
    assert time.monotonic() - started > 1.7, "it was not slow"


def test_a_server_that_stops_to_take_an_upload_is_given_up() -> None:
    with server(lambda connection: connection.recv(2**16)) as url:
        fs = client(url, attempts=1, connect_timeout=1, read_timeout=0.3)
        with pytest.raises(StorageError, match="took nothing"):
            publish(fs, "bucket/x", bytes(8 * 2**20))


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
    with server(elsewhere) as url, pytest.raises(StorageError, match=region) as raised:
        ACTS[act](client(url))
    assert raised.value.path == "s3://bucket/x"
    assert pauses == []


# -- many parts --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5 * 2**40))
def test_ten_thousand_parts_suffice_for_every_object_that_s3_takes(size: int) -> None:
    length = transfers.part_length(size, 8 * 2**20)
    assert len(range(0, size, length)) <= 10_000
    assert 5 * 2**20 <= length <= 5 * 2**30


def test_parts_grow_with_an_object_and_make_it_whole(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "_MAX_PARTS", 3)
    monkeypatch.setattr(transfers, "_AT_ONCE", 1)  # one part at a time, however long
    data = bytes(range(256)) * (28 * 2**20 // 256) + b"end"
    publish(bucket.fs(), bucket.path("x"), data)
    assert bucket.get("x") == data
    assert sum("partNumber" in request.query for request in bucket.proxy.requests) == 3


# -- lost answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4, 20 * 2**20], ids=["whole", "parts"])
def test_a_file_that_was_created_is_known_for_ours_where_the_answer_was_lost(bucket: Any, size: int) -> None:
    fs = bucket.fs(conditional_writes="trust")
    last = {"method": "PUT"} if size == 4 else {"method": "POST"}
    with fs.open(bucket.path("x"), "xb") as file:
        file.write(bytes(size))
        bucket.proxy.fail(Fault(reply_lost=True), **last)
    bucket.proxy.heal()
    assert len(bucket.get("x")) == size
    with pytest.raises(FileExistsError), fs.open(bucket.path("x"), "xb"):
        pass


def test_a_file_that_the_server_says_is_not_there_is_gone_and_not_corrupt(
    based: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset("x.parquet", cache_expiration=dt.timedelta(hours=1))
    def numbers() -> Any:
        return [{"id": 1}]

    numbers.call_sync()
    monkeypatch.setenv("AWS_EXECUTION_ENV", "another")  # another client, as that of another process
    based.proxy.fail(Fault(status=404), times=None, method="GET", path=".run")  # without a body
    with pytest.raises(ResultGoneError, match="Query the asset again"):
        numbers.query_sync("WHERE id = 1").fetchall()
    based.proxy.heal()
    assert numbers.query_sync("WHERE id = 1").fetchall() == [(1,)]
