"""The contract of a file format."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, TypeAlias, runtime_checkable

import duckdb

from mad_prefect_core.contracts.options import Options, ReadOptions
from mad_prefect_core.contracts.session import Session

__all__ = [
    "Batch",
    "BlankFormat",
    "ComparingFormat",
    "Format",
    "FormatCapabilities",
    "FormatJoiner",
    "FormatWriter",
    "JoiningFormat",
    "NumberingFormat",
    "Schema",
    "StandaloneFormat",
]

Schema: TypeAlias = Mapping[str, str]
"""Columns in order: name to DuckDB type, for example `{"id": "BIGINT", "tags": "VARCHAR[]"}`."""


@dataclass(frozen=True)
class FormatCapabilities:
    """What a format can do, as data that the core and the conformance kit consult."""

    best_for: Literal["rows", "columns"] | None = None
    """Chosen for fragments of that kind of batch where the user does not name a format."""
    schema_in_file: bool = False
    """A file alone tells the exact type of each column."""
    schema_on_read: bool = False
    """`scan` with a schema reads files that lack some of its columns, giving NULL."""
    infers_text: frozenset[str] = frozenset()
    """DuckDB types that bare strings are taken for, unless switched off: all that a value looks like decides."""
    nested: bool = True
    """Lists, structs and maps keep their shape."""
    inexact: Mapping[str, str] | None = None
    """Types that the format can't keep exactly, each with the reason in words: for the docs' table."""
    compression: tuple[str, ...] = ()
    """Codecs that the write options accept."""


@runtime_checkable
class Batch(Protocol):
    """One unit of data on its way to a file: Python rows, or Arrow, each made only when asked for."""

    @property
    def is_columnar(self) -> bool:
        """Whether it came as columns (Arrow, a frame, a relation) rather than as Python rows."""

    @property
    def schema(self) -> Any:
        """Its columns as a `pyarrow.Schema`. The null type says that no value was seen."""

    @property
    def text(self) -> Mapping[tuple[str, ...], str]:
        """What all strings at a place look like, as a DuckDB type; a place is `("column", "member", "[]")`."""

    @property
    def numbers(self) -> Mapping[tuple[str, ...], Any]:
        """What numbers at a place need of a type, as far as that is less than what their type in `schema` can hold."""

    @property
    def relation(self) -> Any:
        """The `duckdb.DuckDBPyRelation` it is, on whatever connection; None for everything else. It has its own types,
        which `schema` may not have, and is to be run once, here or by `arrow`."""

    count: int | None
    """Where it `is_columnar`, how many rows were taken of it, as far as that is known. `arrow` counts them; a writer
    that runs `relation` by itself says how many that wrote."""

    def rows(self) -> list[dict[str, Any]]:
        """As Python dicts. Nested dataclasses, models, enums and the like are plain values already."""

    def column(self, name: str) -> list[Any]:
        """The values of one column, as in `rows`; None where a row lacks it. It costs nothing where `is_columnar` is
        not true."""

    def arrow(self, schema: Any = None) -> Any:
        """As anything with `__arrow_c_stream__`, its columns laid out as `schema` (a `pyarrow.Schema`) if given."""


class FormatWriter(Protocol):
    """Writes batches to one file, one after the other, in memory bounded by a batch."""

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Add a batch. A batch may bring new columns, lack some, or need wider types than those before it."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file. Without it the file is not there, or is not to be trusted."""

    @abstractmethod
    def abort(self) -> None:
        """Give up; leaves nothing behind that takes room."""


