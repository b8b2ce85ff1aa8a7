"""Files on a local or mounted disk: atomic publish by rename, compare-and-swap under a lock file.

Whatever is written goes to a temporary name in the folder where it is wanted, is forced to the disk, and is renamed
into place: a reader, and a machine that lost power, sees the old bytes or the new ones.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from mad_prefect_core.sdk import (
    FileStat,
    Session,
    Storage,
    StorageCapabilities,
    StorageConflictError,
    StorageError,
    Store,
    Versioned,
    escape_glob,
    temporary_name,
)
from mad_prefect_local.disk import force_to_disk, make_folders
from mad_prefect_local.lock import locked, temporary_file
from mad_prefect_local.options import LocalOptions

__all__ = ["LocalStorage", "LocalStore"]

_SYNCED_AT_ONCE = 16
_BUFFER = 2**20
_TICK = 10_000_000  # ns; kernels before 6.13 stamp files with a clock that ticks every 1 to 10 ms


class LocalStore(Store):
    """`mad_prefect_core.contracts.Store` for local disks. Beside what each method there says:

    - An I/O failure is the `OSError` that the system raised. A folder that can't be made or written is a
      `StorageError` that names it.
    - Other writers that do not go through `replace` are not held off by its lock.
    """

    def path(self, url: str) -> str:
        """As the contract says. A relative path is relative to the working folder of this moment."""
        return str(self.fs._strip_protocol(url))

    def duckdb_files(self, session: Session, paths: Sequence[str]) -> list[str]:
        """As the contract says. Raises `StorageError` for what is no file."""
        for path in paths:
            _refuse_special(path)
        return [escape_glob(os.path.abspath(path)) for path in paths]

    def stage(self, path: str) -> Path:
        """As the contract says. Raises `StorageError` for a folder that can't be made or written, and where there is
        one, or a pipe or device, at the path itself."""
        # Not by pathlib's methods: this is done for each of perhaps thousands of fragments.
        folder, name = os.path.dirname(path) or os.curdir, os.path.basename(path)
        if not name:
            raise StorageError("The file's path is a folder", path=path, hint="Name a file.")
        if not (os.path.islink(path) and os.path.isdir(path)):  # that is replaced, and the folder stays as it is
            _refuse_special(path)
        with _writing_into(folder):
            inside = os.path.join(folder, ".")
            if not os.access(inside, os.W_OK | os.X_OK):
                make_folders(folder)
                if not os.access(inside, os.W_OK | os.X_OK):
                    # Said here, since what DuckDB says later when it can't write there is no OSError.
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return Path(folder, temporary_name(name))

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        folder = os.path.dirname(path) or os.curdir
        with _writing_into(folder):
            if durable:
                force_to_disk([staged])
            os.replace(staged, path)
            if durable:
                force_to_disk([folder])

    def sync(self, paths: Sequence[str]) -> None:
        """As `SyncingStore` says. Several files at a time, so that the disk writes its journal for many at once."""
        with ThreadPoolExecutor(min(_SYNCED_AT_ONCE, len(paths)) or 1) as threads:
            list(threads.map(lambda path: force_to_disk([path]), paths))
        force_to_disk(sorted({os.path.dirname(path) or os.curdir for path in paths}))

    def link(self, source: str, path: str) -> None:
        """As the contract says: a hard link, or a copy where none can be made (another device, a file system
        without them). With a hard link the two names share their bytes until either is published again."""
        origin = os.path.realpath(source)  # a link to a symbolic link would not hold the bytes
        staged = self.stage(path)
        try:
            try:
                os.link(origin, staged)
            except OSError:
                # Why systems refuse varies; a copy works, or raises what is really wrong.
                with open(origin, "rb") as whole, staged.open("xb") as copy:
                    shutil.copyfileobj(whole, copy, _BUFFER)
            self.publish(staged, path)
        finally:
            # Beside failures: replacing one link of a file by another link of it does nothing, and leaves both.
            staged.unlink(missing_ok=True)

    def stat(self, path: str) -> FileStat | None:
        """As the contract says.

        The token holds the inode's change time, which no program can set: bytes changed in place are noticed even
        where the modification time was set back. The price is that making or removing another hard link of the same
        bytes changes the token too, so take it after the last `link`.
        """
        try:
            found = os.stat(path)
            age = time.time_ns() - found.st_ctime_ns
            if age < _TICK:
                # Bytes changed within the same tick of the clock would get the same token: let the tick pass.
                time.sleep(min(_TICK - age, _TICK) / 1e9)
                found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not S_ISREG(found.st_mode):
            return None
        token = f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ctime_ns:x}"
        return FileStat(found.st_size, token)

    def read(self, path: str) -> Versioned | None:
        if not os.path.isdir(path):  # which the system itself refuses
            _refuse_special(path)
        try:
            data = Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Versioned(data, _digest(data))

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        """As the contract says, for threads and processes alike, on network disks as far as these support `flock`.
        The lock is a hidden file beside `path`, and stays there: removing it would break it."""
        self.stage(path)  # makes the folder, and raises where there can't be a file
        target = Path(path)
        with _writing_into(str(target.parent)), locked(target) as lock:
            current = self.read(path)
            if (current.token if current else None) != expected:
                raise StorageConflictError(
                    "Another writer was faster" if current else "The object to replace is gone",
                    path=path,
                    hint="Read it again, and decide anew.",
                )
            with temporary_file(lock, target) as staged:
                with staged.open("xb") as file:  # never a file or a link that somebody has put there
                    file.write(data)
                self.publish(staged, path)
        return _digest(data)

    def create_private(self, path: str, data: bytes) -> None:
        """As `PrivateFiles` says: with mode 0600, whatever the umask is."""
        staged = self.stage(path)
        with _writing_into(str(staged.parent)):
            try:
                with open(staged, "xb", opener=_for_owner) as file:
                    file.write(data)
                force_to_disk([staged])
                os.link(staged, path)  # unlike a rename, it replaces nothing
                force_to_disk([staged.parent])
            except FileExistsError:
                raise StorageConflictError("The object is there already", path=path, hint="Read it.") from None
            finally:
                staged.unlink(missing_ok=True)


class LocalStorage(Storage[LocalOptions]):
    """Local disks."""

    name = "local"
    protocols: tuple[str, ...] = ("file", "local")
    capabilities = StorageCapabilities(
        atomic_replace=True, conditional_create=True, conditional_replace=True, strong_listing=True
    )
    options = LocalOptions
    store = LocalStore

    def account(self, url: str, options: LocalOptions) -> Hashable:
        return options.auto_mkdir

    def open(self, url: str, options: LocalOptions) -> LocalStore:
        return LocalStore(_LocalFiles(auto_mkdir=options.auto_mkdir))


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


class _LocalFiles(LocalFileSystem):  # type: ignore[misc]  # fsspec is not typed
    """As fsspec's, for files and folders alone."""

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **kwargs: Any) -> Any:
        _refuse_special(self._strip_protocol(path))
        return super()._open(path, mode, block_size, **kwargs)

    def isfile(self, path: str) -> bool:
        """Whether there is a file. Raises `StorageError` where there is something else than that or a folder, rather
        than to say that there is nothing."""
        path = self._strip_protocol(path)
        if os.path.isfile(path):
            return True
        if os.path.lexists(path) and not os.path.isdir(path):
            _refuse_special(path)
        return False


def _refuse_special(path: str) -> None:
    """Raise `StorageError` for what is there and is no file: opening a pipe waits for ever, and a device has no end."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:  # such as links in a circle
        raise StorageError(f"The path can't be read: {error.strerror}", path=path) from error
    if not S_ISREG(mode):
        kind = "a folder" if S_ISDIR(mode) else "a pipe, a socket or a device"
        raise StorageError(f"The file's path is {kind}", path=path, hint="Name a file.")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def _writing_into(folder: str) -> Iterator[None]:
    """Say of a folder that can't be written what to do about it."""
    try:
        yield
    except OSError as error:
        if isinstance(error, StorageError) or not _is_unwritable(error):
            raise
        raise StorageError(
            f"The folder {folder!r} can't be written: {error.strerror}",
            path=folder,
            hint="Make it a folder that this user may write to, or name another base in FILESYSTEM_URL.",
        ) from error


def _is_unwritable(error: OSError) -> bool:
    return isinstance(error, PermissionError | NotADirectoryError | FileExistsError) or error.errno == errno.EROFS
