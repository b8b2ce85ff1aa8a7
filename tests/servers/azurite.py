"""Azurite, Microsoft's emulator of Azure Blob Storage, as a process of its own that keeps all in memory.

`./dev` installs it from npm into `.venv/azurite` where there are node and npm.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

_MAIN = Path(__file__).parents[2] / ".venv/azurite/node_modules/azurite/dist/src/blob/main.js"


def azurite_missing() -> str | None:
    """Why there can be no Azurite here."""
    if shutil.which("node") is None:
        return "not installed: node (Debian: nodejs)"
    if not _MAIN.is_file():
        return "not installed: ./dev setup gets it where there is npm (Debian: npm)"
    return None


@dataclass(frozen=True)
class Azurite:
    """A server with one account."""

    url: str
    account: str
    key: str = field(repr=False)
    authorities: str | None = None
    """A file with the certificate, where it speaks TLS."""

    @property
    def options(self) -> dict[str, Any]:
        """For the storage `azure`."""
        return {"account_name": self.account, "account_key": self.key, "endpoint_url": self.endpoint()}

    def endpoint(self, url: str | None = None) -> str:
        """Of the account, or of one by way of a proxy."""
        return f"{url or self.url}/{self.account}"

    def connection_string(self, url: str | None = None) -> str:
        named = {"AccountName": self.account, "AccountKey": self.key, "BlobEndpoint": self.endpoint(url)}
        return ";".join(f"{name}={value}" for name, value in named.items())

    @cached_property
    def client(self) -> Any:
        """Another way in than the product's: the service by Microsoft's own client."""
        from azure.storage.blob import BlobServiceClient

        verify = self.authorities or True
        return BlobServiceClient.from_connection_string(
            self.connection_string(), retry_total=0, connection_verify=verify
        )

    def sas(self, container: str, permissions: str = "racwdl", seconds: int = 3600) -> str:
        """A shared access signature for a container."""
        import datetime as dt

        from azure.storage.blob import generate_container_sas

        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        return str(generate_container_sas(self.account, container, self.key, permission=permissions, expiry=ends))


@contextmanager
def azurite(folder: Path, certificate: tuple[Path, Path] | None = None) -> Iterator[Azurite]:
    """One that runs while the block does. The folder is for its log. With a certificate and its key it speaks TLS, and
    takes OAuth tokens: it looks at their issuer, audience and times, and not at their signature."""
    account, key = f"account{uuid.uuid4().hex[:8]}", base64.b64encode(os.urandom(64)).decode()
    port = _free_port()
    command = ["node", str(_MAIN), "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    tls: Sequence[object] = (
        ("--oauth", "basic", "--cert", certificate[0], "--key", certificate[1]) if certificate else ()
    )
    with open(folder / "azurite.log", "wb") as log:
        process = subprocess.Popen(
            [*command, "--blobHost", "127.0.0.1", "--blobPort", str(port), *map(str, tls)],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "AZURITE_ACCOUNTS": f"{account}:{key}"},
        )
    try:
        _wait_for(port, process, folder / "azurite.log")
        scheme = "https" if certificate else "http"
        server = Azurite(f"{scheme}://127.0.0.1:{port}", account, key, str(certificate[0]) if certificate else None)
        yield server
        server.client.close()
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Azurite does not run: {log.read_text('utf-8')[-2000:]}") from None
            time.sleep(0.05)
        else:
            return
