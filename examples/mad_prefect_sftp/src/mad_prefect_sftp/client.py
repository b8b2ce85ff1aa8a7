"""An SFTP server as an fsspec filesystem."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import errno
import os
import posixpath
import stat
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import asyncssh
from fsspec import AbstractFileSystem
from fsspec.asyn import get_loop, sync

from mad_prefect_core.sdk import SharedFile, StagedUpload, StorageError, temporary_name
from mad_prefect_sftp.options import SFTPOptions

__all__ = ["SFTPFiles"]

_AHEAD = 4 * 2**20  # bytes fetched at once where small reads follow each other
_T = TypeVar("_T")


class SFTPFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec is not typed
    """Files on an SFTP server, by one connection that all threads share, and that is made anew when it was lost.

    Paths begin with the server, so that with `sftp://` before them they are URLs: `ada@files.example.org/lake/x.csv`.
    What the server refuses, and what it does not answer, is a `StorageError`.

    Args:
        server: `user@host:port`, as in a URL.
        options: How to get in.
    """

    protocol = "sftp"
    cachable = False

    # fsspec's go by how arguments print, and secrets all print alike.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, server: str, options: SFTPOptions) -> None:
        super().__init__()
        self._server = server
        self._options = options
        self._loop = get_loop()
        self._connecting = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None

    def request(self, path: str, ask: Callable[[asyncssh.SFTPClient], Awaitable[_T]]) -> _T:
        """What the server answers. Raises `FileNotFoundError`, and `StorageError` for all else that goes wrong."""

        async def answer() -> _T:
            return await ask(await self._connected())

        try:
            return sync(self._loop, answer)  # type: ignore[no-any-return]
        except asyncssh.SFTPNoSuchFile as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
        except asyncssh.Error as error:
            raise StorageError(f"The server sftp://{self._server} failed: {error}", path=path) from error

    async def _connected(self) -> asyncssh.SFTPClient:
        async with self._connecting:
            if self._client is None or self._connection is None or self._connection.is_closed():
                try:
                    self._connection = await asyncssh.connect(**_arguments(self._server, self._options))
                    self._client = await self._connection.start_sftp_client()
                except (asyncssh.Error, OSError, ValueError) as error:  # a key that is not there is no missing file
                    unknown = isinstance(error, asyncssh.HostKeyNotVerifiable)
                    hint = "If you know that it is the right one, add its key to the known hosts." if unknown else None
                    raise StorageError(f"Can't log in to sftp://{self._server}: {error}", hint=hint) from error
            return self._client

    # -- looking -------------------------------------------------------------------------------------------------

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        return _entry(path, self.request(path, lambda client: client.stat(_there(path))))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        path = self._strip_protocol(path)
        found = self.request(path, lambda client: client.readdir(_there(path)))
        named = [(str(each.filename), each.attrs) for each in found if each.filename not in (".", "..")]
        entries = [_entry(posixpath.join(path, name), attributes) for name, attributes in named]
        return entries if detail else [entry["name"] for entry in entries]

    # fsspec's own take what can't be read for missing.

    def exists(self, path: str, **kwargs: Any) -> bool:
        return self._kind(path) is not None

    def isfile(self, path: str) -> bool:
        return self._kind(path) == "file"

    def isdir(self, path: str) -> bool:
        return self._kind(path) == "directory"

    def _kind(self, path: str) -> str | None:
        try:
            return str(self.info(path)["type"])
        except FileNotFoundError:
            return None

    def modified(self, path: str) -> dt.datetime:
        """In whole seconds. DuckDB asks for it."""
        return dt.datetime.fromtimestamp(self.info(path)["mtime"], dt.UTC)

    # -- changing ------------------------------------------------------------------------------------------------

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        self.makedirs(path, exist_ok=True)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self.request(path, lambda client: client.makedirs(_there(path), exist_ok=exist_ok))

    def rmdir(self, path: str) -> None:
        self.request(path, lambda client: client.rmdir(_there(path)))

    def rm_file(self, path: str) -> None:
        self.request(path, lambda client: client.remove(_there(path)))

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        for found in reversed(self.expand_path(path, recursive=recursive, maxdepth=maxdepth)):
            (self.rmdir if self.isdir(found) else self.rm_file)(found)

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        """At one moment, replacing a file that is there."""
        self.request(path1, lambda client: client.posix_rename(_there(path1), _there(path2)))

    def link(self, source: str, path: str) -> None:
        """Make `path`, which is not there yet, another name of `source`. Its folder is made."""
        self.request(path, lambda client: _in_folder(client, path, lambda: client.link(_there(source), _there(path))))

    def upload(self, local: Path, path: str, *, durable: bool = True) -> None:
        """Write a file in place. Its folder is made."""

        async def put(client: asyncssh.SFTPClient) -> None:
            await _in_folder(client, path, lambda: client.put(str(local), _there(path)))
            if durable:
                async with client.open(_there(path), "rb") as file:
                    with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                        await file.fsync()

        self.request(path, put)

    def publish(self, local: Path, path: str, *, durable: bool = True) -> None:
        """Write a file whole or not at all, replacing what was there."""
        with self.beside(path) as temporary:
            self.upload(local, temporary, durable=durable)
            self.mv(temporary, path)

    @contextlib.contextmanager
    def beside(self, path: str) -> Iterator[str]:
        """A temporary name in the same folder, which is free again at the end."""
        temporary = posixpath.join(posixpath.dirname(path), temporary_name(posixpath.basename(path)))
        try:
            yield temporary
        finally:
            # Where all went well too: to rename one name of a file to another one of it does nothing.
            with contextlib.suppress(OSError):
                self.rm_file(temporary)

    # -- bytes ---------------------------------------------------------------------------------------------------

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        """For reading: one file, also if it is replaced meanwhile. For writing: it appears when it is closed."""
        if mode == "wb":
            return StagedUpload(path, lambda staged: self.publish(staged, path))
        if mode != "rb":
            raise ValueError(f"Files on SFTP servers are opened with the mode 'rb' or 'wb', not {mode!r}")
        file: Any = self.request(path, lambda client: client.open(_there(path), "rb"))
        return SharedFile(
            lambda start, end: self.request(path, lambda _: file.read(end - start, start)),
            self.request(path, lambda _: file.stat()).size,
            ahead=_AHEAD,
            release=lambda: asyncio.run_coroutine_threadsafe(file.close(), self._loop),
        )


def _arguments(server: str, options: SFTPOptions) -> dict[str, Any]:
    """What asyncssh connects by. What is left out, it takes from where `ssh` does."""
    address = urlsplit(f"//{server}")
    given = {
        "host": address.hostname,
        "port": address.port,
        "username": unquote(address.username) if address.username else None,
        "password": options.password.get_secret_value() if options.password else None,
        "passphrase": options.passphrase.get_secret_value() if options.passphrase else None,
        "client_keys": options.client_keys and list(options.client_keys),
        "known_hosts": options.known_hosts,
        "connect_timeout": options.timeout,
        "login_timeout": options.timeout,
        "keepalive_interval": options.timeout / 3,
    }
    found = {name: value for name, value in given.items() if value is not None}
    return found if options.check_host_key else {**found, "known_hosts": None}


def _there(path: str) -> str:
    """A path as the server knows it."""
    return f"/{path.partition('/')[2]}"


def _entry(path: str, attributes: asyncssh.SFTPAttrs) -> dict[str, Any]:
    kind = "directory" if stat.S_ISDIR(attributes.permissions or 0) else "file"
    return {"name": path, "size": attributes.size, "type": kind, "mtime": attributes.mtime}


async def _in_folder(client: asyncssh.SFTPClient, path: str, act: Callable[[], Awaitable[None]]) -> None:
    """Do what makes `path`, and make its folder where that is what was missing."""
    try:
        await act()
    except asyncssh.SFTPNoSuchFile:
        await client.makedirs(posixpath.dirname(_there(path)), exist_ok=True)
        await act()
