"""The storage `sftp`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from mad_prefect_core.sdk import (
    FileStat,
    Storage,
    StorageCapabilities,
    StorageConflictError,
    StorageError,
    Store,
    Versioned,
    split_url,
    staged_file,
)
from mad_prefect_sftp.options import SFTPOptions

if TYPE_CHECKING:
    from mad_prefect_sftp.client import SFTPFiles

__all__ = ["SFTPStorage", "SFTPStore"]


class SFTPStore(Store):
    """`mad_prefect_core.contracts.Store` for one SFTP server. Beside what each method there says:

    - A failure is a `StorageError` that names the server.
    - A token is the SHA-256 of the bytes: SFTP tells the time of a change in whole seconds only.
    """

    fs: SFTPFiles

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        """As the contract says, but the disk may not have the file's name yet when this returns: with `durable` it has
        the bytes, and SFTP can ask for no more."""
        self.fs.publish(staged, path, durable=durable)
        staged.unlink()

    def link(self, source: str, path: str) -> None:
        """As the contract says: a hard link."""
        with self.fs.beside(path) as temporary:
            self.fs.link(source, temporary)
            self.fs.mv(temporary, path)

    def stat(self, path: str) -> FileStat | None:
        """As the contract says. All of the file is read for it."""
        if not self.fs.isfile(path):
            return None
        try:
            with self.fs.open(path, "rb") as file:
                return FileStat(file.size, hashlib.file_digest(file, "sha256").hexdigest())
        except FileNotFoundError:
            return None

    def read(self, path: str) -> Versioned | None:
        try:
            data = self.fs.cat_file(path)
        except FileNotFoundError:
            return None
        return Versioned(data, hashlib.sha256(data).hexdigest())

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        """As the contract says where `expected` is None. Otherwise it compares, then writes: a rival that comes between
        the two is overwritten, since SFTP has nothing that does both at once."""
        staged = staged_file(path)
        try:
            staged.write_bytes(data)
            if expected is None:
                self._create(staged, path)
            elif (found := self.read(path)) is not None and found.token == expected:
                self.publish(staged, path)
            else:
                raise _conflict(path)
        finally:
            staged.unlink(missing_ok=True)
        return hashlib.sha256(data).hexdigest()

    def _create(self, staged: Path, path: str) -> None:
        with self.fs.beside(path) as temporary:
            self.fs.upload(staged, temporary)
            try:
                self.fs.link(temporary, path)
            except StorageError as error:
                if self.fs.exists(path):  # the server says no more than that it failed
                    raise _conflict(path) from error
                raise


class SFTPStorage(Storage[SFTPOptions]):
    """SFTP servers that have OpenSSH's extensions `posix-rename` and `hardlink`."""

    name = "sftp"
    protocols = ("sftp",)
    capabilities = StorageCapabilities(atomic_replace=True, conditional_create=True, strong_listing=True)
    options = SFTPOptions
    store = SFTPStore

    def open(self, url: str, options: SFTPOptions) -> SFTPStore:
        """As the contract says. It connects when it is first used."""
        from mad_prefect_sftp.client import SFTPFiles  # noqa: PLC0415  asyncssh, which listing plugins must not cost

        return SFTPStore(SFTPFiles(split_url(url)[1].partition("/")[0], options))


def _conflict(path: str) -> StorageConflictError:
    return StorageConflictError("Another writer was faster", path=path, hint="Read it again, and decide anew.")
