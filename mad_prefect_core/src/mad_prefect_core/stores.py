"""The stores that this process has open, one for each account, and what they leave to the core."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mad_prefect_core.contracts import DuckDBStore, Options, Session, StagingStore, StorageLike, StoreLike
from mad_prefect_core.paths import temporary_name
from mad_prefect_core.shared_files import serve
from mad_prefect_core.temporary_folders import process_folder

__all__ = ["duckdb_files", "opened", "stage", "staged_file"]

_AT_MOST = 64
_lock = threading.Lock()
_open: OrderedDict[tuple[int, int, str], tuple[StorageLike[Any], Options, StoreLike]] = OrderedDict()
"""By process, storage and a digest of the account. The storage and its options are kept: the key has their identity."""


def opened(storage: StorageLike[Any], url: str, options: Options) -> StoreLike:
    """The store of a URL: the same one for all URLs and options of one account. Raises what opening it raises.

    A forked child has its own. Those that were not asked for longest are let go of.
    """
    account = hashlib.sha256(repr(storage.account(url, options)).encode()).hexdigest()
    key = os.getpid(), id(storage), account
    with _lock:
        known = _open.get(key)
    # Opened without the lock: a storage that hangs must not stop the others.
    entry = known or (storage, options, storage.open(url, options))
    with _lock:
        kept = _open.setdefault(key, entry)
        _open.move_to_end(key)
        while len(_open) > _AT_MOST:
            _open.popitem(last=False)
    if kept is not entry:
        entry[2].close()
    return kept[2]


def stage(store: StoreLike, path: str) -> Path:
    """Where a file is written before the store publishes it at `path`."""
    return store.stage(path) if isinstance(store, StagingStore) else staged_file(path)


def staged_file(path: str) -> Path:
    """A local path for what is to be brought to `path`, in a folder of this process that goes when it ends."""
    return process_folder() / temporary_name(path.rpartition("/")[2])


def duckdb_files(store: StoreLike, session: Session, paths: Sequence[str]) -> list[str]:
    """What DuckDB on a session reads these files of a store by."""
    if isinstance(store, DuckDBStore):
        return store.duckdb_files(session, paths)
    return serve(session, store.fs, paths)
