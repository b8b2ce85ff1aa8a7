"""Object stores as fsspec has filesystems: one policy for all requests, no listing is kept, and names are literal."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from fsspec.asyn import AsyncFileSystem, sync

from mad_prefect_core.contracts import Fault
from mad_prefect_core.errors import StorageError
from mad_prefect_core.object_stores import conditional, transfers
from mad_prefect_core.object_stores.client import Body, ObjectClient, ObjectInfo, without_password
from mad_prefect_core.object_stores.pinned import PinnedFiles, Tail
from mad_prefect_core.object_stores.staged import StagedUpload
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
        self.pinned = PinnedFiles(self, client.scheme)
        weakref.finalize(self, _close, self.loop, client)

    @property
    def retried(self) -> int:
        """Requests that had to be sent again, so far: run records tell."""
        return self.retries.retried

    def run(self, work: Callable[..., Awaitable[R]], *args: Any, **named: Any) -> R:
        """Have a coroutine function run on the event loop of this filesystem. Blocks the calling thread."""
        result: R = sync(self.loop, work, *args, **named)
        return result

    # -- requests ------------------------------------------------------------------------------------------------------

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
            if used is None or self.client.fault(error) is not Fault.REFUSED or not await self.client.renewed(used):
                raise
            answer = await self._call(request, path, *args, **named)
        self.retries.answered()
        return answer

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
        if told is error:  # which is not its own cause: whoever follows causes would never come to an end
            raise told
        raise told from error

    async def find_object(self, path: str) -> ObjectInfo | None:
        """What there is of an object; None where there is none."""
        try:
            found: ObjectInfo = await self.ask("head", path)
        except FileNotFoundError:
            return None
        self.conditions.remember(path, found)
        return found

    async def get_object(self, path: str, **of: Any) -> tuple[bytes, ObjectInfo] | None:
        """As `ObjectClient.get`."""
        found: tuple[bytes, ObjectInfo] | None = await self.ask("get", path, **of)
        if found is not None:
            self.conditions.remember(path, found[1])
        return found

    # -- ObjectReader --------------------------------------------------------------------------------------------------

    def tail(self, path: str, length: int, known: str | None) -> Tail | None:
        """As the protocol says."""
        found = self.run(self.get_object, path, tail=length, unless=known)
        return None if found is None else Tail(found[1].token, found[1].size, found[0])

    def fetch(self, path: str, version: str, start: int, end: int) -> bytes:
        """As the protocol says; long ranges in parts, several at a time."""
        return self.run(self._fetch, path, version, start, end)

    async def _fetch(self, path: str, version: str, start: int, end: int) -> bytes:
        slots = asyncio.Semaphore(_PARALLEL)

        async def part(first: int, last: int) -> bytes:
            async with slots:
                found = await self.get_object(path, span=(first, last), version=version)
            data = found[0] if found else b""
            if len(data) != last - first:
                text = f"{self.client.server()} sent {len(data)} bytes where {last - first} were asked for"
                raise StorageError(text, path=f"{self.protocol}://{path}")
            return data

        try:
            parts = await asyncio.gather(*(part(at, min(at + _RANGE, end)) for at in range(start, end, _RANGE)))
        except (FileNotFoundError, FileExistsError) as error:
            raise StorageError(
                "The object was replaced or deleted while it was read",
                path=f"{self.protocol}://{path}",
                hint="Query it again.",
            ) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # -- fsspec --------------------------------------------------------------------------------------------------------

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
        if "/" in path and (found := await self.find_object(path)):
            return _entry(path, found)
        if await self._isdir(path):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    async def _isfile(self, path: str) -> bool:
        path = self._strip_protocol(path)
        return "/" in path and await self.find_object(path) is not None

    async def _isdir(self, path: str) -> bool:
        path = self._strip_protocol(path)
        page = await self.ask("page", _folder(path), flat=True, most=1, after=None)
        return "/" not in path or bool(page.objects or page.folders)

    async def _exists(self, path: str, **_: Any) -> bool:
        try:
            await self._info(path)
        except FileNotFoundError:
            return False
        return True

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path, is_folder = self._strip_protocol(path), path.endswith("/")
        found = {name: entry async for name, entry in self._listed(path, flat=False)}
        if not found and not is_folder and (info := await self.find_object(path) if "/" in path else None):
            found = {path: _entry(path, info)}
        if not found and "/" in path:
            raise FileNotFoundError(path)
        return list(found.values()) if detail else sorted(found)

    async def _find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_: Any
    ) -> Any:
        path = self._strip_protocol(path)
        if maxdepth is not None:
            return await super()._find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail)
        found = {name: entry async for name, entry in self._listed(path, flat=True)}
        if not found and (info := await self.find_object(path) if "/" in path else None):
            found[path] = _entry(path, info)
        elif withdirs:
            for name in list(found):
                while len(name := name.rpartition("/")[0]) >= len(path) and name not in found:
                    found[name] = {"name": name, "size": 0, "type": "directory"}
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    async def _listed(self, path: str, *, flat: bool) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        folder, after = _folder(path), None
        while True:
            page = await self.ask("page", folder, flat=flat, most=None, after=after)
            for name in page.folders:
                yield name, {"name": name, "size": 0, "type": "directory"}
            for name, info in page.objects:
                if name.rstrip("/") != path:  # what some tools put there to have a folder
                    yield name, _entry(name, info)
            if (after := page.after) is None:
                return

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        path = self._strip_protocol(path)
        if start is None and end is None:
            found = await self.get_object(path)
            return found[0] if found else b""
        info = await self.find_object(path)
        if info is None:
            raise FileNotFoundError(path)
        first, last, _step = slice(start, end).indices(info.size)
        return await self._fetch(path, info.token, first, last) if first < last else b""

    async def _get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        path = self._strip_protocol(rpath)
        if Path(lpath).is_dir():
            return
        info = await self.find_object(path)
        if info is None:
            raise FileNotFoundError(path)
        try:
            with await asyncio.to_thread(open, lpath, "wb") as file:
                for start in range(0, info.size, _RANGE):
                    part = await self._fetch(path, info.token, start, min(start + _RANGE, info.size))
                    await asyncio.to_thread(file.write, part)
        except BaseException:
            Path(lpath).unlink(missing_ok=True)
            raise

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


def _entry(path: str, info: ObjectInfo) -> dict[str, Any]:
    return {**info.named, "name": path, "size": info.size, "type": "file", "modified": info.modified}


def _close(loop: asyncio.AbstractEventLoop, client: ObjectClient) -> None:
    """Of a filesystem that nobody has any more."""
    with contextlib.suppress(Exception):
        if loop.is_running():
            asyncio.run_coroutine_threadsafe(client.close(), loop)
