"""How DuckDB reads Google Cloud Storage: by few requests, each for bytes of one generation."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import duckdb

from mad_prefect_core import asset
from mad_prefect_core.session import DuckSession
from mad_prefect_core.stores import staged_file
from mad_prefect_gcs import GCSStorage, GCSStore

STORAGE = GCSStorage()


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
    for turn in range(2):
        with DuckSession() as session:
            files = GCSStore(fs).duckdb_files(session, [path])
            assert session.sql("SELECT sum(n) FROM read_parquet($1)", [files]).fetchall() == [(499500,)]
        [request] = bucket.proxy.requests
        unless = f"ifGenerationNotMatch={bucket.held.objects['x.parquet'].generation}"
        assert (unless in request.query) == (turn == 1)
        bucket.proxy.count()


def test_a_point_query_of_a_large_object_reads_its_end_and_little_more(bucket: Any) -> None:
    fs = bucket.fs()
    path = stored(bucket, fs, "SELECT range AS n, hash(range) AS h FROM range(1000000)")
    with DuckSession() as session:
        files = GCSStore(fs).duckdb_files(session, [path])
        found = session.sql("SELECT h FROM read_parquet($1) WHERE n = 654321", [files]).fetchall()
    assert found == [(duckdb.sql("SELECT hash(654321::BIGINT)").fetchall()[0][0],)]
    seen = asked(bucket)
    assert set(seen) == {"GET"}
    assert seen["GET"] <= 3


def test_every_read_of_a_query_names_the_generation_that_it_was_made_on(bucket: Any) -> None:
    fs = bucket.fs()
    path = stored(bucket, fs, "SELECT range AS n, hash(range) AS h FROM range(300000)")
    with DuckSession() as session:
        files = GCSStore(fs).duckdb_files(session, [path])
        bucket.proxy.count()
        assert len(set(session.sql("SELECT h FROM read_parquet($1)", [files]).fetchall())) == 300000
    assert bucket.proxy.requests
    generation = bucket.held.objects["x.parquet"].generation
    assert all(f"generation={generation}" in request.query for request in bucket.proxy.requests)


def test_a_cached_call_of_what_this_process_wrote_takes_two_requests_its_query_included(based: Any) -> None:
    @asset("x.parquet", cache_expiration=dt.timedelta(hours=1))
    def numbers() -> Any:
        return [{"id": n} for n in range(10)]

    numbers.query_sync()
    asked(based)
    assert numbers.query_sync("WHERE id = 3").fetchall() == [(3,)]
    assert sum(asked(based).values()) == 2
