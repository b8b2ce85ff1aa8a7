"""What an object store is asked: one request after the other, and what its answers mean."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mad_prefect_core.contracts import Fault
from mad_prefect_core.errors import RefusedError, StorageError
from mad_prefect_core.object_stores.options import ObjectStoreOptions

__all__ = ["Body", "Failure", "ObjectClient", "ObjectInfo", "Page", "without_password"]

_STATUSES = {
    401: Fault.REFUSED,
    403: Fault.REFUSED,
    404: Fault.MISSING,
    408: Fault.AMBIGUOUS,
    409: Fault.CONFLICT,
    412: Fault.CONFLICT,
    429: Fault.TRANSIENT,
    500: Fault.TRANSIENT,
    502: Fault.TRANSIENT,
    503: Fault.TRANSIENT,
    504: Fault.AMBIGUOUS,
}


class Body(io.BytesIO):
    """Bytes on their way to a server, which know when the last of them were taken."""

    def __init__(self, data: bytes, moved: list[float] | None = None) -> None:
        super().__init__(data)
        self.moved = moved or [time.monotonic()]

    def read(self, size: int | None = -1) -> bytes:
        self.moved[0] = time.monotonic()
        return super().read(size)

    def within(self, before: bytes, after: bytes) -> Body:
        """The same with other bytes around, known to move where it does."""
        return Body(b"".join((before, self.getbuffer(), after)), self.moved)

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
    """What `ObjectClient.put` or `begin` was given, as far as this answer has it."""
    modified: dt.datetime | None = None
    """When it was written, as far as this answer has it."""
    named: Mapping[str, Any] = field(default_factory=dict)
    """More, by the names that the service has for it: fsspec's `info` shows it."""


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
    copy_part: ClassVar[int | None] = None
    """Bytes: an object that is longer, and that the server does not `copy` at once, is copied in parts."""

    def __init__(self, options: ObjectStoreOptions) -> None:
        self.options = options

    @abstractmethod
    def server(self) -> str:
        """Its URL, for messages."""

    @abstractmethod
    def failure(self, error: BaseException) -> Failure | None:
        """What the server answered, if that is what an exception of the library says."""

    @abstractmethod
    async def head(self, path: str) -> ObjectInfo:
        """What there is of an object but its bytes."""

    @abstractmethod
    async def get(
        self,
        path: str,
        *,
        span: tuple[int, int] | None = None,
        tail: int | None = None,
        version: str | None = None,
        unless: str | None = None,
    ) -> tuple[bytes, ObjectInfo] | None:
        """Bytes of an object, and what else is known of it, its whole size above all; no bytes of an empty one.

        Args:
            span: From the first byte to the one behind the last; fewer come where it is shorter.
            tail: So many bytes at the end, or all if there are not so many.
            version: Only of this one: else it fails.
            unless: None is returned if it is still this version.
        """  # fmt: skip

    @abstractmethod
    async def put(self, path: str, data: Body, metadata: Mapping[str, str], expected: str | None) -> str:
        """Write an object, whole or not at all, the bytes checked on arrival. Returns its token.

        Args:
            metadata: Kept with it, and shown by `head`: names of lower-case letters, and ASCII values.
            expected: None: whatever is there; "": only if there is none; a token: only if it is at that version.
        """

    @abstractmethod
    async def begin(
        self, path: str, size: int, metadata: Mapping[str, str], create: bool, md5: Callable[[], Awaitable[bytes]]
    ) -> Any:
        """Begin to send a long object in parts: what the other three are given.

        Args:
            size: Of all of it, in bytes.
            metadata: As for `put`.
            create: Whether it fails where there is one, at the latest at the end.
            md5: Of all its bytes, if that is wanted now.
        """

    @abstractmethod
    async def send(self, path: str, upload: Any, number: int, start: int, data: Body) -> Any:
        """Send a part: its number from 1, and the place of its first byte. What it returns goes to `finish`."""

    @abstractmethod
    async def finish(self, path: str, upload: Any, parts: Sequence[Any]) -> None:
        """Have the object be there."""

    @abstractmethod
    async def abandon(self, path: str, upload: Any) -> None:
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

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections."""

    async def send_copy(
        self, path: str, upload: Any, number: int, source: str, of: ObjectInfo, span: tuple[int, int]
    ) -> Any:
        """As `send`, of bytes of another object, if it is still that version. Only where there is a `copy_part`."""
        raise NotImplementedError  # never called unless a class sets `copy_part`, and then has it

    async def sign(self, path: str, seconds: int) -> str:
        """A URL by which anybody reads the object for a time."""
        # As fsspec has it for a filesystem whose URLs are not signed.
        raise NotImplementedError(f"URLs of {self.scheme}:// are not signed")

    async def who(self) -> Any:
        """The credentials that the next request is made with, to tell them from others; None without any."""
        return None

    async def renewed(self, used: Any) -> bool:
        """Look for newer credentials than those `used`, which the server refused. Whether there are."""
        return False

    def knows_conditions(self, bucket: str) -> bool:
        """Whether the server is known to keep the conditions of writes. If not, it is found out."""
        return True

    def disputed(self) -> bool:
        """The server says that an object is not at the version that it has. Whether to ask in another way from now."""
        return False

    # -- what failed ---------------------------------------------------------------------------------------------------

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
        if isinstance(error, self.nobody):
            text = f"There are no credentials for {self.server()}"
            return RefusedError(text, path=url, hint=self.hints.get("credentials"))
        if said is None:
            if not isinstance(error, self.unanswered):
                return error
            return StorageError(
                f"{self.server()} did not answer {request} in {attempts} attempts: {without_password(error)}",
                path=url,
                hint="Check the endpoint and the network.",
            )
        fault = self.fault(error)
        if fault is Fault.MISSING:
            return FileNotFoundError(path)
        if fault is Fault.CONFLICT:
            return FileExistsError(path)
        kind = RefusedError if fault is Fault.REFUSED else StorageError
        code = f"HTTP {said.status}" if said.code in ("", str(said.status)) else f"{said.code} (HTTP {said.status})"
        reason = said.reason.strip().removesuffix(".") or "no reason given"
        text = without_password(f"{self.server()} answered {request} with {code}: {reason}")
        return kind(text, path=url, hint=self.hint(error, said))

    def hint(self, error: BaseException, said: Failure) -> str | None:
        """What to do about a failure."""
        return self.hints.get(said.code) or self.hints.get(said.status)


def without_password(said: BaseException | str) -> str:
    """An error in words, or a text, without passwords that URLs in it may have."""
    text = said if isinstance(said, str) else f"{type(said).__name__}: {said}".removesuffix(": ")
    return re.sub(r"//[^/@\s]*@", "//", text)
