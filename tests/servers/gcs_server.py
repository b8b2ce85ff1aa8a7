"""Google Cloud Storage in memory, over HTTP: its JSON API as far as a storage needs it, with generations, conditions,
resumable uploads, rewrites in several steps, tokens and permissions. Requests are served by threads."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import hashlib
import itertools
import json
import re
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from google.auth import jwt

READ, WRITE, DELETE, LIST = (f"storage.objects.{what}" for what in ("get", "create", "delete", "list"))
ALL = frozenset({READ, WRITE, DELETE, LIST})


@dataclass(frozen=True)
class Object:
    """One generation of an object."""

    name: str
    data: bytes | bytearray
    md5: str
    generation: int
    said: dict[str, Any]
    """What whoever wrote it said of it: `metadata`, `contentType`, `contentEncoding`."""
    written: str

    def resource(self, bucket: str) -> dict[str, Any]:
        return {
            "kind": "storage#object",
            "bucket": bucket,
            "name": self.name,
            "generation": str(self.generation),
            "metageneration": "1",
            "size": str(len(self.data)),
            "timeCreated": self.written,
            "updated": self.written,
            "md5Hash": self.md5,
            **self.said,
        }


@dataclass
class Bucket:
    """Objects by name, and the generations before them where these are kept."""

    objects: dict[str, Object] = field(default_factory=dict)
    replaced: dict[tuple[str, int], Object] = field(default_factory=dict)
    keeps_versions: bool = False
    requester_pays: bool = False


@dataclass
class Upload:
    """A resumable upload under way."""

    bucket: str
    said: dict[str, Any]
    query: dict[str, str]
    data: bytearray = field(default_factory=bytearray)
    digest: Any = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    """Of the data, all of it: of gigabytes it takes longer than clients wait."""
    finished: dict[str, Any] | None = None


class Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class GCSServer:
    """What the server holds, and the ways of a test to it that are not HTTP."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.uploads: dict[str, Upload] = {}
        self.tokens: dict[str, frozenset[str]] = {}
        """Permissions by access token. Nobody is asked for one as long as there is none."""
        self.keeps_conditions = True
        self.rewritten_at_once = 2**40
        """Bytes that one request of a rewrite copies."""
        self.lock = threading.RLock()
        self._keys: dict[str, str] = {}
        self._generations = itertools.count(int(dt.datetime.now(dt.UTC).timestamp() * 1e6))
        self._rewrites: dict[str, int] = {}
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._server.server_address[1]}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """Nobody listens there any more."""
        self._server.shutdown()
        self._server.server_close()

    def token(self, *permissions: str) -> str:
        """A new access token; one with all permissions if none are named."""
        token = f"ya29.{uuid.uuid4().hex}"
        self.tokens[token] = frozenset(permissions) or ALL
        return token

    def service_account(self) -> dict[str, Any]:
        """The key of a new service account, which gets its tokens here."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        key, email = rsa.generate_private_key(65537, 2048), f"{uuid.uuid4().hex}@project.iam.gserviceaccount.com"
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._keys[email] = public.decode()
        self.tokens.setdefault("", frozenset())  # from now on tokens are asked for
        return {
            "type": "service_account",
            "project_id": "own-project",
            "private_key_id": "1",
            "private_key": private.decode(),
            "client_email": email,
            "token_uri": f"{self.url}/token",
        }

    def put(self, bucket: str, name: str, data: bytes | bytearray, *, md5: str | None = None, **said: Any) -> Object:
        """Write an object, whatever is there."""
        with self.lock:
            now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            said = {"contentType": "application/octet-stream", **said}
            new = Object(name, data, md5 or _md5(data), next(self._generations), said, now)
            self.drop(bucket, name)
            self.buckets[bucket].objects[name] = new
            return new

    def drop(self, bucket: str, name: str) -> None:
        """Delete an object, if there is one."""
        with self.lock:
            old = self.buckets[bucket].objects.pop(name, None)
            if old is not None and self.buckets[bucket].keeps_versions:
                self.buckets[bucket].replaced[name, old.generation] = old

    # -- what the API does; each gets the parts of the path, the query, and the body -----------------------------------

    def bucket(self, name: str) -> Bucket:
        if name not in self.buckets:
            raise Refusal(404, "The specified bucket does not exist.")
        return self.buckets[name]

    def find(self, bucket: str, name: str, query: dict[str, str], prefix: str = "if") -> Object:
        """The object that a request is about, if its conditions are met."""
        holder = self.bucket(bucket)
        found = holder.objects.get(name)
        wanted = query.get("generation")
        if wanted and (found is None or found.generation != int(wanted)):
            found = holder.replaced.get((name, int(wanted)))
        if found is None:
            raise Refusal(404, f"No such object: {bucket}/{name}")
        self.check(found, query, prefix)
        return found

    def check(self, found: Object | None, query: dict[str, str], prefix: str = "if") -> None:
        """Refuse what the conditions do not allow."""
        generation = found.generation if found else 0
        if not self.keeps_conditions:
            return
        match, other = query.get(f"{prefix}GenerationMatch"), query.get(f"{prefix}GenerationNotMatch")
        for value in (match, other):
            if value is not None and not value.isdigit():
                raise Refusal(400, f"Invalid unsigned integer value: '{value}'.")
        if match is not None and int(match) != generation:
            raise Refusal(412, "At least one of the pre-conditions you specified did not hold.")
        if other is not None and int(other) == generation:
            raise Refusal(304, "")

    def insert(
        self, bucket: str, said: dict[str, Any], data: bytes | bytearray, query: dict[str, str], right: str
    ) -> dict[str, Any]:
        """Write an object if the conditions are met and the bytes are those that were said."""
        said, name = dict(said), said.get("name") or query["name"]
        if (claimed := said.pop("md5Hash", right)) != right:
            raise Refusal(400, f"Provided MD5 hash '{claimed}' doesn't match calculated MD5 hash '{right}'.")
        said.pop("name", None)
        with self.lock:
            self.check(self.bucket(bucket).objects.get(name), query)
            return self.put(bucket, name, data, md5=right, **said).resource(bucket)

    def listing(self, bucket: str, query: dict[str, str]) -> dict[str, Any]:
        """One page of names in order, those with a delimiter after the prefix as one."""
        prefix, delimiter, after = query.get("prefix", ""), query.get("delimiter"), query.get("pageToken", "")
        most = int(query.get("maxResults", 1000))
        with self.lock:
            names = sorted(name for name in self.bucket(bucket).objects if name.startswith(prefix))
            entries = {_folded(name, prefix, delimiter): name for name in names}
            page = [entry for entry in sorted(entries) if entry > after][: most + 1]
            found = self.buckets[bucket].objects
            items = [found[entry].resource(bucket) for entry in page[:most] if entry == entries[entry]]
            folders = [entry for entry in page[:most] if entry != entries[entry]]
        more = {"nextPageToken": page[most - 1]} if len(page) > most else {}
        return {"kind": "storage#objects", "items": items, "prefixes": folders, **more}

    def rewrite(self, source: tuple[str, str], target: tuple[str, str], query: dict[str, str]) -> dict[str, Any]:
        """Copy an object, or a part of it and a token to go on with."""
        with self.lock:
            found = self.find(*source, query, "ifSource")
            token = query.get("rewriteToken") or uuid.uuid4().hex
            done = self._rewrites.get(token, 0) + self.rewritten_at_once
            said = {"totalBytesRewritten": str(min(done, len(found.data))), "objectSize": str(len(found.data))}
            if done < len(found.data):
                self._rewrites[token] = done
                return {**said, "done": False, "rewriteToken": token}
            self.check(self.bucket(target[0]).objects.get(target[1]), query)
            new = self.put(*target, found.data, md5=found.md5, **found.said)
            return {**said, "done": True, "resource": new.resource(target[0])}

    def permissions(self, authorization: str) -> frozenset[str]:
        """Those of whoever asks."""
        if not self.tokens:
            return ALL
        permissions = self.tokens.get(authorization.removeprefix("Bearer "))
        if permissions is None or not authorization:
            raise Refusal(401, "Invalid Credentials")
        return permissions

    def new_token(self, form: dict[str, str]) -> dict[str, Any]:
        """A token for the signed claim of a service account."""
        email = jwt.decode(form["assertion"], verify=False)["iss"]
        try:
            jwt.decode(form["assertion"], certs=self._keys[email])
        except (KeyError, ValueError):
            raise Refusal(400, "invalid_grant") from None
        return {"access_token": self.token(), "expires_in": 3600, "token_type": "Bearer"}

    def revoke(self) -> None:
        """No token that was given is good any more."""
        self.tokens = {"": frozenset()}

    def forget_service_accounts(self) -> None:
        """None of them gets a token any more."""
        self._keys.clear()


def _md5(data: bytes | bytearray) -> str:
    return _said(hashlib.md5(data, usedforsecurity=False))


def _said(md5: Any) -> str:
    return base64.b64encode(md5.digest()).decode()


def _folded(name: str, prefix: str, delimiter: str | None) -> str:
    """The name, or its beginning up to the delimiter after the prefix."""
    head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
    return prefix + head + found if found else name


@contextmanager
def gcs(certificate: tuple[Path, Path] | None = None) -> Iterator[GCSServer]:
    """A server while the block runs. With a certificate and its key it speaks TLS."""
    server = GCSServer(certificate)
    try:
        yield server
    finally:
        server.close()


# -- HTTP --------------------------------------------------------------------------------------------------------------

Reply = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Call:
    """A request, and who sent it."""

    method: str
    parts: tuple[str, ...]
    """Of its path, decoded: what the pattern of its route has in brackets."""
    query: dict[str, str]
    headers: dict[str, str]
    """By names in lower case."""
    body: bytes
    may: frozenset[str]

    def needs(self, *permissions: str) -> None:
        for permission in permissions:
            if permission not in self.may:
                raise Refusal(403, f"Permission '{permission}' denied on resource (or it may not exist).")


def _json(said: Any, status: int = 200) -> Reply:
    return status, {"Content-Type": "application/json"}, json.dumps(said).encode()


def _on_buckets(server: GCSServer, call: Call) -> Reply:
    name = json.loads(call.body)["name"]
    if server.buckets.setdefault(name, made := Bucket()) is not made:
        raise Refusal(409, "Your previous request to create the named bucket succeeded and you already own it.")
    return _json({"kind": "storage#bucket", "name": name})


def _on_bucket(server: GCSServer, call: Call) -> Reply:
    server.bucket(call.parts[0])
    return _json({"kind": "storage#bucket", "name": call.parts[0]})


def _on_objects(server: GCSServer, call: Call) -> Reply:
    call.needs(LIST)
    return _json(server.listing(call.parts[0], call.query))


def _on_object(server: GCSServer, call: Call) -> Reply:
    if call.method == "DELETE":
        call.needs(DELETE)
        with server.lock:
            server.find(*call.parts, call.query)
            server.drop(*call.parts)
        return 204, {}, b""
    call.needs(READ)
    if call.query.get("alt") == "media":
        return _on_media(server, call)
    return _json(server.find(*call.parts, call.query).resource(call.parts[0]))


def _on_media(server: GCSServer, call: Call) -> Reply:
    call.needs(READ)
    found = server.find(*call.parts, call.query)
    headers = {"x-goog-generation": str(found.generation), "Content-Type": found.said["contentType"]}
    if found.said.get("contentEncoding") == "gzip":
        if "gzip" not in call.headers.get("accept-encoding", ""):
            return 200, headers, gzip.decompress(found.data)  # whole, whatever range was asked for
        headers["Content-Encoding"] = "gzip"
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("range", ""))
    if asked is None:
        return 200, headers, found.data
    size, (first, last) = len(found.data), asked.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if start >= size:
        raise Refusal(416, "The requested range cannot be satisfied.")
    return 206, {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"}, found.data[start:end]


def _on_rewrite(server: GCSServer, call: Call) -> Reply:
    call.needs(READ, WRITE, DELETE)
    return _json(server.rewrite(call.parts[:2], call.parts[2:], call.query))  # type: ignore[arg-type]


def _on_upload(server: GCSServer, call: Call) -> Reply:
    if "upload_id" in call.query:  # whoever knows it may go on
        return _on_session(server, call)
    call.needs(WRITE)
    [bucket] = call.parts
    server.bucket(bucket)
    if call.query["uploadType"] == "resumable":
        session = uuid.uuid4().hex
        server.uploads[session] = Upload(bucket, json.loads(call.body), call.query)
        where = f"http://{call.headers['host']}/upload/storage/v1/b/{quote(bucket, safe='')}/o"
        return 200, {"Location": f"{where}?uploadType=resumable&upload_id={session}"}, b""
    message = BytesParser().parsebytes(b"Content-Type: " + call.headers["content-type"].encode() + b"\r\n\r\n")
    boundary = str(message.get_boundary()).encode()
    parts = call.body.split(b"--" + boundary)[1:3]
    said, data = (re.split(rb"\r?\n\r?\n", part, maxsplit=1)[1] for part in parts)
    if server.bucket(bucket).objects.get(json.loads(said)["name"]):
        call.needs(DELETE)
    data = re.sub(rb"\r?\n\Z", b"", data)
    return _json(server.insert(bucket, json.loads(said), data, call.query, _md5(data)))


def _on_session(server: GCSServer, call: Call) -> Reply:
    upload = server.uploads.get(call.query["upload_id"])
    if upload is None:
        raise Refusal(410, "The requested upload is gone.")
    if call.method == "DELETE":
        del server.uploads[call.query["upload_id"]]
        return 499, {}, b""
    if upload.finished is not None:
        return _json(upload.finished)
    asked = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", call.headers["content-range"])
    assert asked is not None, call.headers["content-range"]
    start, size = asked.groups()
    if start is not None:
        if int(start) > len(upload.data):
            raise Refusal(400, f"Expected a part from {len(upload.data)}, not from {start}.")
        had = len(upload.data)
        upload.data += call.body[had - int(start) :]  # without what it has got already
        if size == "*" or len(upload.data) < int(size):
            del upload.data[len(upload.data) // 2**18 * 2**18 :]  # whole blocks are kept, and no more
        upload.digest.update(upload.data[had:])
    if size != "*" and len(upload.data) == int(size):
        upload.finished = server.insert(upload.bucket, upload.said, upload.data, upload.query, _said(upload.digest))
        upload.data = bytearray()
        return _json(upload.finished)
    return 308, {"Range": f"bytes=0-{len(upload.data) - 1}"} if upload.data else {}, b""


_ROUTES: dict[str, Callable[[GCSServer, Call], Reply]] = {
    r"/storage/v1/b": _on_buckets,
    r"/storage/v1/b/([^/]+)": _on_bucket,
    r"/storage/v1/b/([^/]+)/o": _on_objects,
    r"/storage/v1/b/([^/]+)/o/([^/]+)": _on_object,
    r"/download/storage/v1/b/([^/]+)/o/([^/]+)": _on_media,
    r"/storage/v1/b/([^/]+)/o/([^/]+)/rewriteTo/b/([^/]+)/o/([^/]+)": _on_rewrite,
    r"/upload/storage/v1/b/([^/]+)/o": _on_upload,
}


def _reply(server: GCSServer, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
    url = urlsplit(target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    if url.path == "/token":
        return _json(server.new_token(dict(parse_qsl(body.decode()))))
    for pattern, route in _ROUTES.items():
        if found := re.fullmatch(pattern, url.path):
            parts = tuple(unquote(part) for part in found.groups())
            may = ALL if "upload_id" in query else server.permissions(headers.get("authorization", ""))
            if getattr(server.buckets.get("".join(parts[:1])), "requester_pays", False) and "userProject" not in query:
                raise Refusal(400, "Bucket is a requester pays bucket but no user project provided.")
            return route(server, Call(method, parts, query, headers, body, may))
    raise Refusal(404, "Not Found")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that clients gave up are part of the tests."""


def _handler(server: GCSServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def _any(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            length = int(headers.get("content-length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:  # the client has given it up
                self.close_connection = True
                return
            try:
                status, answered, data = _reply(server, self.command, self.path, headers, body)
            except Refusal as refusal:
                if "/download/" in self.path:  # as the real one: text where bytes were asked for
                    status, answered, data = refusal.status, {}, str(refusal).encode()
                else:
                    error: Any = {"code": refusal.status, "message": str(refusal)}
                    said = {"error": str(refusal) if self.path == "/token" else error}
                    status, answered, data = _json(said, refusal.status)
            self.send_response_only(status)
            for name, value in answered.items():
                self.send_header(name, value)
            if status not in (204, 304):
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if status not in (204, 304):
                self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_DELETE = _any

    return Handler
