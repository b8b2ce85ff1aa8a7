"""Frames of pandas and polars: no column, row label or kind of value is lost on the way to Arrow."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mad_prefect_core import asset
from mad_prefect_core.assets.identity import encode
from mad_prefect_core.batch import ColumnBatch
from mad_prefect_core.errors import ArgumentError, DataError, SchemaError, UnsupportedDataError, UnsupportedValueError


def stored(data: Any) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = ColumnBatch(data).arrow().to_pydict()
    return columns


def objects(*values: Any) -> pd.DataFrame:
    return pd.DataFrame({"fine": [0] * len(values), "v": pd.Series(list(values), dtype=object)})


@pytest.mark.parametrize(
    ("frame", "columns"),
    [
        (pd.DataFrame({"k": ["a", "b"], "n": [1, 2]}).groupby("k").sum(), {"n": [1, 2], "k": ["a", "b"]}),
        (pd.DataFrame({"n": [1, 2]}, index=pd.RangeIndex(5, 7, name="day")), {"n": [1, 2], "day": [5, 6]}),
        (
            pd.DataFrame({"n": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["a", "b"])),
            {"n": [1, 2], "a": ["x", "y"], "b": [1, 2]},
        ),
        (pd.DataFrame({"n": [1, 2]}, index=["x", "y"]), {"n": [1, 2], "__index_level_0__": ["x", "y"]}),
        (pd.DataFrame({"n": [1, 2, 3]})[lambda frame: frame.n > 1], {"n": [2, 3]}),
        (pd.DataFrame({"n": [1, 2]}), {"n": [1, 2]}),
        (pd.DataFrame({"n": []}), {"n": []}),
    ],
    ids=["group keys", "named range", "two levels", "text without a name", "numbers of rows", "default", "no rows"],
)
def test_row_labels_that_say_something_are_columns(frame: pd.DataFrame, columns: dict[str, list[Any]]) -> None:
    assert stored(frame) == columns


async def test_the_times_of_a_resample_are_in_the_result(base: Path) -> None:
    hours = pd.date_range("2020-01-01", periods=48, freq="h", name="hour")

    @asset("days.parquet")
    def days() -> pd.DataFrame:
        return pd.DataFrame({"n": 1}, index=hours).resample("D").sum()

    found = (await days.query()).fetchall()
    assert found == [(24, dt.datetime(2020, 1, 1)), (24, dt.datetime(2020, 1, 2))]


def test_an_index_and_a_column_of_one_name_are_refused() -> None:
    with pytest.raises(SchemaError, match="'n'") as caught:
        ColumnBatch(pd.DataFrame({"n": [1]}, index=pd.Index(["x"], name="n")))
    assert caught.value.column == "n"


def test_an_arrow_table_of_a_frame_has_the_same_columns() -> None:
    frame = pd.DataFrame({"k": ["a", "b"], "n": [1, 2]})
    assert stored(pa.Table.from_pandas(frame.set_index("k"))) == {"n": [1, 2], "k": ["a", "b"]}
    assert stored(pa.Table.from_pandas(frame[frame.n > 1])) == {"k": ["b"], "n": [2]}


@pytest.mark.parametrize(
    "forged", [b"[]", b"no JSON", b"\xff", b"null", b'{"index_columns": 5}', b'{"index_columns": [5]}']
)
def test_metadata_that_pandas_did_not_write_is_no_error(forged: bytes) -> None:
    table = pa.table({"n": [1]}).replace_schema_metadata({b"pandas": forged})
    assert stored(table) == {"n": [1]}
    assert encode(table) == encode(table)


@pytest.mark.parametrize(
    "values",
    [
        (dt.datetime(2020, 1, 1, tzinfo=ZoneInfo("Europe/Paris")), dt.datetime(2020, 1, 1)),
        (dt.date(2020, 1, 1), dt.time(12)),
        (dt.datetime(2020, 1, 1, 12), dt.time(12)),
        (b"bytes", "text"),
        (1, "text"),
        (Decimal("1.5"), 1.5),
        (True, 1),
        (pd.Period("2020-01", "M"),),
        (pd.Interval(0, 1),),
        (1 + 2j,),
        ({"a": 1}, [1]),
        ([1], ["a"]),
    ],
    ids=str,
)
def test_objects_of_kinds_that_no_type_keeps_are_refused_by_name(values: tuple[Any, ...]) -> None:
    with pytest.raises(DataError) as caught:
        ColumnBatch(objects(*values))
    assert str(caught.value.column).startswith("v")


@pytest.mark.parametrize(
    "values",
    [
        (uuid.UUID(int=1), None),
        (Decimal("1.50"), None),
        ("a", None),
        (dt.date(2020, 1, 1), None),
        (dt.time(1, 2), dt.time(3)),
        (True, None),
        (b"x", b""),
        ([1, 2], []),
        ({"a": 1}, {"a": None}),
        (2**63, 1),
    ],
    ids=str,
)
def test_objects_of_one_kind_come_back_as_they_are(values: tuple[Any, ...]) -> None:
    assert stored(objects(*values))["v"] == list(values)


@pytest.mark.parametrize("suffix", ["json", "parquet", "csv", "avro"])
def test_dicts_without_keys_in_a_frame_are_stored_as_in_rows(base: Path, suffix: str) -> None:
    @asset(f"x.{suffix}")
    def x() -> Any:
        return pd.DataFrame({"v": pd.Series([{}, None, {}], dtype=object), "w": [[{}], [], None]})

    relation = x.query_sync()
    assert relation is not None
    assert relation.fetchall() == [({}, [{}]), (None, []), ({}, None)]


def test_pandas_missing_values_are_null() -> None:
    assert stored(objects("a", np.nan, pd.NA, pd.NaT, None))["v"] == ["a", None, None, None, None]


@pytest.mark.parametrize(
    ("frame", "column"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "a"),
        (pd.DataFrame([[1, 2]], columns=["a", "A"]), "A"),
        (pd.DataFrame([[1]], columns=[""]), ""),
        (pd.DataFrame([[1]], columns=["a\0b"]), "a\0b"),
        (pd.DataFrame([[1]], columns=["a\rb"]), "a\rb"),
        (pd.DataFrame([[1]], columns=[1.5]), "1.5"),
        (pd.DataFrame([[1]], columns=[True]), "True"),
        (pd.DataFrame([[1]], columns=[dt.date(2020, 1, 1)]), "2020-01-01"),
        (pd.DataFrame({"fine": [1], "v": pd.arrays.SparseArray([0])}), "v"),
        (pd.DataFrame({"fine": [1], "v": [1 + 2j]}), "v"),
        (pd.DataFrame({"fine": [1], "v": [2**70]}), "v"),
        (pd.DataFrame({"fine": [1], "v": pd.Series(["\ud800"], dtype=object)}), "v"),
        (pd.DataFrame({"fine": [1], "v": pd.period_range("2020-01", periods=1, freq="M")}), "v"),
        (pd.DataFrame({"fine": [1], "v": pd.interval_range(0, 1)}), "v"),
        (pd.DataFrame({"fine": [1], "v": pd.Series([1], dtype="timedelta64[ns]")}), "v"),
        (pd.DataFrame({"fine": [1, 2], "v": pd.Categorical([1, "a"])}), "v"),
        (pl.DataFrame({"fine": [1, 2], "v": pl.Series([1, "a"], dtype=pl.Object)}), "v"),
        (pl.DataFrame({"fine": [1], "v": pl.Series([{1, 2}], dtype=pl.Object)}), "v"),
        (pl.DataFrame({"fine": [1], "v": pl.Series([10**38], dtype=pl.Int128)}), "v"),
        (pl.DataFrame({"fine": [1], "v": pl.Series([1], dtype=pl.Duration("ns"))}), "v"),
        (pl.DataFrame({"a": [1], "A": [2]}), "A"),
        (pl.DataFrame({"": [2]}), ""),
        (pl.DataFrame({"a\rb": [2]}), "a\rb"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_no_column_can_hold_is_refused_by_its_name(frame: Any, column: str) -> None:
    with pytest.raises(DataError) as caught:
        ColumnBatch(frame).arrow()
    assert caught.value.column == column


def test_columns_of_several_levels_are_refused_with_advice() -> None:
    with pytest.raises(UnsupportedDataError, match=r"'_'\.join"):
        ColumnBatch(pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])))


def test_numbers_as_column_names_are_text() -> None:
    assert stored(pd.DataFrame(np.array([[1, 2]]))) == {"0": [1], "1": [2]}


@pytest.mark.parametrize("series", [pd.Series([1], name="a"), pl.Series("a", [1])])
def test_a_series_is_refused_with_advice(series: Any) -> None:
    with pytest.raises(UnsupportedDataError, match="to_frame"):
        ColumnBatch(series)


def test_a_polars_series_of_structs_is_rows() -> None:
    assert stored(pl.Series("s", [{"a": 1, "b": "x"}])) == {"a": [1], "b": ["x"]}


async def test_a_lazy_frame_is_refused_with_advice(base: Path) -> None:
    @asset("lazy.parquet")
    def lazy() -> pl.LazyFrame:
        return pl.LazyFrame({"a": [1]})

    with pytest.raises(UnsupportedDataError, match=r"\.collect\(\)"):
        await lazy()


def test_python_objects_in_a_polars_frame_are_values_in_their_place() -> None:
    ids = [uuid.UUID(int=1), None]
    frame = pl.DataFrame({"a": [1, 2], "id": pl.Series(ids, dtype=pl.Object), "z": ["x", "y"]})
    table = ColumnBatch(frame).arrow()
    assert table.column_names == ["a", "id", "z"]
    assert table.column("id").to_pylist() == ids
    assert stored(frame.select("id")) == {"id": ids}


def test_wide_integers_of_polars_are_decimals_nested_too() -> None:
    wide = pl.DataFrame({"n": pl.Series([10**30], dtype=pl.Int128), "l": pl.Series([[1]], dtype=pl.List(pl.Int128))})
    assert stored(wide) == {"n": [Decimal(10**30)], "l": [[Decimal(1)]]}


@pytest.mark.parametrize(
    "made",
    [
        "pl.DataFrame({'a\\0b': [1]})",
        "pl.DataFrame({'s': [{'a\\0b': 1}]})",
        "pl.DataFrame({'l': [[{'a\\0b': 1}]]})",
        "pl.Series('s', [{'a\\0b': 1}])",
    ],
)
def test_a_nul_in_a_polars_name_ends_no_process(made: str) -> None:
    script = f"""
