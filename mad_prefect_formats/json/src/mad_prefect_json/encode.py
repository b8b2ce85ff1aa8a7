"""Python rows to JSON text that a typed read gives back exactly.

msgspec is right about nearly everything: decimals and UUIDs become strings, bytes base64. What it gets wrong is
made text before: NaN and infinities (it writes null), durations (DuckDB reads no ISO 8601), and offsets from UTC
with seconds (it drops them). Columns are looked through whole, so that those without such values cost little.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa

from mad_prefect_core.sdk import Batch

__all__ = ["encode_rows"]

_encoder = msgspec.json.Encoder()
_zone_of = attrgetter("tzinfo")
_KNOWN = 1024  # types for which answers are kept

# The last place on earth whose offset had seconds was Liberia, until January 1972.
_WHOLE_MINUTES_SINCE = dt.datetime(1973, 1, 1, tzinfo=dt.UTC)


def encode_rows(batch: Batch) -> bytes:
    """The rows of a batch as newline-delimited JSON."""
    rows = batch.rows()
    changed = {
        field.name: column
        for field in batch.schema
        if _looked_through(field.type) and (column := _storable(field.type, batch.column(field.name))) is not None
    }
    return _encoder.encode_lines(_with_columns(rows, changed) if changed else rows)


def _storable(kind: pa.DataType, values: Sequence[Any]) -> list[Any] | None:
    """The values of a column as msgspec must see them; None where they can stay as they are."""
    if pa.types.is_floating(kind):
        # A sum is quick, and finite only if every value is.
        return None if math.isfinite(sum(filter(None, values))) else [_plain(value) for value in values]
    if pa.types.is_duration(kind):
        return [_plain(value) for value in values]
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        present = [value for value in values if value is not None]
        earliest = min(present, default=_WHOLE_MINUTES_SINCE)
        zones = {id(zone): zone for zone in map(_zone_of, present)}.values()
        whole = earliest >= _WHOLE_MINUTES_SINCE and all(map(_has_whole_minutes, zones))
        return None if whole else [_plain(value) for value in values]
    if isinstance(kind, pa.JsonType):  # values of a map that have no type for all
        return [_plain(value) for value in values]
    if pa.types.is_null(kind):
        # Either nothing, or a column whose type the user has named, which may hold a mix.
        return None if values.count(None) == len(values) else [_plain(value) for value in values]
    if pa.types.is_list(kind):
        members = _storable(kind.value_type, list(chain.from_iterable(filter(None, values))))
        if members is None:
            return None
        following = iter(members)
        return [value and [next(following) for _ in value] for value in values]
    if pa.types.is_map(kind):
        present = list(filter(None, values))
        members = _storable(kind.item_type, list(chain.from_iterable(map(dict.values, present))))
        if members is None:
            return None
        following = iter(members)
        return [value and {key: next(following) for key in value} for value in values]
    if pa.types.is_struct(kind):
        return _storable_dicts(kind, values)
    return None


def _has_whole_minutes(zone: dt.tzinfo) -> bool:
    """Whether its offsets have no seconds, of late. A place's have none; whoever makes one up may give it any."""
    if isinstance(zone, dt.timezone):
        return not zone.utcoffset(None) % dt.timedelta(minutes=1)
    return isinstance(zone, ZoneInfo)


def _storable_dicts(kind: pa.StructType, values: Sequence[Any]) -> list[Any] | None:
    present = [value for value in values if value is not None]
    changed = {
        field.name: column
        for field in kind
        if _looked_through(field.type)
        and (column := _storable(field.type, [value.get(field.name) for value in present])) is not None
    }
    if not changed:
        return None
    rows = zip(present, zip(*changed.values(), strict=True), strict=True)
    # Each with the keys that it has, since there may be a map of them.
    rebuilt = ({**row, **{n: v for n, v in zip(changed, made, strict=True) if n in row}} for row, made in rows)
    return [None if value is None else next(rebuilt) for value in values]


def _with_columns(rows: Sequence[dict[str, Any]], changed: dict[str, list[Any]]) -> list[dict[str, Any]]:
    columns = zip(*changed.values(), strict=True)
    return [{**row, **dict(zip(changed, values, strict=True))} for row, values in zip(rows, columns, strict=True)]


@lru_cache(_KNOWN)
def _looked_through(kind: pa.DataType) -> bool:
    """Whether a value of this type may have to be changed."""
    if pa.types.is_nested(kind):
        return any(_looked_through(kind.field(index).type) for index in range(kind.num_fields))
    if isinstance(kind, pa.JsonType):
        return True
    with_zone = pa.types.is_timestamp(kind) and kind.tz is not None
    return with_zone or bool(pa.types.is_floating(kind) or pa.types.is_duration(kind) or pa.types.is_null(kind))


_CYCLE = 400  # years, after which the calendar repeats itself


def _in_utc(value: dt.datetime) -> dt.datetime | str:
    """A moment in UTC; as DuckDB's text where its year there is not one that Python has."""
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        years = _CYCLE if value.year == dt.MINYEAR else -_CYCLE
        offset = value.utcoffset() or dt.timedelta()
        moved = value.replace(year=value.year + years, tzinfo=None) - offset
        year = f"{moved.year - years}-{moved:%m-%d}" if years < 0 else f"0001-{moved:%m-%d} (BC)"
        return f"{year} {moved.time()}+00"


def _plain(value: Any) -> Any:
    """One value as msgspec must see it."""
    if isinstance(value, float):
        # As protocol buffers spell them in JSON; bare NaN is not JSON to most parsers.
        return value if math.isfinite(value) else "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dt.timedelta):
        rest = dt.datetime.min + dt.timedelta(seconds=value.seconds, microseconds=value.microseconds)
        return f"{value.days} days {rest.time()}"
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return _in_utc(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
