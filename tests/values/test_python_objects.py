"""Python objects in rows come out with the value that they stand for, or a named error says why they can't."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import enum
import fractions
import ipaddress
import pathlib
import time
import types
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import msgspec
import numpy as np
import pandas as pd
import pendulum
import pyarrow as pa
import pytest
from pydantic import AnyUrl, SecretStr

from mad_prefect_core import asset
from mad_prefect_core.batch import RowBatch
from mad_prefect_core.errors import DataError, SchemaError, UnsupportedDataError, UnsupportedValueError


class OtherDate(dt.date):
    pass


class OtherTime(dt.time):
    pass


class OtherDelta(dt.timedelta):
    pass


class Colour(enum.Enum):
    RED = "red"


class Shade(str, enum.Enum):  # noqa: UP042  as users of older Pythons write it
    DARK = "dark"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Shouted(str):
    def __str__(self) -> str:
        return self.upper()


class Money(Decimal):
    pass


@attrs.define
class Drawn:
    x: int
    y: float


class Packed(msgspec.Struct):
    x: int


@dataclasses.dataclass
class Point:
    x: Any


Pair = collections.namedtuple("Pair", ["left", "right"])

_LONDON = ZoneInfo("Europe/London")

SAME: dict[str, tuple[Any, Any]] = {
    "date subclass": (OtherDate(2020, 2, 29), dt.date(2020, 2, 29)),
    "time subclass": (OtherTime(12, 30, fold=1), dt.time(12, 30)),
    "timedelta subclass": (OtherDelta(days=-3, microseconds=1), dt.timedelta(days=-3, microseconds=1)),
    "pendulum datetime": (
        pendulum.datetime(2020, 1, 1, 12, tz="Europe/Paris"),
        dt.datetime(2020, 1, 1, 11, tzinfo=dt.UTC),
    ),
    "pendulum date": (pendulum.date(2020, 1, 1), dt.date(2020, 1, 1)),
    "pendulum time": (pendulum.time(1, 2, 3), dt.time(1, 2, 3)),
    "pendulum duration": (pendulum.duration(days=40, seconds=1), dt.timedelta(days=40, seconds=1)),
    "pendulum interval": (
        pendulum.datetime(2020, 3, 1) - pendulum.datetime(2020, 1, 1),
        dt.timedelta(days=60),
    ),
    "enum": (Colour.RED, "red"),
    "str enum": (Shade.DARK, "dark"),
    "flags": (Right.READ | Right.WRITE, 3),
    "str subclass with its own __str__": (Shouted("quiet"), "quiet"),
    "Decimal subclass": (Money("1.50"), Decimal("1.50")),
    "attrs": (Drawn(1, 2.5), {"x": 1, "y": 2.5}),
    "msgspec": (Packed(1), {"x": 1}),
    "dataclass of a numpy value": (Point(np.int64(1)), {"x": 1}),
    "named tuple of one": (Pair(Pair(1, "a"), None), {"left": {"left": 1, "right": "a"}, "right": None}),
    "OrderedDict": (collections.OrderedDict(a=1), {"a": 1}),
    "UserDict": (collections.UserDict(a=1), {"a": 1}),
    "mapping proxy": (types.MappingProxyType({"a": 1}), {"a": 1}),
    "ChainMap": (collections.ChainMap({"a": 1}, {"a": 2, "b": 3}), {"a": 1, "b": 3}),
    "Counter": (collections.Counter("aab"), {"a": 2, "b": 1}),
    "UserString": (collections.UserString("x"), "x"),
    "UserList": (collections.UserList([1, 2]), [1, 2]),
    "deque": (collections.deque([1, 2]), [1, 2]),
    "range": (range(3), [0, 1, 2]),
    "dict keys": ({"a": 1}.keys(), ["a"]),
    "dict values": ({"a": 1}.values(), [1]),
    "array": (array.array("d", [1.5]), [1.5]),
    "memoryview": (memoryview(b"abc"), b"abc"),
    "path": (pathlib.PurePosixPath("a/b"), "a/b"),
    "IP address": (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
    "IP network": (ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8"),
    "zone": (_LONDON, "Europe/London"),
    "pydantic URL": (AnyUrl("https://x.test/a"), "https://x.test/a"),
    "str enum as a key": ({Shade.DARK: 1}, {"dark": 1}),
    "enum as a key": ({Colour.RED: 1}, {"red": 1}),
    "numpy text as a key": ({np.str_("a"): 1}, {"a": 1}),
    "pandas series": (pd.Series([1, 2]), [1, 2]),
    "pandas index of dates": (pd.DatetimeIndex(["2020-01-01", None]), [dt.datetime(2020, 1, 1), None]),
    "numpy date": (np.datetime64("2020-01-31"), dt.date(2020, 1, 31)),
    "numpy month": (np.datetime64("2020-05", "M"), dt.date(2020, 5, 1)),
    "numpy seconds": (np.datetime64("2020-01-31T01:02:03"), dt.datetime(2020, 1, 31, 1, 2, 3)),
    "numpy nanoseconds that are whole microseconds": (
        np.datetime64("2020-01-31T00:00:00.000001000", "ns"),
        dt.datetime(2020, 1, 31, 0, 0, 0, 1),
    ),
    "numpy first and last moments": (
        np.array(["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"], "M8[us]"),
        [dt.datetime.min, dt.datetime.max],
    ),
    "numpy NaT without a unit": (np.datetime64("NaT"), None),
    "numpy NaT in years": (np.timedelta64("NaT", "Y"), None),
    "numpy dates and NaT": (np.array(["2020-01-01", "NaT"], "M8[D]"), [dt.date(2020, 1, 1), None]),
    "numpy nanoseconds and NaT": (np.array(["2020-01-01", "NaT"], "M8[ns]"), [dt.datetime(2020, 1, 1), None]),
    "numpy NaT alone, in two dimensions": (np.array([["NaT"], ["NaT"]], "M8[ns]"), [[None], [None]]),
    "numpy durations and NaT": (np.array([90, "NaT"], "m8[s]"), [dt.timedelta(seconds=90), None]),
    "numpy record": (np.array([(1, 2.5)], [("x", "i4"), ("y", "f8")])[0], {"x": 1, "y": 2.5}),
    "numpy records": (np.array([(1, b"a"), (2, b"b")], [("x", "i4"), ("s", "S1")]), [
        {"x": 1, "s": b"a"}, {"x": 2, "s": b"b"},
    ]),
    "numpy record of dates": (
        np.array([("2020-01-01",), ("NaT",)], [("d", "M8[ns]")]), [{"d": dt.datetime(2020, 1, 1)}, {"d": None}],
    ),
    "numpy record of records": (
        np.array([(((1,), [2, 3]))], [("a", [("b", "i4")]), ("c", "i4", 2)])[0], {"a": {"b": 1}, "c": [2, 3]},
    ),
    "numpy record array": (np.rec.array([(1, "a")], names="x,s"), [{"x": 1, "s": "a"}]),
    "numpy void": (np.void(b"\x00\x01"), b"\x00\x01"),
    "numpy 0-d": (np.array(1.5), 1.5),
    "numpy 0-d of an object": (np.array(Decimal("1.5"), dtype=object), Decimal("1.5")),
    "numpy 0-d date": (np.array("2020-01-01", "M8[D]"), dt.date(2020, 1, 1)),
    "numpy text": (np.str_("x"), "x"),
    "numpy bytes": (np.bytes_(b"x\x00y"), b"x\x00y"),
    "numpy bool": (np.bool_(False), False),
    "numpy half": (np.float16(0.1), float(np.float16(0.1))),
    "numpy long double": (np.longdouble("1.5"), 1.5),
    "numpy long doubles": (np.array([1.5, np.inf], np.longdouble), [1.5, float("inf")]),
    "numpy objects": (np.array([1, None, np.int64(3)], dtype=object), [1, None, 3]),
    "numpy objects, some of them records": (
        np.array([{"a": np.int8(1)}, None], dtype=object),
        [{"a": 1}, None],
    ),
    "numpy variable text": (np.array(["a", "bcd"], dtype=np.dtypes.StringDType()), ["a", "bcd"]),
    "numpy masked array": (np.ma.array([1, 2], mask=[False, True]), [1, None]),
    "numpy masked array, two dimensions": (np.ma.array([[1], [2]], mask=[[False], [True]]), [[1], [None]]),
    "numpy masked dates": (np.ma.array(np.array(["2020-01-01", "2020-01-02"], "M8[ns]"), mask=[1, 0]), [
        None, dt.datetime(2020, 1, 2),
    ]),
    "numpy masked value": (np.ma.masked, None),
    "numpy masked record": (
        np.ma.array([(1, 2)], mask=[(True, False)], dtype=[("x", "i4"), ("y", "i4")]), [{"x": None, "y": 2}],
    ),
    "numpy matrix of one row": (np.array([[1, 2]]), [[1, 2]]),
}  # fmt: skip

REFUSED: dict[str, tuple[Any, type[DataError], str]] = {
    "set": ({1, 2}, UnsupportedDataError, "sorted"),
    "frozenset": (frozenset(), UnsupportedDataError, "sorted"),
    "iterator": (iter([1]), UnsupportedDataError, "list"),
    "zip": (zip([1], [2], strict=True), UnsupportedDataError, "list"),
    "fraction": (fractions.Fraction(1, 3), UnsupportedDataError, "numerator"),
    "complex": (1j, UnsupportedDataError, "imaginary"),
    "numpy complex": (np.complex128(1j), UnsupportedDataError, "complex128"),
    "struct_time": (time.gmtime(0), UnsupportedDataError, "struct_time"),
    "exception": (ValueError("x"), UnsupportedDataError, "str"),
    "secret": (SecretStr("x"), UnsupportedDataError, "secret"),
    "pandas period": (pd.Period("2020-01"), UnsupportedDataError, "Period"),
    "pandas interval": (pd.Interval(0, 1), UnsupportedDataError, "Interval"),
    "pandas timestamp beyond Python's years": (
        pd.Timestamp(np.datetime64("10000-01-01", "s")),
        UnsupportedValueError,
        "10000",
    ),
    "pendulum duration of months": (pendulum.duration(months=1), UnsupportedValueError, "months"),
    "numpy year 10000": (np.datetime64("10000-01-01"), UnsupportedValueError, "10000"),
    "numpy year 0": (np.datetime64("0000-12-31"), UnsupportedValueError, "0000"),
    "numpy year 10000 in an array": (np.array(["2020", "10000", "NaT"], "M8[Y]"), UnsupportedValueError, "10000"),
    "numpy date beyond microseconds": (np.datetime64("300000-01-01", "D"), UnsupportedValueError, "300000"),
    "numpy date beyond all": (np.datetime64(2**62, "D"), UnsupportedValueError, "years"),
    "numpy nanosecond": (np.datetime64("2020-01-01T00:00:00.000000001"), UnsupportedValueError, "finer"),
    "numpy nanosecond beside NaT": (np.array([1, "NaT"], "M8[ns]"), UnsupportedValueError, "finer"),
    "numpy nanoseconds of a duration": (np.timedelta64(1, "ns"), UnsupportedValueError, "finer"),
    "numpy duration beyond Python's": (np.timedelta64(10**10, "D"), UnsupportedValueError, "too long"),
    "numpy months": (np.timedelta64(5, "M"), UnsupportedDataError, "month"),
    "numpy years": (np.timedelta64(5, "Y"), UnsupportedDataError, "year"),
    "numpy timedelta without a unit": (np.timedelta64(5), UnsupportedDataError, "unit"),
    "numpy months in an array": (np.array([1, "NaT"], "m8[M]"), UnsupportedDataError, "month"),
    "numpy months in a record": (np.array([(1,)], [("m", "m8[M]")]), UnsupportedDataError, "month"),
    "numpy long double of more digits": (
        np.longdouble(1) + np.finfo(np.longdouble).eps, UnsupportedValueError, "digits",
    ),
    "dict with a number as key": ({1: "a"}, UnsupportedDataError, "text"),
    "dict with an enum of a number as key": ({Right.READ: "a"}, UnsupportedDataError, "text"),
    "dict with two keys of one text": ({Colour.RED: 1, "red": 2}, SchemaError, "same text"),
    "function": (len, UnsupportedDataError, "builtin"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAME)
@pytest.mark.parametrize("place", ["column", "list", "dict", "deque", "dataclass", "object array"])
def test_an_object_is_the_value_that_it_stands_for_wherever_it_is(kind: str, place: str) -> None:
    value, expected = SAME[kind]
    put, taken = _PLACES[place]
    batch = RowBatch([{"v": put(value)}, {"v": None}])
    found = taken(batch.rows()[0]["v"])
    assert found == expected
    assert type(found) is type(expected)
    if expected is not None:
        assert batch.arrow().num_rows == 2


_PLACES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "column": (lambda value: value, lambda value: value),
    "list": (lambda value: [value], lambda value: value[0]),
    "dict": (lambda value: {"m": value}, lambda value: value["m"]),
    "deque": (lambda value: collections.deque([value]), lambda value: value[0]),
    "dataclass": (Point, lambda value: value["x"]),
    "object array": (lambda value: _array_of(value), lambda value: value[0]),
}


def _array_of(value: Any) -> Any:
    made = np.empty(1, dtype=object)
    made[0] = value
    return made


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("place", ["column", "list", "dict", "dataclass"])
def test_an_object_that_stands_for_no_value_is_refused_by_its_column(kind: str, place: str) -> None:
    value, error, word = REFUSED[kind]
    with pytest.raises(error, match=f"(?i){word}") as caught:
        RowBatch([{"v": _PLACES[place][0](value)}])
    assert str(caught.value.column).startswith("v")


def test_a_class_that_a_test_puts_in_the_place_of_datetime_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(dt.datetime):
        pass

    moment = Frozen(2020, 1, 1, 12)
    monkeypatch.setattr(dt, "datetime", Frozen)
    assert type(RowBatch([{"v": moment}]).rows()[0]["v"]) is Frozen.__base__


@pytest.mark.parametrize("kind", [dt.datetime, pendulum.DateTime, pd.Timestamp])
def test_the_second_of_two_equal_hours_is_kept(kind: Any) -> None:
    later = dt.datetime(2020, 10, 25, 1, 30, tzinfo=_LONDON, fold=1)
    moment = pd.Timestamp(later) if kind is pd.Timestamp else kind(2020, 10, 25, 1, 30, tzinfo=_LONDON, fold=1)
    (row,) = RowBatch([{"v": moment}]).rows()
    assert row["v"].astimezone(dt.UTC) == dt.datetime(2020, 10, 25, 1, 30, tzinfo=dt.UTC)


def test_keys_of_one_text_are_one_column_however_they_are_typed() -> None:
    rows = RowBatch([{Shade.DARK: 1, "n": 1}, {"dark": 2, "n": 2}, {np.str_("n"): 3}]).rows()
    assert rows == [{"dark": 1, "n": 1}, {"dark": 2, "n": 2}, {"dark": None, "n": 3}]
    assert {type(name) for row in rows for name in row} == {str}


@pytest.mark.parametrize("fragments", ["json", "parquet", "csv", "avro"])
@pytest.mark.parametrize("result", ["json", "parquet", "csv", "avro"])
def test_objects_are_the_same_in_each_format(base: pathlib.Path, fragments: str, result: str) -> None:
    row = {
        "day": np.datetime64("2020-01-31"),
        "record": np.array([(1, 2.5)], [("x", "i4"), ("y", "f8")])[0],
        "moments": np.array(["2020-01-01", "NaT"], "M8[ns]"),
        "address": ipaddress.ip_address("10.0.0.1"),
        "id": uuid.UUID(int=1),
        "left": Pair(Shade.DARK, range(2)),
    }

    @asset(f"x.{result}", artifact_filetype=fragments)
    def x() -> Any:
        yield [row]
        yield [dict.fromkeys(row)]

    relation = x.query_sync()
    assert relation is not None
    assert list(map(str, relation.types)) == [
        "DATE",
        "STRUCT(x BIGINT, y DOUBLE)",
        "TIMESTAMP[]",
        "VARCHAR",
        "UUID",
        'STRUCT("left" VARCHAR, "right" BIGINT[])',
    ]
    found, empty = relation.fetchall()
    assert found == (
        dt.date(2020, 1, 31),
        {"x": 1, "y": 2.5},
        [dt.datetime(2020, 1, 1), None],
        "10.0.0.1",
        uuid.UUID(int=1),
        {"left": "dark", "right": [0, 1]},
    )
    assert empty == (None,) * 6


def test_a_column_of_arrow_has_the_type_of_the_values() -> None:
    table = RowBatch([{"v": np.array(["2020-01-01", "NaT"], "M8[D]")}]).arrow()
    assert table.schema.field("v").type == pa.list_(pa.date32())
