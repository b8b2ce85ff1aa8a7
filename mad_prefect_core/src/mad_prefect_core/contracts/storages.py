"""The contract of a storage: what opens a URL, and the store that it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from mad_prefect_core.contracts.options import Options
from mad_prefect_core.contracts.session import Session
from mad_prefect_core.paths import split_url

__all__ = [
    "DeclaredErrors",
    "DuckDBStore",
    "Fault",
    "FileStat",
    "LinkingStore",
    "PrivateFiles",
    "ProbedStore",
    "StagingStore",
    "Storage",
    "StorageCapabilities",
    "StorageLike",
    "Store",
    "StoreLike",
    "SyncingStore",
    "Versioned",
]

OptionsT = TypeVar("OptionsT", bound=Options)
OptionsT_contra = TypeVar("OptionsT_contra", bound=Options, contravariant=True)


@dataclass(frozen=True, kw_only=True)
class StorageCapabilities:
    """What a storage promises, as data that the core consults. More fields may come, with defaults that promise
    nothing."""

    atomic_replace: bool = False
    """A published file appears whole at its key, or not at all, also over an older one: whoever reads or lists it
    meanwhile, in any process, sees the one or the other, and never none."""
    conditional_create: bool = False
    """Of several writers that create one key by `replace`, in any processes, one wins and the others are told."""
    conditional_replace: bool = False
    """`replace` writes only over the very version that was read, whatever other writers do meanwhile. A lock that ends
    by time does not promise it: a writer that was paused goes on when another one has the lock."""
    strong_listing: bool = False
    """What was published, overwritten or deleted by anybody shows in the next listing."""
    refused_characters: str = ""
    """Characters that no name may have here, since a server would take them for others. The core refuses paths with
    them before anything is written."""
    largest_object: int | None = None
    """How many bytes one file may have at most; the core refuses larger ones before they are sent. None: any size."""


class Fault(StrEnum):
    """What an exception of a client library means, as the core deals with it."""

    MISSING = "missing"
    """There is no such file, or it is gone."""
    CONFLICT = "conflict"
    """A condition is not met: it is another version, or there is one already. Nothing was written."""
    REFUSED = "refused"
    """The server says no to whoever asks."""
    TRANSIENT = "transient"
    """It failed for now. If it was to change something, a look tells whether it did."""
    AMBIGUOUS = "ambiguous"
    """There was no answer: the server may have done what it was asked, or may do so yet."""


@dataclass(frozen=True)
class FileStat:
    """Size in bytes, and a token that is different whenever the bytes at the key may be different."""

    size: int
    """In bytes."""
    token: str
    """An ETag, a generation or the like: text that `replace` takes as `expected`."""


@dataclass(frozen=True)
class Versioned:
    """The bytes of a small object, with the token to replace it by."""

    data: bytes
    """All of it."""
    token: str
    """As in `FileStat`."""


class StoreLike(Protocol):
    """What the core takes for a store: see `Store`, its base, for what each member does."""

    @property
    def fs(self) -> Any: ...

    def path(self, url: str) -> str: ...

    def stat(self, path: str) -> FileStat | None: ...

    def read(self, path: str) -> Versioned | None: ...

    def replace(self, path: str, data: bytes, expected: str | None) -> str: ...

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None: ...

    def close(self) -> None: ...


class Store(ABC):
    """An open storage: files on one server by one account, or below one root. It owns its client.

    A `path` is one of `fs` (no protocol). Names are literal, whatever characters they have. Used by several threads at
    once. Any I/O failure is raised as `OSError` or one of its subclasses (`StorageError` is one): then what was there
    is there still, or the new bytes are, whole, as where only the answer was lost. What can't be read is never taken
    for missing.

    `mad_prefect_core.testing.storages.StorageContract` holds a storage to all this.
    """

    def __init__(self, fs: Any) -> None:
        self.fs = fs
        """The fsspec filesystem that files are read and listed by, always the same object, since DuckDB keeps it.

        Of it are asked: `open` for reading, `info`, `exists`, `isfile`, `isdir`, `ls`, `find`, `glob`, `rm_file` and
        `rmdir`; `mad://` and blocks also write through it. No listing may be stale, and neither its `repr` nor a log
        shows a secret. One that sends requests again may count them in its attribute `retried`, which run records
        tell."""

    @abstractmethod
    def stat(self, path: str) -> FileStat | None:
        """Size and token of a file; None where there is none, or a folder."""

    @abstractmethod
    def read(self, path: str) -> Versioned | None:
        """A small object and its version; None where there is none."""

    @abstractmethod
    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        """Write a small object if it is still at version `expected` (None: if it does not exist). Returns its new
        token. No two writers write the same bytes.

        Raises `StorageConflictError` if it is at another version, or gone; then nothing was written. A request whose
        answer was lost may have been carried out: to repeat it and report that as a conflict is wrong."""

    @abstractmethod
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        """Bring a finished staged file to `path`, whole or not at all, replacing what was there. Makes its folders.

        When it returns the staged file is gone, and the file outlives this process; if `durable`, also a machine that
        loses power. It is always true but for a `SyncingStore`."""

    def path(self, url: str) -> str:
        """The path on `fs` of a URL that this store serves: a protocol, `://` and that path are the file's URL."""
        return split_url(url)[1].strip("/")

    def close(self) -> None:  # noqa: B027  many have nothing to close
        """Let go of connections. Nothing is asked of it afterwards."""


