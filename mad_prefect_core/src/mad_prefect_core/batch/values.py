"""Python objects as plain values: what each kind of object stands for in a row, or that it can't stand there."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from mad_prefect_core.errors import UnsupportedDataError, UnsupportedValueError

__all__ = ["PLAIN", "as_row", "column_name", "plain"]

PLAIN = frozenset(
    {
        type(None), bool, int, float, str, bytes, Decimal, dt.date, dt.datetime, dt.time, dt.timedelta, uuid.UUID,
        list, dict,
    }
)  # fmt: skip
"""Exactly these types may stand in a row; every other object is made one of them by `plain`."""

Path = tuple[str, ...]


def column_name(path: Path) -> str:
    """A column, or a place in one, as messages name it: `address.lines[]`."""
    name = ""
    for part in path:
        name += part if part == "[]" or not name else f".{part}"
    return name or "the value itself"


def as_row(value: object) -> dict[str, Any] | None:
    """A row of a dict, mapping, dataclass, pydantic model or named tuple; None for anything else."""
    if isinstance(value, dict):
        return value if type(value) is dict else dict(value)  # a defaultdict makes up what is missing
    if isinstance(value, BaseModel):
        return {
            name: getattr(value, name) for name in (*type(value).model_fields, *type(value).model_computed_fields)
        } | (value.__pydantic_extra__ or {})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    if isinstance(value, Mapping):
        return dict(value)
    return None


def plain(value: Any, path: Path) -> Any:
    """One object as a plain value. Its members, if any, are left to the caller.

    Enums give their values, numpy and pandas scalars their Python ones (their missing values give None), tuples and
    arrays lists, models and dataclasses dicts. Raises `UnsupportedDataError` for what stands for nothing: sets,
    secrets, functions, open files.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value, path)
    if isinstance(value, SecretStr | SecretBytes):
        raise UnsupportedDataError(
            "A secret can't be stored as data",
            column=column_name(path),
            hint="Leave the column out, or unwrap it knowingly.",
        )
    if (row := as_row(value)) is not None:
        return row
    module = kind.__module__.partition(".")[0]
    if module == "pandas":
        if kind.__name__ in ("NAType", "NaTType"):
            return None
        if getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0):
            raise UnsupportedValueError(
                f"The value {value!r} has nanoseconds, which a Python value can't hold",
                column=column_name(path),
                hint="Return the whole frame, whose columns keep them.",
            )
        for method in ("to_pydatetime", "to_pytimedelta", "to_list"):
            if hasattr(value, method):
                return getattr(value, method)()
    if module == "numpy":
        return _numpy(value, path)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, uuid.UUID):
        return uuid.UUID(int=value.int)
    bases: tuple[Any, ...] = (bool, int, float, str, bytes, list, Decimal)
    for base in bases:
        if isinstance(value, base):
            return base(value)
    if isinstance(value, dt.datetime):
        return dt.datetime.combine(value.date(), value.timetz())
    raise UnsupportedDataError(
        f"A value of type {kind.__module__}.{kind.__qualname__} can't be stored{_shown(value)}",
        column=column_name(path),
        hint="Return plain values, dataclasses, pydantic models, or anything that speaks Arrow.",
    )


def _numpy(value: Any, path: Path) -> Any:
    kind = value.dtype.kind
    if kind in "mM":
        exact = value.astype(f"{'timedelta' if kind == 'm' else 'datetime'}64[us]")
        if (exact.astype(value.dtype) != value).any() and not (value != value).all():
            raise UnsupportedValueError(
                f"The value {value!r} is finer than microseconds, which a Python value can't hold",
                column=column_name(path),
                hint="Return the whole array as a column, for example in a pyarrow table.",
            )
        value = exact
    return value.tolist()


def _shown(value: object) -> str:
    """The value itself where its class is Python's own; the repr of anybody else's may show anything."""
    if type(value).__module__ != "builtins" or type(value) is object:
        return ""
    text = repr(value)
    return f": {text if len(text) <= 80 else f'{text[:77]}...'}"
