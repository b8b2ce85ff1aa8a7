"""The `mad://` protocol for DuckDB, as in mad-prefect 2.x."""

from __future__ import annotations

from typing import Any

from duckdb import DuckDBPyConnection, default_connection

from mad_prefect_core.duckdb_files import MadFileSystem, for_duckdb, register_mad_protocol

__all__ = ["MadFileSystem", "register_fsspec_filesystem", "register_mad_protocol"]


def register_fsspec_filesystem(filesystem: Any, connection: DuckDBPyConnection | None = None) -> None:
    """Have a DuckDB connection (the default one if None) read and write through a filesystem of fsspec.

    Registering its protocol again does nothing.
    """
    connection = connection or default_connection()
    protocol = filesystem.protocol if isinstance(filesystem.protocol, str) else filesystem.protocol[0]
    if not connection.filesystem_is_registered(protocol):
        connection.register_filesystem(for_duckdb(filesystem))