import json, polars as pl
from mad_prefect_core.batch import ColumnBatch
from mad_prefect_core.assets.identity import encode
from mad_prefect_core.errors import MadPrefectError
for use in (ColumnBatch, encode):
    try:
        use({made})
    except MadPrefectError as error:
        print(json.dumps([str(error), error.column]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    errors = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(errors) == 2
    assert all("NUL" in text and column.endswith("a\0b") for text, column in errors)


def test_categories_are_text_and_null() -> None:
    assert stored(pd.DataFrame({"v": pd.Categorical(["x", None, "y"])})) == {"v": ["x", None, "y"]}


def test_a_value_beyond_a_frames_type_names_value_and_advice() -> None:
    with pytest.raises(UnsupportedValueError, match=r"64 bits.*Decimal"):
        ColumnBatch(objects(2**70))


def test_arguments_are_told_apart_by_the_objects_in_a_polars_frame() -> None:
    def frame(number: int) -> pl.DataFrame:
        return pl.DataFrame({"id": pl.Series([uuid.UUID(int=number)], dtype=pl.Object)})

    assert encode(frame(1)) == encode(frame(1)) != encode(frame(2))


@pytest.mark.parametrize(
    "frame", [pd.DataFrame([[1, 2]], columns=["a", "a"]), objects(1, "text"), objects(2**70), objects(1 + 2j)]
)
def test_a_frame_that_arrow_cannot_hold_is_no_argument(frame: pd.DataFrame) -> None:
    with pytest.raises(ArgumentError, match="'orders'"):
        encode(frame, "orders")
