"""Storages that keep objects: what the core asks of a store, by what an `ObjectClient` can do."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from mad_prefect_core.contracts import FileStat, Session, Storage, StorageCapabilities, Store, StoreLike, Versioned
from mad_prefect_core.errors import PathError
from mad_prefect_core.object_stores import conditional, transfers
from mad_prefect_core.object_stores.client import ObjectClient
from mad_prefect_core.object_stores.files import ObjectFiles
from mad_prefect_core.object_stores.options import ObjectStoreOptions
from mad_prefect_core.paths import split_url
from mad_prefect_core.prefect_support import saved_block_account

__all__ = ["ObjectStorage", "ObjectStore"]

OptionsT = TypeVar("OptionsT", bound=ObjectStoreOptions)


class ObjectStore(Store):
    """A store of objects. A path is `bucket/key`. Beside what `Store` says of each method:

    - A failure is a `StorageError` that names URL and server, after the attempts that the options allow.
    - A missing bucket is an error everywhere; none is ever made.
    """

    fs: ObjectFiles

    def path(self, url: str) -> str:
        """As the contract says. Raises `PathError` for a URL without a bucket."""
        bucket, slash, key = split_url(url, user=self.fs.client.in_url)[1].strip("/").partition("/")
        if not bucket:
            hint = f"Write {self.fs.client.scheme}://bucket, or {self.fs.client.scheme}://bucket/folder."
            raise PathError("The URL names no bucket", path=url, hint=hint)
        return bucket.partition("@")[0] + slash + key

    def duckdb_files(self, session: Session, paths: Sequence[str]) -> list[str]:
        """As the contract says. A relation over them sees the versions of this moment, or raises. A file that is not
        there is a `FileNotFoundError`."""
        return list(self.fs.pinned.urls(session, paths))

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        self.fs.run(transfers.upload, self.fs, staged, path)
        staged.unlink()

    def link(self, source: str, path: str) -> str | None:
        return self.fs.run(transfers.copy, self.fs, source, path)

    def stat(self, path: str) -> FileStat | None:
        found = self.fs.run(self.fs.find_object, path)
        return FileStat(found.size, found.token) if found else None

    def read(self, path: str) -> Versioned | None:
        try:
            found = self.fs.run(self.fs.get_object, path)
        except FileNotFoundError:
            return None
        return Versioned(found[0], found[1].token) if found else None

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        return self.fs.run(conditional.replace, self.fs, path, data, expected)

    def close(self) -> None:
        self.fs.run(self.fs.client.close)


class ObjectStorage(Storage[OptionsT]):
    """A storage of objects: one client serves all that have equal options and see the same environment."""

    environment: ClassVar[tuple[str, ...]]
    """How the names of environment variables begin that the client looks at."""
    capabilities = StorageCapabilities(
        atomic_replace=True, conditional_create=True, conditional_replace=True, strong_listing=True
    )
    store: type[StoreLike] = ObjectStore

    @abstractmethod
    def client(self, url: str, options: OptionsT) -> ObjectClient:
        """Requests to the account that URL and options name. Import the service's library in here, not above: to list
        plugins must cost nothing."""

    def open(self, url: str, options: OptionsT) -> ObjectStore:
        return ObjectStore(ObjectFiles(self.client(url, options)))

    def account(self, url: str, options: OptionsT) -> Hashable:
        environment = sorted((name, value) for name, value in os.environ.items() if name.startswith(self.environment))
        return self.host(url), options.fingerprint(), tuple(environment), saved_block_account(options.credentials)

    @staticmethod
    def host(url: str) -> str:
        """The server that a URL names behind its bucket; "" if it does not."""
        return split_url(url)[1].strip("/").partition("/")[0].partition("@")[2]
