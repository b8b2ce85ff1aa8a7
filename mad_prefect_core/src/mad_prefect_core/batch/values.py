"""Python objects as plain values: what each kind of object stands for in a row, or that it can't stand there."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import fractions
import ipaddress
import pathlib
import uuid
from collections.abc import Callable, Iterator, MappingView, Sequence, Set
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import Secret, SecretBytes, SecretStr

from mad_prefect_core.batch.numpy_values import is_numpy, numpy_value
from mad_prefect_core.batch.records import as_row, is_model, row_maker, serialized
from mad_prefect_core.errors import UnsupportedDataError, UnsupportedValueError, column_name

__all__ = ["PLAIN", "as_row", "column_key", "column_name", "plain"]

PLAIN = frozenset(
    {
        type(None), bool, int, float, str, bytes, Decimal, dt.date, dt.datetime, dt.time, dt.timedelta, uuid.UUID,
        list, dict,
    }
)  # fmt: skip
"""Exactly these types may stand in a row; every other object is made one of them by `plain`."""

Path = tuple[str, ...]

_KNOWN = 1024  # classes for which answers are kept
_Make: TypeAlias = Callable[[Any, Path], Any]


def column_key(key: Any, path: Path) -> str:
    """A dict's key as the name of a column. Raises `UnsupportedDataError` if it is no text."""
    text = key.value if isinstance(key, enum.Enum) else key
    if isinstance(text, str):
        return str.__str__(text)
    raise UnsupportedDataError(
        f"A column name is {type(key).__name__} {key!r}, not text",
        column=column_name(path) if path else None,
        hint="Make the keys text before yielding.",
    )


def plain(value: Any, path: Path) -> Any:
    """One object as a plain value. Its members, if any, are left to the caller.

    Enums give their values, numpy and pandas scalars their Python ones (their missing values give None), tuples and
    arrays lists, models and dataclasses dicts, paths and addresses text. Raises `UnsupportedDataError` for what stands
    for nothing: sets, secrets, functions, open files.
    """
    kind: Any = type(value)
    if kind in PLAIN:
        return value
    made = _maker(kind)(value, path)
    return made if type(made) is not kind else _refused(made, path)


@lru_cache(_KNOWN)
def _maker(kind: Any) -> _Make:
    """What makes plain values of objects of a class."""
    if issubclass(kind, enum.Enum):
        return lambda value, path: plain(value.value, path)
    if issubclass(kind, Secret | SecretStr | SecretBytes):
        return _secret
    if is_model(kind):
        return lambda value, path: plain(serialized(value), path)
    if (make := row_maker(kind)) is not None:
        return lambda value, path: make(value)
    if kind.__module__.partition(".")[0] == "pandas":
        return _pandas
    if is_numpy(kind):
        return lambda value, path: numpy_value(value, column_name(path))
    return next((make for base, make in _BASES if issubclass(kind, base)), _refused)


def _secret(value: Any, path: Path) -> Any:
    raise UnsupportedDataError(
        "A secret can't be stored as data",
        column=column_name(path),
        hint="Leave the column out, or unwrap it knowingly.",
    )


def _pandas(value: Any, path: Path) -> Any:
    kind = type(value).__name__
    if kind in ("NAType", "NaTType"):
        return None
    if hasattr(value, "to_list"):
        return value.to_list()
    if kind not in ("Timestamp", "Timedelta"):
        return _refused(value, path)
    if value.nanosecond if kind == "Timestamp" else value.nanoseconds:
        raise UnsupportedValueError(
            f"The value {value!r} has nanoseconds, which a Python value can't hold",
            column=column_name(path),
            hint="Return the whole frame, whose columns keep them.",
        )
    try:
        return value.to_pydatetime() if kind == "Timestamp" else value.to_pytimedelta()
    except (ValueError, OverflowError) as error:
        raise UnsupportedValueError(
            f"The value {value!r} is outside of what a Python value can hold: {error}",
            column=column_name(path),
            hint="Return the whole frame as it is, or store the value as text.",
        ) from error


