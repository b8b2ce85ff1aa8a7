"""Servers of SFTP, FTP, WebDAV and HTTP, each in threads of this process and with a folder of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncssh
from cheroot.wsgi import Server as WSGIServer
from wsgidav.wsgidav_app import WsgiDAVApp

PASSWORD = "correct horse battery staple"


@contextmanager
def sftp_server(
    sftp: type[asyncssh.SFTPServer] = asyncssh.SFTPServer, authorized_keys: Path | None = None
) -> Iterator[int]:
    """The port of an SFTP server with all of this machine's files, for `ada`, by password or by the keys of a file. It
    forces nothing to the disk."""

    class Login(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, given: str) -> bool:
            return (username, given) == ("ada", PASSWORD)

    connections: list[asyncssh.SSHServerConnection] = []

    async def listen() -> asyncssh.SSHAcceptor:
        key = asyncssh.generate_private_key("ssh-ed25519")
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Login,
            server_host_keys=[key],
            sftp_factory=sftp,
            acceptor=connections.append,
            authorized_client_keys=str(authorized_keys) if authorized_keys else (),
        )

    async def stop() -> None:
        acceptor.close()
        await acceptor.wait_closed()
        for connection in connections:
            connection.abort()
            await connection.wait_closed()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    try:
        yield acceptor.get_port()
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def _serving(serve: Callable[[], Any], stop: Callable[[], Any]) -> Iterator[None]:
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(30)


@contextmanager
def ftp_server(folder: Path) -> Iterator[int]:
    """The port of an FTP server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of asyncore, until Python 3.12
        from pyftpdlib.authorizers import DummyAuthorizer
        from pyftpdlib.handlers import FTPHandler
        from pyftpdlib.servers import ThreadedFTPServer
    logging.getLogger("pyftpdlib").setLevel(logging.CRITICAL)
    authorizer = DummyAuthorizer()
    authorizer.add_user("ada", PASSWORD, str(folder), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer, "use_sendfile": False})
    server = ThreadedFTPServer(("127.0.0.1", 0), handler)
    with _serving(partial(server.serve_forever, timeout=0.1), server.close_all):
        yield server.address[1]


@contextmanager
def webdav_server(folder: Path) -> Iterator[str]:
    """The URL of a WebDAV server."""
    config = {
        "provider_mapping": {"/": str(folder)},
        "simple_dc": {"user_mapping": {"*": {"ada": {"password": PASSWORD}}}},
        "http_authenticator": {"accept_digest": False, "default_to_digest": False},
        "verbose": 0,
        "logging": {"enable": False},
        "lock_storage": None,
        "property_manager": None,
    }
    server = WSGIServer(("127.0.0.1", 0), WsgiDAVApp(config), numthreads=16)
    server.prepare()
    with _serving(server.serve, server.stop):
        yield f"http://127.0.0.1:{server.bind_addr[1]}"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None: ...


@contextmanager
def http_server(folder: Path) -> Iterator[str]:
    """The URL of an HTTP server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    with _serving(server.serve_forever, server.shutdown):
        yield f"http://127.0.0.1:{server.server_port}"
    server.server_close()
