"""Single requests to object stores: servers that say nothing or stop to listen, and answers that are lost."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from http_proxy import Fault, Request
from speaking import speaking

from mad_prefect_core import asset
from mad_prefect_core.errors import ResultGoneError, StorageError
from mad_prefect_core.sdk import ObjectStore
from mad_prefect_core.stores import staged_file


def client(bucket: Any, url: str, **more: Any) -> Any:
    options = {**bucket.options, "conditional_writes": "trust", "endpoint_url": url, **more}
    return bucket.storage.open(bucket.url, bucket.storage.options(**options)).fs


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
    "publish parts": lambda fs: publish(fs, "bucket/x", bytes(20 * 2**20)),
}


def silent(connection: socket.socket) -> None:
    """Say nothing for half a minute, and then something that is no sign of a server that is away."""
    threading.Event().wait(30)
    with suppress(OSError):  # the client has given it up
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("act", ACTS)
def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(bucket: Any, act: str) -> None:
    with speaking(silent) as url:
        fs = client(bucket, url, attempts=2, connect_timeout=0.2, read_timeout=0.2)
        with pytest.raises(StorageError, match="did not answer") as raised:
            ACTS[act](fs)
    assert raised.value.path == f"{bucket.scheme}://bucket/x"


RESOURCE = b'{"generation": "1", "size": "0"}'
"""What Google's service answers."""


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
        body = RESOURCE if head.startswith(b"POST") else b""
        status = b"201 Created" if b"x-ms-version" in head.lower() else b"200 OK"
        connection.sendall(b'HTTP/1.1 %s\r\nETag: "e"\r\nContent-Length: %d\r\n\r\n' % (status, len(body)) + body)


def test_a_slow_upload_goes_through_as_long_as_the_server_takes_some_of_it(bucket: Any) -> None:
    with speaking(taking_slowly) as url:
        fs = client(bucket, url, attempts=1, connect_timeout=0.2, read_timeout=0.7)
        started = time.monotonic()
        publish(fs, "bucket/x", bytes(fs.client.single))
    assert time.monotonic() - started > 0.9, "it was not slow"


def test_a_server_that_stops_to_take_an_upload_is_given_up(bucket: Any) -> None:
    with speaking(lambda connection: connection.recv(2**16)) as url:
        fs = client(bucket, url, attempts=1, connect_timeout=1, read_timeout=0.3)
        with pytest.raises(StorageError, match="took nothing"):
            publish(fs, "bucket/x", bytes(8 * 2**20))


# -- lost answers ------------------------------------------------------------------------------------------------------


def lose_the_last(bucket: Any, size: int) -> Callable[[Request], Fault | None]:
    """The answer to the request that makes an object of this size appear is lost, once."""
    lost: list[Request] = []

    def fault(request: Request) -> Fault | None:
        if lost or not bucket.appears(request, size):
            return None
        lost.append(request)
        return Fault(reply_lost=True)

    return fault


@pytest.mark.parametrize("size", [4, 20 * 2**20], ids=["whole", "parts"])
def test_a_file_that_was_created_is_known_for_ours_where_the_answer_was_lost(bucket: Any, size: int) -> None:
    fs = bucket.fs(conditional_writes="trust")
    with fs.open(bucket.path("x"), "xb") as file:
        file.write(bytes(size))
        bucket.proxy.faults = lose_the_last(bucket, size)
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
    monkeypatch.setenv(based.unread, "another")  # another client, as that of another process
    gone = Fault(status=404)  # without a body
    based.proxy.faults = lambda request: gone if ".run" in (based.read(request) or "") else None
    with pytest.raises(ResultGoneError, match="Query the asset again"):
        numbers.query_sync("WHERE id = 1").fetchall()
    based.proxy.heal()
    assert numbers.query_sync("WHERE id = 1").fetchall() == [(1,)]
