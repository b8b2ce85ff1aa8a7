"""Files that are not there: data was to come from them, so the last good result stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import DataArtifact, DataArtifactQuery, asset
from mad_prefect_core.errors import MissingFileError

ROWS = [{"id": 1}]


def _returned() -> Any:
    return DataArtifact("raw/typo.parquet")


def _in_a_list() -> Any:
    return [DataArtifact("raw/typo.parquet")]


def _beside_rows() -> Any:
    return [{"id": 2}, DataArtifact("raw/typo.parquet")]


def _yielded() -> Any:
    yield [{"id": 2}]
    yield DataArtifact("raw/typo.parquet")


def _yielded_in_a_list() -> Any:
    yield [{"id": 2}]
    yield [DataArtifact("raw/typo.parquet")]


async def _yielded_later() -> AsyncIterator[Any]:
    yield [{"id": 2}]
    yield DataArtifact("raw/typo.parquet")


SOURCES = [_returned, _in_a_list, _beside_rows, _yielded, _yielded_in_a_list, _yielded_later]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__[1:])
@pytest.mark.parametrize("fragment_rows", [None, 100])
async def test_an_artifact_without_a_file_never_replaces_a_good_result(
    base: Path, source: Any, fragment_rows: int | None
) -> None:
    now: Any = ROWS

    @asset("landed.parquet", fragment_rows=fragment_rows)
    def landed() -> Any:
        return now() if callable(now) else now

    await landed()
    now = source
    with pytest.raises(MissingFileError, match=r"raw/typo\.parquet") as caught:
        await landed()
    assert isinstance(caught.value, FileNotFoundError)
    assert "missing_ok=True" in str(caught.value)
    relation = await DataArtifact("landed.parquet").query()
    assert relation is not None
    assert relation.fetchall() == [(1,)]


async def test_a_file_that_may_be_missing_gives_no_rows(base: Path) -> None:
    @asset("x.parquet")
    def x() -> Any:
        yield DataArtifact("raw/none.json", missing_ok=True)
        yield ROWS
        yield [DataArtifact("raw/none.json", missing_ok=True)]

    assert (await x.query()).fetchall() == [(1,)]


async def test_an_artifact_whose_data_has_no_rows_is_not_missing(base: Path) -> None:
    @asset("x.parquet")
    def x() -> Any:
        yield ROWS
        yield DataArtifact("pages/empty.json", [])
        yield [DataArtifact("pages/empty.json", [])]

    assert (await x.query()).fetchall() == [(1,)]


async def test_an_artifact_that_was_persisted_without_rows_is_not_missing(base: Path) -> None:
    @asset("x.parquet")
    async def x() -> Any:
        yield ROWS
        page = DataArtifact("pages/empty.json", [])
        await page.persist()
        yield page

    assert (await x.query()).fetchall() == [(1,)]


async def test_a_page_without_rows_does_not_bring_back_those_of_an_earlier_run(base: Path) -> None:
    page: Any = [{"id": 7}]

    @asset("x.parquet")
    def x() -> Any:
        yield ROWS
        yield DataArtifact("pages/one.json", page)

    assert (await x.query()).fetchall() == [(1,), (7,)]
    page = []
    assert (await x.query()).fetchall() == [(1,)]


async def test_data_of_an_artifact_in_a_list_is_never_lost(base: Path) -> None:
    @asset("x.parquet")
    def x() -> Any:
        return [DataArtifact(f"pages/{n}.json", [{"id": n}]) for n in range(2)]

    assert (await x.query()).fetchall() == [(0,), (1,)]


async def test_data_of_an_artifact_is_written_also_where_an_older_file_was_looked_for(base: Path) -> None:
    await DataArtifact("a.json", [{"id": 1}]).persist()
    newer = DataArtifact("a.json", [{"id": 2}])
    assert await newer.exists()
    assert await newer.persist()
    relation = await newer.query()
    assert relation is not None
    assert relation.fetchall() == [(2,)]


@pytest.mark.parametrize("filetype", [None, "json"])
async def test_none_between_pages_is_no_missing_file(base: Path, filetype: str | None) -> None:
    made = asset("x.parquet", artifact_filetype=filetype) if filetype else asset("x.parquet")

    @made
    def x() -> Any:
        yield None
        yield ROWS
        yield []

    assert (await x.query()).fetchall() == [(1,)]


async def test_an_asset_that_made_no_result_is_no_missing_file(base: Path) -> None:
    @asset("none.parquet")
    def none() -> Any:
        return None

    @asset("x.parquet")
    async def x() -> Any:
        yield ROWS
        yield none
        yield await none()

    assert (await x.query()).fetchall() == [(1,)]


async def test_a_missing_file_among_several_is_never_left_out_of_a_query(base: Path) -> None:
    await DataArtifact("there.json", ROWS).persist()
    both = [DataArtifact("there.json"), DataArtifact("gone.json")]
    with pytest.raises(MissingFileError, match=r"gone\.json"):
        await DataArtifactQuery(both).query()
    for lenient in (
        DataArtifactQuery(both, missing_ok=True),
        DataArtifactQuery([both[0], DataArtifact("gone.json", missing_ok=True)]),
    ):
        relation = await lenient.query()
        assert relation is not None
        assert relation.fetchall() == [(1,)]


async def test_a_missing_file_asked_for_by_itself_is_none(base: Path) -> None:
    assert await DataArtifact("gone.json").query() is None
    assert not await DataArtifact("gone.json").exists()
    assert await DataArtifactQuery([DataArtifact("gone.json")]).query() is None


async def test_a_missing_file_as_a_table_of_a_query_is_told_by_its_path(base: Path) -> None:
    await DataArtifact("there.json", ROWS).persist()
    with pytest.raises(MissingFileError, match=r"gone\.json"):
        await DataArtifact("there.json").query("SELECT * FROM other", tables={"other": DataArtifact("gone.json")})


@pytest.mark.parametrize("format", ["csv", "json"])
async def test_a_file_without_bytes_adds_no_column(base: Path, format: str) -> None:
    await DataArtifact(f"full.{format}", [{"a": 1}]).persist()
    (base / f"empty.{format}").touch()
    names = [f"empty.{format}", f"full.{format}"]
    found = await DataArtifactQuery([DataArtifact(name) for name in names]).query()
    assert (found.columns, found.fetchall()) == (["a"], [(1,)])

    @asset("x.parquet")
    def x() -> Any:
        yield from (DataArtifact(name) for name in names)

    found = await x.query()
    assert (found.columns, found.fetchall()) == (["a"], [(1,)])
