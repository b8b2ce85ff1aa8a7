"""Rows nested without end, or very deep, are an error that names the column and the batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import asset
from mad_prefect_core.batch import RowBatch
from mad_prefect_core.errors import SchemaError, UnsupportedDataError


@dataclasses.dataclass
class Knot:
    other: Any = None


def deep_lists(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def deep_dicts(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def own_list(width: int) -> Any:
    value: list[Any] = []
    value.extend([value] * width)
    return value


def own_dict(width: int) -> Any:
    value: dict[str, Any] = {}
    value.update({f"k{i}": value for i in range(width)})
    return value


def own_mixed() -> Any:
    value: dict[str, Any] = {"a": 1}
    value["b"] = [value, None]
    return value


def own_dataclass() -> Any:
    knot = Knot()
    knot.other = Knot(knot)
    return knot


BOTTOMLESS = {
    "lists 5,000 deep": lambda: deep_lists(5_000),
    "dicts 5,000 deep": lambda: deep_dicts(5_000),
    "lists 50 deep": lambda: deep_lists(50),
    "a list of itself": lambda: own_list(1),
    "a list of itself 10 times": lambda: own_list(10),
    "a list of itself 1,000 times": lambda: own_list(1_000),
    "a dict of itself": lambda: own_dict(1),
    "a dict of itself 30 times": lambda: own_dict(30),
    "dicts and lists of each other": own_mixed,
    "a dataclass of itself": own_dataclass,
}


@pytest.mark.parametrize("make", BOTTOMLESS.values(), ids=BOTTOMLESS)
def test_values_without_end_are_refused_by_column(make: Any) -> None:
    with pytest.raises(UnsupportedDataError, match="nested more than 40 deep") as raised:
        RowBatch([{"n": 1, "v": make()}])
    assert raised.value.column == "v"


def test_the_error_of_a_run_names_column_and_batch(base: Path) -> None:
    @asset("x.parquet")
    def x() -> Iterator[Any]:
        yield [{"v": [1]}]
        yield [{"v": own_list(2)}]

    with pytest.raises(UnsupportedDataError) as raised:
        x.query_sync()
    assert (raised.value.column, raised.value.batch) == ("v", 1)
    assert raised.value.asset


def test_a_mix_with_a_value_without_end_is_told_as_a_mix() -> None:
    with pytest.raises(SchemaError, match="int"):
        RowBatch([{"v": deep_lists(5_000)}, {"v": 1}, {"v": own_dict(2)}])


def test_what_only_shares_its_parts_is_no_value_of_itself() -> None:
    part = {"a": [[[[[[[[1, 2]]]]]]]]}
    rows = [{"v": [part, part]}, {"v": [part]}]
    assert RowBatch(rows).rows() == rows
