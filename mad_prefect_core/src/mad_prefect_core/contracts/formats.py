"""The contract of a file format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    Any,
    BinaryIO,
    ClassVar,
    Generic,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    runtime_checkable,
)

import duckdb

from mad_prefect_core.contracts.options import Options, ReadOptions
from mad_prefect_core.contracts.session import Session

__all__ = [
    "Batch",
    "BatchFormat",
    "BlankFormat",
    "ComparingFormat",
    "Format",
    "FormatCapabilities",
    "FormatJoiner",
    "FormatLike",
    "FormatWriter",
    "JoiningFormat",
    "ManyFilesFormat",
    "NumberingFormat",
    "ReadContext",
    "Schema",
    "StandaloneFormat",
    "WriteContext",
]

Schema: TypeAlias = Mapping[str, str]
"""Columns in order: name to DuckDB type, for example `{"id": "BIGINT", "tags": "VARCHAR[]"}`."""


@dataclass(frozen=True, kw_only=True)
class FormatCapabilities:
    """What a format can do, as data that the core and the conformance kit consult. More fields may come, with
    defaults."""

    best_for: Literal["rows", "columns"] | None = None
    """Chosen for fragments of that kind of batch where the user does not name a format."""
    schema_in_file: bool = False
    """A file alone tells the exact type of each column."""
    schema_on_read: bool = False
    """Read with a schema, files may lack some of its columns, which are NULL then."""
    infers_text: frozenset[str] = frozenset()
    """DuckDB types that bare strings are taken for, unless switched off: all that a value looks like decides."""
    nested: bool = True
    """Lists, structs and maps keep their shape."""
    in_file: Mapping[str, str] = field(default_factory=dict)
    """DuckDB types that a file alone does not tell, and the record of a run gives back: each with the type that it is
    in the file, `{"UUID": "VARCHAR"}`, or with words where that is not one type."""
    refuses: Mapping[str, str] = field(default_factory=dict)
    """DuckDB types that can't be written, each with the reason in words. In small letters behind a type stands which of
    its values are refused, where not all are: `{"HUGEINT of more than 38 digits": "DECIMAL has no more"}`."""
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


ReadT = TypeVar("ReadT", bound=ReadOptions)
WriteT = TypeVar("WriteT", bound=Options)


@dataclass(frozen=True, kw_only=True)
class ReadContext(Generic[ReadT]):
    """What goes along with files that are to be read. More fields may come, with defaults."""

    session: Session
    """Where the relation is made."""
    options: ReadT
    """The user's, joined with those of `Format.read_back` for a file that a run wrote."""
    suffix: str
    """One of the format's `suffixes`: that of the files' names, which tells a compression (`.csv.gz`) or a dialect
    (`.tsv`)."""
    schema: Schema | None = None
    """What a run recorded when these files were written; None for files of others."""


@dataclass(frozen=True, kw_only=True)
class WriteContext(Generic[WriteT]):
    """What goes along with a file that is to be written. More fields may come, with defaults."""

    session: Session
    """Where the relation is."""
    options: WriteT
    """The user's."""
    suffix: str
    """As in `ReadContext`: that of the path where the file will be."""


class FormatLike(Protocol[ReadT, WriteT]):
    """What the core takes for a format: see `Format`, its base, for what each member does."""

    @property
    def name(self) -> str: ...

    @property
    def suffixes(self) -> tuple[str, ...]: ...

    @property
    def capabilities(self) -> FormatCapabilities: ...

    @property
    def read_options(self) -> type[ReadOptions]: ...

    @property
    def write_options(self) -> type[Options]: ...

    def read(self, file: str, context: ReadContext[ReadT]) -> duckdb.DuckDBPyRelation: ...

    def write(self, relation: str, schema: Schema, path: Path, context: WriteContext[WriteT]) -> None: ...

    def read_back(self, options: WriteT) -> ReadT: ...


