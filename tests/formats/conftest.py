from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mad_prefect_avro import AvroFormat
from mad_prefect_core.contracts import FormatLike, ReadContext, WriteContext
from mad_prefect_core.paths import escape_glob
from mad_prefect_core.reading import read_files
from mad_prefect_core.session import DuckSession, schema_of
from mad_prefect_csv import CsvFormat
from mad_prefect_json import JsonFormat
from mad_prefect_parquet import ParquetFormat

FORMATS: dict[str, FormatLike[Any, Any]] = {
    "json": JsonFormat(),
    "parquet": ParquetFormat(),
    "csv": CsvFormat(),
    "avro": AvroFormat(),
}


@pytest.fixture(scope="session")
def formats() -> dict[str, FormatLike[Any, Any]]:
    return FORMATS


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> FormatLike[Any, Any]:
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
        format: FormatLike[Any, Any],
        *paths: Path,
        schema: dict[str, str] | None = None,
        suffix: str | None = None,
        **options: Any,
    ) -> duckdb.DuckDBPyRelation:
        files = [escape_glob(str(path)) for path in paths]
        suffix = suffix or format.suffixes[0]
        read = format.read_options(**options)
        return read_files(format, files, ReadContext(session=session, options=read, suffix=suffix, schema=schema))

    return scan


@pytest.fixture(scope="module")
def export(session: DuckSession) -> Callable[..., dict[str, str]]:
    """Exports the rows of a query, or of anything that speaks Arrow; returns their schema."""

    def export(
        format: FormatLike[Any, Any], source: Any, path: Path, suffix: str | None = None, **options: Any
    ) -> dict[str, str]:
        view = session.view(session.sql(source) if isinstance(source, str) else source)
        try:
            schema = schema_of(session.sql(f"FROM {view}"))
            suffix = suffix or format.suffixes[0]
            write = WriteContext(session=session, options=format.write_options(**options), suffix=suffix)
            format.write(view, schema, path, write)
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
