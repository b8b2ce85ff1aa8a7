"""The kinds of values that the fidelity tests take through every fragment format and result format."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from pydantic import BaseModel

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """One kind of value."""

    name: str
    """As the docs page shows it."""
    make: Callable[[], Any]
    """What an asset's function returns, or a generator that yields pages."""
    expected: list[dict[str, Any]]
    """The rows that must come back."""
    group: str
    query: str | None = None
    """SQL that shows what Python can't hold, instead of the rows themselves."""
    types: dict[str, str] | None = None
    """DuckDB types that must come back."""

    def __str__(self) -> str:
        return self.name


KINDS: list[Kind] = []
_group = ""
_SAME = object()


def _rows(name: str, *values: Any, expect: Any = _SAME, type: str | None = None, query: str | None = None) -> None:
    """A column `v` of these values."""
    rows = [{"v": value} for value in values]
    back = rows if expect is _SAME else [{"v": value} for value in expect]
    KINDS.append(Kind(name, lambda: [dict(row) for row in rows], back, _group, query, {"v": type} if type else None))


def _pages(name: str, *pages: Any, expect: list[dict[str, Any]]) -> None:
    """Pages that are yielded one after the other."""

    def make() -> Any:
        yield from pages

    KINDS.append(Kind(name, make, expect, _group))


def _table(
    name: str,
    array: Any,
    expect: list[Any] | None = None,
    *,
    type: str | None = None,
    query: str | None = None,
) -> None:
    """An Arrow column `v`."""
    values = array.to_pylist() if expect is None else expect
    KINDS.append(
        Kind(
            name,
            lambda: pa.table({"v": array}),
            [{"v": value} for value in values],
            _group,
            query,
            {"v": type} if type else None,
        )
    )


def _whole(name: str, make: Callable[[], Any], expect: list[dict[str, Any]]) -> None:
    KINDS.append(Kind(name, make, expect, _group))


# -- integers, floats, decimals ----------------------------------------------------------------------------------

_group = "Numbers"
_rows("int", 0, 1, -1, 42, type="BIGINT")
_rows("int, 32 bit boundaries", 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**32, type="BIGINT")
_rows("int, 2**53 and beyond", 2**53, 2**53 + 1, -(2**53) - 1, type="BIGINT")
_rows("int, 64 bit boundaries", 2**63 - 1, -(2**63), type="BIGINT")
_rows("int, unsigned 64 bit", 2**63, 2**64 - 1, 0, type="UBIGINT")
_rows("int, negative beside unsigned 64 bit", -1, 2**64 - 1)
_rows("int, 10**30", 10**30, -(10**30))
_rows("int, 38 digits", 10**38 - 1, -(10**38) + 1)
_rows("int, 39 digits", 10**38)
_rows("int, 100 digits", 10**100)
_rows("int and None", None, 1, None)
_rows("bool", True, False, None, type="BOOLEAN")
_rows("bool beside int", True, 1)
_rows("float", 0.1, 1.0, -2.5, 1e300, type="DOUBLE")
_rows("float, all digits", 0.1 + 0.2, 1 / 3, 2.0**0.5, 123456789.12345679, type="DOUBLE")
_rows("float, largest and smallest", 1.7976931348623157e308, -1.7976931348623157e308, 2.2250738585072014e-308)
_rows("float, subnormal", 5e-324, -5e-324, 1e-310)
_rows("float, nan", float("nan"), 1.0, None, type="DOUBLE")
_rows("float, infinities", float("inf"), float("-inf"), 0.0, type="DOUBLE")
_rows("float, negative zero", -0.0, 0.0)
_rows("float, whole numbers", 1.0, 2.0, 1e15, type="DOUBLE")
_rows("int beside float", 1, 2.5, expect=[1.0, 2.5])
_rows("int beyond 2**53 beside float", 2**53 + 1, 0.5)
_rows("Decimal", Decimal("1.10"), Decimal("-2.05"), None, type="DECIMAL(3,2)")
_rows("Decimal, mixed scales", Decimal("1"), Decimal("0.001"), Decimal("1000.5"))
_rows("Decimal, exponent", Decimal("1E+3"), Decimal("1E-9"))
_rows("Decimal, zero", Decimal("0"), Decimal("0.00"), Decimal("-0"))
_rows("Decimal, 16 and 17 digits", Decimal("0.1234567890123456"), Decimal("1.2345678901234567"))
_rows("Decimal, 38 digits", Decimal("1234567890123456789012345678.0123456789"), Decimal("0.0000000001"))
_rows("Decimal, 38 digits after the point", Decimal("0." + "1" * 38), type="DECIMAL(38,38)")
_rows("Decimal, 38 digits, whole", Decimal("9" * 38))
_rows("Decimal, 39 digits", Decimal("9" * 39))
_rows("Decimal, together beyond 38 digits", Decimal("1E+30"), Decimal("1E-20"))
_rows("Decimal, nan", Decimal("NaN"))
_rows("Decimal, infinity", Decimal("Infinity"))
_rows("int beside Decimal", 1, Decimal("0.5"), expect=[Decimal("1.0"), Decimal("0.5")])
_rows("complex", 1 + 2j)

