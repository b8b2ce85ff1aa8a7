"""Files that are large enough for DuckDB to read one of them with several threads."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from mad_prefect_core.duckdb_files import register_mad

pytestmark = pytest.mark.large

QUERIES = {
    "parquet": 20,
    "csv": 10,
    "json": 10,
}  # an ordinary file object fails about every third Parquet query of 60 MB
MEGABYTES = 250 if os.environ.get("MAD_PREFECT_FAULTS") == "long" else 60
ROWS = {"parquet": 20_000, "csv": 16_000, "json": 10_000}  # of a megabyte
QUERY = "SELECT count(*), sum(id), sum(v), sum(hash(s) % 1000000), min(s), max(s), sum(length(s)) FROM read_{}($1)"


@pytest.mark.parametrize("kind", ROWS)
def test_s47_a_large_file_reads_the_same_through_mad_as_natively_every_time(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{tmp_path}")
    path, query = tmp_path / f"x.{kind}", QUERY.format(kind)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT i AS id, hash(i) % 1000000 AS v, md5(i::VARCHAR) AS s, hash(i, 7) / 2.0 AS r"
            f" FROM range({ROWS[kind] * MEGABYTES}) t(i)) TO $path",
            {"path": str(path)},
        )
        assert 0.8 < path.stat().st_size / MEGABYTES / 1e6 < 1.2
        expected = connection.sql(query, params=[str(path)]).fetchall()
        register_mad(connection)
        for _ in range(QUERIES[kind]):
            assert connection.sql(query, params=[f"mad://{path.name}"]).fetchall() == expected
    path.unlink()
