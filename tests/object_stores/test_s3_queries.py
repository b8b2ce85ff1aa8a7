"""How DuckDB reads S3 by its own extension."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from stored import stored

from mad_prefect_core.errors import OptionError
from mad_prefect_core.session import DuckSession
from mad_prefect_s3 import S3Storage, S3Store

STORAGE = S3Storage()


@pytest.fixture
def server(moto_server: Any) -> Any:
    return moto_server


@pytest.fixture
def httpfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extension, where a package has brought it: nothing is downloaded."""
    found = importlib.util.find_spec("duckdb_extension_httpfs")
    if found is None or found.origin is None:
        pytest.skip("the package duckdb-extension-httpfs is not installed")
    binary = Path(found.origin).parent / f"extensions/v{duckdb.__version__}/httpfs.duckdb_extension"
    if not binary.is_file():
        pytest.skip(f"the package duckdb-extension-httpfs has no extension for DuckDB {duckdb.__version__}")
    platform = duckdb.sql("PRAGMA platform").fetchall()[0][0]
    folder = tmp_path / f".duckdb/extensions/v{duckdb.__version__}/{platform}"
    folder.mkdir(parents=True)
    shutil.copyfile(binary, folder / binary.name)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_httpfs_reads_with_a_secret_for_the_bucket_that_nobody_else_sees_in_clear(httpfs: None, bucket: Any) -> None:
    fs = bucket.fs(duckdb="httpfs")
    path = stored(bucket, fs, "SELECT range AS n FROM range(1000)")
    with DuckSession() as session:
        files = S3Store(fs).duckdb_files(session, [path])
        assert files == [f"s3://{path}"]
        assert session.sql("SELECT sum(n) FROM read_parquet($1)", [files]).fetchall() == [(499500,)]
        secrets = str(session.sql("SELECT secret_string FROM duckdb_secrets()").fetchall())
    assert bucket.name in secrets
    assert bucket.server.secret not in secrets


def test_httpfs_that_is_not_installed_is_an_error_that_says_what_to_do(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DuckSession() as session:
        if session.sql("FROM duckdb_extensions() WHERE extension_name = 'httpfs' AND loaded").fetchall():
            pytest.skip("httpfs is loaded in this process")
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(OptionError, match="INSTALL httpfs"):
            S3Store(bucket.fs(duckdb="httpfs")).duckdb_files(session, [bucket.path("x")])
