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

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from mad_prefect_core.sdk import Schema, Session, UnsupportedValueError, quote

__all__ = ["exported", "refusal", "refusing", "violation", "writing"]

_VIOLATION = re.compile(r"mad_prefect_parquet: column (\d+) holds (.*)")

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


def exported(session: Session, schema: Schema) -> list[str]:
    """SQL for each column of what the file holds of a relation with the alias `source`.

    Raises `UnsupportedValueError` for a type of which no value can be kept.
    """
    return [_exported(session, index, name, kind) for index, (name, kind) in enumerate(schema.items())]


def _exported(session: Session, index: int, name: str, kind: str) -> str:
    parsed = session.connection.type(kind)
    if reason := refusal(parsed):
        raise UnsupportedValueError(f"Parquet can't hold {kind}: {reason}", column=name)
    value = f"source.{quote(name)}"
    written = writing(parsed, value)
    if condition := violation(parsed, value):
        # The rows are looked at as they pass: a relation over a stream can't be read a second time.
        message = f"'mad_prefect_parquet: column {index} holds ' || CAST({value} AS VARCHAR)"
        written = f"CASE WHEN {condition} THEN error({message}) ELSE {written} END"
    return f"{written} AS {quote(name)}"


@contextlib.contextmanager
def refusing(schema: Schema) -> Iterator[None]:
    """Raises `UnsupportedValueError` where SQL of `exported` meets a value that the file can't hold."""
    try:
        yield
    except duckdb.InvalidInputException as error:
        if found := _VIOLATION.search(str(error)):
            name = list(schema)[int(found[1])]
            raise UnsupportedValueError(
                f"Parquet can't hold the {schema[name]} {found[2]!r}",
                column=name,
                hint="Cast the column to VARCHAR, or choose another format.",
            ) from error
        raise
