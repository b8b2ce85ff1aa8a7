"""Real SFTP servers in threads of their own. Prints a capability card; `--capability-cards=DIR` writes it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

pytest_plugins = ["mad_prefect_core.testing.pytest_plugin"]


class Server:
    """An SFTP server on a port of its own, with all of this machine's files. Who knows the password gets in, and who
    has the key, of which it is the passphrase."""

    password = "correct horse battery staple"

    def __init__(self, folder: Path, sftp: type[asyncssh.SFTPServer]) -> None:
        self.passwords: list[str] = []
        """All that were tried."""
        self._connections: list[asyncssh.SSHServerConnection] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        host_key, client_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        self.client_key = str(folder / "id_ed25519")
        client_key.write_private_key(self.client_key, passphrase=self.password, rounds=50)
        client_key.write_public_key(folder / "authorized_keys")
        passwords, password = self.passwords, self.password

        class Login(asyncssh.SSHServer):
            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, given: str) -> bool:
                passwords.append(given)
                return given == password

        async def listen() -> asyncssh.SSHAcceptor:
            return await asyncssh.listen(
                "127.0.0.1", 0, server_factory=Login, server_host_keys=[host_key], sftp_factory=sftp,
                authorized_client_keys=str(folder / "authorized_keys"), acceptor=self._connections.append,
            )  # fmt: skip

        self._acceptor = self._do(listen())
        port = self._acceptor.get_port()
        self.url = f"sftp://ada@127.0.0.1:{port}"
        self.known_hosts = str(folder / "known_hosts")
        Path(self.known_hosts).write_bytes(f"[127.0.0.1]:{port} ".encode() + host_key.export_public_key())

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Have it answer nothing inside the block."""
        over = threading.Event()
        self._loop.call_soon_threadsafe(over.wait, 60)
        yield
        over.set()

    def drop(self) -> None:
        """Cut all connections."""

        async def abort() -> None:
            for connection in self._connections:
                connection.abort()
                await connection.wait_closed()
            self._connections.clear()

        self._do(abort())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._acceptor.close)
        self._do(self._acceptor.wait_closed())
        self.drop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, task: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(30)


Start = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    @contextmanager
    def running(sftp: type[asyncssh.SFTPServer] = asyncssh.SFTPServer) -> Iterator[Server]:
        server = Server(tmp_path_factory.mktemp("server"), sftp)
        yield server
        server.stop()

    return running


@pytest.fixture(scope="session")
def server(start: Start) -> Iterator[Server]:
    with start() as server:
        yield server
