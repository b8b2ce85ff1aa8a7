"""Object stores as fsspec has filesystems: one policy for all requests, no listing is kept, and names are literal."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from fsspec.asyn import AsyncFileSystem, sync

from mad_prefect_core.contracts import Fault
from mad_prefect_core.errors import StorageError
from mad_prefect_core.object_stores import conditional, transfers
from mad_prefect_core.object_stores.client import Body, Failure, ObjectClient, ObjectInfo, ReadRequest
from mad_prefect_core.object_stores.options import without_password
from mad_prefect_core.object_stores.pinned import PinnedFiles
from mad_prefect_core.object_stores.staged import StagedUpload
from mad_prefect_core.paths import temporary_name
from mad_prefect_core.retries import Retries

__all__ = ["ObjectFiles"]

R = TypeVar("R")

_RANGE = 8 * 2**20  # bytes of a long range that are one request
_PARALLEL = 8
_PASSING = (Fault.TRANSIENT, Fault.AMBIGUOUS)


class ObjectFiles(AsyncFileSystem):  # type: ignore[misc]  # fsspec is not typed
    """One account on one server. Paths are `bucket/key`. Safe for use by several threads.

    Every request is tried `attempts` times, with growing pauses of random length, where the server is busy or the
    connection breaks. Credentials that the server refuses are looked up once more, and the request is sent again if
    they are others now.

    Raises `FileNotFoundError` for a key that is not there; `StorageError` that names URL and server for all else, of
    which refusals are `PermissionError` too. A missing bucket is an error everywhere; none is ever made.
    """

    cachable = False

    # fsspec's go by how arguments print, and secrets all print alike.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, client: ObjectClient) -> None:
        super().__init__(use_listings_cache=False)
        self.client, options = client, client.options
        self.protocol = client.scheme
        self.retries = Retries(options.attempts)
        self._patience = options.connect_timeout + options.read_timeout
        self.conditions = conditional.Conditions(options.conditional_writes)
        self._renewing = asyncio.Lock()
        self._downloads = asyncio.Semaphore(_PARALLEL)  # each has a range in memory
        self.pinned = PinnedFiles(self, client.scheme)
        weakref.finalize(self, _close, self.loop, client)

    @property
    def retried(self) -> int:
        """Requests that had to be sent again, so far: run records tell."""
        return self.retries.retried

    def run(self, work: Callable[..., Awaitable[R]], *args: Any, **named: Any) -> R:
        """Have a coroutine function run on the event loop of this filesystem. Blocks the calling thread."""
        return sync(self.loop, work, *args, **named)  # type: ignore[no-any-return]  # it says what `work` does

    async def ask(self, request: str, path: str, *args: Any, **named: Any) -> Any:
        """The answer to a request of the client's, by its name, after as many attempts as it takes.

        Raises as the class says, and `FileExistsError` where a condition is not met."""
        attempts = self.retries.attempts()
        unclear = False
        for attempt in attempts:
            try:
                return await self.once(request, path, *args, **named)
            except Exception as error:
                fault = self.client.fault(error)
                if fault is Fault.MISSING and unclear and request == "delete":
                    return None  # an earlier attempt has deleted it
                if fault in _PASSING and not attempts.last:
                    unclear = True
                    await self.pause(attempt, error)
                    continue
                self.give_up(error, request, path, attempt)
        raise AssertionError("not reached")

    async def once(self, request: str, path: str, *args: Any, **named: Any) -> Any:
        """The answer to one attempt. Raises what the client raises."""
        used = await self.client.who()
        try:
            answer = await self._call(request, path, *args, **named)
        except Exception as error:
            if used is None or self.client.fault(error) is not Fault.REFUSED or not await self._renewed(used):
                raise
            answer = await self._call(request, path, *args, **named)
        self.retries.answered()
        return answer

    async def _renewed(self, used: Any) -> bool:
        async with self._renewing:
            if await self.client.who() == used:  # another task may have been quicker
                await self.client.renew()
            return bool(await self.client.who() != used)

    async def _call(self, request: str, path: str, *args: Any, **named: Any) -> Any:
        body = next((value for value in args if isinstance(value, Body)), None)
        if body is None:
            return await getattr(self.client, request)(path, *args, **named)
        body.seek(0)
        body.moved[0] = time.monotonic()
        return await body.sent(getattr(self.client, request)(path, *args, **named), self._patience)

    async def pause(self, attempt: int, error: BaseException) -> None:
        """Wait after an attempt that failed."""
        await self.retries.pause(attempt, f"{self.client.server()}: {without_password(error)}")

    def give_up(self, error: BaseException, request: str, path: str, attempts: int) -> NoReturn:
        """Raise what the last failure says, after so many attempts."""
        if self.client.fault(error) in _PASSING:
            self.retries.gave_up()
        else:
            self.retries.answered()
        told = self.client.told(error, request, path, attempts)
        raise told from (error if told is not error else error.__cause__)  # no error is its own cause

    def answer(self, error: BaseException) -> Failure | None:
        """What the server answered, if that is why `ask` raised an error."""
        return self.client.failure(error.__cause__ or error)

    def url(self, path: str) -> str:
        """Of an object, for messages."""
        return f"{self.protocol}://{path}"

    async def find_object(self, path: str) -> ObjectInfo | None:
        """What there is of an object; None where there is none, as of a bucket."""
        if "/" not in path:
            return None
        try:
            found: ObjectInfo = await self.ask("head", path)
        except FileNotFoundError:
            return None
        self.conditions.remember(path, found)
        return found

    async def get_object(self, path: str, **of: Any) -> tuple[bytes, ObjectInfo] | None:
        """Bytes of an object and what is known of it, by what a `ReadRequest` has; None if it is `unless` still."""
        try:
            found: tuple[bytes, ObjectInfo] = await self.ask("get", path, ReadRequest(**of))
        except StorageError as error:
            said = self.answer(error)
            if said is None or said.status not in (304, 416):
                raise
            if said.status == 304:
                return None
            found = b"", await self.ask("head", path)
        self.conditions.remember(path, found[1])
        return found

    def tail(self, path: str, length: int, known: str | None) -> tuple[bytes, ObjectInfo] | None:
        """The last `length` bytes of an object, and its version and size; None if it is still at the version `known`.

        Raises `FileNotFoundError`."""
        return self.run(self._tail, path, length, known)

    async def _tail(self, path: str, length: int, known: str | None) -> tuple[bytes, ObjectInfo] | None:
        if self.client.tails:
            return await self.get_object(path, tail=length, unless=known)
        found = await self.get_object(path, span=(0, length), unless=known)  # most objects are no longer
        if found is None or (size := found[1].size) <= length:
            return found
        try:
            return await self.get_object(path, span=(size - length, size), version=found[1].token)
        except FileExistsError:  # it was replaced since
            return await self._tail(path, length, known)

    def fetch(self, path: str, version: str, start: int, end: int) -> bytes:
        """These bytes of that very version; long ranges in parts, several at a time. Raises `StorageError` where it is
        not there any more."""
        return self.run(self._fetch, path, version, start, end)

    async def _fetch(self, path: str, version: str, start: int, end: int) -> bytes:
        slots = asyncio.Semaphore(_PARALLEL)

        async def part(first: int, last: int) -> bytes:
            async with slots:
                found = await self.get_object(path, span=(first, last), version=version)
            data = found[0] if found else b""
            if len(data) != last - first:
                text = f"{self.client.server()} sent {len(data)} bytes where {last - first} were asked for"
                raise StorageError(text, path=self.url(path))
            return data

        try:
            parts = await asyncio.gather(*(part(at, min(at + _RANGE, end)) for at in range(start, end, _RANGE)))
        except (FileNotFoundError, FileExistsError) as error:
            text = "The object was replaced or deleted while it was read"
            raise StorageError(text, path=self.url(path), hint="Query it again.") from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Bucket and key, whatever characters it has."""
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        scheme, found, rest = str(path).partition("://")
        return (rest if found and "/" not in scheme else str(path)).strip("/")

    def _open(self, path: str, mode: str = "rb", *_: Any, **__: Any) -> Any:
        if mode == "rb":
            return self.pinned.open_now(path)
        if mode not in ("wb", "xb"):
            raise io.UnsupportedOperation(f"Objects can't be opened with the mode {mode!r}")
        if mode == "xb" and self.isfile(path):
            raise FileExistsError(path)
        return StagedUpload(path, lambda staged: self.run(transfers.upload, self, staged, path, mode == "xb"))

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if found := await self.find_object(path):
            return _entry(path, found)
        if await self._isdir(path):
            return _directory(path)
        raise FileNotFoundError(path)

    async def _isfile(self, path: str) -> bool:
        return await self.find_object(self._strip_protocol(path)) is not None

    async def _isdir(self, path: str) -> bool:
        path = self._strip_protocol(path)
        page = await self.ask("page", _folder(path), flat=True, most=1, after=None)
        return "/" not in path or bool(page.objects or page.folders)

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        found = await self._entries(path, flat=False)
        if not found and "/" in self._strip_protocol(path):
            raise FileNotFoundError(path)
        return list(found.values()) if detail else sorted(found)

    async def _find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_: Any
    ) -> Any:
        if maxdepth is not None:
            return await super()._find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail)
        path, found = self._strip_protocol(path), await self._entries(path, flat=True)
        for name in list(found) if withdirs and path not in found else ():
            while len(name := name.rpartition("/")[0]) >= len(path) and name not in found:
                found[name] = _directory(name)
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    async def _entries(self, path: str, *, flat: bool) -> dict[str, dict[str, Any]]:
        """What is in a folder; where there is no such folder, the file of this name."""
        path, may_be_file = self._strip_protocol(path), not path.endswith("/")
        found: dict[str, dict[str, Any]] = {}
        after, more = None, True
        while more:
            page = await self.ask("page", _folder(path), flat=flat, most=None, after=after)
            found |= {name: _directory(name) for name in page.folders}
            # Some tools put an object there to have a folder.
            found |= {name: _entry(name, info) for name, info in page.objects if name.rstrip("/") != path}
            after, more = page.after, page.after is not None
        if not found and may_be_file and (info := await self.find_object(path)):
            found[path] = _entry(path, info)
        return found

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        path = self._strip_protocol(path)
        if start is None and end is None:
            found = await self.get_object(path)
            return found[0] if found else b""
        info = await self.ask("head", path)
        first, last, _step = slice(start, end).indices(info.size)
        return await self._fetch(path, info.token, first, last) if first < last else b""

    async def _get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        path, local = self._strip_protocol(rpath), Path(lpath)
        if local.is_dir():
            return None
        if local.exists() and not local.is_file():  # such as a pipe
            return await self._download(path, local)
        local = local.resolve()
        partial = local.with_name(temporary_name(local.name))  # what is there stays until all of the other has come
        try:
            await self._download(path, partial)
            partial.replace(local)
        finally:
            partial.unlink(missing_ok=True)

    async def _download(self, path: str, local: Path) -> None:
        async with self._downloads:
            found = await self.get_object(path, span=(0, _RANGE))
            assert found is not None  # it is asked for without `unless`
            data, info = found
            with await asyncio.to_thread(local.open, "wb") as file:
                await asyncio.to_thread(file.write, data)
                for start in range(len(data), info.size, _RANGE):
                    data = await self._fetch(path, info.token, start, min(start + _RANGE, info.size))
                    await asyncio.to_thread(file.write, data)

    async def _pipe_file(self, path: str, data: bytes, mode: str = "overwrite", **_: Any) -> None:
        await transfers.write(self, self._strip_protocol(path), bytes(data), mode == "create")

    async def _put_file(self, lpath: str, rpath: str, mode: str = "overwrite", **_: Any) -> None:
        if Path(lpath).is_file():
            await transfers.upload(self, Path(lpath), self._strip_protocol(rpath), mode == "create")

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        try:
            await transfers.copy(self, self._strip_protocol(path1), self._strip_protocol(path2))
        except FileNotFoundError:
            if not await self._isdir(path1):  # its files come by themselves
                raise

    async def _rm_file(self, path: str, **_: Any) -> None:
        await self.ask("delete", self._strip_protocol(path))

    async def _rm(self, path: Any, recursive: bool = False, batch_size: int | None = None, **_: Any) -> None:
        names: list[str] = []
        for each in [path] if isinstance(path, str) else path:
            if recursive:
                found = [*await self._find(each), *([self._strip_protocol(each)] if await self._isfile(each) else [])]
                if not found:
                    raise FileNotFoundError(each)
                names += found
            else:
                names += await self._expand_path(each)
        slots = asyncio.Semaphore(batch_size or 4 * _PARALLEL)

        async def delete(name: str) -> None:
            async with slots:
                await self._rm_file(name)

        await asyncio.gather(*(delete(name) for name in dict.fromkeys(names)))

    def rmdir(self, path: str) -> None:
        """A folder is there as long as there are files in it."""

    def modified(self, path: str) -> Any:
        """When an object was written."""
        return self.info(path)["modified"]

    created = modified

    def sign(self, path: str, expiration: int = 100, **_: Any) -> str:
        """A URL by which anybody reads the object for so many seconds."""
        return self.run(self.client.sign, self._strip_protocol(path), expiration)


def _folder(path: str) -> str:
    return f"{path}/" if "/" in path else path


def _directory(path: str) -> dict[str, Any]:
    return {"name": path, "size": 0, "type": "directory"}


def _entry(path: str, info: ObjectInfo) -> dict[str, Any]:
    return {**info.named, "name": path, "size": info.size, "type": "file", "modified": info.modified}


def _close(loop: asyncio.AbstractEventLoop, client: ObjectClient) -> None:
    """Of a filesystem that nobody has any more."""
    if loop.is_running():
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(client.close(), loop)
