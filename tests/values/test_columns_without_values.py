"""Columns that never had a value: they take any type where they meet one, and lose nothing by having none."""

from __future__ import annotations

import asyncio
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mad_prefect_core import DataArtifact, DataArtifactQuery, asset

FORMATS = ("json", "parquet", "csv", "avro")
VALUES: dict[str, Any] = {
    "integer": (7, "BIGINT"),
    "float": (1.5, "DOUBLE"),
    "text": ("x", "VARCHAR"),
    "boolean": (True, "BOOLEAN"),
    "bytes": (b"\x00", "BLOB"),
    "list": ([1], "BIGINT[]"),
    "dict": ({"a": 1}, "STRUCT(a BIGINT)"),
}


def _asset(path: str, **options: Any) -> Any:
    @asset(path, **options)
    def part(value: Any) -> Any:
        return [{"id": 1, "v": value}]

    return part


@pytest.mark.parametrize(("fragment", "result"), [*product(FORMATS, FORMATS)])
async def test_a_column_without_values_is_null_and_of_no_type(base: Path, fragment: str, result: str) -> None:
    part = _asset(f"x.{result}", artifact_filetype=fragment)
    found = await part.with_arguments(None).query()
    assert (found.columns, found.fetchall()) == (["id", "v"], [(1, None)])
    assert str(found.types[1]) in ('"NULL"', "INTEGER")  # DuckDB 1.5 has no such type in results
    assert found.aggregate("count(v), max(v)").fetchall() == [(0, None)]
    assert found.to_arrow_table().column("v").null_count == 1


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kind", VALUES)
async def test_results_of_several_arguments_have_the_type_of_those_with_values(
    base: Path, kind: str, suffix: str
) -> None:
    value, expected = VALUES[kind]
    part = _asset(f"part_{{value}}.{suffix}") if kind == "integer" else None
    one, other = _asset(f"a.{suffix}", name="a"), _asset(f"b.{suffix}", name="b")
    parts = [one.with_arguments(None), other.with_arguments(value)]
    if part is not None:
        parts = [part.with_arguments(None), part.with_arguments(value)]
    results = await asyncio.gather(*(part() for part in parts))
    for order in (results, results[::-1]):
        relation = await DataArtifactQuery(list(order)).query("SELECT v FROM data ORDER BY v NULLS FIRST")
        assert relation is not None
        assert list(map(str, relation.types)) == [expected]
        assert relation.fetchall() == [(None,), (value,)]


@pytest.mark.parametrize("suffix", FORMATS)
async def test_lists_and_dicts_that_were_empty_meet_full_ones(base: Path, suffix: str) -> None:
    pages = ({"l": [], "d": {}, "s": {"m": None}}, {"l": ["x"], "d": {"k": 1}, "s": {"m": 2.5}})
    results = []
    for number, page in enumerate(pages):

        @asset(f"{number}.{suffix}", name=str(number))
        def part(page: Any = page) -> Any:
            return [page]

        results.append(await part())
    relation = await DataArtifactQuery(results).query()
    assert relation is not None
    assert list(map(str, relation.types)) == ["VARCHAR[]", "STRUCT(k BIGINT)", "STRUCT(m DOUBLE)"]
    assert relation.fetchall() == [([], {"k": None}, {"m": None}), (["x"], {"k": 1}, {"m": 2.5})]


async def test_a_map_of_nothing_keeps_its_keys(base: Path) -> None:
    table = pa.table({"m": pa.array([[("k", None)]], pa.map_(pa.string(), pa.null()))})
    pq.write_table(table, base / "m.parquet")
    pq.write_table(pa.table({"m": [{"a": 1}]}), base / "s.parquet")
    with pytest.raises(Exception, match="'m'"):
        await DataArtifactQuery([DataArtifact("m.parquet"), DataArtifact("s.parquet")]).query()


async def test_an_asset_that_yields_a_result_without_values_gives_it_the_type_of_others(base: Path) -> None:
    one = _asset("a.parquet", name="a")

    @asset("all.parquet")
    async def both() -> Any:
        yield await one(None)
        yield [{"id": 2, "v": "late"}]

    relation = await both.query()
    assert list(map(str, relation.types)) == ["BIGINT", "VARCHAR"]
    assert relation.fetchall() == [(1, None), (2, "late")]


async def test_json_files_of_others_without_values_meet_typed_ones(base: Path) -> None:
    (base / "none.json").write_text('{"id": 1, "v": null}\n')
    pq.write_table(pa.table({"id": [2], "v": ["x"]}), base / "some.parquet")
    relation = await DataArtifactQuery([DataArtifact("none.json"), DataArtifact("some.parquet")]).query()
    assert relation is not None
    assert relation.fetchall() == [(1, None), (2, "x")]


async def test_a_diff_compares_a_column_without_values_by_the_type_of_the_other_run(base: Path) -> None:
    rows: Any = [{"id": 1, "v": None}, {"id": 2, "v": None}]

    @asset("x.parquet", snapshot_artifacts=True)
    def x() -> Any:
        return rows

    await x()
    rows = [{"id": 1, "v": 1.5}, {"id": 2, "v": None}]
    await x()
    newest, before = (await x.history())[:2]
    found = await x.diff(before, newest, key="id")
    assert found.columns_changed == {}
    assert found.changed is not None
    assert found.changed.fetchall() == [(1, {"v": None}, {"v": 1.5})]