class StorageLike(Protocol[OptionsT_contra]):
    """What the core takes for a storage: see `Storage`, its base, for what each member does."""

    @property
    def name(self) -> str: ...

    @property
    def protocols(self) -> tuple[str, ...]: ...

    @property
    def capabilities(self) -> StorageCapabilities: ...

    @property
    def options(self) -> type[Options]: ...

    @property
    def store(self) -> type[StoreLike]: ...

    def account(self, url: str, options: OptionsT_contra) -> Hashable: ...

    def open(self, url: str, options: OptionsT_contra) -> StoreLike: ...


class Storage(ABC, Generic[OptionsT]):
    """A kind of place for files, reached by URL. It keeps nothing: what it opens is the core's to keep and close."""

    name: str
    """What `mad-prefect plugins list` shows."""
    protocols: tuple[str, ...]
    """URL schemes; the first is canonical."""
    capabilities: StorageCapabilities = StorageCapabilities()
    """What each of its stores promises; the most that a `ProbedStore` can find."""
    options: type[Options] = Options
    """The class of the options that `open` and `account` are given."""
    store: type[StoreLike]
    """What `open` gives one of: looked at when the plugin is loaded, so that what it lacks is told then."""

    @abstractmethod
    def open(self, url: str, options: OptionsT) -> StoreLike:
        """The store that serves `url`, and all other URLs of the same `account`. To open one asks no server anything.

        Import a cloud SDK here, not with the module: listing plugins must cost nothing. Raises `PathError` for a URL
        that can't be one of this storage."""

    def account(self, url: str, options: OptionsT) -> Hashable:
        """What tells apart the stores that URLs and options need: one is opened for all that are equal.

        Unless overridden, a store for each server, bucket or the like in a URL, and for each set of options. What else
        a client is made of, such as environment variables, belongs here."""
        return split_url(url)[1].partition("/")[0], options.fingerprint()


@runtime_checkable
class DeclaredErrors(Protocol):
    """A store that says what the exceptions of its client library mean. For others, one that is no `OSError` is a
    `StorageError` without more."""

    @property
    def errors(self) -> Mapping[type[Exception], Fault]:
        """By class, also of their subclasses, the nearest first: the core makes of each, in every call of the store and
        of its filesystem, what `Store` says is to be raised."""


@runtime_checkable
class DuckDBStore(Protocol):
    """A store that DuckDB reads in a way of its own. For others, it reads through `fs`."""

    def duckdb_files(self, session: Session, paths: Sequence[str]) -> list[str]:
        """What DuckDB on this session is given to read exactly these files, one for each, in order: native paths or
        URLs, glob characters escaped, secrets or filesystems registered on the connection as needed.

        A file that is not there is a `FileNotFoundError` here, or an error of DuckDB when it is read."""


@runtime_checkable
class StagingStore(Protocol):
    """A store that says where files are written before they are published. For others, it is a temporary folder of the
    process."""

    def stage(self, path: str) -> Path:
        """A local path, its folder made, where a file is written that `publish` will bring to `path`.

        Neither a reader's `*.suffix` nor a listing by suffix matches it."""


@runtime_checkable
class LinkingStore(Protocol):
    """A store that copies files without sending their bytes. For others, they are read and published again."""

    def link(self, source: str, path: str) -> str | None:
        """Make `path` have the bytes of `source`, whole or not at all, replacing what was there. `source` may be
        `path`. What is published at either later does not change the other. Returns the token of `path` as `stat`
        gives it, where it is known without asking; else None.

        Raises `FileNotFoundError` where there is no `source`."""


@runtime_checkable
class SyncingStore(Protocol):
    """A store on which a file that need not survive a power cut is published faster. Fragments are published so, and
    synced together where a record promises them."""

    def sync(self, paths: Sequence[str]) -> None:
        """Make files that were published without `durable` survive a machine that loses power, with their names and
        those of their folders. Raises `FileNotFoundError` where one is not there."""


@runtime_checkable
class ProbedStore(Protocol):
    """A store that finds out by trying what its server can do. For others, it is what the storage declares."""

    def promises(self, path: str) -> StorageCapabilities:
        """What holds for files in the folder of `path`, which is asked before a run that writes there begins: no more
        than the storage's `capabilities`. What it can't promise is in the run's record.

        Raises `StorageError` where nothing can be written, or where the options ask for more than the server can."""


@runtime_checkable
class PrivateFiles(Protocol):
    """A store whose files belong to users, and that can make one which no other user may read."""

    def create_private(self, path: str, data: bytes) -> None:
        """Make a small object that only this process's user can read, whole or not at all.

        Raises `StorageConflictError` if there is one."""
