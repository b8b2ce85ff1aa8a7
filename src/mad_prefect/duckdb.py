"""The `mad://` protocol for DuckDB, as in mad-prefect 2.x."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator, MutableMapping
from typing import Any

import duckdb

from mad_prefect_core.duckdb_files import MadFileSystem
from mad_prefect_core.duckdb_files import register_mad_protocol as register_base
from mad_prefect_core.prefect_support.blocks import FsspecFileSystem, get_fs
from mad_prefect_core.shared_files import for_duckdb

__all__ = ["MadFileSystem", "register_fsspec_filesystem", "register_mad_protocol"]

_global_registered_filesystem_ids: set[int] = set()
_connection_registered_filesystems: weakref.WeakKeyDictionary[Any, set[int]] = weakref.WeakKeyDictionary()
_mad_filesystem_ref: Any = None
_kept: list[Any] = []
"""What is registered on the default connection, so that no other filesystem gets its id."""

_get_fs = get_fs


def register_fsspec_filesystem(filesystem: Any, connection: Any = None) -> None:
    """Have a DuckDB connection (the default one if None) read and write through a filesystem of fsspec.

    Registering it again does nothing, nor does registering another one of its protocol.
    """
    registered = _global_registered_filesystem_ids
    if connection is not None:
        registered = _connection_registered_filesystems.setdefault(connection, set())
    protocol = filesystem.protocol if isinstance(filesystem.protocol, str) else filesystem.protocol[0]
    target = connection or duckdb
    if id(filesystem) in registered or target.filesystem_is_registered(protocol):
        return
    target.register_filesystem(filesystem if isinstance(filesystem, MadFileSystem) else for_duckdb(filesystem))
    registered.add(id(filesystem))
    _kept.append(filesystem)


async def register_mad_protocol(connection: Any = None) -> None:
    """Have a DuckDB connection (the default one if None) read and write `mad://` below the base path.

    The base is the one in force when a statement is made, or that of the block that `get_fs` of this module gives
    where it was replaced.
    """
    global _mad_filesystem_ref
    if get_fs is _get_fs:
        await register_base(connection)
    elif not (connection or duckdb).filesystem_is_registered(MadFileSystem.protocol):
        if _mad_filesystem_ref is None:
            block: FsspecFileSystem = await get_fs()
            _mad_filesystem_ref = MadFileSystem(block.basepath, block.storage_options.get_secret_value())
        register_fsspec_filesystem(_mad_filesystem_ref, connection)


_rest: MutableMapping[Any, Iterator[Any]] = weakref.WeakKeyDictionary()
"""The rows that are left, of relations that gave some."""


def _give_back_fetching() -> None:
    """DuckDB 2.0 took from its relations what code for 2.x calls on those of `duckdb.sql`: give it back."""
    kind: Any = duckdb.DuckDBPyRelation
    if hasattr(kind, "fetchone"):
        return
    all_rows = kind.fetchall

    def rest(relation: Any) -> Iterator[Any]:
        if relation not in _rest:
            _rest[relation] = iter(all_rows(relation))
        return _rest[relation]

    def fetchone(self: Any) -> Any:
        """The next row as a tuple; None after the last."""
        return next(rest(self), None)

    def fetchmany(self: Any, size: int = 1) -> list[Any]:
        """The next rows, at most `size`."""
        return list(itertools.islice(rest(self), size))

    def fetchall(self: Any) -> list[Any]:
        """All rows; those that are left, where some were fetched."""
        return list(_rest[self]) if self in _rest else all_rows(self)

    def execute(self: Any) -> Any:
        """Start over with the first row."""
        _rest.pop(self, None)
        return self

    for method in (fetchone, fetchmany, fetchall, execute):
        setattr(kind, method.__name__, method)


_give_back_fetching()
