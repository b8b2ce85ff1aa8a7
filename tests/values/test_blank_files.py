"""Files of others with bytes, but without rows and columns, such as the last page of an API: they add nothing."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import DataArtifact, DataArtifactQuery, asset
from mad_prefect_core.errors import NoResultError
from mad_prefect_csv import ReadCSVOptions
from mad_prefect_json import JsonFormat, ReadJsonOptions

BLANK = {
    "nothing": b"",
    "list": b"[]",
    "spaced list": b" [ \n ]\n",
    "mark and list": b"\xef\xbb\xbf[]",
    "space": b"\n ",
}
DOORS: dict[str, Callable[[list[DataArtifact]], Any]] = {
    "returned": lambda files: files,
    "yielded": lambda files: (yield from files),
}


def _asset(path: str, door: str, files: list[DataArtifact]) -> Any:
    return asset(path, name=door)(lambda: DOORS[door](files))


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("content", BLANK)
async def test_a_page_without_rows_adds_no_column(base: Path, content: str, order: int) -> None:
    (base / "full.json").write_bytes(b'[{"a": 1}]')
    (base / "blank.json").write_bytes(BLANK[content])
    files = [DataArtifact("full.json"), DataArtifact("blank.json")][::order]
    found = await DataArtifactQuery(files).query()
    assert found is not None
    assert (found.columns, found.fetchall()) == (["a"], [(1,)])
    for door in DOORS:
        found = await _asset("out.json", door, files).query()
        assert (found.columns, found.fetchall()) == (["a"], [(1,)])


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("content", BLANK)
async def test_a_run_of_such_pages_alone_has_no_rows_and_keeps_the_columns_known(
    base: Path, content: str, door: str
) -> None:
    made = _asset("out.parquet", door, [DataArtifact("page.json.gz")])
    (base / "page.json.gz").write_bytes(gzip.compress(BLANK[content]))
    with pytest.raises(NoResultError):
        await made.query()
    (base / "page.json.gz").write_bytes(gzip.compress(b'[{"a": 1}]'))
    assert (await made.query()).fetchall() == [(1,)]
    (base / "page.json.gz").write_bytes(gzip.compress(BLANK[content]))
    found = await made.query()
    assert (found.columns, found.fetchall()) == (["a"], [])


@pytest.mark.parametrize(("content", "blank"), [(b"[]", True), (b"[{}]", False), (b"", False)])
async def test_a_format_that_tells_blank_files_is_asked_though_its_files_have_their_schema(
    base: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, blank: bool
) -> None:
    has_schema = dataclasses.replace(JsonFormat.capabilities, schema_in_file=True)
    monkeypatch.setattr(JsonFormat, "capabilities", has_schema)
    monkeypatch.setattr(JsonFormat, "is_blank", lambda self, content, options, *, suffix: content == b"[]")
    (base / "page.json").write_bytes(content)
    assert await DataArtifact("page.json").is_blank() is blank


@pytest.mark.parametrize("content", [b"[1]", b"[null]", b"[[]]", b'""', b"[{}]", b"[\xff]", b"[", b"]"])
async def test_what_is_no_empty_list_is_not_passed_over(base: Path, content: bytes) -> None:
    (base / "page.json").write_bytes(content)
    assert not await DataArtifact("page.json").is_blank()


async def test_text_of_a_csv_file_that_looks_like_an_empty_list_is_its_header(base: Path) -> None:
    (base / "page.csv").write_bytes(b"[]\n")
    assert not await DataArtifact("page.csv").is_blank()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("form", ["newline_delimited", "unstructured"])
async def test_an_empty_list_is_a_row_where_the_user_says_that_each_value_is_one(
    base: Path, form: str, door: str
) -> None:
    (base / "page.json").write_bytes(b"[]")
    page = DataArtifact("page.json", read_json_options=ReadJsonOptions(format=form, records="false"))
    assert (await _asset("out.parquet", door, [page]).query()).fetchall() == [([],)]


@pytest.mark.parametrize("door", DOORS)
async def test_blank_lines_are_rows_of_the_one_column_that_the_user_names(base: Path, door: str) -> None:
    (base / "page.csv").write_bytes(b"\n\n")
    given = ReadCSVOptions(auto_detect=False, header=False, columns={"a": "VARCHAR"})
    found = await _asset("out.parquet", door, [DataArtifact("page.csv", read_csv_options=given)]).query()
    assert (found.columns, found.fetchall()) == (["a"], [(None,), (None,)])


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("given", [{"columns": {"a": "DATE"}}, {"column_names": ["a"]}])
async def test_a_csv_file_of_blank_lines_has_the_columns_that_the_user_names(base: Path, given: Any, door: str) -> None:
    (base / "page.csv").write_bytes(b"\n\n")
    page = DataArtifact("page.csv", read_csv_options=ReadCSVOptions(**given))
    found = await _asset("out.parquet", door, [page]).query()
    assert (found.columns, found.fetchall()) == (["a"], [])
