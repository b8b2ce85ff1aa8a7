"""How a file of somebody else's is written: found once, from its head, and required of every line after that.

DuckDB's sniffer looks for the dialect that makes the most of a file, and leaves out lines that do not fit it. Here the
line of names decides how many values each line has.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO, cast

import pyarrow as pa

from mad_prefect_core.sdk import CorruptFileError, OptionError

__all__ = ["Dialect", "Sniffed", "decompressed", "sniff"]

_HEAD = 1 << 18  # bytes that are looked at, more where the first two lines need more
_MOST = 1 << 25  # bytes; a line of names that is longer is none
_LINES = 1000
_DELIMITERS = (",", ";", "\t", "|")
_BOMS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_SEP = re.compile(r'"?sep=(.)"?(\r\n|\r|\n|\Z)', re.IGNORECASE)  # how Excel says which delimiter it is to read
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Dialect:
    """What DuckDB is told of files that are written alike."""

    delim: str
    quote: str
    escape: str
    header: bool
    skip: int
    """Lines before the line of names."""
    encoding: str
    """As the file itself says, or the user."""
    one_line_end: bool
    """Whether all lines that were looked at end alike, as DuckDB needs them to."""
    names: tuple[str, ...]

    @property
    def is_duckdbs(self) -> bool:
        """Whether DuckDB can read such a file as it is. Of UTF-16 it reads less than all."""
        return self.one_line_end and not self.encoding.startswith(("utf-16", "utf_16", "utf-32", "utf_32"))


@dataclass(frozen=True)
class Sniffed:
    """A file's dialect, and some of its rows."""

    dialect: Dialect
    rows: Sequence[Sequence[str]]
    size: int
    """In bytes, as stored."""
    mark: int
    """Differs where head or tail do."""


def decompressed(opened: BinaryIO, codec: str | None) -> BinaryIO:
    """A file's bytes, whatever it is compressed by."""
    if codec == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=opened))
    if codec == "zstd":
        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(opened, "r"), "zstd"))
    return opened


def sniff(opener: Callable[[], BinaryIO], given: Mapping[str, Any]) -> Sniffed | None:
    """How a file is written, as far as the options `given` do not say so; None for a file without a line.

    Raises `CorruptFileError` where the names can't be those of columns.
    """
    with opener() as opened:
        size = opened.seek(0, io.SEEK_END)
        opened.seek(max(0, size - _HEAD))
        tail = opened.read(_HEAD)
        opened.seek(0)
        stream = decompressed(opened, given.get("compression"))
        head, length = b"", _HEAD
        while True:
            more = stream.read(length - len(head))
            head += more
            ended = not more or len(head) < length
            if ended and more:  # a stream may give less than it has
                continue
            found = _sniffed(head, ended, given)
            if ended or found is None or len(found[1]) > 1 or length >= _MOST:
                break
            length *= 8
    if found is None:
        return None
    return Sniffed(*found, size, hash((head, tail)))


def _sniffed(head: bytes, whole: bool, given: Mapping[str, Any]) -> tuple[Dialect, list[list[str]]] | None:
    bom = next((mark for mark in _BOMS if head.startswith(mark)), b"")
    encoding = _BOMS.get(bom) or str(given.get("encoding") or "utf-8").lower()
    try:
        text = head.decode(encoding, errors="replace").removeprefix("\ufeff")
    except LookupError as error:
        raise OptionError(f"There is no encoding {encoding!r}") from error
    comment = given.get("comment") or ""
    all_text, skip = text, given.get("skip") or 0
    text = _after(text, skip)
    delimiters: Sequence[str] = (given["delim"],) if "delim" in given else _DELIMITERS
    if "delim" not in given and not skip and (sep := _SEP.match(text)):
        text, skip, delimiters = text[sep.end() :], 1, (sep[1],)
    blank = 0
    while (line := _LINE_END.split(text, maxsplit=1))[1:] and (
        not line[0].strip(" ") or (comment and line[0].startswith(comment))
    ):
        text, blank = line[1], blank + 1
    if not text.strip(" \r\n"):
        return None
    delim, quote, escape = _marks(text, delimiters, given)
    rows = [row for row in _rows(text, delim, quote, escape) if not (comment and row and row[0].startswith(comment))]
    if not whole and len(rows) > 1:
        rows.pop()  # which may go on
    header = given.get("header", _has_header(rows))
    dialect = Dialect(
        delim=delim,
        quote=quote,
        escape=escape,
        header=header,
        # DuckDB leaves out comments before it counts the lines to skip, and blank ones with them.
        skip=skip + (0 if comment else blank),
        encoding=encoding,
        one_line_end=len(set(_LINE_END.findall(_without_quoted(all_text, quote)))) < 2,
        names=_names(rows, header, given),
    )
    return dialect, rows[1:] if header else rows