@runtime_checkable
class Format(Protocol):
    """A file format: its own DuckDB reader, a writer of batches, and an export of relations.

    `files` are paths or URLs that the session's connection reads as they are, glob characters escaped already. A reader
    in Python opens them by `session.opener`, and gives DuckDB an object to read from: a `pyarrow.dataset.Dataset`, or
    one with `__arrow_c_stream__` and `__arrow_c_schema__`, which can be scanned again and holds no session.
    `path` is a local path whose name says nothing: the storage stages it and brings it to where the user wants it.
    `suffix` is one of `suffixes`: that of the user's path, which tells a compression (`.csv.gz`) or dialect (`.tsv`).

    The core promises for whatever is written: the session's TimeZone is UTC, and no column is without a name, or has
    one that differs from another's in case alone.
    """

    name: str
    suffixes: tuple[str, ...]
    """With the leading dot, in lower case; the first is canonical. Compressed ones such as `.json.gz` included."""
    capabilities: FormatCapabilities
    read_options: type[ReadOptions]
    write_options: type[Options]

    @abstractmethod
    def scan(
        self, session: Session, files: Sequence[str], options: Any, *, suffix: str, schema: Schema | None = None
    ) -> duckdb.DuckDBPyRelation:
        """A lazy relation over all `files`, united by column name.

        With `schema`, which is what a run recorded when these files were written: exactly those columns, in that
        order, with those types. Without: what the files say, or what the reader infers. `key=value` folders are
        never columns: the core adds them, for all formats alike. Raises `duckdb.Error` as it comes; the core adds asset
        and path.
        """

    @abstractmethod
    def read_back(self, options: Any) -> Any:
        """The read options by which a file written under these write options reads back.

        What they set explicitly, to None too, holds for such files whatever the user's read options say of those of
        others. What they leave unset, such as limits, stays the user's.
        """

    @abstractmethod
    def writer(self, session: Session, path: Path, options: Any, *, suffix: str) -> FormatWriter:
        """A writer of a new file at `path`. `mad_prefect_core.writing.ExportWriter` makes one of `export`."""

    @abstractmethod
    def export(self, session: Session, relation: str, schema: Schema, path: Path, options: Any, *, suffix: str) -> None:
        """Write all rows of `relation` (a name as SQL, readable on this session, its columns as in `schema`) to a
        new file at `path`, in order, as fast as DuckDB can.

        Raises `UnsupportedValueError` naming the column where a value can't be kept exactly.
        """


class FormatJoiner(Protocol):
    """Makes one file of several by their bytes, without a look at their rows."""

    @abstractmethod
    def add(self, opened: Callable[[], BinaryIO]) -> bool:
        """Add all rows of a file, which a call opens. False where it can't follow those before it, or where the whole
        would be worse to read than a file that is written anew: the joiner is to be aborted then."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""

    @abstractmethod
    def abort(self) -> None:
        """Give up; leaves nothing behind that takes room."""


@runtime_checkable
class JoiningFormat(Format, Protocol):
    """A format whose files can be joined. None has to be: it is for speed alone."""

    def joiner(self, path: Path, options: Any, *, suffix: str) -> FormatJoiner | None:
        """A joiner that makes a new file at `path`, of files that were written with these write options and this
        suffix; None where such files can't be joined."""


@runtime_checkable
class NumberingFormat(Format, Protocol):
    """A format whose reader tells which of many files a row is from. None has to: with it, files in many `key=value`
    folders are read by one scan."""

    def scan_numbered(
        self, session: Session, files: Sequence[str], options: Any, *, suffix: str, number: str
    ) -> duckdb.DuckDBPyRelation:
        """As `scan` without a schema, and a BIGINT column `number` behind the others: the place in `files`, from 0, of
        the file that a row is from."""


@runtime_checkable
class ComparingFormat(Format, Protocol):
    """A format that tells which of many files have the same columns faster than by a scan of each. None has to: it is
    for speed alone."""

    def schema_keys(self, session: Session, files: Sequence[str]) -> Sequence[Hashable]:
        """A key for each file: where two are equal, the files have the same columns, of the same types."""


@runtime_checkable
class BlankFormat(Format, Protocol):
    """A format without types in its files, of which one may have bytes, and neither rows nor columns. None has to tell:
    files without bytes are known as such."""

    def is_blank(self, content: bytes, options: Any, *, suffix: str) -> bool:
        """Whether a small file with this content, read with these options, has neither rows nor columns."""


@runtime_checkable
class StandaloneFormat(Format, Protocol):
    """A format without types in its files, which can still tell text from other values where no record does: for the
    files that `FsspecFileSystem.write_data` writes. None has to be."""

    def export_standalone(self, session: Session, relation: str, schema: Schema, path: Path, *, suffix: str) -> None:
        """As `export`, so that `scan_standalone` gives the same values: the text `1` is not the number 1, and no value
        is not the empty text. Nested values are written as JSON. `suffix` names no compression."""

    def scan_standalone(self, session: Session, file: Path, *, suffix: str) -> duckdb.DuckDBPyRelation:
        """A lazy relation over a file of UTF-8 text that this or any other program wrote."""
