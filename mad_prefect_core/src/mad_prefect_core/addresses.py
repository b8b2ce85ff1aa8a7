"""Addresses by which DuckDB reads files through our filesystems: not to be guessed, each good for one session.

A filesystem is registered with a whole database, so every statement of every session in it can name a file there. Two
forms of a name keep them apart, both with a code that only this process can make. A session is given the first form,
and it is taken only by a statement of that session. Listing it gives the second form, which is only opened: so files
that DuckDB caches by name are the same for all sessions, and a name that a user sees in a `filename` column is of no
use in a query.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hmac import compare_digest

from mad_prefect_core.errors import PathError

__all__ = ["address", "binding", "is_called_by_duckdb", "listed", "opened"]

_key = secrets.token_bytes(32)
_session: ContextVar[str | None] = ContextVar("mad_prefect_session", default=None)


@contextmanager
def binding(session: str) -> Iterator[None]:
    """Whatever DuckDB binds in the block is a statement of the session with this id."""
    token = _session.set(session)
    try:
        yield
    finally:
        _session.reset(token)


def address(protocol: str, session: str, name: str) -> str:
    """What the session with this id is given to read a file by."""
    return f"{protocol}://{session}{_code(protocol, session, name)}/{name}"


def listed(protocol: str, url: str) -> tuple[str, str] | None:
    """The name in an address, and what DuckDB then opens. For the `glob` of a filesystem.

    None for anything but an address of the session whose statement is bound: there is no such file for it.
    """
    code, _, name = url.removeprefix(f"{protocol}://").partition("/")
    session, code = code[:_LENGTH], code[_LENGTH:]
    if is_called_by_duckdb(2) or _session.get() not in (None, session):
        return None
    if not _is(code, _code(protocol, session, name)):
        return None
    return name, f"{_code(protocol, '', name)}/{name}"


def opened(protocol: str, url: str) -> str:
    """The name in what `listed` gave. Raises `PathError` for anything else."""
    code, _, name = url.removeprefix(f"{protocol}://").partition("/")
    if not _is(code, _code(protocol, "", name)):
        raise PathError("A query names a file by an address that was not made for it")
    return name


def is_called_by_duckdb(depth: int) -> bool:
    """Whether the function `depth` calls up was called in one of DuckDB's own threads, by no Python code."""
    return sys._getframe(depth).f_back is None


_LENGTH = 32
"""Of a session's id, and of a code: hexadecimal digits."""


def _code(protocol: str, session: str, name: str) -> str:
    data = "\0".join((protocol, session, name)).encode(errors="surrogatepass")
    return hashlib.blake2b(data, key=_key, digest_size=_LENGTH // 2).hexdigest()


def _is(given: str, right: str) -> bool:
    return compare_digest(given.encode(errors="replace"), right.encode())
