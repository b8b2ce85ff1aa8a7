"""What gives tokens for Azure, as far as tests need it: Entra ID's login, and the endpoint of a managed identity."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Entra:
    """`url` is the authority. Tokens are good for `seconds`."""

    tenant: str = field(default_factory=lambda: str(uuid.uuid4()))
    client: str = field(default_factory=lambda: str(uuid.uuid4()))
    secret: str = field(default_factory=lambda: f"secret-{uuid.uuid4().hex}", repr=False)
    header: str = field(default_factory=lambda: f"header-{uuid.uuid4().hex}", repr=False)
    """What requests to the managed identity must bring."""
    seconds: int = 3600
    url: str = ""
    tokens: list[str] = field(default_factory=list, repr=False)
    """All that were given."""

    @property
    def identity(self) -> dict[str, str]:
        """The variables that App Service sets for a managed identity."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/identity", "IDENTITY_HEADER": self.header}

    @property
    def principal(self) -> dict[str, str]:
        """A service principal, as options of the storage `azure`."""
        return {"tenant_id": self.tenant, "client_id": self.client, "client_secret": self.secret}

    def token(self) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com",
            "iss": f"https://sts.windows.net/{self.tenant}/",
            "iat": now,
            "nbf": now - 60,
            "exp": now + self.seconds,
            "jti": str(uuid.uuid4()),
        }
        parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, claims)] + [b"unsigned"]
        token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
        self.tokens.append(token)
        lasts = {"expires_in": self.seconds, "expires_on": now + self.seconds}
        return {"access_token": token, "token_type": "Bearer", "resource": "https://storage.azure.com", **lasts}

    def logs_in(self, form: dict[str, list[str]]) -> bool:
        return (form.get("client_id"), form.get("client_secret")) == ([self.client], [self.secret])


@contextmanager
def entra(certificate: tuple[Path, Path]) -> Iterator[Entra]:
    """One over TLS that runs while the block does."""
    one = Entra()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(one))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    one.url = f"https://127.0.0.1:{server.server_port}"
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()


def _handler(one: Entra) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if urlsplit(self.path).path == "/identity" and self.headers["X-IDENTITY-HEADER"] == one.header:
                return self.answer(200, one.token())
            return self.answer(400, {"error": "invalid_request"})

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            if urlsplit(self.path).path == f"/{one.tenant}/oauth2/v2.0/token" and one.logs_in(form):
                return self.answer(200, one.token())
            text = "AADSTS7000215: Invalid client secret provided."
            return self.answer(401, {"error": "invalid_client", "error_description": text})

        def answer(self, status: int, said: dict[str, Any]) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    return Handler
