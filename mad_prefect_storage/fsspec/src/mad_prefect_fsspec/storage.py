"""The storages that fsspec's filesystems make: one for each protocol that is asked for."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fsspec import available_protocols, get_filesystem_class
from fsspec.registry import known_implementations

from mad_prefect_core.sdk import (
    FileStat,
    StorageCapabilities,
    StorageConflictError,
    StorageError,
    Store,
    UnknownStorageError,
    Versioned,
    split_url,
    staged_file,
    temporary_name,
)
from mad_prefect_fsspec.client import FsspecFiles, lock_of, takes_server
from mad_prefect_fsspec.kinds import Kind, is_cache, kind_of
from mad_prefect_fsspec.options import FsspecOptions
from mad_prefect_fsspec.probing import Found, try_out

__all__ = ["FsspecStorage", "FsspecStore", "storage_for"]

logger = logging.getLogger(__name__)

_PATIENCE = 20.0  # seconds that a lock stands still before it counts as that of a dead writer
_PAUSE = 0.05
_REFUSALS = 20  # of a lock that is not there: others may have been faster as often
_NO_PLACES = frozenset({"abstract", "async_wrapper", "asyncwrapper", "data", "dir", "generic", "mad"})
_told: set[tuple[str, ...]] = set()


class FsspecStore(Store):
    """`mad_prefect_core.sdk.Store` for one server or place. Beside what each method there says:

    - A failure is a `StorageError` that names the server, and so is a write where only reading is possible.
    - A token is the SHA-256 of the bytes: times and ETags are too coarse on some servers.
    - What `promises` leaves out holds for writers that use this plugin, as far as a lock on the server goes: a hidden
      folder beside the file.
    """

    fs: FsspecFiles

    def __init__(self, fs: FsspecFiles, options: FsspecOptions) -> None:
        super().__init__(fs)
        fs.publish = self._bring  # type: ignore[method-assign]  # what is written through the filesystem, too
        self._required = options.require
        self._found: dict[int, Found] = {}

    def path(self, url: str) -> str:
        """As the contract says. A URL that names a file within an archive, `zip://x.csv::s3://bucket/a.zip`, has the
        path of that file."""
        protocol, rest = split_url(url)
        path = rest.partition("::")[0].rstrip("/")
        return path if takes_server(protocol) else path.strip("/")

    def promises(self, path: str) -> StorageCapabilities:
        """As `ProbedStore` says."""
        found = self._probed(path)
        return replace(self.fs.kind.capabilities, atomic_replace=found.at_once, strong_listing=found.lists)

    def _probed(self, path: str) -> Found:
        if not self.fs.kind.writes:
            raise StorageError(
                f"{self.fs.server} is only for reading",
                path=path,
                hint="Name another storage for what is written, in FILESYSTEM_URL or in the asset's path.",
            )
        with lock_of(id(self)):
            if (found := self._found.get(os.getpid())) is None:
                found = self._found[os.getpid()] = try_out(self.fs, path.rpartition("/")[0])
        if self._required == "atomic" and not found.at_once:
            raise StorageError(
                f"{self.fs.server} can't replace a file at one moment, as the option require='atomic' asks",
                path=path,
                hint="Use another server or a plugin made for it, or leave the option out.",
            )
        self._tell(found)
        return found

    def _tell(self, found: Found) -> None:
        missing = {
            "that a reader never sees part of a result, or none while it is replaced": not found.at_once,
            "that two writers of one file never lose what one of them wrote": not found.excludes,
            "that what was just written is listed": not found.lists,
        }
        lacking = tuple(text for text, is_missing in missing.items() if is_missing)
        if lacking and (self.fs.server, *lacking) not in _told:
            _told.add((self.fs.server, *lacking))
            logger.warning(
                "%s can't promise %s. The option require='atomic' refuses a server that can't replace files at one "
                "moment.",
                self.fs.server,
                "; nor ".join(lacking),
            )

    def close(self) -> None:
        """As the contract says."""
        self.fs.close()

    # -- reading -------------------------------------------------------------------------------------------------

    def stat(self, path: str) -> FileStat | None:
        """As the contract says. All of the file is read for it."""
        try:
            with self.fs.open(path, "rb") as file:
                return FileStat(file.size, hashlib.file_digest(file, "sha256").hexdigest())
        except IsADirectoryError:
            return None
        except FileNotFoundError:
            return self.stat(path) if self._appears(path) else None

    def read(self, path: str) -> Versioned | None:
        """As the contract says. Raises `IsADirectoryError` for a folder."""
        found = self._read_now(path)
        return self._read_now(path) if found is None and self._appears(path) else found

    def _appears(self, path: str) -> bool:
        """Whether a file that is not there is one that somebody is just moving to its place."""
        begun = time.monotonic()
        while (
            not self.fs.kind.uploads_whole
            and time.monotonic() - begun < _PATIENCE
            and self.fs.exists(_lock_path(path))
            and not self.fs.exists(path)
        ):
            time.sleep(_PAUSE)
        return not self.fs.kind.uploads_whole and self.fs.exists(path)

    def _read_now(self, path: str) -> Versioned | None:
        try:
            with self.fs.open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        return Versioned(data, _digest(data))

    # -- writing -------------------------------------------------------------------------------------------------

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        """As the contract says as far as `promises` says it. It has no power over the server's disk."""
        if not staged.is_file():
            raise FileNotFoundError(f"There is no staged file {staged}")
        self._bring(staged, path)
        staged.unlink()

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        """As the contract says in one process. Of writers on several machines, each compares and writes while it holds
        the lock, where the server has one."""
        found = self._probed(path)
        staged = staged_file(path)
        try:
            staged.write_bytes(data)
            with self._locked(path, found):
                current = self._read_now(path)
                if (current.token if current else None) != expected:
                    raise StorageConflictError(
                        "Another writer was faster", path=path, hint="Read it again, and decide anew."
                    )
                self._write(staged, path, found, locked=True)
        finally:
            staged.unlink(missing_ok=True)
        return _digest(data)

    def _bring(self, staged: Path, path: str) -> None:
        self._write(staged, path, self._probed(path))

    def _write(self, staged: Path, path: str, found: Found, *, locked: bool = False) -> None:
        if self.fs.kind.uploads_whole:
            self.fs.put_file(str(staged), path)
            return
        temporary = _beside(path)
        try:
            self.fs.put_file(str(staged), temporary)
            if found.replaces:
                self.fs.rename(temporary, path)
                return
            with contextlib.nullcontext() if locked else self._locked(path, found):
                self._move_aside(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                self.fs.rm_file(temporary)
            raise

    def _move_aside(self, temporary: str, path: str) -> None:
        """Where no rename replaces a file: the old one is kept until the new one is in its place."""
        if not self.fs.isfile(path):
            self.fs.rename(temporary, path)
            return
        aside = _beside(path)
        self.fs.rename(path, aside)
        try:
            self.fs.rename(temporary, path)
        except BaseException as error:
            self._put_back(aside, path, error)
            raise
        with contextlib.suppress(OSError):
            self.fs.rm_file(aside)

    def _put_back(self, aside: str, path: str, error: BaseException) -> None:
        try:
            if self.fs.exists(path):  # what there is of the new one
                self.fs.rm_file(path)
            self.fs.rename(aside, path)
        except OSError:
            raise StorageError(
                f"The file could not be replaced, nor the old one put back: {error}",
                path=path,
                hint=f"The old file is whole, and called {aside}: give it its name again.",
            ) from error

    @contextlib.contextmanager
    def _locked(self, path: str, found: Found) -> Iterator[None]:
        """Keep other writers of a file out: threads, and where the server lets one alone make a folder, all others."""
        with lock_of(0 if self.fs.kind.in_process else id(self)):
            if self.fs.kind.in_process or not found.excludes:
                yield
                return
            lock = _lock_path(path)
            self.fs.makedirs(self.fs._parent(path), exist_ok=True)
            self._take(lock)
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # what is done is done; the next writer waits for a while
                    self.fs.rmdir(lock)

    def _take(self, lock: str) -> None:
        seen, since, refused = None, time.monotonic(), 0
        while True:
            if (now := self._stamp(lock)) is None:
                try:
                    self.fs.mkdir(lock, create_parents=False)
                    return
                except OSError:
                    refused += 1
                    if (now := self._stamp(lock)) is None and refused >= _REFUSALS:
                        raise
            if now is None or now != seen:  # another writer had it, or has it now
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > _PATIENCE:
                logger.warning("%s: the lock %s of a writer that is gone is removed.", self.fs.server, lock)
                with contextlib.suppress(OSError):
                    self.fs.rmdir(lock)
                seen = None
            time.sleep(_PAUSE)

    def _stamp(self, lock: str) -> str | None:
        """What differs between two locks of one name, as far as the server says it."""
        try:
            found = self.fs.info(lock)
        except FileNotFoundError:
            return None
        return repr([found.get(name) for name in ("mtime", "modified", "modify", "created", "etag", "unique")])


@dataclass(frozen=True)
class FsspecStorage:
    """The storage of one protocol, or of several chained ones."""

    name: str
    kind: Kind

    options = FsspecOptions
    store = FsspecStore

    @property
    def protocols(self) -> tuple[str, ...]:
        """The one that it is named after."""
        return (self.name,)

    @property
    def capabilities(self) -> StorageCapabilities:
        """What it promises if the server can; what it can, `FsspecStore.promises` says."""
        return self.kind.capabilities

    def account(self, url: str, options: FsspecOptions) -> Hashable:
        """A client for each server or archive in a URL, and for each set of options."""
        rest = split_url(url)[1]
        place = rest.partition("::")[2] if "::" in rest else rest.partition("/")[0]
        return place, options.fingerprint()

    def open(self, url: str, options: FsspecOptions) -> FsspecStore:
        """As the contract says. It connects when it is first used."""
        return FsspecStore(FsspecFiles(url, options, self.kind), options)


def storage_for(protocol: str) -> FsspecStorage | None:
    """The storage of a protocol that fsspec knows; None for another one. Raises `UnknownStorageError` where the
    filesystem can't be imported, which says what to install."""
    *caches, last = protocol.split("::")
    if last in _NO_PLACES or last not in available_protocols() or not all(map(is_cache, caches)):
        return None
    try:
        filesystem = get_filesystem_class(last)
    except (ImportError, ValueError) as error:
        about: dict[str, Any] = known_implementations.get(last, {})
        raise UnknownStorageError(
            f"The filesystem of fsspec for '{last}://' can't be imported: {error}", hint=about.get("err")
        ) from error
    return FsspecStorage(protocol, kind_of(filesystem))


def _lock_path(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.lock"


def _beside(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{temporary_name(name)}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
