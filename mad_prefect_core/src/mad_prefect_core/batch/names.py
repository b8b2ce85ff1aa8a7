"""Names of columns and of struct members: which are taken, by one rule for rows and for columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from mad_prefect_core.batch.values import Path, column_name
from mad_prefect_core.errors import SchemaError, UnsupportedDataError, UnsupportedValueError

__all__ = ["check_names", "check_text"]

_LOST = re.compile("[\0\r]")
_RENAME = "Rename it before returning the data."


def check_names(names: Iterable[object], path: Path = ()) -> None:
    """Raise for names at one place that a file or DuckDB would lose: names that are no text, empty, twice there but for
    case, or with a character that no file keeps. `path` is the struct whose members they are.

    Raises `UnsupportedDataError`, `UnsupportedValueError` or `SchemaError`.
    """
    _check(tuple(names), path)


@lru_cache(64)  # the batches of a run mostly have the same
def _check(names: tuple[object, ...], path: Path) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if type(name) is not str:
            raise UnsupportedDataError(
                f"A column name is {type(name).__name__} {name!r}, not text", column=column_name(path) if path else None
            )
        if not name:
            raise SchemaError("A column has no name", column=column_name((*path, "")) if path else "", hint="Name it.")
        folded = name.lower()
        if folded in seen:
            raise _twins(seen[folded], name, path)
        seen[folded] = name
    joined = "".join(seen.values())
    check_text("A column's name", joined, path)
    if _LOST.search(joined):
        raise _lost(next(name for name in seen.values() if _LOST.search(name)), path)


def _twins(known: str, name: str, path: Path) -> SchemaError:
    if known == name:
        return SchemaError(
            f"Two columns have names of the same text, {name!r}", column=column_name((*path, name)), hint=_RENAME
        )
    return SchemaError(
        f"The columns {known!r} and {name!r} differ in case alone, which DuckDB takes for one",
        column=column_name((*path, name)),
        hint="Rename one of them before yielding.",
    )


def _lost(name: str, path: Path) -> UnsupportedDataError:
    what = "a NUL character" if "\0" in name else "a carriage return"
    return UnsupportedDataError(
        f"The column name {name!r} has {what}, which files and DuckDB lose",
        column=column_name((*path, name)),
        hint=_RENAME,
    )


def check_text(what: str, joined: str, path: Path) -> None:
    """Raise `UnsupportedValueError` if a text has half of a surrogate pair."""
    if joined.isascii():
        return
    try:
        joined.encode()
    except UnicodeEncodeError as error:
        raise UnsupportedValueError(
            f"{what} has half of a surrogate pair, {joined[error.start]!r}, which no encoding of files can hold",
            column=column_name(path) if path else None,
            hint="Replace such characters, for example by value.encode(errors='replace').decode().",
        ) from error