# -- text and bytes ----------------------------------------------------------------------------------------------

_group = "Text and bytes"
_rows("str", "a", "hello world", type="VARCHAR")
_rows("str, empty beside None", "", None, "x", type="VARCHAR")
_rows("str, only empty", "", type="VARCHAR")
_rows("str, unicode", "Ünïcødé", "日本語", "العربية", "e\u0301", type="VARCHAR")
_rows("str, emoji", "😀", "👩‍👩‍👧‍👦", "🇺🇳")
_rows("str, newlines", "a\nb", "a\r\nb", "a\rb", "\n")
_rows("str, quotes and delimiters", '"', "'", '""', 'a"b', "a,b", "a;b\t|c", "\\", "\\n")
_rows("str, NUL", "a\x00b")
_rows("str, control characters", "\x01\x1f\x7f", "\u2028\u2029", "\ufeffx")
_rows("str, white space around", " a", "a ", "\ta\t", "   ")
_rows("str, 100,000 characters", "x" * 100_000)
_rows("str, lone surrogate", "\ud800")
_rows("str that looks like dates", "2020-01-01", "2020-12-31", type="VARCHAR")
_rows("str that looks like timestamps", "2020-01-01 00:00:00", "2020-01-01T12:00:00", type="VARCHAR")
_rows("str that looks like timestamps with zones", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00+02:00", type="VARCHAR")
_rows("str that looks like times", "12:00:00", "23:59:59.5", type="VARCHAR")
_rows("str that looks like integers", "1", "007", "-5", type="VARCHAR")
_rows("str that looks like floats", "1.50", "1e5", "NaN", "Infinity", "inf", type="VARCHAR")
_rows("str that looks like bools", "true", "false", "True", type="VARCHAR")
_rows("str that looks like UUIDs", "12345678-1234-5678-1234-567812345678", type="VARCHAR")
_rows("str that looks like null", "null", "NULL", "None", "", "NA", "\\N", type="VARCHAR")
_rows("str that looks like JSON", '{"a": 1}', "[1, 2]", '"x"', type="VARCHAR")
_rows("bytes", b"abc", b"", None, type="BLOB")
_rows("bytes, every byte", bytes(range(256)), type="BLOB")
_rows("bytearray", bytearray(b"abc"), expect=[b"abc"], type="BLOB")

# -- date and time -----------------------------------------------------------------------------------------------

_group = "Date and time"
_UTC = dt.UTC
_rows("date", dt.date(2020, 2, 29), None, type="DATE")
_rows("date, extremes", dt.date.min, dt.date.max, dt.date(1969, 12, 31), type="DATE")
_rows("datetime", dt.datetime(2020, 1, 1, 12, 30, 15), None, type="TIMESTAMP")
_rows("datetime, microseconds", dt.datetime(2020, 1, 1, 0, 0, 0, 1), dt.datetime(2020, 1, 1, 0, 0, 0, 999999))
_rows("datetime, extremes", dt.datetime.min, dt.datetime.max, dt.datetime(1969, 12, 31, 23, 59, 59, 999999))
_rows("datetime in UTC", dt.datetime(2020, 1, 1, tzinfo=_UTC), type="TIMESTAMP WITH TIME ZONE")
_rows(
    "datetime, mixed zones",
    dt.datetime(2020, 1, 1, tzinfo=_UTC),
    dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=45))),
    dt.datetime(2020, 7, 1, 1, 2, 3, 456789, tzinfo=ZoneInfo("America/New_York")),
    type="TIMESTAMP WITH TIME ZONE",
)
_rows(
    "datetime, the repeated hour",
    dt.datetime(2020, 10, 25, 1, 30, tzinfo=ZoneInfo("Europe/London"), fold=0),
    dt.datetime(2020, 10, 25, 1, 30, tzinfo=ZoneInfo("Europe/London"), fold=1),
)
_rows(
    "datetime, aware, long ago and far ahead",
    dt.datetime(1, 1, 2, tzinfo=_UTC),
    dt.datetime(1900, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")),
    dt.datetime(9999, 12, 30, tzinfo=_UTC),
)
_rows("datetime, aware beside naive", dt.datetime(2020, 1, 1, tzinfo=_UTC), dt.datetime(2020, 1, 1))
_rows(
    "date beside datetime",
    dt.date(2020, 1, 1),
    dt.datetime(2020, 1, 1, 12),
    expect=[dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, 12)],
)
_rows("date beside datetime, aware", dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 12, tzinfo=_UTC))
_rows("time", dt.time(12, 30), dt.time(0), dt.time(23, 59, 59, 999999), None, type="TIME")
_rows("time with a zone", dt.time(12, 30, tzinfo=_UTC))
_rows("timedelta", dt.timedelta(hours=1), dt.timedelta(days=2, seconds=3), dt.timedelta(0), None)
_rows("timedelta, microseconds", dt.timedelta(microseconds=1), dt.timedelta(days=1, microseconds=999999))
_rows("timedelta, negative", dt.timedelta(seconds=-1), dt.timedelta(days=-400, microseconds=-1))
_rows("timedelta, many days", dt.timedelta(days=100_000), dt.timedelta(days=-100_000))
_rows("timedelta, extremes", dt.timedelta.max, dt.timedelta.min)

