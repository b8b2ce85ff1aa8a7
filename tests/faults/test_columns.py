"""The result has the user's columns, all of them and no others (S25–S32; promises 4, 5, 6)."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.errors import SchemaError, UnsupportedValueError
from mad_prefect_core.settings import Settings, use_settings
from mad_prefect_csv import ReadCSVOptions
from mad_prefect_json import ReadJsonOptions

FORMATS = ["json", "parquet", "csv"]


@pytest.mark.parametrize("fragments", FORMATS)
@pytest.mark.parametrize("suffix", FORMATS)
async def test_s25_no_column_is_added_and_none_of_the_users_is_overwritten(
    base: Path, fragments: str, suffix: str
) -> None:
    row = {
        "asset": "mine",
        "year": 1,
        "runtime": "r",
        "fragment": 7,
        "month": None,
        "day": "x",
        "filename": "f",
        "data": 1,
    }

    @asset(
        f"k=v/region=north/x.{suffix}",
        artifact_filetype=fragments,
        snapshot_artifacts=True,
        name="shop",
    )
    def x() -> Any:
        return [row]

    relation = await x.query()
    assert relation is not None
    assert relation.columns == list(row)
    assert relation.fetchall() == [tuple(row.values())]


@pytest.mark.parametrize("fragments", FORMATS)
async def test_hive_keys_that_the_user_wrote_into_artifacts_dir_are_columns(base: Path, fragments: str) -> None:
    @asset("x.parquet", artifacts_dir="raw/region={region}/n=5", artifact_filetype=fragments)
    def x(region: str) -> Any:
        yield [{"a": 1}]
        yield [{"a": 2, "n": 6}]

    relation = await x.with_arguments("north west").query()
    assert relation is not None
    assert relation.columns == ["a", "n", "region"]
    assert relation.fetchall() == [(1, None, "north west"), (2, 6, "north west")]


async def test_hive_keys_of_the_base_itself_are_never_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{tmp_path}/tenant=1/env=prod")

    @asset("x.parquet|csv|json", artifacts_dir="raw")
    def x() -> Any:
        return [{"a": 1}]

    assert (await x.query()).columns == ["a"]
    for suffix in FORMATS:
        assert (await DataArtifact(f"x.{suffix}").query()).columns == ["a"]


LOOKS = [
    "2020-01-01",
    "2020-01-01 00:00:00",
    "12:00:00",
    "1",
    "007",
    "1.50",
    "true",
    "null",
    "",
    "NaN",
    str(uuid.UUID(int=5)),
]


@pytest.mark.parametrize("text", LOOKS)
@pytest.mark.parametrize("fragments", FORMATS)
async def test_s28_strings_stay_strings_where_inference_is_off(base: Path, fragments: str, text: str) -> None:
    @asset(
        "x.json|parquet|csv",
        artifact_filetype=fragments,
        read_options=[ReadJsonOptions(auto_detect=False), ReadCSVOptions(auto_detect=False)],
    )
    def x() -> Any:
        yield [{"v": text}]
        yield [{"v": text}]

    relation = await x.query()
    assert relation is not None
    assert [str(t) for t in relation.types] == ["VARCHAR"]
    assert relation.fetchall() == [(text,), (text,)]


async def test_strings_that_all_look_like_dates_become_dates_unless_one_in_any_batch_does_not(base: Path) -> None:
    @asset("{kind}.parquet")
    def x(kind: str) -> Any:
        yield [{"v": "2020-01-01", "n": "1"}]
        yield [{"v": "2020-01-02" if kind == "all" else "soon", "n": "2"}]

    assert (await x.with_arguments("all").query()).fetchall() == [
        (dt.date(2020, 1, 1), "1"),
        (dt.date(2020, 1, 2), "2"),
    ]
    assert (await x.with_arguments("most").query()).fetchall() == [("2020-01-01", "1"), ("soon", "2")]


EAST, WEST = dt.timezone(dt.timedelta(hours=9)), dt.timezone(dt.timedelta(hours=-5))
MOMENT = dt.datetime(2026, 3, 29, 1, 30, 0, 123456)


class Grade(enum.Enum):
    GREEN = "green"


@pytest.mark.parametrize("filetype", FORMATS)
@pytest.mark.parametrize(
    "values",
    [
        pytest.param([Decimal("12345678901234567890123456789012345.678"), Decimal("0.001")], id="38 digits"),
        pytest.param([2**64 - 1, 0], id="uint64"),
        pytest.param([10**30, -(10**30)], id="10**30"),
        pytest.param([2**53 + 1, -(2**53) - 1], id="beyond 2**53"),
    ],
)
async def test_s26_large_numbers_lose_no_digit(base: Path, filetype: str, values: list[Any]) -> None:
    assert await _back(filetype, values) == values


@pytest.mark.parametrize("filetype", FORMATS)
@pytest.mark.parametrize(
    ("values", "back"),
    [
        pytest.param([MOMENT.replace(tzinfo=EAST)] * 2, None, id="with a zone"),
        pytest.param([MOMENT.replace(tzinfo=EAST), MOMENT.replace(tzinfo=WEST)], None, id="with several zones"),
        pytest.param([dt.timedelta(milliseconds=7), dt.timedelta(hours=49)], None, id="timedelta"),
        pytest.param([b"\x00\xff", b"plain"], None, id="bytes"),
        pytest.param([uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)], None, id="UUID"),
        pytest.param([Grade.GREEN, None], ["green", None], id="enum"),
    ],
)
async def test_s27_moments_spans_bytes_and_uuids_stay_what_they_are(
    base: Path, filetype: str, values: list[Any], back: list[Any] | None
) -> None:
    assert await _back(filetype, values) == (back or values)


async def _back(filetype: str, values: list[Any]) -> list[Any]:
    @asset(f"x.{filetype}", artifact_filetype=filetype)
    def x() -> Any:
        for value in values:
            yield [{"v": value}]

    relation = await x.query()
    assert relation is not None
    return [value for (value,) in relation.fetchall()]


@pytest.mark.parametrize("filetype", FORMATS)
async def test_s30_a_key_that_comes_late_is_a_column_and_the_order_of_keys_swaps_no_values(
    base: Path, filetype: str
) -> None:
    @asset(f"x.{filetype}", artifact_filetype=filetype)
    def x() -> Any:
        yield [{"a": 1, "b": "x"}, {"a": 2, "b": "y", "late": True}]
        yield [{"b": "z", "a": 3}]
        yield [{"extra": 0.5, "b": "w", "a": 4}]

    relation = await x.query()
    assert relation is not None
    assert relation.columns == ["a", "b", "late", "extra"]
    assert relation.fetchall() == [
        (1, "x", None, None),
        (2, "y", True, None),
        (3, "z", None, None),
        (4, "w", None, 0.5),
    ]


@pytest.mark.parametrize("fragments", FORMATS)
async def test_s29_empty_text_and_null_are_two_things(base: Path, fragments: str) -> None:
    @asset("x.csv|json|parquet", artifact_filetype=fragments)
    def x() -> Any:
        return [{"a": "", "b": None, "c": float("inf")}, {"a": None, "b": "", "c": float("nan")}]

    assert (await x.query("SELECT a, b, c::VARCHAR FROM data")).fetchall() == [("", None, "inf"), (None, "", "nan")]


@pytest.mark.parametrize("fragments", FORMATS)
async def test_s31_batches_of_types_that_no_type_holds_are_refused_by_column_types_and_batch(
    base: Path, fragments: str
) -> None:
    @asset("x.parquet", artifact_filetype=fragments)
    def x(pages: list[Any]) -> Any:
        for value in pages:
            yield [{"id": 1, "v": value}]

    for pages, types in (([1, 2, "a"], "int64.*string"), ([{"a": 1}, {"a": 2}, [1]], "struct.*list")):
        with pytest.raises(SchemaError, match=types) as caught:
            await x(pages)
        assert (caught.value.column, caught.value.batch) == ("v", 2)


async def test_s31_a_column_whose_type_the_user_names_may_hold_a_mix(base: Path) -> None:
    @asset("x.parquet", read_json_options=ReadJsonOptions(columns={"v": "VARCHAR"}))
    def x() -> Any:
        yield [{"id": 1, "v": 1}]
        yield [{"id": 2, "v": "a"}]
        yield [{"id": 3, "v": None}]

    assert (await x.query()).fetchall() == [(1, "1"), (2, "a"), (3, None)]


@pytest.mark.parametrize("pages", [[[{"ID": 1, "id": 2}]], [[{"ID": 1}], [{"id": 2}]], [[{"a": {"B": 1, "b": 2}}]]])
async def test_s32_names_that_duckdb_takes_for_one_are_refused(base: Path, pages: list[Any]) -> None:
    @asset("x.json")
    def x() -> Any:
        yield from pages

    with pytest.raises((SchemaError, UnsupportedValueError), match=r"case|one to DuckDB") as caught:
        await x()
    assert caught.value.column is not None


_CELLS = st.one_of(
    st.none(),
    st.integers(-(2**40), 2**40),
)
_ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 10**6)},
        optional={
            "n": _CELLS,
            "f": st.floats(allow_nan=False, width=32) | st.integers(-1000, 1000),
            "s": st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8),
            "d": st.none() | st.dates(),
            "l": st.none() | st.lists(_CELLS, max_size=3),
            "o": st.none() | st.fixed_dictionaries({}, optional={"x": _CELLS, "y": st.none() | st.booleans()}),
        },
    ),
    min_size=1,
    max_size=12,
)


@given(rows=_ROWS, cuts=st.lists(st.integers(0, 12), max_size=4), data=st.data())
def test_how_rows_are_split_into_batches_never_changes_the_result(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], cuts: list[int], data: st.DataObject
) -> None:
    bounds = [0, *sorted({min(cut, len(rows)) for cut in cuts}), len(rows)]
    pages = [rows[a:b] for a, b in pairwise(bounds)]
    fragments = data.draw(st.sampled_from(FORMATS))
    as_they_are = {"json": ReadJsonOptions(auto_detect=False), "csv": ReadCSVOptions(auto_detect=False)}

    def answer(name: str, batches: list[Any]) -> Any:
        @asset(
            f"{name}.parquet",
            name=name,
            artifact_filetype=fragments,
            read_options=as_they_are.get(fragments),
        )
        def x() -> Any:
            yield from batches

        relation = x.query_sync()
        named = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
        return dict(sorted((n, str(t)) for n, t in zip(relation.columns, relation.types, strict=True))), named

    with use_settings(Settings(filesystem_url=f"file://{tmp_path_factory.mktemp('split')}")):  # type: ignore[call-arg]
        whole, split = answer("whole", [rows]), answer("split", pages)
    assert [row["id"] for row in split[1]] == [row["id"] for row in rows]
    assert split == whole
