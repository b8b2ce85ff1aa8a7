"""Read options of 2.x beside rows of the asset's own: they do what they say, or are refused with the way to get it."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_avro.options import ReadAvroOptions
from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.contracts import ReadOptions
from mad_prefect_core.errors import OptionError
from mad_prefect_csv.options import ReadCSVOptions
from mad_prefect_json.options import ReadJsonOptions
from mad_prefect_parquet.options import ReadParquetOptions

ONLY_FOR_FILES: list[ReadOptions] = [
    ReadJsonOptions(timestampformat="%d/%m/%Y %H:%M"),
    ReadJsonOptions(dateformat="%d/%m/%Y"),
    ReadJsonOptions(maximum_depth=1),
    ReadJsonOptions(records="false"),
    ReadJsonOptions(filename=True),
    ReadJsonOptions(compression="gzip"),
    ReadJsonOptions(union_by_name=False),
    ReadCSVOptions(nullstr="NA"),
    ReadCSVOptions(null=["NA", "-"]),
    ReadCSVOptions(skip=1),
    ReadCSVOptions(header=False),
    ReadCSVOptions(delim=";"),
    ReadCSVOptions(dateformat="%d/%m/%Y"),
    ReadCSVOptions(timestamp_format="%d/%m/%Y"),
    ReadCSVOptions(decimal_separator=","),
    ReadCSVOptions(types=["VARCHAR"]),
    ReadCSVOptions(column_names=["a", "b"]),
    ReadParquetOptions(binary_as_string=True),
    ReadAvroOptions(avro_schema={"type": "record", "name": "r", "fields": []}),
]
SAME_FOR_ROWS: list[ReadOptions] = [
    ReadJsonOptions(timestampformat="%Y-%m-%d %H:%M:%S", dateformat="%Y-%m-%d"),
    ReadJsonOptions(sample_size=10, ignore_errors=True, maximum_object_size=1 << 24, hive_partitioning=False),
    ReadCSVOptions(sample_size=10, ignore_errors=True, null_padding=True, parallel=False, header=True),
    ReadCSVOptions(dateformat="%Y-%m-%d", timestampformat="%Y-%m-%dT%H:%M:%S"),
]


def _format(options: ReadOptions) -> str:
    return type(options).__name__.removeprefix("Read").removesuffix("Options").lower()


def _id(options: ReadOptions) -> str:
    return f"{_format(options)} {options.explicit()}"


@pytest.mark.parametrize("options", ONLY_FOR_FILES, ids=_id)
def test_an_option_that_would_do_nothing_to_own_rows_is_refused_by_name(base: Path, options: ReadOptions) -> None:
    @asset("x.parquet", name="x", artifact_filetype=_format(options), read_options=options)
    def x() -> Any:
        return [{"a": "NA", "b": "31/12/2024"}]

    [name] = options.explicit()
    with pytest.raises(OptionError, match=rf"{name}=.*would do nothing to rows.*asset 'x'.*DataArtifact"):
        x.call_sync()
    with pytest.raises(OptionError, match=rf"{name}="):
        asyncio.run(DataArtifact(f"y.{_format(options)}", [{"a": 1}], read_options=options).persist())


@pytest.mark.parametrize("options", SAME_FOR_ROWS, ids=_id)
def test_an_option_that_changes_nothing_for_own_rows_is_accepted(base: Path, options: ReadOptions) -> None:
    @asset("x.parquet", name="x", artifact_filetype=_format(options), read_options=options)
    def x() -> Any:
        return [{"day": "2024-12-31", "at": "2024-12-31 10:00:00"}]

    assert x.query_sync().fetchall() == [(dt.date(2024, 12, 31), dt.datetime(2024, 12, 31, 10))]


def test_an_option_for_files_is_used_for_the_files_of_others_that_are_yielded(base: Path) -> None:
    (base / "theirs.csv").write_text("left out\na;b\nNA;1\n")

    @asset("x.parquet", name="x", read_csv_options=ReadCSVOptions(skip=1, delim=";", nullstr="NA"))
    def x() -> Any:
        yield DataArtifact("theirs.csv")
        yield [{"a": "NA", "b": 2}]

    assert x.query_sync("ORDER BY b").fetchall() == [(None, 1), ("NA", 2)]


@pytest.mark.parametrize("options", [ReadJsonOptions(), ReadCSVOptions(), ReadParquetOptions(), ReadAvroOptions()])
def test_read_options_are_no_write_options(base: Path, options: ReadOptions) -> None:
    with pytest.raises(OptionError, match="is not a write options object"):
        asset("x.parquet", name="x", write_options=options)(list)
