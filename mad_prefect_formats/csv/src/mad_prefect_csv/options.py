"""How CSV is read and written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import Field

from mad_prefect_core.sdk import ISO, Options, ReadOptions

__all__ = ["ReadCSVOptions", "WriteCSVOptions"]

# Names of 2.x for one option of DuckDB's reader, which does not take them all.
_SYNONYMS = {
    "sep": "delim",
    "null": "nullstr",
    "timestamp_format": "timestampformat",
    "dtypes": "types",
    "column_types": "types",
    "column_names": "names",
    "rfc_4180": "strict_mode",
}

_OF_FILES = (
    "union_by_name", "header", "allow_quoted_nulls", "auto_type_candidates", "comment", "compression",
    "decimal_separator", "delim", "sep", "escape", "encoding", "filename", "force_not_null", "column_names",
    "new_line", "normalize_names", "nullstr", "null", "quote", "skip",
)  # fmt: skip


class ReadCSVOptions(ReadOptions):
    """Options of DuckDB's `read_csv`, by its names. None leaves DuckDB's own default in force."""

    header: bool | None = Field(True, description="The first line has the names.")
    auto_detect: bool | None = Field(True, description="Infer dialect, names and types.")
    all_varchar: bool | None = Field(None, description="Infer no types: every column is text.")
    allow_quoted_nulls: bool | None = Field(None, description="A quoted `nullstr` is NULL too.")
    auto_type_candidates: list[str] | None = Field(None, description="Types that may be inferred.")
    buffer_size: int | None = Field(None, description="Bytes of a file in one buffer.")
    columns: dict[str, str] | None = Field(
        None, description="Names and types of all columns, in the order of the file. Nothing is inferred then."
    )
    comment: str | None = Field(None, description="Lines that begin with this character are left out.")
    compression: str | None = Field(
        None, description="`uncompressed`, `gzip` or `zstd`. The file's suffix tells it if not given."
    )
    dateformat: str | None = Field(None, description="How dates are written, as in `strptime`.")
    decimal_separator: str | None = Field(None, description="The decimal point.")
    delim: str | None = Field(None, description="What stands between two values.")
    escape: str | None = Field(None, description="What goes before a quote that is part of a value.")
    encoding: str | None = Field(None, description="`utf-8`, `utf-16` or `latin-1`.")
    filename: bool | None = Field(None, description="Add a column `filename` that says where each row came from.")
    force_not_null: list[str] | None = Field(None, description="Columns in which `nullstr` is text like any other.")
    ignore_errors: bool | None = Field(None, description="Leave rows out that don't parse.")
    max_line_size: int | None = Field(None, description="Bytes that one row may have.")
    column_names: list[str] | None = Field(None, description="Names of the columns, in the order of the file.")
    new_line: str | None = Field(None, description=r"How a line ends: `\n`, `\r` or `\r\n`, spelt with backslashes.")
    normalize_names: bool | None = Field(None, description="Make names plain identifiers.")
    null_padding: bool | None = Field(None, description="Give rows with too few values NULL for the rest.")
    nullstr: str | list[str] | None = Field(None, description="Text that stands for NULL.")
    null: str | list[str] | None = Field(None, description="Another name of `nullstr`.")
    parallel: bool | None = Field(None, description="Read one file on several threads.")
    quote: str | None = Field(None, description="What values may be enclosed in.")
    rejects_scan: str | None = Field(None, description="Table for the scans that had rejected rows.")
    rejects_table: str | None = Field(None, description="Table for rejected rows.")
    rejects_limit: int | None = Field(None, description="Rejected rows that are stored for each file.")
    rfc_4180: bool | None = Field(None, description="Read strictly what RFC 4180 calls CSV. DuckDB's `strict_mode`.")
    sample_size: int | None = Field(None, description="Rows that are looked at to infer types; -1: all.")
    sep: str | None = Field(None, description="Another name of `delim`.")
    skip: int | None = Field(None, description="Lines to leave out at the top.")
    store_rejects: bool | None = Field(None, description="Store rejected rows instead of raising.")
    timestampformat: str | None = Field(None, description="How timestamps are written, as in `strptime`.")
    timestamp_format: str | None = Field(None, description="Another name of `timestampformat`.")
    types: list[str] | dict[str, str] | None = Field(None, description="Types of the first columns, or by name.")
    dtypes: list[str] | dict[str, str] | None = Field(None, description="Another name of `types`.")
    column_types: list[str] | dict[str, str] | None = Field(None, description="Another name of `types`.")

    beside_values = ReadOptions.beside_values | {"max_line_size", "buffer_size"}

    def named_columns(self) -> Sequence[str]:
        """As `ReadOptions` says, and so below."""
        return tuple(self.columns or ())

    def named_types(self) -> Mapping[str, str]:
        named = (self.types, self.dtypes, self.column_types, self.columns)
        return {name: kind for types in named if isinstance(types, dict) for name, kind in types.items()}

    def type_of_others(self) -> str | None:
        return "VARCHAR" if self.all_varchar else None

    def spelling(self) -> Mapping[str, Any]:
        names = {"dateformat", "timestampformat", "timestamp_format", "decimal_separator"}
        return self.model_dump(include=names, exclude_none=True)

    def taken_for(self, kinds: Collection[str]) -> Collection[str]:
        return () if self.auto_detect is False else kinds

    def for_duckdb(self) -> dict[str, Any]:
        """What is set, each option by the one name that every version of DuckDB takes."""
        return {_SYNONYMS.get(name, name): value for name, value in self.model_dump(exclude_none=True).items()}

    def only_for_files(self) -> Collection[str]:
        """As `ReadOptions.only_for_files`. The spelling of dates counts for columns whose type is named, and where it
        is that by which text is taken for dates anyway; types are named for rows by the column."""
        found = self._set_otherwise(*_OF_FILES)
        typed = ("types", "dtypes", "column_types")
        found += [name for name in typed if isinstance(getattr(self, name), list)]
        if not (self.columns or any(isinstance(getattr(self, name), dict) for name in typed)):
            spelling = ("dateformat", "timestampformat", "timestamp_format")
            found += [name for name in spelling if getattr(self, name) not in (None, *ISO)]
        return found


class WriteCSVOptions(Options):
    """Options of DuckDB's `COPY … TO`, by its names. Other readers of such a file must be told what is set here."""

    delim: str | None = Field(None, description="What stands between two values. A comma, or a tab in `.tsv` files.")
    header: bool = Field(True, description="Begin with a line of names.")
    nullstr: str = Field("", description="Text that stands for NULL.")
    quote: str = Field('"', description="What values are enclosed in where they need to be.")
    escape: str = Field('"', description="What goes before a quote that is part of a value.")
