"""What an object store is asked: one request after the other, and what its answers mean."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import functools
import hashlib
import io
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mad_prefect_core.contracts import Fault
from mad_prefect_core.errors import MadPrefectError, RefusedError, StorageError
from mad_prefect_core.object_stores.options import ObjectStoreOptions, without_password

__all__ = ["Body", "Failure", "ObjectClient", "ObjectInfo", "Page", "ReadRequest", "Upload"]

# Letters only: Azure takes no others in names of metadata.
MARK = "madprefectwrite"
"""The name of the metadata by which a write is known again where its answer was lost."""


def new_mark() -> str:
    """One that nobody else has."""
    return os.urandom(16).hex()


_STATUSES = {
    404: Fault.MISSING,
    **dict.fromkeys((409, 412), Fault.CONFLICT),
    **dict.fromkeys((401, 403), Fault.REFUSED),
    **dict.fromkeys((429, 500, 502, 503), Fault.TRANSIENT),
    **dict.fromkeys((408, 504), Fault.AMBIGUOUS),
}


class Body(io.BytesIO):
    """Bytes on their way to a server, which know when the last of them were taken. One made of another is given its
    `moved`, and both are known to move where one does."""

    def __init__(self, data: bytes, moved: list[float] | None = None) -> None:
        super().__init__(data)
        self.moved = moved or [time.monotonic()]

    def read(self, size: int | None = -1) -> bytes:
        self.moved[0] = time.monotonic()
        return super().read(size)

    async def md5(self) -> str:
        """As the header Content-MD5 has it."""
        digest = await asyncio.to_thread(lambda: hashlib.md5(self.getbuffer(), usedforsecurity=False).digest())
        return base64.b64encode(digest).decode()

    async def sent(self, call: Awaitable[Any], patience: float) -> Any:
        """What a call returns that sends it. Raises `TimeoutError` where for so many seconds nothing is taken of it, or
        nothing is answered after all of it was: client libraries wait without end."""
        task = asyncio.ensure_future(call)
        try:
            while not task.done():
                left = self.moved[0] + patience - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"it took nothing, and said nothing, for {patience:g} seconds")
                await asyncio.wait({task}, timeout=left)
            return task.result()
        finally:
            task.cancel()


@dataclass(frozen=True)
class ObjectInfo:
    """What a server says of an object."""

    size: int
    """In bytes."""
    token: str
    """Its version: another one whenever the bytes may be others."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the object was written with, as far as this answer has it."""
    modified: dt.datetime | None = None
    """When it was written, as far as this answer has it."""
    named: Mapping[str, Any] = field(default_factory=dict)
    """More, by the names that the service has for it: fsspec's `info` shows it."""

    def __post_init__(self) -> None:
        if not self.token:
            raise LookupError("the answer has no version")


@dataclass(frozen=True)
class ReadRequest:
    """Which bytes of an object are asked for, and of which version."""

    span: tuple[int, int] | None = None
    """From the first byte to the one behind the last; fewer come where it is shorter."""
    tail: int | None = None
    """So many bytes at the end, or all if there are not so many."""
    version: str | None = None
    """Only of this one: else it fails."""
    unless: str | None = None
    """Not if it is still this version: it fails with the status 304."""

    @property
    def range(self) -> str | None:
        """As the header Range has it."""
        if self.span:
            return f"bytes={self.span[0]}-{self.span[1] - 1}"
        return f"bytes=-{self.tail}" if self.tail else None


@dataclass
class Upload:
    """A long object that is sent in parts."""

    size: int
    """Of all of it, in bytes."""
    create: bool = False
    """Whether it fails where there is an object, at the latest at the end."""
    md5: Any = None
    """An async function: the MD5 of all its bytes, in base64, if that is wanted when it begins. None for a copy."""
    mark: str = field(default_factory=new_mark)
    """What no other upload has."""
    state: Any = None
    """What the client wants to know of it later: all requests of an upload are given the same one."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """As for `ObjectClient.put`."""
        return {MARK: self.mark}


@dataclass(frozen=True)
class Page:
    """Some of what is below a prefix."""

    objects: Sequence[tuple[str, ObjectInfo]]
    """Paths and what is known of them."""
    folders: Sequence[str] = ()
    """Paths, without a slash at the end."""
    after: str | None = None
    """What to ask the next page by; None if this is the last."""


@dataclass(frozen=True)
class Failure:
    """What a server answered to a request that failed."""

    status: int
    """Of HTTP."""
    code: str = ""
    """The service's own word for it, if there is one."""
    reason: str = ""
    """Why, in the server's words."""


