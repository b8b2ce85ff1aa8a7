"""Objects on S3: whole uploads, server-side copies, and compare-and-swap by conditional writes."""

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
from mad_prefect_s3.native import native_urls
from mad_prefect_s3.options import S3Options

if TYPE_CHECKING:
    from mad_prefect_s3.client import S3Files

__all__ = ["S3Storage"]

_CLIENTS = 16
_lock = threading.Lock()
_clients: OrderedDict[tuple[int, str], S3Files] = OrderedDict()


class S3Storage:
    """`mad_prefect_core.contracts.Storage` for S3. A path is `bucket/key`. Beside what each method there says:

    - A failure is a `StorageError` that names URL and server, after the attempts that the options allow.
    - A missing bucket is an error everywhere; none is ever made.
    """

    name = "s3"
    protocols: tuple[str, ...] = ("s3", "s3a")
    capabilities = StorageCapabilities(
        atomic_replace=True,
        conditional_create=True,
        conditional_replace=True,
        strong_listing=True,
        native_duckdb=False,
    )
    options: type[Options] = S3Options

    def filesystem(self, url: str, options: Options) -> tuple[S3Files, str]:
        """As the contract says. One client serves all that have equal options and see the same `AWS_*` variables."""
        assert isinstance(options, S3Options)
        path = split_url(url, user=False)[1].strip("/")
        if not path:
            raise PathError("The URL names no bucket", path=url, hint="Write s3://bucket, or s3://bucket/folder.")
        return _client(options), path

    def duckdb_files(self, session: Session, fs: Any, paths: Sequence[str]) -> list[str]:
        """As the contract says. Pinned, a relation over them sees the versions of this moment, or raises, and a file
        that is not there is a `FileNotFoundError`."""
        if fs.options.duckdb == "httpfs":
            return native_urls(session, fs, paths)
        return list(fs.pinned.urls(session, paths))

    def stage(self, fs: Any, path: str) -> Path:
        """As the contract says: in a temporary folder of this process, which goes when it ends."""
        return staged_file(path)

    def publish(self, fs: Any, staged: Path, path: str, *, durable: bool = True) -> None:
        """As the contract says: in one request, or in parts that become one object at the end."""
        fs.run(fs.put_object, staged, path)
        staged.unlink()

    def link(self, fs: Any, source: str, path: str) -> str | None:
        """As the contract says: a copy that the server makes."""
        token: str | None = fs.run(fs.copy_object, source, path)
        return token

    def stat(self, fs: Any, path: str) -> FileStat | None:
        """As the contract says. The token is the ETag, and the version's id where the bucket keeps versions."""
        from mad_prefect_s3.answers import token_of  # noqa: PLC0415  as in _client

        found = fs.run(fs.head_object, path)
        return FileStat(found["ContentLength"], token_of(found)) if found else None

    def read(self, fs: Any, path: str) -> Versioned | None:
        from mad_prefect_s3.answers import token_of  # noqa: PLC0415  as in _client

        try:
            data, answer = fs.run(fs.get_object, path)
        except FileNotFoundError:
            return None
        return Versioned(data, token_of(answer))

    def replace(self, fs: Any, path: str, data: bytes, expected: str | None) -> str:
        """As the contract says; a server that ignores conditions is dealt with as the options say."""
        return str(fs.run(fs.replace, path, data, expected))


def _client(options: S3Options) -> S3Files:
    from mad_prefect_s3.client import S3Files  # noqa: PLC0415  half a second, which listing plugins must not cost

    environment = sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
    said = repr((options.fingerprint(), environment, saved_block_account(options.credentials)))
    key = os.getpid(), hashlib.sha256(said.encode()).hexdigest()
    with _lock:
        if key not in _clients:
            _clients[key] = S3Files(options)
        _clients.move_to_end(key)
        while len(_clients) > _CLIENTS:
            _clients.popitem(last=False)
        return _clients[key]