# -- other objects -----------------------------------------------------------------------------------------------

_group = "Objects"
_ID = uuid.UUID("12345678-1234-5678-9234-567812345678")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.StrEnum):
    ON = "on"
    OFF = "off"


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Pair(NamedTuple):
    left: int
    right: str


class Model(BaseModel):
    n: int
    when: dt.date


class Text(str):
    pass


_rows("None, alone", None, None)
_rows("UUID", _ID, None, type="UUID")
_rows("UUID, every version", uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.uuid5(_ID, "x"), type="UUID")
_rows("Enum", Colour.RED, Colour.BLUE, expect=["red", "blue"])
_rows("IntEnum", Level.LOW, Level.HIGH, expect=[1, 2])
_rows("StrEnum", Mode.ON, Mode.OFF, expect=["on", "off"])
_rows("dataclass in a row", Point(1, 2.5), expect=[{"x": 1, "y": 2.5}])
_rows("named tuple in a row", Pair(1, "a"), expect=[{"left": 1, "right": "a"}])
_rows("pydantic model in a row", Model(n=1, when=dt.date(2020, 1, 1)), expect=[{"n": 1, "when": dt.date(2020, 1, 1)}])
_whole("dataclasses as rows", lambda: [Point(1, 2.5), Point(2, 0.0)], [{"x": 1, "y": 2.5}, {"x": 2, "y": 0.0}])
_whole("named tuples as rows", lambda: [Pair(1, "a")], [{"left": 1, "right": "a"}])
_whole(
    "pydantic models as rows",
    lambda: [Model(n=1, when=dt.date(2020, 1, 1))],
    [{"n": 1, "when": dt.date(2020, 1, 1)}],
)
_whole("mapping as a row", lambda: collections.UserDict({"v": 1}), [{"v": 1}])
_rows("str subclass", Text("x"), expect=["x"])
_rows("set", {1, 2})
_rows("object", object())

# -- nested ------------------------------------------------------------------------------------------------------

_group = "Nested"
_rows("list of int", [1, 2, 3], [], None, [None, 4])
_rows("list of str", ["a", "", None, "a,b", "it's", '"'], [" x ", "null", "NULL"])
_rows("list of float", [1.5, float("nan"), float("-inf"), -0.0])
_rows("list of Decimal", [Decimal("1.5"), Decimal("1234567890123456789.25")])
_rows("list of dates and times", [dt.date(2020, 1, 1), None])
_rows("list of aware datetimes", [dt.datetime(2020, 1, 1, tzinfo=_UTC)])
_rows("list of timedelta", [dt.timedelta(hours=1), dt.timedelta(0)])
_rows("list of bytes", [b"\x00\xff", b"", b"\\x41"])
_rows("list of UUID", [_ID, None])
_rows("list, empty alone", [], [])
_rows("list of None", [None, None])
_rows("list of lists", [[1], [], None, [2, None]], [])
_rows("list of dicts", [{"a": 1, "b": "x"}, {"a": None}], [])
_rows("tuple", (1, 2), expect=[[1, 2]])
_rows("list of int and str", [1, "a"])
_rows("dict", {"a": 1, "b": "x"}, None, {"a": None, "b": None})
_rows("dict, keys vary by row", {"a": 1}, {"b": 2}, {"a": 3, "c": 4})
_rows("dict, empty alone", {}, {})
_rows("dict, empty beside full", {}, {"a": 1})
_rows("dict of dicts", {"a": {"b": {"c": [{"d": None, "e": 2.5}], "f": {"g": [[1]]}}}}, {"a": None})
_rows("dict, hostile text", {"a": "it's, {b: 'c'}", "b": "NULL"}, {"a": "", "b": None})
_rows("dict, hostile keys", {"a b": 1, "a.b": 2, 'q"q': 3, "q'q": 4, "é": 5})
_rows("dict, keys that differ in case alone", {"a": 1, "A": 2})
_rows("dict, key that is no text", {1: "a"})
_rows("dict with bytes, UUID, Decimal", {"b": b"\x00\xff", "u": _ID, "d": Decimal("0.12345678901234567890")})
_rows("dict then list", {"a": 1}, [1])
_rows("empty list then values", [], [1])