class ObjectClient(ABC):
    """One account on one server, request by request. A path is `bucket/key`, both as they are.

    Each method is one attempt: it raises whatever its library raises. `ObjectFiles` asks again, and makes errors of it,
    by what `failure` reads of an exception, and the data here say of that. All run on one event loop.
    """

    service: ClassVar[str]
    """Its name, in messages."""
    scheme: ClassVar[str]
    """Of URLs, in messages."""
    in_url: ClassVar[bool] = False
    """Whether a URL may name the server, behind the bucket and `@`."""
    nobodys: ClassVar[str]
    """A token that the server takes for one, and that no object has."""
    unanswered: tuple[type[BaseException], ...] = (ConnectionError, TimeoutError, asyncio.IncompleteReadError)
    """What is raised where a connection breaks, or none is made."""
    codes: ClassVar[Mapping[str, Fault | None]] = {}
    """What the service's own codes mean, where HTTP's status does not tell; None: it is no use to ask again."""
    nobody: tuple[type[BaseException], ...] = ()
    """What is raised where there are no credentials."""
    strange: tuple[type[BaseException], ...] = (LookupError,)
    """What is raised where an answer lacks what the service's answers have."""
    discarded: ClassVar[frozenset[str]] = frozenset()
    """Codes of failures that say that the parts of an upload are gone: it is begun anew."""
    hints: ClassVar[Mapping[int | str, str]] = {}
    """What to do, by code or status, and where there are no `credentials`."""
    single: ClassVar[int] = 16 * 2**20
    """Bytes: a longer object is sent in parts."""
    part: ClassVar[int] = 8 * 2**20
    """Bytes of each part but the last, if those suffice."""
    most_parts: ClassVar[int] = 10_000
    """Of one object: parts are larger where these would not suffice."""
    parts_at_once: ClassVar[int] = 8
    """How many parts are sent at the same time."""
    tails: ClassVar[bool] = True
    """Whether the server takes ranges that are counted from the end."""
    copy_part: ClassVar[int] = 0
    """Bytes: an object that is longer, and that the server does not `copy` at once, is copied in parts. 0: none is."""
    conditional: ClassVar[str] = "(?!)"
    """A pattern of the URLs of servers that are known to keep the conditions of writes. Of others it is found out."""

    def __init__(self, options: ObjectStoreOptions, host: str = "") -> None:
        self.options = options
        self.host = host
        """The server that the URL names, if it names one."""
        self.opened = AsyncExitStack()
        """What is to be closed at the end."""
        self.connect()

    @functools.cached_property
    def access(self) -> dict[str, Any]:
        """What options, block and environment said when they were looked at last."""
        return self.options.access()

    @abstractmethod
    def url(self) -> str:
        """Of the server."""

    def server(self) -> str:
        """Its URL, for messages."""
        return without_password(self.url().partition("?")[0].rstrip("/"))

    @abstractmethod
    def failure(self, error: BaseException) -> Failure | None:
        """What the server answered, if that is what an exception of the library says."""

    @abstractmethod
    async def head(self, path: str) -> ObjectInfo:
        """What there is of an object but its bytes."""

    @abstractmethod
    async def get(self, path: str, wanted: ReadRequest) -> tuple[bytes, ObjectInfo]:
        """Bytes of an object, and what else is known of it, its whole size above all. It may fail with the status 416
        where the object is too short to have any of them."""

    @abstractmethod
    async def put(self, path: str, data: Body, metadata: Mapping[str, str], expected: str | None) -> str:
        """Write an object, whole or not at all, the bytes checked on arrival. Returns its token.

        Args:
            metadata: Kept with it, and shown by `head`: names of lower-case letters, and ASCII values.
            expected: None: whatever is there; "": only if there is none; a token: only if it is at that version.
        """

    async def begin(self, path: str, upload: Upload) -> None:  # noqa: B027  not all services are told
        """Begin to send a long object in parts."""

    @abstractmethod
    async def send(self, path: str, upload: Upload, number: int, start: int, data: Body) -> Any:
        """Send a part: its number from 1, and the place of its first byte. What it returns goes to `finish`."""

    async def finish(self, path: str, upload: Upload, parts: Sequence[Any]) -> None:  # noqa: B027  as `begin`
        """Have the object be there, if it is not with its last part."""

    async def abandon(self, path: str, upload: Upload) -> None:  # noqa: B027  as `begin`
        """Let go of the parts."""

    @abstractmethod
    async def copy(self, path: str, source: str) -> str | None:
        """Copy another object here, on the server. Returns the copy's token if it is told."""

    @abstractmethod
    async def page(self, folder: str, *, flat: bool, most: int | None, after: str | None) -> Page:
        """What is in a folder (`bucket` or `bucket/key/`), as it is now: `flat` all below it, else what is directly in
        it."""

    @abstractmethod
    async def delete(self, path: str) -> None:
        """Delete an object."""

    async def close(self) -> None:
        """Let go of connections."""
        await self.opened.aclose()

    async def send_copy(self, path: str, upload: Upload, number: int, source: str, wanted: ReadRequest) -> Any:
        """As `send`, of bytes of another object. Only where there is a `copy_part`."""
        raise NotImplementedError  # never called unless a class sets `copy_part`, and then has it

    async def sign(self, path: str, seconds: int) -> str:
        """A URL by which anybody reads the object for a time."""
        # As fsspec has it for a filesystem whose URLs are not signed.
        raise NotImplementedError(f"URLs of {self.scheme}:// are not signed")

    async def who(self) -> Any:
        """The credentials that the next request is made with, to tell them from others; None without any."""
        return self.access

    async def renew(self) -> None:
        """Look for newer credentials, since the server refused those that it had. The next requests are made with them,
        and those under way go on with the old ones."""
        access = await asyncio.to_thread(self.options.access)
        if access != self.access:
            self.access = access
            self.connect()

    def connect(self) -> None:  # noqa: B027  not all have something that is made with the credentials
        """Have the next requests be made by what `access` says now: at first, and when that has changed."""

    def disputed(self) -> bool:
        """The server says that an object is not at the version that it has. Whether to ask in another way from now."""
        return False

    def fault(self, error: BaseException) -> Fault | None:
        """What an exception means; None where it is no use to ask again."""
        said = self.failure(error)
        if said is not None:
            return self.codes[said.code] if said.code in self.codes else _STATUSES.get(said.status)
        return Fault.AMBIGUOUS if isinstance(error, self.unanswered) else None

    def told(self, error: BaseException, request: str, path: str, attempts: int) -> BaseException:
        """An exception of the library as one that a user can act on; others as they are."""
        url = f"{self.scheme}://{path}".rstrip("/")
        if isinstance(error, StorageError):
            error.path = error.path or url
            return error
        said = self.failure(error)
        if (why := self.no_token(error)) == "":
            text = f"There are no credentials for {self.server()}"
            return RefusedError(text, path=url, hint=self.hints.get("credentials"))
        if why is not None:
            text = f"The credentials for {self.server()} are of no use: {why}"
            return RefusedError(text, path=url, hint="Check the credentials.")
        if said is None and isinstance(error, self.unanswered):
            text = f"{self.server()} did not answer {request} in {attempts} attempts: {without_password(error)}"
            return StorageError(text, path=url, hint="Check the endpoint and the network.")
        if said is None and isinstance(error, self.strange) and not isinstance(error, MadPrefectError):
            text = f"The server does not answer as {self.service} does: {without_password(error)}"
            return StorageError(text, path=url, hint="Check the endpoint.")
        if said is None:
            return error
        fault = self.fault(error)
        if fault in (Fault.MISSING, Fault.CONFLICT):
            return FileNotFoundError(path) if fault is Fault.MISSING else FileExistsError(path)
        kind = RefusedError if fault is Fault.REFUSED else StorageError
        code = f"HTTP {said.status}" if said.code in ("", str(said.status)) else f"{said.code} (HTTP {said.status})"
        reason = said.reason.strip().removesuffix(".") or "no reason given"
        text = without_password(f"{self.server()} answered {request} with {code}: {reason}")
        return kind(text, path=url, hint=self.hint(error, said))

    def no_token(self, error: BaseException) -> str | None:
        """Why there is nothing to ask with, if that is what an exception says; "" where nobody is logged in."""
        return "" if isinstance(error, self.nobody) else None

    def hint(self, error: BaseException, said: Failure) -> str | None:
        """What to do about a failure."""
        return self.hints.get(said.code) or self.hints.get(said.status)
