"""Types of columns as records keep them: parsed before they get anywhere near SQL, which has no parameters for them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated

import duckdb
from pydantic import AfterValidator

from mad_prefect_core.runs.stored import foreign
from mad_prefect_core.session import DuckSession

__all__ = ["ColumnType", "column_type"]

_DEEPEST = 250  # levels; DuckDB's own parser takes some hundreds
_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^'\x00]|'')*')|(?P<quoted>\"(?:[^\"\x00]|\"\")+\")|(?P<number>[0-9]{1,9})"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>[()\[\],]))"
)
_PLAIN = frozenset({
    "BIGINT", "BIGNUM", "BIT", "BLOB", "BOOLEAN", "DATE", "DOUBLE", "FLOAT", "HUGEINT", "INTEGER", "INTERVAL", "JSON",
    "SMALLINT", "TIME", "TIME WITH TIME ZONE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_MS", "TIMESTAMP_NS",
    "TIMESTAMP_S", "TINYINT", "UBIGINT", "UHUGEINT", "UINTEGER", "USMALLINT", "UTINYINT", "UUID", "VARCHAR",
})  # fmt: skip
"""The names that every DuckDB prints and takes."""


class _NoTypeError(ValueError):
    pass


def column_type(text: str) -> str:
    """A type as DuckDB prints it. Raises what pydantic takes for a foreign record where it is anything but a type."""
    if text in _PLAIN:
        return text
    try:
        return _parsed(text)
    except (_NoTypeError, RecursionError) as error:
        shown = text if len(text) <= 200 else f"{text[:200]}…"
        raise foreign(f"{shown!r} is no type of a column ({error})") from None


ColumnType = Annotated[str, AfterValidator(column_type)]


@lru_cache(maxsize=1024)
def _parsed(text: str) -> str:
    _Grammar(text).check()
    try:
        with DuckSession() as session:
            # By its own parser, so the text that goes on is DuckDB's, whatever the grammar here has let through.
            return str(session.connection.type(text))
    except (duckdb.Error, TypeError) as error:  # a TypeError for text with lone surrogates
        raise _NoTypeError(str(error).splitlines()[0][:200]) from None


class _Grammar:
    """The types that DuckDB prints: names, `[]`, `[3]`, and in brackets members, types, numbers or texts.

    No expression, no collation and no constraint is one, though DuckDB's own parser passes over them.
    """

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        end = 0
        while found := _TOKEN.match(text, end):
            end = found.end()
            kind = str(found.lastgroup)
            self._tokens.append((kind, found[kind]))
        if text[end:].strip():
            raise _NoTypeError("it has other characters")
        self._at = 0

    def check(self) -> None:
        self._type(0)
        if self._at != len(self._tokens):
            raise _NoTypeError("more follows the type")

    def _type(self, depth: int) -> None:
        if depth > _DEEPEST:
            raise _NoTypeError("it is nested too deep")
        name = self._name()
        if self._take("("):
            self._bracket(name, depth + 1)
        while self._take("["):
            depth += 1
            if depth > _DEEPEST:
                raise _NoTypeError("it is nested too deep")
            self._kind("number")
            self._expect("]")

    def _name(self) -> str:
        if self._take('"NULL"'):
            return "NULL"
        word = self._kind("word")
        if word is None:
            raise _NoTypeError("a name is missing")
        if self._next().upper() == "WITH":
            for expected in ("WITH", "TIME", "ZONE"):
                if (self._kind("word") or "").upper() != expected:
                    raise _NoTypeError("a name is missing")
        return word.upper()

    def _bracket(self, name: str, depth: int) -> None:
        while True:
            if name in ("STRUCT", "UNION"):
                if self._kind("word") is None and self._kind("quoted") is None:
                    raise _NoTypeError("a member has no name")
                self._type(depth)
            elif name in ("MAP", "TUPLE"):
                self._type(depth)
            elif self._kind("number") is None and self._kind("string") is None:
                raise _NoTypeError("it has an expression")
            if not self._take(","):
                break
        self._expect(")")

    def _next(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _kind(self, kind: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at][0] == kind:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return None

    def _take(self, token: str) -> bool:
        if self._next() != token:
            return False
        self._at += 1
        return True

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise _NoTypeError(f"{token!r} is missing")
