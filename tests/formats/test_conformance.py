"""Our formats hold to the contract that every format holds to."""

from __future__ import annotations

from pathlib import Path

import pytest

from mad_prefect_avro import AvroFormat, WriteAvroOptions
from mad_prefect_core.contracts import Format, Options
from mad_prefect_core.testing import FormatContract
from mad_prefect_csv import CsvFormat, WriteCSVOptions
from mad_prefect_json import JsonFormat
from mad_prefect_parquet import ParquetFormat

WRITTEN_BEFORE = Path(__file__).parent / "written_before"


class TestJson(FormatContract):
    @pytest.fixture
    def format(self) -> Format:
        return JsonFormat()

    @pytest.fixture
    def written_before(self) -> Path:
        return WRITTEN_BEFORE / "json"


class TestParquet(FormatContract):
    @pytest.fixture
    def format(self) -> Format:
        return ParquetFormat()

    @pytest.fixture
    def written_before(self) -> Path:
        return WRITTEN_BEFORE / "parquet"


class TestCsv(FormatContract):
    @pytest.fixture
    def format(self) -> Format:
        return CsvFormat()

    @pytest.fixture
    def written_before(self) -> Path:
        return WRITTEN_BEFORE / "csv"

    @pytest.fixture
    def write_variants(self) -> list[Options]:
        return [
            WriteCSVOptions(),
            WriteCSVOptions(delim=";"),
            WriteCSVOptions(header=False),
            WriteCSVOptions(nullstr="-"),
            WriteCSVOptions(quote="'", escape="\\"),
        ]


class TestAvro(FormatContract):
    @pytest.fixture
    def format(self) -> Format:
        return AvroFormat()

    @pytest.fixture
    def written_before(self) -> Path:
        return WRITTEN_BEFORE / "avro"

    @pytest.fixture
    def write_variants(self) -> list[Options]:
        return [
            WriteAvroOptions(),
            WriteAvroOptions(compression="zstandard", block_size=100),
            WriteAvroOptions(namespace=""),
        ]
