from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mad_prefect_avro import AvroFormat
from mad_prefect_core.contracts import Format
from mad_prefect_core.paths import escape_glob
from mad_prefect_core.session import DuckSession, schema_of
from mad_prefect_csv import CsvFormat
from mad_prefect_json import JsonFormat
from mad_prefect_parquet import ParquetFormat

FORMATS: dict[str, Format] = {
    "json": JsonFormat(),
    "parquet": ParquetFormat(),
    "csv": CsvFormat(),
    "avro": AvroFormat(),
}


@pytest.fixture(scope="session")
def formats() -> dict[str, Format]:
    return FORMATS


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


@pytest.fixture(scope="module")
def session() -> Iterator[DuckSession]:
    """As the core gives it to a format that writes."""
    with DuckSession.for_writing() as session:
        yield session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that tests of one module share, so that hypothesis may use it."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def scan(session: DuckSession) -> Callable[..., duckdb.DuckDBPyRelation]:
    """Reads one file, or several, with the read options given as keywords."""

    def scan(
        format: Format, *paths: Path, schema: dict[str, str] | None = None, suffix: str | None = None, **options: Any
    ) -> duckdb.DuckDBPyRelation:
        files = [escape_glob(str(path)) for path in paths]
        suffix = suffix or format.suffixes[0]
        return format.scan(session, files, format.read_options(**options), suffix=suffix, schema=schema)

    return scan


@pytest.fixture(scope="module")
def export(session: DuckSession) -> Callable[..., dict[str, str]]:
    """Exports the rows of a query, or of anything that speaks Arrow; returns their schema."""

    def export(format: Format, source: Any, path: Path, suffix: str | None = None, **options: Any) -> dict[str, str]:
        view = session.view(session.sql(source) if isinstance(source, str) else source)
        try:
            schema = schema_of(session.sql(f"FROM {view}"))
            suffix = suffix or format.suffixes[0]
            format.export(session, view, schema, path, format.write_options(**options), suffix=suffix)
        finally:
            session.forget(view)
        return schema

    return export


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Real files that nobody here wrote. They are not part of this repository."""
    path = Path(__file__).parents[3] / "shared" / "corpus"
    if not path.is_dir():
        pytest.skip("the corpus of real files is not beside the repository")
    return path