class Format(ABC, Generic[ReadT, WriteT]):
    """A file format: what DuckDB reads a file by, and how a relation becomes a file.

    A `file` is a path or URL that the session's connection reads as it is, glob characters escaped already. A reader in
    Python opens it by `session.opener`, and gives DuckDB an object to read from: a `pyarrow.dataset.Dataset`, or one
    with `__arrow_c_stream__` and `__arrow_c_schema__`, which can be scanned again and holds no session. A `path` is a
    local path whose name says nothing: the storage brings the file to where the user wants it.

    The core promises for whatever is written: the session's TimeZone is UTC, and no column is without a name, or has
    one that differs from another's in case alone.

    `mad_prefect_core.testing.formats.FormatContract` holds a format to all this.
    """

    name: ClassVar[str]
    """What users choose it by: `artifact_filetype="ledger"`."""
    suffixes: ClassVar[tuple[str, ...]]
    """With the leading dot, in lower case; the first is canonical. Compressed ones such as `.json.gz` included."""
    capabilities: ClassVar[FormatCapabilities] = FormatCapabilities()
    """What it can do, and what becomes of each type."""
    read_options: ClassVar[type[ReadOptions]] = ReadOptions
    """The class of the options that readers are given."""
    write_options: ClassVar[type[Options]] = Options
    """The class of the options that writers are given."""

    @abstractmethod
    def read(self, file: str, context: ReadContext[ReadT]) -> duckdb.DuckDBPyRelation:
        """A lazy relation over one file, which may be read again.

        With a schema in the context: its columns, or those of them that the file has; where the file has types of its
        own, the core casts them. Without: what the file says, or what the reader infers. `key=value` folders are never
        columns: the core adds them, for all formats alike. Raises `duckdb.Error` as it comes; the core adds asset and
        path."""

    @abstractmethod
    def write(self, relation: str, schema: Schema, path: Path, context: WriteContext[WriteT]) -> None:
        """Write all rows of `relation` (a name as SQL, readable on the session, its columns as in `schema`) to a new
        file at `path`, in order, as fast as DuckDB can.

        Raises `UnsupportedValueError` naming the column where a value can't be kept exactly."""

    def read_back(self, options: WriteT) -> ReadT:
        """The read options by which a file written under these write options reads back.

        What they set explicitly, to None too, holds for such files whatever the user's read options say of those of
        others. What they leave unset, such as limits, stays the user's."""
        return cast(ReadT, self.read_options())


@runtime_checkable
class ManyFilesFormat(Protocol):
    """A format that reads many files at once. For others, each is read, and the core unites them by name."""

    def read_many(self, files: Sequence[str], context: ReadContext[Any]) -> duckdb.DuckDBPyRelation:
        """A lazy relation over all files in this order, united by column name. With a schema in the context: exactly
        those columns, in that order, with those types."""


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
class BatchFormat(Protocol):
    """A format that writes batches in a way of its own. For others, each is a relation that is written to a part, and
    the parts are made one file."""

    def writer(self, path: Path, context: WriteContext[Any]) -> FormatWriter:
        """A writer of a new file at `path`. `PartsWriter` is what others are written by."""


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
class JoiningFormat(Protocol):
    """A format whose files can be joined. None has to be: it is for speed alone."""

    def joiner(self, path: Path, options: Any, *, suffix: str) -> FormatJoiner | None:
        """A joiner that makes a new file at `path`, of files that were written with these write options and this
        suffix; None where such files can't be joined."""


@runtime_checkable
class NumberingFormat(Protocol):
    """A format whose reader tells which of many files a row is from. None has to: with it, files in many `key=value`
    folders are read by one scan."""

    def read_numbered(self, files: Sequence[str], number: str, context: ReadContext[Any]) -> duckdb.DuckDBPyRelation:
        """As `read_many` without a schema, and a BIGINT column `number` behind the others: the place in `files`, from
        0, of the file that a row is from."""


@runtime_checkable
class ComparingFormat(Protocol):
    """A format that tells which of many files have the same columns faster than by a look at each. None has to: it is
    for speed alone."""

    def schema_keys(self, files: Sequence[str], context: ReadContext[Any]) -> Sequence[Hashable]:
        """A key for each file: where two are equal, the files have the same columns, of the same types."""


@runtime_checkable
class BlankFormat(Protocol):
    """A format of which a file may have bytes, and neither rows nor columns. None has to tell. Files without bytes are
    known as such where the format is without types in its files; one with `schema_in_file` is asked of these too."""

    def is_blank(self, content: bytes, options: Any, *, suffix: str) -> bool:
        """Whether a small file with this content, read with these options, has neither rows nor columns."""


@runtime_checkable
class StandaloneFormat(Protocol):
    """A format without types in its files, which can still tell text from other values where no record does: for the
    files that `FsspecFileSystem.write_data` writes. None has to be."""

    def write_standalone(self, relation: str, schema: Schema, path: Path, context: WriteContext[Any]) -> None:
        """As `write`, so that `read_standalone` gives the same values: the text `1` is not the number 1, and no value
        is not the empty text. Nested values are written as JSON. The suffix names no compression."""

    def read_standalone(self, file: Path, context: ReadContext[Any]) -> duckdb.DuckDBPyRelation:
        """A lazy relation over a file of UTF-8 text that this or any other program wrote."""
