"""Files that an asset's run has written, read by their path: every value has the type that the run recorded."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import DataArtifact, DataArtifactQuery, asset
from mad_prefect_csv import ReadCSVOptions, WriteCSVOptions
from mad_prefect_json import ReadJsonOptions

ROWS = [
    {
        "limit": math.inf,
        "least": -math.inf,
        "since": "epoch",
        "word": "Infinity",
        "zip": "01234",
        "flag": "T",
        "day": "10-1-1",
        "bytes": b"\x00\xff",
        "price": Decimal("12345678901234567890.10"),
        "moment": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        "nothing": None,
    }
]


def _asset(path: str, rows: Any = ROWS, **options: Any) -> Any:
    @asset(path, **options)
    def orders() -> Any:
        return rows

    return orders


async def _by_path(path: str, **options: Any) -> Any:
    relation = await DataArtifact(path, **options).query()
    assert relation is not None
    return relation


@pytest.mark.parametrize("path", ["bronze/x.json", "x.csv", "x.json.gz", "x.tsv", "x.parquet", "x.avro"])
async def test_a_result_read_by_its_path_is_what_its_asset_gives(base: Path, path: str) -> None:
    queried = await _asset(path).query()
    for name in (path, f"/{path}", f"file://{base}/{path}"):
        found = await _by_path(name)
        assert (found.columns, found.types) == (queried.columns, queried.types)
        assert found.fetchall() == queried.fetchall() == [tuple(ROWS[0].values())]


async def test_each_of_several_results_is_known_by_its_path(base: Path) -> None:
    queried = await _asset("x.json|csv").query()
    for path in ("x.json", "x.csv"):
        found = await _by_path(path)
        assert (found.types, found.fetchall()) == (queried.types, queried.fetchall())


async def test_a_csv_result_is_read_as_it_was_written(base: Path) -> None:
    await _asset("x.csv", write_options=WriteCSVOptions(delim=";", nullstr="nil"))()
    assert (await _by_path("x.csv")).fetchall() == [tuple(ROWS[0].values())]


async def test_an_asset_that_yields_a_result_by_path_keeps_its_values(base: Path) -> None:
    await _asset("bronze/x.csv")()

    @asset("silver/x.parquet")
    def silver() -> Any:
        yield DataArtifact("bronze/x.csv")

    relation = await silver.query()
    assert relation.fetchall() == [tuple(ROWS[0].values())]


async def test_results_by_path_meet_in_one_query_by_their_types(base: Path) -> None:
    await _asset("a.csv", [{"zip": "01234"}], name="a")()
    await _asset("b.csv", [{"zip": "12345"}], name="b", read_csv_options=ReadCSVOptions(auto_detect=False))()
    relation = await DataArtifactQuery([DataArtifact("a.csv"), DataArtifact("b.csv")]).query("ORDER BY zip")
    assert relation is not None
    assert relation.fetchall() == [("01234",), ("12345",)]


async def test_a_later_run_is_read_with_its_own_types(base: Path) -> None:
    rows: Any = [{"v": "01234"}]

    @asset("x.csv")
    def x() -> Any:
        return rows

    await x()
    assert (await _by_path("x.csv")).fetchall() == [("01234",)]
    rows = [{"v": math.inf}]
    await x()
    assert (await _by_path("x.csv")).fetchall() == [(math.inf,)]


async def test_a_file_that_others_put_at_the_path_is_read_as_one_of_others(base: Path) -> None:
    await _asset("x.csv", [{"zip": "01234"}])()
    (base / "x.csv").unlink()
    (base / "x.csv").write_text("name\nAda\n")
    found = await _by_path("x.csv")
    assert (found.columns, found.fetchall()) == (["name"], [("Ada",)])


async def test_read_options_go_before_what_is_recorded(base: Path) -> None:
    await _asset("x.csv", [{"n": 1}])()
    assert (await _by_path("x.csv", read_csv_options=ReadCSVOptions(all_varchar=True))).fetchall() == [("1",)]
    await _asset("x.json", [{"v": math.inf}], name="j")()
    lenient = ReadJsonOptions(maximum_object_size=1 << 20)
    assert (await _by_path("x.json", read_json_options=lenient)).fetchall() == [(math.inf,)]


async def test_options_of_one_artifact_count_in_a_query_over_several(base: Path) -> None:
    (base / "a.csv").write_text("n;m\n1;2\n")
    (base / "b.csv").write_text("n,m\n3,4\n")
    artifacts = [DataArtifact("a.csv", read_csv_options=ReadCSVOptions(delim=";")), DataArtifact("b.csv")]
    relation = await DataArtifactQuery(artifacts).query("ORDER BY n")
    assert relation is not None
    assert relation.fetchall() == [(1, 2), (3, 4)]


async def test_folders_of_a_result_by_path_are_columns_as_ever(base: Path) -> None:
    await _asset("region=eu/x.csv", [{"zip": "01234"}])()
    found = await _by_path("region=eu/x.csv")
    assert (found.columns, found.fetchall()) == (["zip", "region"], [("01234", "eu")])


def _index(base: Path) -> list[Path]:
    return list((base / "_asset_metadata" / "_paths").iterdir())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"path_version": "1", "asset_name": "../..", "asset_id": "x"}',
        b'{"path_version": "1", "asset_name": "other", "asset_id": "0"}',
        b'{"path_version": "2", "asset_name": "x", "asset_id": "x"}',
    ],
)
async def test_a_forged_or_torn_note_leads_nowhere(base: Path, body: bytes) -> None:
    await _asset("x.csv", [{"n": 1}])()
    (note,) = (path for path in _index(base) if path.suffix == ".json" and not path.name.startswith("."))
    note.write_bytes(body)
    assert (await _by_path("x.csv")).fetchall() == [(1,)]


async def test_a_lake_without_notes_is_read_as_before_and_noted_by_the_next_run(base: Path) -> None:
    orders = _asset("x.csv", [{"v": math.inf}])
    await orders()
    manifest = next((base / "_asset_metadata").rglob("manifest.json"))
    manifest.write_text(manifest.read_text().replace('"indexed": true', '"indexed": false'))
    for path in _index(base):
        path.unlink()
    assert (await _by_path("x.csv")).columns == ["v"]
    await orders()
    assert (await _by_path("x.csv")).fetchall() == [(math.inf,)]


async def test_a_second_run_writes_no_second_note(base: Path) -> None:
    orders = _asset("x.csv", [{"n": 1}])
    await orders()
    before = {path: path.stat().st_mtime_ns for path in _index(base)}
    await orders()
    assert {path: path.stat().st_mtime_ns for path in _index(base)} == before