# -- numpy, pandas -----------------------------------------------------------------------------------------------

_group = "numpy and pandas"
_rows("numpy integers", np.int8(-1), np.uint64(2**64 - 1), expect=[-1, 2**64 - 1])
_rows("numpy floats", np.float64(0.1), np.float32(0.5), np.float16(0.25), expect=[0.1, 0.5, 0.25])
_rows("numpy bool and str", np.bool_(True), None, expect=[True, None])
_rows("numpy str", np.str_("x"), expect=["x"])
_rows("numpy datetime64", np.datetime64("2020-01-01T00:00:00.000001"), expect=[dt.datetime(2020, 1, 1, 0, 0, 0, 1)])
_rows("numpy datetime64, nanoseconds", np.datetime64("2020-01-01T00:00:00.000000001"))
_rows("numpy timedelta64", np.timedelta64(90, "s"), expect=[dt.timedelta(seconds=90)])
_rows("numpy NaT", np.datetime64("NaT"), None, expect=[None, None])
_rows("numpy array", np.array([1, 2]), np.array([], dtype="int64"), expect=[[1, 2], []])
_rows("numpy array, 2-d", np.array([[1.5], [2.5]]), expect=[[[1.5], [2.5]]])
_rows("pandas Timestamp", pd.Timestamp("2020-01-01 12:00"), expect=[dt.datetime(2020, 1, 1, 12)])
_rows(
    "pandas Timestamp with a zone", pd.Timestamp("2020-01-01", tz="UTC"), expect=[dt.datetime(2020, 1, 1, tzinfo=_UTC)]
)
_rows("pandas Timestamp, nanoseconds", pd.Timestamp("2020-01-01 00:00:00.000000001"))
_rows("pandas Timedelta", pd.Timedelta(seconds=1), expect=[dt.timedelta(seconds=1)])
_rows("pandas NaT", pd.NaT, pd.Timestamp("2020-01-01"), expect=[None, dt.datetime(2020, 1, 1)])
_rows("pandas NA", pd.NA, 1, expect=[None, 1])
_whole(
    "pandas frame",
    lambda: pd.DataFrame({"i": [1, 2], "s": ["a", None], "t": pd.to_datetime(["2020-01-01", None])}, index=[7, 8]),
    [{"i": 1, "s": "a", "t": dt.datetime(2020, 1, 1)}, {"i": 2, "s": None, "t": None}],
)
_whole(
    "pandas frame, nullable types",
    lambda: pd.DataFrame({"i": pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean")}),
    [{"i": 1, "b": True}, {"i": None, "b": None}],
)

# -- columns -----------------------------------------------------------------------------------------------------

_group = "Columns (Arrow, polars)"
for _bits in (8, 16, 32, 64):
    _signed, _unsigned = getattr(pa, f"int{_bits}")(), getattr(pa, f"uint{_bits}")()
    _sql = {8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", 64: "BIGINT"}[_bits]
    _table(f"int{_bits}", pa.array([-(2 ** (_bits - 1)), 2 ** (_bits - 1) - 1, None], _signed), type=_sql)
    _table(f"uint{_bits}", pa.array([0, 2**_bits - 1, None], _unsigned), type=f"U{_sql}")
_table("bool column", pa.array([True, None, False]), type="BOOLEAN")
_table("null column", pa.nulls(2))
_table("float16", pa.array([np.float16(0.5), np.float16(65504), None], pa.float16()), [0.5, 65504.0, None])
_table("float32", pa.array([0.1, float("nan"), float("inf"), None], pa.float32()), type="FLOAT")
_table("float64 column", pa.array([0.1, float("nan"), float("-inf"), -0.0, 5e-324]), type="DOUBLE")
_table(
    "decimal128(38, 10)",
    pa.array([Decimal("1234567890123456789012345678.0123456789"), None], pa.decimal128(38, 10)),
    type="DECIMAL(38,10)",
)
_table("decimal128(9, 2)", pa.array([Decimal("-1234567.89")], pa.decimal128(9, 2)), type="DECIMAL(9,2)")
_table("decimal256(38, 0)", pa.array([Decimal("9" * 38)], pa.decimal256(38, 0)))
_table("decimal256(50, 10)", pa.array([Decimal("1.5")], pa.decimal256(50, 10)))
_table("string", pa.array(["a", "", None, "2020-01-01", "1", "true", "null"]), type="VARCHAR")
_table("large_string", pa.array(["a", "", None], pa.large_string()), type="VARCHAR")
_table("string_view", pa.array(["a", "longer than twelve bytes", None], pa.string_view()), type="VARCHAR")
_table("dictionary of strings", pa.array(["a", "b", "a", None]).dictionary_encode())
_table("dictionary of ints", pa.array([10, 20, 10]).dictionary_encode())
_table("binary", pa.array([b"\x00\xff", b"", None]), type="BLOB")
_table("large_binary", pa.array([b"\x00\xff"], pa.large_binary()), type="BLOB")
_table("binary_view", pa.array([b"\x00\xff", b"longer than twelve bytes"], pa.binary_view()), type="BLOB")
_table("fixed size binary", pa.array([b"ab", b"\x00\xff"], pa.binary(2)), type="BLOB")
_table("date32", pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None], pa.date32()), type="DATE")
_table("date64", pa.array([dt.date(2020, 1, 1), None], pa.date64()), type="DATE")
_table("time32[s]", pa.array([dt.time(1, 2, 3)], pa.time32("s")))
_table("time32[ms]", pa.array([dt.time(1, 2, 3, 4000)], pa.time32("ms")))
_table("time64[us]", pa.array([dt.time(1, 2, 3, 4)], pa.time64("us")), type="TIME")
_table(
    "time64[ns]",
    pa.array([1_000_000_001], pa.time64("ns")),
    ["00:00:01.000000001"],
    query="SELECT v::VARCHAR AS v",
)
_moment = dt.datetime(2020, 1, 1, 12, 30, 15)
_table("timestamp[s]", pa.array([_moment, None], pa.timestamp("s")))
_table("timestamp[ms]", pa.array([_moment.replace(microsecond=1000)], pa.timestamp("ms")))
_table("timestamp[us]", pa.array([_moment.replace(microsecond=1)], pa.timestamp("us")), type="TIMESTAMP")
_table(
    "timestamp[ns]",
    pa.array([1577836800000000001, None], pa.timestamp("ns")),
    [1577836800000000001, None],
    query="SELECT epoch_ns(v) AS v",
)
_table("timestamp[s, UTC]", pa.array([_moment], pa.timestamp("s", "UTC")), [_moment.replace(tzinfo=_UTC)])
_table(
    "timestamp[us, Europe/Paris]",
    pa.array([_moment], pa.timestamp("us", "Europe/Paris")),
    [_moment.replace(tzinfo=_UTC)],
)
_table(
    "timestamp[ns, UTC]",
    pa.array([1577836800000000001], pa.timestamp("ns", "UTC")),
    [1577836800000000001],
    query="SELECT epoch_ns(v) AS v",
)
_table("duration[s]", pa.array([dt.timedelta(seconds=1), None], pa.duration("s")))
_table("duration[us]", pa.array([dt.timedelta(days=-1, microseconds=1)], pa.duration("us")))
_table("duration[ns]", pa.array([1], pa.duration("ns")), [1])
_table("list column", pa.array([[1, None], [], None], pa.list_(pa.int16())), type="SMALLINT[]")
_table("large list", pa.array([["a"], []], pa.large_list(pa.string())), type="VARCHAR[]")
_table("fixed size list", pa.array([[1.5, 2.5], [0.0, -1.0]], pa.list_(pa.float32(), 2)), [(1.5, 2.5), (0.0, -1.0)])
_table("map", pa.array([[("k", 1), ("", None)], []], pa.map_(pa.string(), pa.int64())), [{"k": 1, "": None}, {}])
_table("map of int keys", pa.array([[(1, "a")]], pa.map_(pa.int32(), pa.string())), [{1: "a"}])
_table("struct", pa.array([{"a": 1, "b": "x"}, {"a": None, "b": None}, None]))
_table("list of struct", pa.array([[{"a": 1, "b": [b"\xff"]}], [], None]))
_table("struct of struct", pa.array([{"a": {"b": {"c": dt.date(2020, 1, 1)}}}]))
_table("uuid column", pa.array([_ID.bytes], pa.uuid()), [_ID], type="UUID")
_whole(
    "polars frame",
    lambda: pl.DataFrame({"i": [1, None], "s": ["a", ""], "d": [dt.date(2020, 1, 1), None], "l": [[1], []]}),
    [{"i": 1, "s": "a", "d": dt.date(2020, 1, 1), "l": [1]}, {"i": None, "s": "", "d": None, "l": []}],
)
_whole(
    "polars categorical",
    lambda: pl.DataFrame({"v": pl.Series(["a", "b", None], dtype=pl.Categorical)}),
    [{"v": "a"}, {"v": "b"}, {"v": None}],
)
_whole(
    "polars enum",
    lambda: pl.DataFrame({"v": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"]))}),
    [{"v": "a"}, {"v": "b"}],
)
_whole(
    "polars Decimal",
    lambda: pl.DataFrame({"v": pl.Series([Decimal("1.25")], dtype=pl.Decimal(20, 2))}),
    [{"v": Decimal("1.25")}],
)
_whole(
    "polars Datetime and Duration",
    lambda: pl.DataFrame({"v": [_moment.replace(tzinfo=_UTC)], "d": [dt.timedelta(seconds=5)]}),
    [{"v": _moment.replace(tzinfo=_UTC), "d": dt.timedelta(seconds=5)}],
)
_whole("polars array", lambda: pl.DataFrame({"v": pl.Series([[1, 2]], dtype=pl.Array(pl.Int8, 2))}), [{"v": (1, 2)}])

_table("list of float16", pa.array([[np.float16(0.5), None]], pa.list_(pa.float16())), [[0.5, None]])
_table("struct of decimal256", pa.array([{"d": Decimal("1.5")}], pa.struct([("d", pa.decimal256(20, 2))])))
_table(
    "list of duration[ns]",
    pa.array([[1000, None]], pa.list_(pa.duration("ns"))),
    [[dt.timedelta(microseconds=1), None]],
)
_table("list of dictionary", pa.array([["a", None]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), [["a", None]])
_table(
    "map of structs",
    pa.array([[("k", {"a": 1})]], pa.map_(pa.string(), pa.struct([("a", pa.int8())]))),
    [{"k": {"a": 1}}],
)
_table(
    "list of map",
    pa.array([[[("k", 1)], []], None], pa.list_(pa.map_(pa.string(), pa.int32()))),
    [[{"k": 1}, {}], None],
)
_table("list view", pa.array([[1], None, []], pa.list_view(pa.int32())), [[1], None, []])
_table("run-end encoded", pa.RunEndEncodedArray.from_arrays([2, 3], pa.array(["a", None])), ["a", "a", None])
_table(
    "month_day_nano interval",
    pa.array([(1, 2, 3000)], pa.month_day_nano_interval()),
    ["1 month 2 days 00:00:00.000003"],
    query="SELECT v::VARCHAR AS v",
)
_table(
    "json column",
    pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a": [1.50]}', None])),
    [1.5, None],
    query="SELECT (v->'$.a[0]')::DOUBLE AS v",
)
_whole("Arrow stream, not a table", lambda: pa.table({"v": [1, None]}).to_reader(), [{"v": 1}, {"v": None}])
_whole("Arrow record batch", lambda: pa.record_batch({"v": [1, None]}), [{"v": 1}, {"v": None}])
_whole(
    "Arrow stream of duration[ns]", lambda: pa.table({"v": pa.array([1], pa.duration("ns"))}).to_reader(), [{"v": 1}]
)
_table("dense union", pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]))
_table("dictionary of structs", pa.DictionaryArray.from_arrays(pa.array([0, None]), pa.array([{"a": 1}])))
_table("bool8", pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8())), [True, False, None])
_table("decimal of negative scale", pa.array([Decimal("1500")], pa.decimal128(5, -2)))
_table("timestamp[ms], beyond DuckDB's", pa.array([2**60], pa.timestamp("ms")), [2**60])
_table("date64 with a time of day", pa.array([1], pa.date64()))
_table("map with a key twice", pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64())), [{"k": 2}])
_table(
    "text that is not UTF-8",
    pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")]),
    [b"\xff"],
)
_table("tensor", pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((1, 2, 2))), [[[0.0, 0.0], [0.0, 0.0]]])
_whole("polars objects", lambda: pl.DataFrame({"v": pl.Series([_ID], dtype=pl.Object)}), [{"v": _ID}])
_whole("polars Int128", lambda: pl.DataFrame({"v": pl.Series([10**30], dtype=pl.Int128)}), [{"v": Decimal(10**30)}])
_whole(
    "pandas frame with a named index",
    lambda: pd.DataFrame({"k": ["a", "a"], "v": [1, 2]}).groupby("k").sum(),
    [{"v": 3, "k": "a"}],
)
_whole("pandas objects of two kinds", lambda: pd.DataFrame({"v": [b"a", "a"]}), [{"v": b"a"}, {"v": "a"}])
_whole(
    "pandas Period", lambda: pd.DataFrame({"v": pd.period_range("2020-01", periods=1, freq="M")}), [{"v": "2020-01"}]
)

