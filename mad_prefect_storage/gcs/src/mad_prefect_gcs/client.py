"""gcsfs with one policy: bounded retries, renewed credentials, no listing cache, and errors that say what to do.

Importing this imports gcsfs and Google's libraries, which takes two seconds: `storage` does so when the first URL is
opened.
"""

from __future__ import annotations

import asyncio
import io
import json as json_
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
from fsspec.asyn import sync
from gcsfs.core import GCSFileSystem
from yarl import URL

from mad_prefect_core.sdk import OptionError, PinnedFiles, Retries, StagedUpload, StorageError, Tail
from mad_prefect_gcs import conditional, transfers
from mad_prefect_gcs.answers import UNANSWERED, Answer, masked
from mad_prefect_gcs.credentials import Access
from mad_prefect_gcs.options import GCSOptions

__all__ = ["GCSFiles"]

R = TypeVar("R")

_PART = 8 * 2**20  # bytes of a long range that are one request
_PARALLEL = 8
_SLOWEST = 64 * 2**10  # bytes in a second that a server has to take


class GCSFiles(GCSFileSystem):  # type: ignore[misc]  # gcsfs is not typed
    """One account on one server. Paths are `bucket/key`. Safe for use by several threads.

    Every request is tried `attempts` times, with growing pauses of random length, where the server is busy or the
    connection breaks. Credentials that the server refuses are looked up once more, and the request is sent again if
    they are others now.

    Raises `FileNotFoundError` for a key that is not there; `StorageError` that names URL and server for all else, of
    which refusals are `PermissionError` too.
    """

    cachable = False

    # fsspec's go by how arguments print, and secrets all print alike.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, options: GCSOptions) -> None:
        self.options = options
        self.retries = Retries(options.attempts)
        self.pinned = PinnedFiles(self, "gcs")
        self.conditions: bool | None = None  # whether the server keeps them, once that is known
        self.probing = asyncio.Lock()
        super().__init__(
            token="anon",  # each request asks `access`
            project=options.project or os.environ.get("GOOGLE_CLOUD_PROJECT", ""),
            endpoint_url=options.endpoint_url,
            session_kwargs={"trust_env": True, "auto_decompress": False},
            use_listings_cache=False,
        )
        self.access = Access(options, trusted=self._location.startswith("https://"))

    @property
    def retried(self) -> int:
        """Requests that had to be sent again, so far: run records tell."""
        return self.retries.retried

    # -- one request ---------------------------------------------------------------------------------------------

    async def once(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes = b"",
    ) -> Answer:
        """The answer to one request, whatever it is. Raises only where nobody can be asked for."""
        who = self.access.ready()
        if who is None:
            who = await asyncio.to_thread(self.access.renewed)
        answer = await self._send(method, url, params or {}, {**(headers or {}), **who}, data)
        if answer.status == 401 and who:
            new = await asyncio.to_thread(self.access.renewed, who)
            if new != who:
                answer = await self._send(method, url, params or {}, {**(headers or {}), **new}, data)
        return answer

    async def _send(
        self, method: str, url: str, params: Mapping[str, str], headers: Mapping[str, str], data: bytes
    ) -> Answer:
        session = await self._set_session()
        said = urlencode({**params, **self._payer()}, quote_via=quote)
        full = URL(f"{url}{'&' if '?' in url else '?'}{said}" if said else url, encoded=True)
        # As they are stored: bytes that the server unpacked on the way would not be those of its sizes and ranges.
        headers = {"Accept-Encoding": "gzip" if "alt=media" in full.query_string else "identity", **headers}
        body = None if method == "GET" else io.BytesIO(data)
        try:
            async with session.request(
                method, full, headers=headers, data=body, timeout=self._timeout(data), allow_redirects=False
            ) as answer:
                return Answer(answer.status, answer.headers, await answer.read())
        except UNANSWERED as error:
            return Answer(0, {}, b"", broken=error)

    def _timeout(self, data: bytes) -> aiohttp.ClientTimeout:
        connect, read = self.options.connect_timeout, self.options.read_timeout
        # aiohttp waits without end for a server that stops to take what it is sent.
        total = connect + read + len(data) / _SLOWEST if data else None
        return aiohttp.ClientTimeout(total=total, sock_connect=connect, sock_read=read)

    async def _set_session(self) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession = await super()._set_session()
        # aiohttp would send a request again by itself whose answer was lost, and nobody would know that it did.
        session._retry_connection = False
        return session

    def _payer(self) -> dict[str, str]:
        if not self.options.requester_pays:
            return {}
        project = self.access.project()
        if not project:
            raise OptionError(
                "With requester_pays a project is billed, and none is known",
                hint="Give the option project, or set GOOGLE_CLOUD_PROJECT.",
            )
        return {"userProject": project}

    async def ask(
        self,
        method: str,
        url: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes = b"",
        also: int | None = None,
    ) -> Answer:
        """A good answer to a request about a bucket or object, after as many attempts as it takes; or one with the
        status `also`. Raises as the class says, and `FileExistsError` where a condition is not met."""
        attempts = self.retries.attempts()
        unclear = False
        for attempt in attempts:
            answer = await self.once(method, url, params=params, headers=headers, data=data)
            gone = method == "DELETE" and answer.status == 404 and unclear  # what an earlier attempt has deleted
            if answer.good or answer.status == also or gone:
                self.retries.answered()
                return answer
            unclear |= answer.unclear
            if not answer.passes or attempts.last:
                raise self.failure(answer, "an upload" if "/upload/" in url else method, path, attempt)
            await self.retries.pause(attempt, f"{self.server()}, gs://{path}: {answer}")
        raise AssertionError("not reached")

    def failure(self, answer: Answer, what: str, path: str, attempts: int) -> OSError:
        """What to raise for the last answer that there is, after so many attempts."""
        if answer.passes:
            self.retries.gave_up()
        else:
            self.retries.answered()
        error = answer.error(self.server(), what, path, attempts)
        error.__cause__ = answer.broken
        return error

    async def _call(
        self,
        method: str,
        path: str,
        *args: str,
        json_out: bool = False,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: str | bytes = b"",
        **params: Any,
    ) -> Any:
        """All requests that gcsfs makes: what the server says, or headers and bytes."""
        if json is not None:
            headers, data = {**(headers or {}), "Content-Type": "application/json"}, json_.dumps(json)
        answer = await self.ask(
            method,
            self._format_path(path, args),
            "/".join(args[:2]),
            params={name: str(value) for name, value in params.items() if value is not None},
            headers=headers,
            data=data.encode() if isinstance(data, str) else data,
        )
        return answer.json if json_out else (answer.headers, answer.data)

    @property
    def _location(self) -> str:
        return str(super()._location).rstrip("/")

    def server(self) -> str:
        """The server's URL, for messages."""
        return masked(self._location)

    def is_google(self) -> bool:
        """Whether the server is Google's own."""
        return bool(self.on_google)

    def object_url(self, path: str, kind: str = "") -> str:
        """The URL of an object; of its bytes with the kind `/download`."""
        bucket, _, key = path.partition("/")
        return f"{self._location}{kind}/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"

    def upload_url(self, path: str) -> str:
        """Where objects of the bucket are uploaded to."""
        return f"{self._location}/upload/storage/v1/b/{quote(path.partition('/')[0], safe='')}/o"

    def run(self, work: Callable[..., Awaitable[R]], *args: Any) -> R:
        """Have a coroutine function run on the event loop of this filesystem. Blocks the calling thread."""
        result: R = sync(self.loop, work, *args)
        return result

    # -- whole objects -------------------------------------------------------------------------------------------

    async def resource(self, path: str) -> dict[str, Any] | None:
        """What the server says of an object; None where there is none."""
        try:
            answer = await self.ask("GET", self.object_url(path), path)
        except FileNotFoundError:
            return None
        return {**answer.json, "generation": answer.generation, "size": int(answer.says("size"))}

    async def media(self, path: str, byte_range: str | None = None, **params: str) -> Answer:
        """Bytes of an object, all but where a range is given; of a range beyond its end none, with status 416.

        Raises `FileNotFoundError`."""
        headers = {"Range": byte_range} if byte_range else {}
        url = self.object_url(path, "/download")
        return await self.ask("GET", url, path, params={"alt": "media", **params}, headers=headers, also=416)

    async def insert(self, local: Path, path: str, create: bool = False) -> None:
        """Bring a local file to a key: whole, or not at all. With `create`, raises `FileExistsError` where it is."""
        await transfers.upload(self, local, path, create)

    async def rewrite(self, source: str, path: str) -> str:
        """Copy an object on the server. Returns the generation of the copy. Raises `FileNotFoundError`."""
        return await transfers.copy(self, source, path)

    async def replace(self, path: str, data: bytes, expected: str | None) -> str:
        """Write an object if it is still of the generation `expected` (None: if there is none). Returns its new one.

        Raises `StorageConflictError` where it is not, and `OutcomeUnknownError` where the answer was lost and what is
        there now does not tell either.
        """
        return await conditional.replace(self, path, data, expected)

    # -- mad_prefect_core.objects.ObjectReader --------------------------------------------------------------------

    def tail(self, path: str, length: int, known: str | None) -> Tail | None:
        """As the protocol says, in one request unless the object is empty."""
        return self.run(self._tail, path, length, known)

    async def _tail(self, path: str, length: int, known: str | None) -> Tail | None:
        answer = await self.media(path, f"bytes=-{length}", **({"ifGenerationNotMatch": known} if known else {}))
        if answer.status == 304:
            return None
        if answer.status == 416:
            found = await self.resource(path)
            if found is None:
                raise FileNotFoundError(path)
            return Tail(found["generation"], found["size"], b"")
        size = answer.headers.get("Content-Range", str(len(answer.data))).rpartition("/")[2]
        return Tail(answer.generation, int(size), answer.data)

    def fetch(self, path: str, version: str, start: int, end: int) -> bytes:
        """As the protocol says; long ranges in parts, several at a time."""
        return self.run(self._fetch, path, version, start, end)

    async def _fetch(self, path: str, version: str, start: int, end: int) -> bytes:
        slots = asyncio.Semaphore(_PARALLEL)

        async def part(first: int, last: int) -> bytes:
            async with slots:
                data = (await self.media(path, f"bytes={first}-{last - 1}", generation=version)).data
            if len(data) != last - first:
                raise StorageError(
                    f"{self.server()} sent {len(data)} bytes where {last - first} were asked for", path=f"gs://{path}"
                )
            return data

        try:
            parts = await asyncio.gather(*(part(at, min(at + _PART, end)) for at in range(start, end, _PART)))
        except FileNotFoundError as error:
            raise StorageError(
                "The object was replaced or deleted while it was read",
                path=f"gs://{path}",
                hint="Query it again.",
            ) from error
        return b"".join(parts)

    # -- otherwise than gcsfs, which commits what failed, takes what it can't read for missing, and asks more often ----

    def _open(self, path: str, mode: str = "rb", *_: Any, **__: Any) -> Any:
        if mode == "rb":
            return self.pinned.open_now(path)
        if mode not in ("wb", "xb"):
            raise io.UnsupportedOperation(f"Objects can't be opened with the mode {mode!r}")
        if mode == "xb" and self.isfile(path):
            raise FileExistsError(path)
        return StagedUpload(path, lambda staged: self.run(self.insert, staged, path, mode == "xb"))

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        path = self._strip_protocol(path)
        if start is None and end is None:
            return (await self.media(path)).data
        found = await self._info(path)
        first, last, _step = slice(start, end).indices(found["size"])
        return await self._fetch(path, found["generation"], first, last)

    async def _get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        path = self._strip_protocol(rpath)
        if Path(lpath).is_dir():
            return
        found = await self.resource(path)
        if found is None:
            raise FileNotFoundError(path)
        size = found["size"]
        try:
            with await asyncio.to_thread(open, lpath, "wb") as file:
                for start in range(0, size, _PART):
                    part = await self._fetch(path, found["generation"], start, min(start + _PART, size))
                    await asyncio.to_thread(file.write, part)
        except BaseException:
            Path(lpath).unlink(missing_ok=True)
            raise

    async def _pipe_file(self, path: str, data: bytes, mode: str = "overwrite", **_: Any) -> None:
        await transfers.write(self, self._strip_protocol(path), bytes(data), mode == "create")

    async def _put_file(self, lpath: str, rpath: str, mode: str = "overwrite", **_: Any) -> None:
        if Path(lpath).is_file():
            await self.insert(Path(lpath), self._strip_protocol(rpath), mode == "create")

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        await self.rewrite(self._strip_protocol(path1), self._strip_protocol(path2))

    async def _mv_file(self, path1: str, path2: str, **_: Any) -> None:
        await self._cp_file(path1, path2)
        await self._rm_file(path1)

    async def _isfile(self, path: str) -> bool:
        path = self._strip_protocol(path)
        return bool(path.partition("/")[2]) and await self.resource(path) is not None

    async def _isdir(self, path: str) -> bool:
        path = self._strip_protocol(path).rstrip("/")
        found = await self._do_list_objects(path, max_results=1)
        return "/" not in path or any(found)

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path).rstrip("/")
        bucket, _slash, key = path.partition("/")
        if key and (found := await self.resource(path)):
            entry: dict[str, Any] = self._process_object(bucket, found)
            return entry
        if await self._isdir(path):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)
