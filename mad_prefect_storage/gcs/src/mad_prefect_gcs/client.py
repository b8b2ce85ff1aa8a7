"""Google Cloud Storage by its JSON API. Importing this imports Google's libraries: `storage` does so when the first URL
is opened."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from mad_prefect_core.sdk import Body, Failure, ObjectClient, ObjectInfo, Page, ReadRequest, StorageError, Upload
from mad_prefect_gcs.credentials import Identity, log_in
from mad_prefect_gcs.options import GCSOptions

__all__ = ["GCSClient"]

_NO_BUCKET = "bucketNotFound"
_PAYS = "Give the options requester_pays and project: the bucket's owner does not pay for requests."
_NAMED = ("contentType", "crc32c", "etag", "generation", "md5Hash", "storageClass", "timeCreated", "updated")


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    data: bytes


class _AnswerError(Exception):
    """An answer that is none of those hoped for. It shows no text, which may repeat what was asked."""

    def __init__(self, answer: _Answer) -> None:
        super().__init__(f"HTTP {answer.status}")
        self.answer = answer


@dataclass
class _Resumable:
    """Of a resumable upload. The object is there with its last byte."""

    url: str
    unsure: bool = False
    """What the server has got of it is known to the server alone."""


class GCSClient(ObjectClient):
    """One account on one server. A token is the object's generation."""

    service = "Google Cloud Storage"
    scheme = "gs"
    nobodys = "1"
    unanswered = (*ObjectClient.unanswered, aiohttp.ClientError)
    strange = (*ObjectClient.strange, AttributeError, TypeError, json.JSONDecodeError, UnicodeDecodeError)
    conditional = r"^https://storage\.(\w+\.)?googleapis\.com"
    codes = {_NO_BUCKET: None}  # noqa: RUF012  as the base has it
    hints = {  # noqa: RUF012  as the base has it
        401: "There is no token, or it is wrong or has expired. Log in again, or see the option token.",
        403: "The credentials need storage.objects.get, create, delete and list, as in the role Storage Object User; "
        "without the last, also an object that is not there is refused.",
        429: "Too many requests at once; one object can be written about once a second.",
        _NO_BUCKET: "Make the bucket, or correct its name: mad-prefect makes none.",
    }
    single = 8 * 2**20
    part = 16 * 2**20  # a multiple of 256 KiB
    most_parts = 2**31
    parts_at_once = 1  # a resumable upload is one stream
    options: GCSOptions

    def __init__(self, options: GCSOptions) -> None:
        super().__init__(options)
        self._location = (options.endpoint_url or _location()).rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._identity: Identity | None = None
        self._logging_in = asyncio.Lock()

    def url(self) -> str:
        return self._location

    async def who(self) -> dict[str, str] | None:
        """The headers that say who asks; None for anonymous requests."""
        return (await self._logged_in()).headers()

    async def renew(self) -> None:
        self._identity = None

    async def _logged_in(self) -> Identity:
        async with self._logging_in:
            if self._identity is None or self._identity.has_ended():
                # Each time from where it is said: a long-lived process is logged in anew by a new file.
                trusted = self._location.startswith("https://")
                self._identity = await asyncio.to_thread(log_in, self.options, trusted=trusted)
            return self._identity

    async def _ask(
        self, method: str, url: str, params: Any = None, headers: Any = None, body: Body | None = None, also: Any = ()
    ) -> _Answer:
        """The answer, if it is a good one or has one of the statuses `also`."""
        identity = await self._logged_in()
        said = {**(params or {}), "userProject": identity.project if self.options.requester_pays else None}
        query = urlencode({name: value for name, value in said.items() if value is not None}, quote_via=quote)
        full = URL(f"{url}{'&' if '?' in url else '?'}{query}" if query else url, encoded=True)
        # As they are stored: bytes that the server unpacked on the way would not be those of its sizes and ranges.
        encoding = {"Accept-Encoding": "gzip" if "alt=media" in query else "identity"}
        headers = {**encoding, **(headers or {}), **(identity.headers() or {})}
        own = URL(self._location)
        if "authorization" in {name.lower() for name in headers}:
            full = full.with_user(None)  # aiohttp takes one of the two
        elif own.user and full.origin() == own.origin():  # also where the server says where to upload
            full = full.with_user(own.user).with_password(own.password)
        async with self._connected().request(method, full, headers=headers, data=body, allow_redirects=False) as reply:
            answer = _Answer(reply.status, reply.headers, await reply.read())
        if not (200 <= answer.status < 300 or answer.status in also):
            raise _AnswerError(answer)
        return answer

    async def _json(self, *request: Any) -> dict[str, Any]:
        return dict(json.loads((await self._ask(*request)).data))

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            limits = {"sock_connect": self.options.connect_timeout, "sock_read": self.options.read_timeout}
            timeout = aiohttp.ClientTimeout(total=None, **limits)
            self._session = aiohttp.ClientSession(trust_env=True, auto_decompress=False, timeout=timeout)
            # aiohttp would send a request again by itself whose answer was lost, and nobody would know that it did.
            self._session._retry_connection = False
            self.opened.push_async_callback(self._session.close)
        return self._session

    def _bucket(self, path: str, kind: str = "") -> str:
        return f"{self._location}{kind}/storage/v1/b/{quote(path.partition('/')[0], safe='')}/o"

    def _object(self, path: str, kind: str = "") -> str:
        return f"{self._bucket(path, kind)}/{quote(path.partition('/')[2], safe='')}"

    async def head(self, path: str) -> ObjectInfo:
        return _info(await self._json("GET", self._object(path)))

    async def get(self, path: str, wanted: ReadRequest) -> tuple[bytes, ObjectInfo]:
        headers = {"Range": wanted.range} if wanted.range else {}
        params = {"alt": "media", "generation": wanted.version, "ifGenerationNotMatch": wanted.unless}
        answer = await self._ask("GET", self._object(path, "/download"), params, headers)
        size = answer.headers.get("Content-Range", str(len(answer.data))).rpartition("/")[2]
        return answer.data, ObjectInfo(int(size), answer.headers["x-goog-generation"])

    async def put(self, path: str, data: Body, metadata: Mapping[str, str], expected: str | None) -> str:
        boundary = os.urandom(16).hex()
        kinds = [f"--{boundary}\r\nContent-Type: application/{kind}\r\n\r\n" for kind in ("json", "octet-stream")]
        before = f"{kinds[0]}{_resource(path, metadata, await data.md5())}\r\n{kinds[1]}".encode()
        after = f"\r\n--{boundary}--\r\n".encode()
        body = Body(b"".join((before, data.getbuffer(), after)), data.moved)
        params = {"uploadType": "multipart", "ifGenerationMatch": None if expected is None else expected or "0"}
        headers = {"Content-Type": f"multipart/related; boundary={boundary}"}
        return _info(await self._json("POST", self._bucket(path, "/upload"), params, headers, body)).token

    async def begin(self, path: str, upload: Upload) -> None:
        headers = {"Content-Type": "application/json", "X-Upload-Content-Length": str(upload.size)}
        params = {"uploadType": "resumable", "ifGenerationMatch": "0" if upload.create else None}
        resource = Body(_resource(path, upload.metadata, await upload.md5()).encode())
        answer = await self._ask("POST", self._bucket(path, "/upload"), params, headers, resource)
        upload.state = _Resumable(answer.headers["Location"])

    async def send(self, path: str, upload: Upload, number: int, start: int, data: Body) -> None:
        at, end = start, start + len(data.getbuffer())
        if upload.state.unsure:
            at = max(start, await self._send(upload, f"bytes */{upload.size}"))
        while at < end:
            upload.state.unsure = True
            got = await self._send(upload, f"bytes {at}-{end - 1}/{upload.size}", data, at - start)
            if got <= at:
                raise StorageError("The server keeps nothing of what is uploaded", path=f"gs://{path}")
            at = got
        upload.state.unsure = False

    async def _send(self, upload: Upload, said: str, data: Body | None = None, skipped: int = 0) -> int:
        """How many bytes the server has got by now."""
        body = Body(data.getvalue()[skipped:], data.moved) if data else Body(b"")
        answer = await self._ask("PUT", upload.state.url, None, {"Content-Range": said}, body, also=(308,))
        if answer.status != 308:
            return upload.size
        return int(answer.headers.get("Range", "-1").rpartition("-")[2]) + 1 if "Range" in answer.headers else 0

    async def abandon(self, path: str, upload: Upload) -> None:
        await self._ask("DELETE", upload.state.url, also=(404, 499))  # 499 is how the server says that it is discarded

    async def copy(self, path: str, source: str) -> str:
        url = f"{self._object(source)}/rewriteTo/{self._object(path).partition('/storage/v1/')[2]}"
        answer = await self._json("POST", url)
        while not answer.get("done"):  # large objects between places take several requests
            answer = await self._json("POST", url, {"rewriteToken": str(answer.get("rewriteToken"))})
        return _info(answer["resource"]).token

    async def page(self, folder: str, *, flat: bool, most: int | None, after: str | None) -> Page:
        bucket, _, prefix = folder.partition("/")
        params = {"prefix": prefix, "delimiter": None if flat else "/", "pageToken": after}
        answer = await self._json("GET", self._bucket(bucket), {**params, "maxResults": str(most or 1000)})
        found = [(f"{bucket}/{entry['name']}", _info(entry)) for entry in answer.get("items", ())]
        folders = [f"{bucket}/{name.rstrip('/')}" for name in answer.get("prefixes", ())]
        return Page(found, folders, answer.get("nextPageToken"))

    async def delete(self, path: str) -> None:
        await self._ask("DELETE", self._object(path))

    def failure(self, error: BaseException) -> Failure | None:
        if not isinstance(error, _AnswerError):
            return None
        status, text = error.answer.status, error.answer.data.decode("utf-8", "replace")
        try:
            said = json.loads(text)["error"]
            text = said if isinstance(said, str) else said["message"]
        except (ValueError, KeyError, TypeError):
            text = re.sub(r"<[^>]*>", " ", text)[:200]
        reason = " ".join(text.split())
        no_bucket = status == 404 and re.search("bucket.* does not exist", reason)
        return Failure(status, _NO_BUCKET if no_bucket else "", reason)

    def hint(self, error: BaseException, said: Failure) -> str | None:
        return _PAYS if "requester pays" in said.reason else super().hint(error, said)


def _location() -> str:
    """Google's server, or the emulator that the environment names."""
    named = os.environ.get("STORAGE_EMULATOR_HOST", "")
    if named in ("", "default"):
        return f"https://storage.{os.environ.get('GOOGLE_CLOUD_UNIVERSE_DOMAIN', 'googleapis.com')}"
    return named if named.startswith(("http://", "https://")) else f"http://{named}"


def _resource(path: str, metadata: Mapping[str, str], md5: str) -> str:
    said = {"name": path.partition("/")[2], "contentType": "application/octet-stream", "metadata": dict(metadata)}
    return json.dumps({**said, "md5Hash": md5})


def _info(resource: Mapping[str, Any]) -> ObjectInfo:
    updated = dt.datetime.fromisoformat(resource["updated"]) if "updated" in resource else None
    named = {name: resource[name] for name in _NAMED if name in resource}
    return ObjectInfo(int(resource["size"]), str(resource["generation"]), resource.get("metadata", {}), updated, named)
