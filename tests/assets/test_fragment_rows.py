"""Many small items as few fragments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mad_prefect_core import DataArtifact, DataAsset, asset
from mad_prefect_core.errors import NoResultError, OptionError, SchemaError, UnsupportedDataError
from mad_prefect_core.settings import Settings, use_settings


def fragments(base: Path) -> list[str]:
    return sorted(path.name for path in base.rglob("fragment=*"))


def rows_of(made: DataAsset[..., Any]) -> Any:
    relation = made.query_sync()
    assert relation is not None
    return relation.fetchall()


def test_items_are_put_together_until_a_fragment_has_so_many_rows(base: Path) -> None:
    @asset("x.parquet", fragment_rows=10)
    def x() -> Iterator[Any]:
        for n in range(25):
            yield {"n": n}
            yield None

    assert rows_of(x) == [(n,) for n in range(25)]
    assert fragments(base) == ["fragment=0.json", "fragment=1.json", "fragment=2.json"]


def test_columns_and_artifacts_stay_by_themselves_and_in_order(base: Path) -> None:
    @asset("x.parquet", fragment_rows=10)
    def x() -> Iterator[Any]:
        yield [{"n": 0}]
        yield [{"n": 1}]
        yield pa.table({"n": [2]})
        yield pa.table({"n": [3]})
        yield [{"n": 4}]
        yield DataArtifact("parts/own.csv", [{"n": 5}])
        yield [{"n": 6}]

    assert rows_of(x) == [(n,) for n in range(7)]
    assert fragments(base) == [
        "fragment=0.json",
        "fragment=1.parquet",
        "fragment=2.parquet",
        "fragment=3.json",
        "fragment=5.json",
    ]


_ROWS = st.fixed_dictionaries({}, optional={"a": st.integers(0, 9), "b": st.text("xyz")})


@settings(max_examples=25, deadline=None)
@given(
    items=st.lists(
        st.lists(st.fixed_dictionaries({}, optional={"a": st.integers(0, 9), "b": st.text("xyz")}), max_size=5)
    ),
    count=st.integers(1, 12),
    filetype=st.sampled_from([None, "json", "parquet", "csv"]),
)
def test_rows_are_the_same_whether_or_not_items_are_put_together(
    items: list[list[dict[str, Any]]], count: int, filetype: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    items = [[row for row in item if row] for item in items]
    rows = []
    for together in (None, count):
        with use_settings(Settings(FILESYSTEM_URL=f"file://{tmp_path_factory.mktemp('base')}")):

            @asset("x.parquet", artifact_filetype=filetype, fragment_rows=together)
            def x() -> Iterator[Any]:
                yield from items

            try:
                relation = x.query_sync()
            except NoResultError:
                rows.append(None)
            else:
                rows.append((relation.columns, relation.fetchall()))
    assert rows[0] == rows[1]


def test_an_error_names_the_item_that_was_yielded(base: Path) -> None:
    @asset("x.parquet", fragment_rows=100)
    def x(kind: str) -> Iterator[Any]:
        yield [{"n": 1}]
        yield [{"n": 2}]
        if kind == "set":
            yield [{"n": {3}}]
        yield [{"n": "three" if kind == "text" else 3}]
        if kind == "raise":
            raise ZeroDivisionError

    with pytest.raises(UnsupportedDataError) as refused:
        x.call_sync("set")
    assert refused.value.batch == 2
    with pytest.raises(SchemaError) as mixed:
        x.call_sync("text")
    assert mixed.value.batch == 2
    with pytest.raises(ZeroDivisionError) as raised:
        x.call_sync("raise")
    assert "batch 3" in "".join(raised.value.__notes__)


@pytest.mark.parametrize("count", [0, -1])
def test_a_number_of_rows_that_can_not_be_is_refused(count: int) -> None:
    with pytest.raises(OptionError, match="fragment_rows"):
        asset("x.json", fragment_rows=count)(lambda: None)


@pytest.mark.parametrize("filetype", ["json", "parquet", "csv", "avro"])
@pytest.mark.parametrize("together", [None, 100])
def test_a_dict_that_is_yielded_again_and_again_is_a_row_each_time(
    base: Path, filetype: str, together: int | None
) -> None:
    @asset("x.parquet", artifact_filetype=filetype, fragment_rows=together)
    def x() -> Iterator[Any]:
        row = {}
        for n in range(4):
            row["n"] = n
            yield row

    assert rows_of(x) == [(n,) for n in range(4)]


@pytest.mark.parametrize("suffix", ["json", "parquet", "csv", "avro"])
async def test_a_dict_that_a_generator_in_an_artifact_yields_again_is_a_row_each_time(base: Path, suffix: str) -> None:
    def rows() -> Iterator[Any]:
        row = {}
        for n in range(4):
            row["n"] = n
            yield row

    artifact = DataArtifact(f"x.{suffix}", rows())
    await artifact.persist()
    relation = await artifact.query()
    assert relation is not None
    assert relation.fetchall() == [(n,) for n in range(4)]


def test_the_function_is_closed_where_an_item_can_not_be_stored(base: Path) -> None:
    closed = []

    @asset("x.parquet", fragment_rows=100)
    def x() -> Iterator[Any]:
        try:
            yield [{"n": 1}]
            yield [{"n": {2}}]
        finally:
            closed.append(True)

    with pytest.raises(UnsupportedDataError):
        x.call_sync()
    assert closed == [True]
