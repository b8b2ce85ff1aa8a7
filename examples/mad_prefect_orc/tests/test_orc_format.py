"""What every format promises, and what is this one's own."""

import asyncio
import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest
from mad_prefect_orc import OrcFormat, WriteOrcOptions
from pyarrow import orc

from mad_prefect_core import Settings, asset, use_settings
from mad_prefect_core.artifacts import DataArtifact
from mad_prefect_core.testing import FormatContract, readme_faults


class TestOrcFormat(FormatContract):
    @pytest.fixture
    def format(self) -> OrcFormat:
        return OrcFormat()


@pytest.fixture(autouse=True)
def base(tmp_path: Path):
    with use_settings(Settings(filesystem_url=f"file://{tmp_path}")):
        yield tmp_path


def test_the_readme_has_the_options_and_suffixes() -> None:
    readme = Path(__file__).parents[1] / "README.md"
    assert readme_faults(readme.read_text("utf-8"), OrcFormat()) == []


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "snappy", "zlib", "zstd"])
def test_other_tools_read_a_result(base: Path, compression: str) -> None:
    @asset("teas.orc", write_options=WriteOrcOptions(compression=compression))
    def teas():
        yield [{"tea": "Assam", "grams": 50, "picked": dt.datetime(2024, 2, 29, 12)}]
        yield [{"tea": "Ceylon", "grams": 100, "origin": {"country": "LK"}}]

    teas.call_sync()

    assert orc.read_table(base / "teas.orc").to_pylist() == [
        {"tea": "Assam", "grams": 50, "picked": dt.datetime(2024, 2, 29, 12), "origin": None},
        {"tea": "Ceylon", "grams": 100, "picked": None, "origin": {"country": "LK"}},
    ]


def test_columns_whose_names_have_points_are_themselves(base: Path) -> None:
    orc.write_table(pa.table({"x": [{"y": 1}], "x.y": [2], "y": [3]}), base / "points.orc")
    found = asyncio.run(DataArtifact("points.orc").query())
    assert found.project('"x.y", x.y').fetchall() == [(2, 1)]


def test_a_stripe_of_many_rows_that_are_alike_is_read_in_parts(base: Path) -> None:
    rows = 1_000_001
    table = pa.table({"same": pa.repeat("x", rows), "x.y": pa.nulls(rows, pa.int32()), "n": range(rows)})
    orc.write_table(table, base / "alike.orc")
    assert orc.ORCFile(base / "alike.orc").nstripes == 1
    found = asyncio.run(DataArtifact("alike.orc").query())
    assert found.aggregate('count(*), sum(n), count("x.y"), min(same)').fetchall() == [
        (rows, rows * (rows - 1) // 2, 0, "x")
    ]
    assert found.limit(1).fetchall() == [("x", None, 0)]
