"""Any filesystem of fsspec, as the core uses one."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import ftplib
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem, get_filesystem_class
from fsspec.core import url_to_fs
from fsspec.dircache import DirCache

from mad_prefect_core.sdk import (
    MadPrefectError,
    OptionError,
    SharedFile,
    StagedUpload,
    StorageError,
    split_url,
    staged_file,
)
from mad_prefect_fsspec.kinds import Kind, is_cache
from mad_prefect_fsspec.options import FsspecOptions

__all__ = ["FsspecFiles", "takes_server"]

_AHEAD = 4 * 2**20  # bytes fetched at once where small reads follow each other
_WHOLE = 256 * 2**10  # bytes; a file that is not larger is read in one request
_FILE_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
_NO_ANSWER = (ftplib.error_temp, ftplib.error_reply, ftplib.error_proto, EOFError, ConnectionError, TimeoutError)
_HOST = "host.invalid"

_locks: dict[tuple[int, int], threading.RLock] = {}
"""By process and what is locked: a child that is forked off has its own."""


def lock_of(owner: int) -> threading.RLock:
    """The lock of this process on what has this number."""
    return _locks.setdefault((os.getpid(), owner), threading.RLock())


def takes_server(protocol: str) -> bool:
    """Whether the first part of a URL is a server, as in `sftp://host/path`, rather than a part of the path."""
    if "::" in protocol:
        protocol = protocol.rpartition("::")[2]
    return _HOST in get_filesystem_class(protocol)._get_kwargs_from_urls(f"{protocol}://{_HOST}/x").values()


class FsspecFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec is not typed
    """The files of another filesystem, by one client in each process, which is made when it is first used, and anew
    after a failure.

    A path is what follows `://` in a URL, taken literally: `ada@files.example.org/lake/x.csv`. What goes wrong is an
    `OSError`: a file that is there and can't be looked at is not missing. A listing is of this moment.

    Args:
        url: One on the server, or within the chain of filesystems.
        options: What the filesystem takes.
        kind: What is known of it.
    """

    cachable = False

    # fsspec's go by how arguments print, and secrets all print alike.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, url: str, options: FsspecOptions, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.renames = kind.renames
        """Whether `mv` is to be used; not where the server turned out to refuse it."""
        self.protocol, self._rest = split_url(url)
        self._options = options
        self._server = self._rest.partition("/")[0] if takes_server(self.protocol) else None
        self._clients: dict[int, Any] = {}
        self._fetched: dict[str, Any] = {}

    @property
    def server(self) -> str:
        """What is named in messages."""
        return f"{self.protocol}://{(self._server or '').rpartition('@')[2]}"

    @staticmethod
    def _strip_protocol(path: Any) -> Any:
        return path.rstrip("/") if isinstance(path, str) else [each.rstrip("/") for each in path]

    # -- the client ----------------------------------------------------------------------------------------------

    def holding(self) -> contextlib.AbstractContextManager[Any]:
        """Keeps other threads out, where the client is not for several."""
        if self.kind.several_at_once:
            return contextlib.nullcontext()
        return lock_of(0 if self.kind.in_process else id(self))

    def call(self, path: str, name: str, *arguments: Any, **options: Any) -> Any:
        """What a method of the filesystem gives. Raises `OSError` for whatever goes wrong."""
        with self.holding(), self._failing(path):
            return getattr(self._target(), name)(*arguments, **options)

    @contextlib.contextmanager
    def _failing(self, path: str) -> Iterator[None]:
        try:
            yield
        except MadPrefectError:
            raise
        except Exception as error:
            if isinstance(error, _FILE_ERRORS) and not _is_no_answer(error):
                raise
            if not isinstance(error, ftplib.error_perm):
                self._forget()  # the connection may be lost, or in the middle of an answer
            said = " ".join(str(error).split())
            raise StorageError(
                f"{self.server} failed: {type(error).__name__}{f': {said}' if said else ''}", path=path
            ) from error

    def _target(self) -> Any:
        """The client that writes and lists: behind a cache, the filesystem that is cached."""
        client = self._client()
        if is_cache(self.protocol.partition("::")[0]):
            client = client.fs
        client.invalidate_cache()
        return client

    def _client(self) -> Any:
        if (client := self._clients.get(os.getpid())) is None:
            with self._failing(""):
                client = self._made()
            self._clients[os.getpid()] = client
        return client

    def _made(self) -> Any:
        arguments = self._options.arguments()
        if "::" in f"{self.protocol}{self._rest}":
            url = f"{self.protocol}://{self._rest}"
            chain = [split_url(f"{each}://" if "://" not in each else each)[0] for each in url.split("::")]
            for protocol in chain:
                arguments[protocol] = {**arguments.get(protocol, {}), "skip_instance_cache": True}
            client = url_to_fs(url, **arguments)[0]
        else:
            kind = get_filesystem_class(self.protocol)
            found = kind._get_kwargs_from_urls(f"{self.protocol}://{self._rest}")
            if self.kind.block_size:
                found["block_size"] = self.kind.block_size
            try:
                client = kind(**{**found, **arguments}, skip_instance_cache=True)
            except TypeError as error:
                raise OptionError(f"{kind.__name__} can't take these options: {error}") from None
        client.dircache = DirCache(use_listings_cache=False)
        return client

    def _forget(self) -> None:
        client = self._clients.pop(os.getpid(), None)
        # fsspec has no method for it: paramiko's, ftplib's and httpx's own.
        connection = getattr(client, "client", None)
        for each in (getattr(client, "ftp", None), connection, getattr(connection, "http", None)):
            with contextlib.suppress(Exception):
                each.close()  # type: ignore[union-attr]

    def close(self) -> None:
        """Let go of this process's connections. The next call makes new ones."""
        with self.holding():
            self._forget()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # it was not made whole, or Python ends
            self._forget()

    def _there(self, path: str) -> str:
        """A path as the filesystem knows it."""
        path = path.rstrip("/")
        if self._server is not None:
            return f"/{path.partition('/')[2]}"
        if found := sorted({*path} & {*self.kind.refused}):
            raise StorageError(f"{self.server} takes no names with {' '.join(found)}", path=path)
        last = self.protocol.rpartition("::")[2]
        return str(get_filesystem_class(last)._strip_protocol(f"{last}://{path}"))

    # -- looking -------------------------------------------------------------------------------------------------

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """As fsspec. Raises `FileNotFoundError` only where there is nothing."""
        try:
            found = self.call(path, "info", self._there(path))
        except NotADirectoryError:  # what is above it is a file
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
        return _entry(path.rstrip("/"), found)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """As fsspec: of this moment."""
        path, there = path.rstrip("/"), self._there(path)
        entries = []
        for found in self.call(path, "ls", there, detail=True):
            name = str(found["name"]).rstrip("/")
            if name.strip("/") in (there.strip("/"), path.strip("/")):
                if found["type"] != "directory":  # it is a file itself
                    entries.append(_entry(path, found))
                continue
            entries.append(_entry(f"{path}/{name.rpartition('/')[2]}".lstrip("/" if not path else ""), found))
        return entries if detail else sorted(entry["name"] for entry in entries)

    # fsspec's own take what can't be read for missing.

    def exists(self, path: str, **kwargs: Any) -> bool:
        return self._type(path) is not None

    def isfile(self, path: str) -> bool:
        return self._type(path) == "file"

    def isdir(self, path: str) -> bool:
        return self._type(path) == "directory"

    def _type(self, path: str) -> str | None:
        try:
            return str(self.info(path)["type"])
        except FileNotFoundError:
            return None

    def modified(self, path: str) -> dt.datetime:
        """DuckDB asks for it. Where it is not known, the beginning of time."""
        found = self.info(path)
        for name in ("mtime", "modified", "last_modified", "LastModified", "created"):
            if isinstance(found.get(name), dt.datetime):
                return found[name]  # type: ignore[no-any-return]
        return dt.datetime.fromtimestamp(0, dt.UTC)

    # -- changing ------------------------------------------------------------------------------------------------

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Without parents: raises `OSError` where it is there already."""
        if create_parents:
            self.makedirs(path, exist_ok=False)
        else:
            self.call(path, "mkdir", self._there(path), create_parents=False)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        if self.kind.uploads_whole and not self.kind.in_process:
            return  # object stores have no folders
        if exist_ok and self.isdir(path):
            return
        try:
            self.call(path, "makedirs", self._there(path), exist_ok=exist_ok)
        except OSError:
            if not (exist_ok and self.isdir(path)):  # another process was faster
                raise

    def rmdir(self, path: str) -> None:
        self.call(path, "rmdir", self._there(path))

    def rm_file(self, path: str) -> None:
        try:
            self.call(path, "rm_file", self._there(path))
        except FileNotFoundError:
            raise
        except OSError:
            if self._type(path) is None:  # ftplib does not say so
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
            raise

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        """As fsspec: what looks like a pattern is one."""
        for found in self.expand_path(path):
            self.remove(found, recursive=recursive)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove this file or folder."""
        if self.isfile(path):
            self.rm_file(path)
            return
        for entry in self.ls(path) if recursive else ():
            self.remove(entry["name"], recursive=True)
        if self._type(path) is not None:  # some have no folders without files
            self.rmdir(path)

    def mv(self, path1: str, path2: str, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any) -> None:
        """As fsspec: what looks like a pattern is one."""
        found = self.expand_path(path1)
        for path in found:
            self.rename(path, path2 if len(found) == 1 else f"{path2}/{path.rpartition('/')[2]}")

    def rename(self, path1: str, path2: str) -> None:
        """Move this file or folder, in the way that the filesystem has for it."""
        if self.renames:
            self.call(path1, "mv", self._there(path1), self._there(path2))
        elif self.isdir(path1):
            self.makedirs(path2, exist_ok=True)
            for entry in self.ls(path1):
                self.rename(entry["name"], f"{path2}/{entry['name'].rpartition('/')[2]}")
            if self.isdir(path1):
                self.rmdir(path1)
        else:
            self._copy(path1, path2)
            self.rm_file(path1)

    def _copy(self, path1: str, path2: str) -> None:
        try:
            self.call(path1, "cp_file", self._there(path1), self._there(path2))
        except StorageError as error:
            # fsspec has no copy for some protocols: then the bytes are read and published.
            if not isinstance(error.__cause__, NotImplementedError):
                raise
            staged = staged_file(path2)
            try:
                with self.open(path1, "rb") as source, staged.open("xb") as copy:
                    shutil.copyfileobj(source, copy)
                self.put_file(str(staged), path2)
            finally:
                staged.unlink(missing_ok=True)

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        """Write a file in place. Its folder is made."""
        parent = self._parent(rpath)
        if self.kind.in_process:
            with self.holding():
                if self.isdir(rpath):
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), rpath)
                self.call(rpath, "pipe_file", self._there(rpath), Path(lpath).read_bytes())
            return
        self.makedirs(parent, exist_ok=True)
        self.call(rpath, "put_file", str(lpath), self._there(rpath))

    # -- bytes ---------------------------------------------------------------------------------------------------

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """As fsspec. Raises `FileNotFoundError` only where there is none."""
        try:
            if is_cache(self.protocol.partition("::")[0]):
                return bytes(self._through_cache(path, lambda client: client.cat_file(self._there(path), start, end)))
            if self.kind.downloads:
                with self._downloaded(path) as file:
                    file.seek(start or 0)
                    return bytes(file.read(-1 if end is None else end - (start or 0)))
            return bytes(self.call(path, "cat_file", self._there(path), start=start, end=end))
        except FileNotFoundError:
            if self._type(path) == "file":  # it was not to be read, or has just been written
                raise StorageError(f"{self.server} has the file, and it can't be read", path=path) from None
            raise

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        """For reading, at any place and by several threads. For writing: it appears when it is closed."""
        if mode == "wb":
            return StagedUpload(path, lambda staged: self.publish(staged, path))
        if mode != "rb":
            raise ValueError(f"Files of fsspec's filesystems are opened with the mode 'rb' or 'wb', not {mode!r}")
        found = self.info(path)
        if found["type"] == "directory":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if self.kind.downloads:
            return self._downloaded(path)
        size = found.get("size")
        if size is not None and size <= _WHOLE and not self.kind.in_process:
            data = self.cat_file(path)
            return SharedFile(lambda start, end: data[start:end], len(data))
        return self._parts(path)

    def _parts(self, path: str) -> SharedFile:
        """A file that stays open, so that it is one file where the server keeps those that are open."""
        if is_cache(self.protocol.partition("::")[0]):
            handle = self._through_cache(path, lambda client: client.open(self._there(path), "rb"))
        else:
            handle = self.call(path, "open", self._there(path), "rb")

        def fetch(start: int, end: int) -> bytes:
            with self.holding(), self._failing(path):
                if isinstance(handle, io.BytesIO):
                    return bytes(handle.getbuffer()[start:end])
                if hasattr(handle, "readv"):  # paramiko, which otherwise asks for 32 KiB and waits
                    pieces = [(at, min(_AHEAD, end - at)) for at in range(start, end, _AHEAD)]
                    return b"".join(part for piece in pieces for part in handle.readv([piece]))
                handle.seek(start)
                return bytes(handle.read(end - start))

        with self.holding(), self._failing(path):
            if isinstance(handle, io.BytesIO):
                return SharedFile(fetch, handle.getbuffer().nbytes)
            handle.seek(0, io.SEEK_END)
            size = handle.tell()
        return SharedFile(fetch, size, ahead=_AHEAD, release=lambda: self._close(handle))

    def _close(self, handle: Any) -> None:
        with self.holding(), contextlib.suppress(Exception):  # the connection may be lost
            handle.close()

    def _downloaded(self, path: str) -> SharedFile:
        staged = staged_file(path)
        try:
            self.call(path, "get_file", self._there(path), str(staged))
            file = os.open(staged, os.O_RDONLY)
        finally:
            staged.unlink(missing_ok=True)  # what is open stays
        size = os.fstat(file).st_size
        return SharedFile(lambda start, end: os.pread(file, end - start, start), size, release=lambda: os.close(file))

    def _through_cache(self, path: str, read: Callable[[Any], Any]) -> Any:
        """What is read through a cache, from which what is not the file of this moment was taken before."""
        now = self.info(path)
        version = {name: str(value) for name, value in now.items()}
        with self.holding(), self._failing(path):
            client = self._client()
            if self._fetched.get(path) != version:
                with contextlib.suppress(FileNotFoundError):
                    client.pop_from_cache(self._there(path))
                self._fetched[path] = version
            return read(client)

    def publish(self, staged: Path, path: str) -> None:
        """How files get to their place; the store says it."""
        raise NotImplementedError  # the store, which is made after it, puts its own in this place


def _entry(path: str, found: dict[str, Any]) -> dict[str, Any]:
    kind = "directory" if found["type"] == "directory" else "file"
    return {**found, "name": path, "type": kind}


def _is_no_answer(error: BaseException) -> bool:
    """Whether a file is said to be missing because the server gave no answer, or another one."""
    cause: BaseException | None = error
    while cause is not None:
        status = getattr(cause, "status", None)
        if isinstance(cause, _NO_ANSWER) or (isinstance(status, int) and status not in (404, 410)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
