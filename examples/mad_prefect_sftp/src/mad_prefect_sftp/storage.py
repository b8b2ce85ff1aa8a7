"""The storage `sftp`."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mad_prefect_core.contracts import FileStat, Options, Session, StorageCapabilities, Versioned
from mad_prefect_core.errors import StorageConflictError, StorageError
from mad_prefect_core.objects import staged_file
from mad_prefect_core.paths import split_url
from mad_prefect_core.shared_files import serve
from mad_prefect_sftp.options import SFTPOptions

if TYPE_CHECKING:
    from mad_prefect_sftp.client import SFTPFiles

__all__ = ["SFTPStorage"]

_lock = threading.Lock()
_clients: dict[tuple[int, str, SFTPOptions], SFTPFiles] = {}


class SFTPStorage:
    """`mad_prefect_core.contracts.Storage` for SFTP servers that have OpenSSH's extensions `posix-rename` and
    `hardlink`. Beside what each method there says:

    - A failure is a `StorageError` that names the server.
    - A token is the SHA-256 of the bytes: SFTP tells the time of a change in whole seconds only.
    """

    name = "sftp"
    protocols: tuple[str, ...] = ("sftp",)
    capabilities = StorageCapabilities(
        atomic_replace=True,
        conditional_create=True,
        conditional_replace=False,
        strong_listing=True,
        native_duckdb=False,
    )
    options: type[Options] = SFTPOptions

    def filesystem(self, url: str, options: Options) -> tuple[SFTPFiles, str]:
        """As the contract says. It connects when it is first used."""
        from mad_prefect_sftp.client import SFTPFiles  # noqa: PLC0415  asyncssh, which listing plugins must not cost

        assert isinstance(options, SFTPOptions)
        path = split_url(url)[1]
        server = path.partition("/")[0]
        key = os.getpid(), server, options
        with _lock:
            if key not in _clients:
                _clients[key] = SFTPFiles(server, options)
            return _clients[key], path

    def duckdb_files(self, session: Session, fs: Any, paths: Sequence[str]) -> list[str]:
        return serve(session, fs, paths)

    def stage(self, fs: Any, path: str) -> Path:
        """As the contract says: in a temporary folder of this process, which goes when it ends."""
        return staged_file(path)

    def publish(self, fs: Any, staged: Path, path: str, *, durable: bool = True) -> None:
        """As the contract says, but the disk may not have the file's name yet when this returns: with `durable` it has
        the bytes, and SFTP can ask for no more."""
        fs.publish(staged, path, durable=durable)
        staged.unlink()

    def link(self, fs: Any, source: str, path: str) -> None:
        """As the contract says: a hard link."""
        with fs.beside(path) as temporary:
            fs.link(source, temporary)
            fs.mv(temporary, path)

    def stat(self, fs: Any, path: str) -> FileStat | None:
        """As the contract says. All of the file is read for it."""
        if not fs.isfile(path):
            return None
        try:
            with fs.open(path, "rb") as file:
                return FileStat(file.size, hashlib.file_digest(file, "sha256").hexdigest())
        except FileNotFoundError:
            return None

    def read(self, fs: Any, path: str) -> Versioned | None:
        try:
            data = fs.cat_file(path)
        except FileNotFoundError:
            return None
        return Versioned(data, hashlib.sha256(data).hexdigest())

    def replace(self, fs: Any, path: str, data: bytes, expected: str | None) -> str:
        """As the contract says where `expected` is None. Otherwise it compares, then writes: a rival that comes between
        the two is overwritten, since SFTP has nothing that does both at once."""
        staged = self.stage(fs, path)
        try:
            staged.write_bytes(data)
            if expected is None:
                self._create(fs, staged, path)
            elif (found := self.read(fs, path)) is not None and found.token == expected:
                self.publish(fs, staged, path)
            else:
                raise _conflict(path)
        finally:
            staged.unlink(missing_ok=True)
        return hashlib.sha256(data).hexdigest()

    def _create(self, fs: Any, staged: Path, path: str) -> None:
        with fs.beside(path) as temporary:
            fs.upload(staged, temporary)
            try:
                fs.link(temporary, path)
            except StorageError as error:
                if fs.exists(path):  # the server says no more than that it failed
                    raise _conflict(path) from error
                raise


def _conflict(path: str) -> StorageConflictError:
    return StorageConflictError("Another writer was faster", path=path, hint="Read it again, and decide anew.")
