"""One private connection to the process's DuckDB, as plugins see it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, Protocol, TypeAlias

import duckdb

__all__ = ["Parameters", "PortableRelation", "Session"]

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any] | None


class Session(Protocol):
    """One DuckDB connection that nobody else uses: no user table, view or variable is visible on it.

    Not safe for use from several threads at once; a thread of its own opens a session of its own.
    """

    @property
    def id(self) -> str:
        """Tells it from any other session: 32 hexadecimal digits that nobody can guess."""

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The private connection."""

    def sql(self, query: str, parameters: Parameters = None) -> duckdb.DuckDBPyRelation:
        """A lazy relation over `query`. Values are bound, never formatted into the text."""

    def execute(self, statement: str, parameters: Parameters = None) -> None:
        """Run a statement for its effect. Values are bound."""

    def view(self, relation: Any, name: str | None = None) -> str:
        """Make `relation` (a relation of this session, or anything that speaks the Arrow PyCapsule interface)
        readable by name on this connection alone. Returns the name, quoted for SQL."""

    def forget(self, view: str) -> None:
        """Let go of what `view` made readable; while a reader is open on this connection it stays, until the session is
        closed. Raises nothing, so that it never replaces an error in whose wake it is called."""

    def opener(self, file: str) -> Callable[[], BinaryIO]:
        """How Python reads one of the `files` that `Format.read` was given: a function that opens it anew at each
        call, in any thread, also while a query runs.

        It holds neither this session nor its connection, so what the connection reads from may keep it. Calling it
        raises `OSError` where the file is not there.
        """

    def path_of(self, file: str) -> str:
        """The path or URL of one of these files as its user knows it, for messages."""

    def arrow_filesystem(self) -> Any:
        """The files that the format was given as a `pyarrow.fs.FileSystem`, for readers that take one, such as
        `pyarrow.dataset.dataset(files, filesystem=…)`. As with `opener`, what the connection reads from may keep it.

        It opens these files for reading, by the names that the format was given, and does nothing else.
        """


class PortableRelation(ABC):
    """What is used as a `duckdb.DuckDBPyRelation`, and belongs to no connection."""

    @abstractmethod
    def on(self, session: Any) -> duckdb.DuckDBPyRelation:
        """The same relation on a session."""