_group = "DuckDB relations"


def _sql(name: str, values: str, *expected: Any, query: str | None = None, type: str | None = None) -> None:
    def make() -> Any:
        return duckdb.connect().sql(f"SELECT * FROM (VALUES {values}) AS t(v)")

    rows = [{"v": value} for value in expected]
    KINDS.append(Kind(name, make, rows, _group, query, {"v": type or name} if not query else None))


_sql("TINYINT", "((-128)::TINYINT), (NULL)", -128, None)
_sql("UBIGINT", "(18446744073709551615::UBIGINT)", 2**64 - 1)
_sql("HUGEINT", f"({10**37}::HUGEINT), ({-(10**37)}), (NULL)", 10**37, -(10**37), None, type="DECIMAL(38,0)")
_sql("HUGEINT, 39 digits", f"({2**127 - 1}::HUGEINT)", 2**127 - 1)
_sql("UHUGEINT", f"({2**126}::UHUGEINT)", 2**126, type="DECIMAL(38,0)")
_sql("list of HUGEINT", "([1::HUGEINT])", [1], type="DECIMAL(38,0)[]")
_sql("UUID[] of SQL", f"(['{_ID}'::UUID, NULL])", [_ID, None], type="UUID[]")
_sql("map of JSON", "(MAP {'a': '1'::JSON})", {"a": "1"}, type="MAP(VARCHAR, JSON)")
_sql("DECIMAL(18,3)", "(1.125::DECIMAL(18,3))", Decimal("1.125"))
_sql("VARCHAR", "('a'), ('')", "a", "")
_sql("BLOB", "('\\x00\\xFF'::BLOB)", b"\x00\xff")
_sql("BIT", "('0101'::BIT)", "0101")
_sql("DATE", "(DATE '2020-01-01')", dt.date(2020, 1, 1))
_sql(
    "DATE, infinity",
    "('infinity'::DATE), (DATE '294247-01-10')",
    "infinity",
    "294247-01-10",
    query="SELECT v::VARCHAR AS v",
)
_sql("TIMESTAMP_S", "(TIMESTAMP_S '2020-01-01 00:00:01')", dt.datetime(2020, 1, 1, 0, 0, 1))
_sql("TIMESTAMP_MS", "(TIMESTAMP_MS '2020-01-01 00:00:00.001')", dt.datetime(2020, 1, 1, 0, 0, 0, 1000))
_sql(
    "TIMESTAMP_NS",
    "(TIMESTAMP_NS '2020-01-01 00:00:00.000000001')",
    "2020-01-01 00:00:00.000000001",
    query="SELECT v::VARCHAR AS v",
)
_sql(
    "TIMESTAMP, infinities",
    "('infinity'::TIMESTAMP), ('-infinity')",
    "infinity",
    "-infinity",
    query="SELECT v::VARCHAR AS v",
)
_sql(
    "TIMESTAMP WITH TIME ZONE",
    "(TIMESTAMPTZ '2020-01-01 00:00:00+05:45')",
    dt.datetime(2019, 12, 31, 18, 15, tzinfo=_UTC),
)
_sql("TIME", "(TIME '12:30:00.000001')", dt.time(12, 30, 0, 1))
_sql("TIME, 24:00", "(TIME '24:00:00')", "24:00:00", query="SELECT v::VARCHAR AS v")
_sql("TIME WITH TIME ZONE", "('12:30:00+02'::TIMETZ)", "12:30:00+02", query="SELECT v::VARCHAR AS v")
_sql("INTERVAL", "(INTERVAL '1 month 2 days 3 seconds')", "1 month 2 days 00:00:03", query="SELECT v::VARCHAR AS v")
_sql("INTERVAL, negative", "(INTERVAL '-1 month 2 days')", "-1 month 2 days", query="SELECT v::VARCHAR AS v")
_sql("UUID of SQL", f"('{_ID}'::UUID)", _ID, type="UUID")
_sql("ENUM", "('a'::ENUM('a', 'b'))", "a", type="VARCHAR")
_sql("INTEGER[3]", "([1, NULL, 3]::INTEGER[3])", (1, None, 3))
_sql("MAP", "(MAP {1: 'a', 2: NULL})", {1: "a", 2: None}, type="MAP(INTEGER, VARCHAR)")
_sql("UNION", "(union_value(n := 1))", 1, type="UNION(n INTEGER)")

