"""numpy's values as plain ones. numpy itself is not imported: it is there where its values are."""

from __future__ import annotations

import datetime as dt
import sys
from typing import Any

from mad_prefect_core.errors import UnsupportedDataError, UnsupportedValueError

__all__ = ["is_numpy", "numpy_value"]

_AS_LISTS = "biuUST"  # kinds of which numpy's own Python values are exact
_NO_LENGTH = {"Y": "A year", "M": "A month"}
_FINER = ("ns", "ps", "fs", "as")
_DATES = ("Y", "M", "W", "D")
_FIRST, _LAST = dt.datetime.min, dt.datetime.max  # a timedelta holds more than 64 bits of microseconds


def is_numpy(kind: type) -> bool:
    """Whether objects of a class are arrays or scalars of numpy's."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(kind, numpy.ndarray | numpy.generic)


def numpy_value(value: Any, column: str) -> Any:
    """An array or scalar: lists, dicts for records, None for NaT and what is masked. Its members may be numpy's still.

    Raises `UnsupportedDataError` or `UnsupportedValueError`, naming the column, for what Python has no value of.
    """
    numpy = sys.modules["numpy"]
    if value is numpy.ma.masked:
        return None
    kind = value.dtype.kind
    if value.dtype.names is not None:
        return list(value) if value.ndim else {name: value[name] for name in value.dtype.names}
    if isinstance(value, numpy.ma.MaskedArray):
        return _masked(numpy_value(value.data, column), numpy.ma.getmaskarray(value).tolist())
    if kind in "mM":
        return _moments(value, column)
    if kind == "O":
        return value.item() if isinstance(value, numpy.ndarray) and not value.ndim else value.tolist()
    if kind == "V":
        return list(value) if value.ndim else value.tobytes()
    if kind == "f":
        return _floats(value, column)
    if kind in _AS_LISTS:
        return value.tolist()
    raise UnsupportedDataError(
        f"A numpy value of type {value.dtype} can't be stored", column=column, hint="Convert it before yielding."
    )


def _masked(values: Any, mask: Any) -> Any:
    if isinstance(mask, list):
        return [_masked(value, hidden) for value, hidden in zip(values, mask, strict=True)]
    return None if mask else values


def _floats(value: Any, column: str) -> Any:
    if value.dtype.itemsize > 8:
        numpy = sys.modules["numpy"]
        double = value.astype("f8")
        differ = (double != value) & ~numpy.isnan(value)
        if differ.any():
            raise UnsupportedValueError(
                f"The {value.dtype} {value[differ].flat[0] if value.ndim else value} has more digits than a float",
                column=column,
                hint="Round it by .astype('float64'), or store it as text.",
            )
        value = double
    return value.tolist()


def _moments(value: Any, column: str) -> Any:
    """Dates for what is in days or longer units, else datetimes; timedeltas."""
    numpy = sys.modules["numpy"]
    kind, unit = value.dtype.kind, numpy.datetime_data(value.dtype)[0]
    missing = numpy.isnat(value)
    if missing.all():
        return _masked(value.tolist(), missing.tolist())
    if kind == "m" and (unit in _NO_LENGTH or unit == "generic"):
        raise UnsupportedDataError(
            f"{_NO_LENGTH.get(unit, 'A timedelta64 without a unit')} has no fixed length: {value!r}",
            column=column,
            hint="Store the number itself, or a timedelta64 in days or shorter units.",
        )
    exact = value.astype(f"{kind}8[us]")
    wrong = exact.astype(value.dtype) != value
    if kind == "M":
        first, last = numpy.array([_FIRST, _LAST], exact.dtype)
        wrong |= (exact < first) | (exact > last)
    wrong &= ~missing
    if wrong.any():
        far = "beyond the years 1 to 9999" if kind == "M" else "too long"
        raise UnsupportedValueError(
            f"The value {value[wrong].flat[0] if value.ndim else value!r} is "
            f"{'finer than microseconds' if unit in _FINER else far}, which a Python value can't hold",
            column=column,
            hint="Return the whole array as a column, for example in a pyarrow table.",
        )
    return (value.astype("M8[D]") if kind == "M" and unit in _DATES else exact).tolist()
