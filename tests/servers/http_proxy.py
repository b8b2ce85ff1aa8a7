"""A proxy between a client and a server on this machine: it counts requests, and makes some of them fail."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    """Decoded, with the bucket."""
    query: str
    headers: dict[str, str] = field(repr=False)
    """By names in lower case."""
    start: bytes = field(repr=False)
    """Of its body, 1,000 bytes at most."""


@dataclass(frozen=True)
class Fault:
    """What becomes of a request. By default the connection breaks before the server hears of it."""

    status: int | None = None
    """Answer with this status instead of asking the server."""
    reply_lost: bool = False
    """The server acts, and the connection breaks before its answer."""
    late: bool = False
    """The connection breaks at once, and the server acts when `Proxy.deliver` says so."""
    half_reply: bool = False
    """The connection breaks in the middle of the answer's body."""
    wait: float = 0
    """Seconds before anything happens."""


class Proxy:
    """`url` stands for the server. `requests` is what went by; `faults` is asked about each, in order of arrival."""

    def __init__(self, target: str) -> None:
        self.requests: list[Request] = []
        self.faults: Callable[[Request], Fault | None] = lambda request: None
        self._target = urlsplit(target)
        self._late: list[tuple[str, str, bytes, Any]] = []
        self._lock = threading.Lock()
        self._listen()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _listen(self, port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), _handler(self))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def count(self) -> int:
        """Requests since the last time this was asked."""
        with self._lock:
            seen, self.requests = self.requests, []
            return len(seen)

    def fail(self, fault: Fault, times: int | None = 1, **only: str) -> None:
        """Have the next requests fail: `times` of them, all if None; those with this method, or this in their path."""
        left = [times]

        def faults(request: Request) -> Fault | None:
            if only.get("method", request.method) != request.method or only.get("path", "") not in request.path:
                return None
            if left[0] == 0:
                return None
            if left[0] is not None:
                left[0] -= 1
            return fault

        self.faults = faults

    def heal(self) -> None:
        """No more faults."""
        self.faults = lambda request: None

    def deliver(self) -> None:
        """Have the server act on all requests that are late, in order of arrival."""
        with self._lock:
            late, self._late = self._late, []
        for request in late:
            self.ask(*request)

    def keep(self, method: str, path: str, body: bytes, headers: Any) -> None:
        with self._lock:
            self._late.append((method, path, body, headers))

    def seen(self, request: Request) -> Fault | None:
        with self._lock:
            self.requests.append(request)
            return self.faults(request)

    def ask(self, method: str, path: str, body: bytes, headers: Any) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = self._connection()
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._target.scheme == "http":
            return http.client.HTTPConnection(self._target.netloc, timeout=60)
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(self._target.netloc, timeout=60, context=anybody)

    @contextmanager
    def away(self, seconds: float) -> Iterator[None]:
        """Nobody listens there when the block begins, nor for so long then."""
        self.close()
        back = threading.Timer(seconds, self._listen, [int(self.url.rpartition(":")[2])])
        back.start()
        try:
            yield
        finally:
            back.join()

    def close(self) -> None:
        """Nobody listens there any more."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def proxy_to(target: str) -> Iterator[Proxy]:
    """A proxy while the block runs."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that clients gave up are part of the tests."""


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def _any(self) -> None:
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            if headers.get("expect", "").lower() == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            length = int(headers.get("content-length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:  # the client has given it up
                self.close_connection = True
                return
            fault = proxy.seen(Request(self.command, unquote(url.path), url.query, headers, body[:1000]))
            if fault is not None and fault.wait:
                threading.Event().wait(fault.wait)
            if fault is not None and fault.late:
                proxy.keep(self.command, self.path, body, self.headers)
                self._break()
                return
            if fault is not None and fault.status is not None:
                self._answer(fault.status, [], b"")
                return
            if fault is not None and not fault.reply_lost and not fault.half_reply and not fault.wait:
                self._break()
                return
            status, answered, data = proxy.ask(self.command, self.path, body, self.headers)
            if fault is not None and fault.reply_lost:
                self._break()
                return
            self._answer(status, answered, data, half=fault is not None and fault.half_reply)

        def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, half: bool = False) -> None:
            self.send_response_only(status)
            skipped = ("transfer-encoding", "connection", "content-length")
            length = next((value for name, value in headers if name.lower() == "content-length"), None)
            for name, value in headers:
                if name.lower() not in skipped:
                    self.send_header(name, value)
            if status not in (204, 304):
                self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if half else data)
            if half:
                self._break()

        def _break(self) -> None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any

    return Handler
