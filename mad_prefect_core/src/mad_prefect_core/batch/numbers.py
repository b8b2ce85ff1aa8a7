"""The one rule for columns of numbers: what all of them need, however they came in batches.

What one number needs is joined with what others need, in any order and grouping with the same outcome. Only what is
joined decides on a type:

- Integers are BIGINT, or UBIGINT where all are positive, or DECIMAL(38, 0). Columns of narrower integers stay narrow.
- Integers and floats are DOUBLE, if no integer is beyond 2**53.
- Decimals, and integers beside them, are a DECIMAL with as many digits on each side of the point as any of them has.
- Floats and decimals have no type that keeps both.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from typing import NamedTuple

import pyarrow as pa

from mad_prefect_core.batch.values import Path, column_name
from mad_prefect_core.errors import SchemaError

__all__ = ["EXACT_IN_DOUBLE", "MAX_DIGITS", "Numbers"]

MAX_DIGITS = 38
"""Of DuckDB's widest DECIMAL."""
EXACT_IN_DOUBLE = 2**53
"""A DOUBLE holds each integer up to it, and not all beyond."""

_NO_DECIMALS = -1
_UINT64_MAX = 2**64 - 1
_SIGNED = ((8, pa.int8()), (16, pa.int16()), (32, pa.int32()), (64, pa.int64()))
_UNSIGNED = ((8, pa.uint8()), (16, pa.uint16()), (32, pa.uint32()), (64, pa.uint64()))

# Bounds that decide on a type. Numbers are rounded up to one of them, so most batches of a run need exactly the same.
_BOUNDS: list[int] = sorted([10**digits - 1 for digits in range(1, MAX_DIGITS + 1)] + [2**63 - 1, 2**63, _UINT64_MAX])


class Numbers(NamedTuple):
    """What the numbers at one place need of a type."""

    low: int = 0
    """No integer is below."""
    high: int = 0
    """No integer is above."""
    bits: int = 0
    """The narrowest integer type allowed; 0 where there are no integers."""
    signed: bool = False
    """Whether the integers' own type has a sign."""
    wide: bool = False
    """Whether an integer beyond 2**53 was seen, which a float can't hold exactly."""
    whole: int = 0
    """Digits that decimals have before the point."""
    scale: int = _NO_DECIMALS
    """Digits that decimals have after it."""
    floats: int = 0
    """Bits of the widest float; 0 where there are none."""

    @classmethod
    def of_integers(cls, low: int, high: int) -> Numbers:
        """Of Python integers between these two. They have at most `MAX_DIGITS` digits."""
        return cls(
            low=-_bound(-low) if low < 0 else 0,
            high=_bound(high) if high > 0 else 0,
            bits=64,
            signed=True,
            wide=high > EXACT_IN_DOUBLE or low < -EXACT_IN_DOUBLE,
        )

    @classmethod
    def of_type(cls, kind: pa.DataType) -> Numbers | None:
        """Of any numbers of an Arrow type; None for a type of something else."""
        if pa.types.is_signed_integer(kind):
            half: int = 2 ** (kind.bit_width - 1)
            return cls(low=-half, high=half - 1, bits=kind.bit_width, signed=True)
        if pa.types.is_unsigned_integer(kind):
            return cls(high=2**kind.bit_width - 1, bits=kind.bit_width)
        if pa.types.is_floating(kind):
            return cls(floats=max(kind.bit_width, 32))
        if pa.types.is_decimal(kind):
            return cls(whole=kind.precision - kind.scale, scale=kind.scale)
        return None

    def join(self, other: Numbers) -> Numbers:
        """What both need."""
        if self == other:
            return self
        return Numbers(
            min(self.low, other.low),
            max(self.high, other.high),
            max(self.bits, other.bits),
            self.signed or other.signed,
            self.wide or other.wide,
            max(self.whole, other.whole),
            max(self.scale, other.scale),
            max(self.floats, other.floats),
        )

    def type(self, path: Path) -> pa.DataType:
        """The narrowest type that holds all of them exactly. Raises `SchemaError` where there is none."""
        found = _type(self)
        if isinstance(found, pa.DataType):
            return found
        raise SchemaError(found, column=column_name(path), hint="Make them one type before yielding.")


def _bound(size: int) -> int:
    return _BOUNDS[bisect_left(_BOUNDS, size)]


@lru_cache(1024)
def _type(numbers: Numbers) -> pa.DataType | str:
    """The type, or why there is none."""
    if numbers.floats:
        if numbers.scale != _NO_DECIMALS:
            return "One column holds floats and decimals, which no type keeps both of exactly"
        if numbers.wide:
            return "One column holds floats and integers beyond 2**53, which a float can't hold exactly"
        return pa.float32() if numbers.floats == 32 and not numbers.bits else pa.float64()
    return _integer_type(numbers) if numbers.scale == _NO_DECIMALS else _decimal_type(numbers)


def _integer_type(numbers: Numbers) -> pa.DataType:
    for bits, kind in _SIGNED if numbers.signed else _UNSIGNED:
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if numbers.signed else (0, 2**bits - 1)
        if bits >= numbers.bits and low <= numbers.low and numbers.high <= high:
            return kind
    return pa.uint64() if numbers.low >= 0 and numbers.high <= _UINT64_MAX else pa.decimal128(MAX_DIGITS, 0)


def _decimal_type(numbers: Numbers) -> pa.DataType | str:
    whole, scale = numbers.whole, numbers.scale
    if numbers.bits:
        whole = max(whole, len(str(max(-numbers.low, numbers.high))))
    if whole + scale > MAX_DIGITS:
        return (
            f"One column's decimals need {whole} digits before and {scale} after the point, "
            f"together more than {MAX_DIGITS}"
        )
    return pa.decimal128(max(whole + scale, 1), scale)
