"""The protocol `mad://`: files below a base path, for DuckDB and for fsspec."""

from __future__ import annotations

from typing import Any

import duckdb

from mad_prefect_core.contracts import Session
from mad_prefect_core.errors import PathError
from mad_prefect_core.mounts import Mount, default_mount, mount
from mad_prefect_core.shared_files import SharedFileSystem, registering
from mad_prefect_core.shared_mad import SharedMad

__all__ = ["MadFileSystem", "register_base", "register_mad", "register_mad_protocol"]


class MadFileSystem(SharedFileSystem):
    """The fsspec filesystem of a base path: `mad://orders.parquet` is that file below the base.

    Args:
        basepath: URL of the base, of any installed storage.
        storage_options: The storage's options; more of them may be given as keywords.

    Raises `UnknownStorageError` and `OptionError`, and `PathError` at any path that climbs above the base.
    """

    protocol = "mad"

    def __init__(self, basepath: str, storage_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self._on(mount(basepath, {**kwargs, **(storage_options or {})}))

    def _on(self, base: Mount) -> None:
        SharedFileSystem.__init__(self, base.fs, base.root)
        self._base = base

    def open(self, path: str, mode: str = "rb", *args: Any, **kwargs: Any) -> Any:
        """As `SharedFileSystem`. Raises `PathError` for a file to be written whose name the storage can't hold."""
        if mode[:1] in ("w", "x", "a"):
            self._base.check_name(self._join(path))
        return super().open(path, mode, *args, **kwargs)

    def _within(self, path: str) -> str:
        path = super()._within(path).strip("/")
        if ".." in path.split("/"):
            raise PathError("A path may not climb with '..'", path=path, hint="Paths are relative to the base path.")
        return path


class _BaseFiles(MadFileSystem):
    """`mad://` on one base."""

    def __init__(self, base: Mount) -> None:
        self._on(base)


def register_base(session: Session, base: Mount) -> None:
    """Have the statements of a session, whose database is of that base alone, read `mad://` there."""
    with registering:
        if not session.connection.filesystem_is_registered(MadFileSystem.protocol):
            session.connection.register_filesystem(_BaseFiles(base))


def register_mad(connection: duckdb.DuckDBPyConnection | None = None) -> None:
    """Have a DuckDB connection, and all others of its database, read and write `mad://` below the base path.

    The base is the one in force when a statement or relation is made, whatever is in force when its rows are read.
    Where several bases are in force in the process at once, what can't be told apart is an error: `COPY` with
    `USE_TMP_FILE false`, `ATTACH`, `IMPORT DATABASE`, and two bases that write to one path at the same time. A
    connection of its own for each base has none of this. A view, and a relation that SQL names by a Python variable,
    are bound where the statement that reads them is made. With DuckDB 1.5, so is a relation at each read of its rows.

    Registering again does nothing. Safe from several threads.

    Args:
        connection: DuckDB's process-wide default connection if None.
    """
    connection = connection or duckdb.default_connection()
    with registering:
        if not connection.filesystem_is_registered(MadFileSystem.protocol):
            connection.register_filesystem(SharedMad(default_mount(), _BaseFiles))


async def register_mad_protocol(connection: duckdb.DuckDBPyConnection | None = None) -> None:
    """`register_mad`, for code that awaits it as in mad-prefect 2.x."""
    # In this very thread: DuckDB gives each thread a default connection of its own.
    register_mad(connection)
