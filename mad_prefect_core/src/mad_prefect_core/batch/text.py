"""What bare strings look like: the types that DuckDB's readers take text for.

JSON and CSV hold dates and times as text, and 2.x let DuckDB's inference turn such text into dates. The same is
done here, but decided while writing, from the values themselves: no file is read again for it, and only text that
DuckDB's cast reads without loss and in one way alone counts. `01-02-2020` may be January or February, and a number
with leading zeros is no number: both stay text.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable

__all__ = ["TEXT", "text_kind"]

TEXT = "VARCHAR"

_DATE = r"[0-9]{4}-[01][0-9]-[0-3][0-9]"
_TIME = r"[0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"


def _is_date(value: str) -> bool:
    dt.date.fromisoformat(value)
    return True


def _is_timestamp(value: str) -> bool:
    dt.datetime.fromisoformat(value)
    return True


def _is_time(value: str) -> bool:
    dt.time.fromisoformat(value)
    return True


def _always(value: str) -> bool:
    return True


_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("DATE", re.compile(_DATE), _is_date),
    ("TIMESTAMP", re.compile(f"{_DATE}[ T]{_TIME}"), _is_timestamp),
    ("TIMESTAMP WITH TIME ZONE", re.compile(f"{_DATE}[ T]{_TIME}(?:Z|[+-][01][0-9]:[0-5][0-9])"), _is_timestamp),
    ("TIME", re.compile(_TIME), _is_time),
    ("UUID", re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), _always),
    ("BIGINT", re.compile(r"-?(?:0|[1-9][0-9]{0,17})"), _always),
    ("DOUBLE", re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,15}"), _always),
    ("BOOLEAN", re.compile(r"true|false"), _always),
)


def text_kind(values: Iterable[str]) -> str | None:
    """The one type that all these strings look like; `TEXT` if there is none, None if there are no strings.

    The first string usually decides that a column is plain text, so the rest of it costs nothing.
    """
    kind: tuple[str, re.Pattern[str], Callable[[str], bool]] | None = None
    for value in values:
        if kind is None:
            kind = next((k for k in _KINDS if k[1].fullmatch(value)), None)
            if kind is None:
                return TEXT
        elif not kind[1].fullmatch(value):
            return TEXT
        try:
            kind[2](value)
        except ValueError:
            return TEXT
    return kind[0] if kind else None
