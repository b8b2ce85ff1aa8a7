"""What each DuckDB type is in a Parquet file, and which values of it the file can't hold.

Most types are kept, or come back by a cast to the type that was recorded: DuckDB writes them as the nearest type that
holds the same values. The exceptions are here, since DuckDB itself would change such values without a word:

- HUGEINT and UHUGEINT (DOUBLE to DuckDB) are written as DECIMAL(38, 0).
- INTERVAL has whole, non-negative milliseconds in Parquet.
- TIME WITH TIME ZONE has no offset in Parquet.

VARIANT in Parquet has no BIT, INTERVAL, TIME WITH TIME ZONE and some others, nor integers beyond BIGINT. DuckDB refuses
these by itself, but does not say in which column.
"""

from __future__ import annotations

from typing import Any

__all__ = ["refusal", "violation", "writing"]

_HUGE = frozenset({"hugeint", "uhugeint"})
_NESTED = frozenset({"list", "array", "struct", "map", "union"})
_MAX_DECIMAL = 10**38 - 1

_VIOLATIONS = {
    "hugeint": f"{{0}} NOT BETWEEN {-_MAX_DECIMAL}::HUGEINT AND {_MAX_DECIMAL}::HUGEINT",
    "uhugeint": f"{{0}} > {_MAX_DECIMAL}::UHUGEINT",
    "interval": " OR ".join(
        [f"datepart('{part}', {{0}}) < 0" for part in ("year", "month", "day", "hour", "minute", "microsecond")]
        + ["datepart('microsecond', {0}) % 1000 <> 0"]
    ),
    "time with time zone": "datepart('timezone', {0}) <> 0",
    "variant": "{0} IS NOT NULL AND TRY(variant_to_parquet_variant({0})) IS NULL",
}


def refusal(kind: Any, *, inside: bool = False) -> str | None:
    """Why no value of a type can be kept in Parquet; None where some can."""
    if inside and kind.id == "variant":
        return "DuckDB writes it only outside of lists, structs and maps"
    if inside and kind.id in _VIOLATIONS:
        return "its values can be checked only outside of lists, structs and maps"
    if kind.id not in _NESTED:
        return None
    if kind.id == "union":
        return "Parquet does not say which member a value is of"
    members = [member for _, member in kind.children if hasattr(member, "id")]
    if kind.id == "struct" and not members:
        return "Parquet has no structs without members"
    return next((reason for member in members if (reason := refusal(member, inside=True))), None)


def violation(kind: Any, value: str) -> str | None:
    """SQL that is true where the file can't hold `value` (SQL of that type); None if it holds all."""
    condition = _VIOLATIONS.get(kind.id)
    return condition and condition.format(value)


def writing(kind: Any, value: str) -> str:
    """SQL for what the file holds of `value`."""
    return f"CAST({value} AS DECIMAL(38, 0))" if kind.id in _HUGE else value