_sql("JSON", "('{\"a\":1}'::JSON)", '{"a":1}', type="JSON")
# -- names and pages ---------------------------------------------------------------------------------------------

_group = "Names and pages"
for _label, _name in {
    "with a space": "a b",
    "with a dot": "a.b",
    "with quotes": "q\"u'o`te",
    "with delimiters": "a,b;c\td",
    "with a newline": "a\nb",
    "with braces and globs": "{a}[b]*?",
    "unicode": "größe 😀",
    "an SQL keyword": "select",
    "a number": "1",
    "as DuckDB has them": "rowid",
    "as the framework has them": "runtime",
}.items():
    _whole(f"column name {_label}", lambda name=_name: [{name: 1, "z": "x"}], [{_name: 1, "z": "x"}])
_whole("column name, empty", lambda: [{"": 1}], [{"": 1}])
_whole("column names that differ in case alone", lambda: [{"ID": 1, "id": 2}], [{"ID": 1, "id": 2}])
_whole(
    "column names `year`, `asset`, `month`",
    lambda: [{"year": 1, "asset": "a", "month": None}],
    [{"year": 1, "asset": "a", "month": None}],
)
_whole("300 columns", lambda: [{f"c{i}": i for i in range(300)}], [{f"c{i}": i for i in range(300)}])
_whole("a single dict", lambda: {"v": 1}, [{"v": 1}])
_whole(
    "a key only in a later row",
    lambda: [{"a": 1}] * 3 + [{"a": 2, "b": "x"}],
    [{"a": 1, "b": None}] * 3 + [{"a": 2, "b": "x"}],
)
_pages(
    "column order varies by page",
    [{"a": 1, "b": "x"}],
    [{"b": "y", "a": 2}],
    expect=[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
)
_pages(
    "a later page brings a column",
    [{"a": 1}],
    [{"a": 2, "b": "x"}],
    [{"b": "y"}],
    expect=[{"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": None, "b": "y"}],
)
_pages(
    "pages of None, then of values",
    [{"a": None}],
    [{"a": dt.date(2020, 1, 1)}],
    expect=[{"a": None}, {"a": dt.date(2020, 1, 1)}],
)
_pages("a page of ints, then of floats", [{"a": 1}], [{"a": 2.5}], expect=[{"a": 1.0}, {"a": 2.5}])
_pages("a page of wide ints, then of floats", [{"a": 2**53 + 1}], [{"a": 2.5}], expect=[{"a": 2**53 + 1}, {"a": 2.5}])
_pages(
    "a page of ints, then of Decimals",
    [{"a": 1}],
    [{"a": Decimal("2.5")}],
    expect=[{"a": Decimal("1.0")}, {"a": Decimal("2.5")}],
)
_pages(
    "a page of ints, then of huge ints",
    [{"a": -1}],
    [{"a": 2**64 - 1}],
    [{"a": 10**30}],
    expect=[{"a": -1}, {"a": 2**64 - 1}, {"a": 10**30}],
)
_pages(
    "a page of floats, then of Decimals",
    [{"a": 0.1}],
    [{"a": Decimal("2.5")}],
    expect=[{"a": 0.1}, {"a": Decimal("2.5")}],
)
_pages(
    "a page of dates, then of datetimes",
    [{"a": dt.date(2020, 1, 1)}],
    [{"a": _moment}],
    expect=[{"a": dt.datetime(2020, 1, 1)}, {"a": _moment}],
)
_pages(
    "a page of naive, then of aware datetimes",
    [{"a": _moment}],
    [{"a": _moment.replace(tzinfo=_UTC)}],
    expect=[{"a": _moment}, {"a": _moment.replace(tzinfo=_UTC)}],
)
_pages("a page of ints, then of strings", [{"a": 1}], [{"a": "x"}], expect=[{"a": 1}, {"a": "x"}])
_pages(
    "a page of strings, then of dates",
    [{"a": "x"}],
    [{"a": dt.date(2020, 1, 1)}],
    expect=[{"a": "x"}, {"a": dt.date(2020, 1, 1)}],
)
_pages("a page of dicts, then of lists", [{"a": {"b": 1}}], [{"a": [1]}], expect=[{"a": {"b": 1}}, {"a": [1]}])
_pages(
    "a page of dicts, then of wider dicts",
    [{"a": {"b": 1}}],
    [{"a": {"b": 2.5, "c": "x"}}],
    expect=[{"a": {"b": 1.0, "c": None}}, {"a": {"b": 2.5, "c": "x"}}],
)
_pages("a page of empty lists, then of full ones", [{"a": []}], [{"a": [1]}], expect=[{"a": []}, {"a": [1]}])
_pages(
    "a page of empty dicts, then of full ones",
    [{"a": {}}],
    [{"a": {"b": 1}}],
    expect=[{"a": {"b": None}}, {"a": {"b": 1}}],
)
_pages(
    "pages of nested empty dicts, then of full ones",
    [{"a": [{"b": {}, "c": 1}, None], "d": {"e": {}}}],
    [{"a": [{"b": {"x": dt.date(2020, 1, 1)}, "c": 2.5}], "d": {"e": {"f": {"g": 1}}}}],
    expect=[
        {"a": [{"b": {"x": None}, "c": 1.0}, None], "d": {"e": {"f": None}}},
        {"a": [{"b": {"x": dt.date(2020, 1, 1)}, "c": 2.5}], "d": {"e": {"f": {"g": 1}}}},
    ],
)
_pages(
    "a page of rows, then an Arrow table",
    [{"a": 1, "b": "x"}],
    pa.table({"b": ["y"], "a": [2]}),
    expect=[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
)
_pages(
    "Arrow tables of growing types",
    pa.table({"a": pa.array([1], pa.int8())}),
    pa.table({"a": pa.array([2**40])}),
    expect=[{"a": 1}, {"a": 2**40}],
)
_pages(
    "Arrow pages of wide ints, then of floats",
    pa.table({"a": pa.array([2**53 + 1])}),
    pa.table({"a": pa.array([0.5])}),
    expect=[{"a": 2**53 + 1}, {"a": 0.5}],
)
_pages("empty pages between", [], [{"a": 1}], None, [], [{"a": 2}], [], expect=[{"a": 1}, {"a": 2}])
