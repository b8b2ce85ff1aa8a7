"""Objects on Google Cloud Storage: whole uploads, server-side copies, and compare-and-swap by generation."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mad_prefect_core.contracts import FileStat, Options, Session, StorageCapabilities, Versioned
from mad_prefect_core.errors import PathError
from mad_prefect_core.objects import staged_file
from mad_prefect_core.paths import split_url
from mad_prefect_core.prefect_support import saved_block_account
from mad_prefect_gcs.options import GCSOptions

if TYPE_CHECKING:
    from mad_prefect_gcs.client import GCSFiles

__all__ = ["GCSStorage"]

_CLIENTS = 16
_ENVIRONMENT = ("CLOUDSDK_", "GOOGLE_", "STORAGE_EMULATOR_HOST")
_lock = threading.Lock()
_clients: OrderedDict[tuple[int, str], GCSFiles] = OrderedDict()


class GCSStorage:
    """`mad_prefect_core.contracts.Storage` for Google Cloud Storage. A path is `bucket/key`. Beside what each method
    there says:

    - A failure is a `StorageError` that names URL and server, after the attempts that the options allow.
    - A missing bucket is an error everywhere; none is ever made.
    - A token is the object's generation.
    """

    name = "gcs"
    protocols: tuple[str, ...] = ("gs", "gcs")
    capabilities = StorageCapabilities(
        atomic_replace=True,
        conditional_create=True,
        conditional_replace=True,
        strong_listing=True,
        native_duckdb=False,
    )
    options: type[Options] = GCSOptions

    def filesystem(self, url: str, options: Options) -> tuple[GCSFiles, str]:
        """As the contract says. One client serves all that have equal options and see the same environment."""
        assert isinstance(options, GCSOptions)
        path = split_url(url, user=False)[1].strip("/")
        if not path:
            raise PathError("The URL names no bucket", path=url, hint="Write gs://bucket, or gs://bucket/folder.")
        return _client(options), path

    def duckdb_files(self, session: Session, fs: Any, paths: Sequence[str]) -> list[str]:
        """As the contract says. A relation over them sees the generations of this moment, or raises. A file that is not
        there is a `FileNotFoundError`."""
        return list(fs.pinned.urls(session, paths))

    def stage(self, fs: Any, path: str) -> Path:
        """As the contract says: in a temporary folder of this process, which goes when it ends."""
        return staged_file(path)

    def publish(self, fs: Any, staged: Path, path: str, *, durable: bool = True) -> None:
        """As the contract says: in one request, or by a resumable upload, whose object appears at its end."""
        fs.run(fs.insert, staged, path)
        staged.unlink()

    def link(self, fs: Any, source: str, path: str) -> str:
        """As the contract says: a copy that the server makes."""
        return str(fs.run(fs.rewrite, source, path))

    def stat(self, fs: Any, path: str) -> FileStat | None:
        """As the contract says."""
        found = fs.run(fs.resource, path)
        return FileStat(found["size"], found["generation"]) if found else None

    def read(self, fs: Any, path: str) -> Versioned | None:
        try:
            answer = fs.run(fs.media, path)
        except FileNotFoundError:
            return None
        return Versioned(answer.data, answer.generation)

    def replace(self, fs: Any, path: str, data: bytes, expected: str | None) -> str:
        """As the contract says; a server that ignores conditions is dealt with as the options say."""
        return str(fs.run(fs.replace, path, data, expected))


def _client(options: GCSOptions) -> GCSFiles:
    from mad_prefect_gcs.client import GCSFiles  # noqa: PLC0415  two seconds, which listing plugins must not cost

    environment = sorted((name, value) for name, value in os.environ.items() if name.startswith(_ENVIRONMENT))
    said = repr((options.fingerprint(), environment, saved_block_account(options.credentials)))
    key = os.getpid(), hashlib.sha256(said.encode()).hexdigest()
    with _lock:
        if key not in _clients:
            _clients[key] = GCSFiles(options)
        _clients.move_to_end(key)
        while len(_clients) > _CLIENTS:
            _clients.popitem(last=False)
        return _clients[key]