def _as(make: Callable[[Any], Any]) -> _Make:
    return lambda value, path: make(value)


def _datetime(kind: Any) -> _Make:
    def make(v: Any, path: Path) -> Any:
        day = v.year, v.month, v.day
        return kind(*day, v.hour, v.minute, v.second, v.microsecond, tzinfo=v.tzinfo, fold=v.fold)

    return make


def _date(kind: Any) -> _Make:
    return lambda v, path: kind(v.year, v.month, v.day)


def _time(kind: Any) -> _Make:
    return lambda v, path: kind(v.hour, v.minute, v.second, v.microsecond, tzinfo=v.tzinfo, fold=v.fold)


def _timedelta(kind: Any) -> _Make:
    def make(value: Any, path: Path) -> Any:
        # As pendulum's durations have: a month is taken for 30 days in the timedelta that they are.
        if not hasattr(value, "start") and any(getattr(value, part, None) for part in ("months", "years")):
            raise UnsupportedValueError(
                f"The duration {value} has months or years, which have no fixed length",
                column=column_name(path),
                hint="Store its parts as numbers, or the duration as text.",
            )
        return kind(*(part.__get__(value) for part in (kind.days, kind.seconds, kind.microseconds)))

    return make


def _tuple(value: Any, path: Path) -> Any:
    # Tuples of C, such as time.struct_time, have names for their members, which a list would lose.
    return _refused(value, path) if hasattr(value, "n_sequence_fields") else list(value)


def _url(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("pydantic", "pydantic_core") and hasattr(kind, "unicode_string")


def _other(value: Any, path: Path) -> Any:
    return str(value) if _url(type(value)) else _refused(value, path)


# The classes are held here, and not looked up by name, since tests put others in the place of those in `datetime`.
_BASES: Sequence[tuple[Any, _Make]] = (
    (dt.datetime, _datetime(dt.datetime)),
    (dt.date, _date(dt.date)),
    (dt.time, _time(dt.time)),
    (dt.timedelta, _timedelta(dt.timedelta)),
    (int, _as(int.__int__)),
    (float, _as(float.__float__)),
    (str, _as(str.__str__)),
    (collections.UserString, _as(str)),
    ((bytes, bytearray, memoryview), _as(lambda value: bytes(memoryview(value)))),
    (Decimal, _as(Decimal)),
    (uuid.UUID, _as(lambda value: uuid.UUID(int=value.int))),
    (tuple, _tuple),
    ((Sequence, MappingView), _as(list)),
    ((pathlib.PurePath, ZoneInfo), _as(str)),
    ((ipaddress.IPv4Address, ipaddress.IPv6Address), _as(str)),
    ((ipaddress.IPv4Network, ipaddress.IPv6Network), _as(str)),
    (object, _other),
)

_ADVICE: Sequence[tuple[Any, str]] = (
    (Set, "A set has no order: store sorted(value)."),
    (Iterator, "Store list(value)."),
    (fractions.Fraction, "Store its numerator and denominator, or float(value)."),
    (complex, "Store its real and its imaginary part."),
    (BaseException, "Raise it, or store str(error)."),
)


def _refused(value: Any, path: Path) -> Any:
    kind = type(value)
    plainly = "Return plain values, dataclasses, pydantic models, or anything that speaks Arrow."
    raise UnsupportedDataError(
        f"A value of type {kind.__module__}.{kind.__qualname__} can't be stored{_shown(value)}",
        column=column_name(path),
        hint=next((advice for base, advice in _ADVICE if isinstance(value, base)), plainly),
    )


def _shown(value: object) -> str:
    """The value itself where its class is Python's own; the repr of anybody else's may show anything."""
    if type(value).__module__ != "builtins" or type(value) is object:
        return ""
    text = repr(value)
    return f": {text if len(text) <= 80 else f'{text[:77]}...'}"