def _after(text: str, lines: int) -> str:
    for _ in range(lines):
        text = (*_LINE_END.split(text, maxsplit=1), "")[1]
    return text


def _without_quoted(text: str, quote: str) -> str:
    """The text without what is within quotes, and without an end of line that may go on."""
    text = text.removesuffix("\r")
    return "".join(text.split(quote)[::2]) if quote else text


def _marks(text: str, delimiters: Sequence[str], given: Mapping[str, Any]) -> tuple[str, str, str]:
    """Delimiter, quote and escape: of those that give the line of names several values, those that give most of the
    lines as many. Under one name, the one that no line, or every line, has more values by: those are refused later."""
    quotes = (given["quote"],) if "quote" in given else ('"',) if '"' in text else ('"', "'")

    @cache
    def fit(marks: tuple[str, str]) -> tuple[bool, float, int]:
        if marks[0] not in text:
            return False, 1, 1  # as below, without a look at the rows
        widths = [len(row) for row in _rows(text, *marks, given.get("escape", marks[1])) if row]
        alike = sum(width == widths[0] for width in widths) / len(widths) if widths else 0
        return bool(widths) and widths[0] > 1, alike, widths[0] if widths else 0

    delim, quote = max(((delim, quote) for quote in quotes for delim in delimiters), key=fit)
    if not fit((delim, quote))[0]:
        delim = next((each for each in delimiters if _splits_all(_rows(text, each, quote, quote)[1:])), delimiters[0])
    if "escape" in given:
        return delim, quote, given["escape"]
    backslash = bool(quote) and f"\\{quote}" in text and not _parses(text, delim, quote, quote)
    return delim, quote, "\\" if backslash and _parses(text, delim, quote, "\\") else quote


def _splits_all(rows: Sequence[Sequence[str]]) -> bool:
    return bool(rows) and all(len(row) > 1 for row in rows if row)


def _reader(text: str, delim: str, quote: str, escape: str, strict: bool = False) -> Iterator[list[str]]:
    if len(delim) > 1:  # more than Python's reader takes
        text, delim = text.replace(delim, "\x1f"), "\x1f"
    marks: dict[str, Any] = (
        {"quotechar": quote, "doublequote": escape == quote} if quote else {"quoting": csv.QUOTE_NONE}
    )
    if escape not in ("", quote):
        marks["escapechar"] = escape
    return csv.reader(io.StringIO(text, newline=""), delimiter=delim, skipinitialspace=True, strict=strict, **marks)


def _rows(text: str, delim: str, quote: str, escape: str) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in _reader(text, delim, quote, escape):
            rows.append(row)
            if len(rows) > _LINES:
                break
    except csv.Error:  # a value that is longer than Python's reader takes
        pass
    return rows


def _parses(text: str, delim: str, quote: str, escape: str) -> bool:
    """Whether every quote that is closed is closed at the end of its value."""
    try:
        for _ in _reader(text, delim, quote, escape, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end" in str(error)
    return True


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line, without a digit in it, is above one that has some."""
    digits = [any(re.search(r"\d", value) for value in row) for row in rows[:2]]
    return digits[:1] == [False] and digits[1:] != [False]


def _names(rows: Sequence[Sequence[str]], header: bool, given: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns' names: the user's, then those of the file, made distinct as DuckDB does."""
    if columns := given.get("columns"):
        return tuple(columns)
    first = rows[0] if rows else []
    width = max(map(len, rows), default=0) if given.get("null_padding") else len(first)
    names: list[str] = list(given.get("names") or ())
    if len(names) > max(width, 1):
        raise OptionError(f"{len(names)} names are given for columns, and the file has {width}")
    own = [value.strip() for value in first] if header else []
    names += [*own, *[""] * (width - len(own))][len(names) :]
    taken: set[str] = set()
    for place, name in enumerate(names):
        if "\0" in name or "\r" in name:
            raise CorruptFileError(
                f"The name of column {place + 1} has a control character: {name!r}",
                hint="If the file is not UTF-8, give its `encoding`. Else give `column_names`.",
            )
        names[place] = _distinct(name or f"column{place}", taken)
        taken.add(names[place].lower())
    return tuple(names)


def _distinct(name: str, taken: set[str]) -> str:
    found, number = name, 0
    while found.lower() in taken:
        number += 1
        found = f"{name}_{number}"
    return found
