"""How DuckDB reads S3: few requests, whichever way."""

from __future__ import annotations

import datetime as dt
import importlib.util
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mad_prefect_core import asset
from mad_prefect_core.errors import OptionError
from mad_prefect_core.session import DuckSession
from mad_prefect_core.stores import staged_file
from mad_prefect_s3 import S3Storage, S3Store

STORAGE = S3Storage()


def stored(bucket: Any, fs: Any, query: str) -> str:
    """The path of a query's Parquet file that somebody else wrote: what a client wrote itself, it has not to read."""
    staged = staged_file(bucket.path("x.parquet"))
    with DuckSession() as session:
        session.execute(f"COPY ({query}) TO $path (FORMAT parquet)", {"path": str(staged)})
    return str(bucket.put("x.parquet", staged.read_bytes()))


def asked(bucket: Any) -> Counter[str]:
    seen = Counter(request.method for request in bucket.proxy.requests)
    bucket.proxy.count()
    return seen


def test_a_small_object_is_read_by_one_request_and_again_by_one_without_a_body(bucket: Any) -> None:
    fs = bucket.fs()
    path = stored(bucket, fs, "SELECT range AS n FROM range(1000)")
    for _ in range(2):
        with DuckSession() as session:
            files = S3Store(fs).duckdb_files(session, [path])
            assert session.sql("SELECT sum(n) FROM read_parquet($1)", [files]).fetchall() == [(499500,)]
            assert asked(bucket) == {"GET": 1}


def test_a_point_query_of_a_large_object_reads_its_end_and_little_more(bucket: Any) -> None:
    fs = bucket.fs()
    path = stored(bucket, fs, "SELECT range AS n, hash(range) AS h FROM range(1000000)")
    with DuckSession() as session:
        files = S3Store(fs).duckdb_files(session, [path])
        found = session.sql("SELECT h FROM read_parquet($1) WHERE n = 654321", [files]).fetchall()
    assert found == [(duckdb.sql("SELECT hash(654321::BIGINT)").fetchall()[0][0],)]
    seen = asked(bucket)
    assert set(seen) == {"GET"}
    assert seen["GET"] <= 3


def test_a_cached_call_of_what_this_process_wrote_takes_two_requests_its_query_included(based: Any) -> None:
    @asset("x.parquet", cache_expiration=dt.timedelta(hours=1))
    def numbers() -> Any:
        return [{"id": n} for n in range(10)]

    numbers.query_sync()
    asked(based)
    assert numbers.query_sync("WHERE id = 3").fetchall() == [(3,)]
    assert sum(asked(based).values()) == 2


def test_a_cached_point_query_of_a_million_rows_takes_four_requests_and_two_again(
    based: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset("x.parquet", cache_expiration=dt.timedelta(hours=1))
    def numbers() -> Any:
        return duckdb.sql("SELECT range AS id, hash(range) AS h, random() AS x FROM range(1000000)")

    numbers.call_sync()
    monkeypatch.setenv("AWS_EXECUTION_ENV", "another")  # another client, as that of another process
    asked(based)
    for requests in (4, 2):
        found = numbers.query_sync("WHERE id = 654321").fetchall()
        assert [row[0] for row in found] == [654321]
        assert sum(asked(based).values()) == requests


def test_many_files_are_looked_up_beside_each_other(bucket: Any) -> None:
    fs, paths = bucket.fs(), [bucket.put(f"{number}.json", b'{"id": 1}') for number in range(40)]
    under_way, most = [0], [0]
    ask, lock = bucket.proxy.ask, threading.Lock()

    def counting(*request: Any) -> Any:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        try:
            return ask(*request)
        finally:
            with lock:
                under_way[0] -= 1

    bucket.proxy.ask = counting
    with DuckSession() as session:
        files = S3Store(fs).duckdb_files(session, paths)
        assert session.sql("SELECT sum(id) FROM read_json($1)", [files]).fetchall() == [(40,)]
    assert most[0] > 1


# -- by DuckDB's own extension -----------------------------------------------------------------------------------------


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
