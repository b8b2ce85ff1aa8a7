"""How DuckDB reads object stores: by few requests, each for bytes of one version."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import duckdb
import pytest
from http_proxy import Request
from stored import asked, stored

from mad_prefect_core import asset
from mad_prefect_core.sdk import ObjectStore
from mad_prefect_core.session import DuckSession


def test_a_small_object_is_read_by_one_request_and_again_by_one_without_a_body(bucket: Any) -> None:
    fs = bucket.fs()
    path = stored(bucket, fs, "SELECT range AS n FROM range(1000)")
    for _ in range(2):
        with DuckSession() as session:
            files = ObjectStore(fs).duckdb_files(session, [path])
            assert session.sql("SELECT sum(n) FROM read_parquet($1)", [files]).fetchall() == [(499500,)]
        assert asked(bucket) == {"GET": 1}


def test_a_point_query_of_a_large_object_reads_its_end_and_little_more(bucket: Any) -> None:
    fs = bucket.fs()
    path = stored(bucket, fs, "SELECT range AS n, hash(range) AS h FROM range(1000000)")
    with DuckSession() as session:
        files = ObjectStore(fs).duckdb_files(session, [path])
        found = session.sql("SELECT h FROM read_parquet($1) WHERE n = 654321", [files]).fetchall()
    assert found == [(duckdb.sql("SELECT hash(654321::BIGINT)").fetchall()[0][0],)]
    seen = asked(bucket)
    assert set(seen) == {"GET"}
    assert seen["GET"] <= 2 + bucket.requests_of_tail


def test_every_read_of_a_query_names_the_version_that_it_was_made_on(bucket: Any) -> None:
    fs = bucket.fs()
    path = stored(bucket, fs, "SELECT range AS n, hash(range) AS h FROM range(300000)")
    with DuckSession() as session:
        files = ObjectStore(fs).duckdb_files(session, [path])
        bucket.proxy.count()
        assert len(set(session.sql("SELECT h FROM read_parquet($1)", [files]).fetchall())) == 300000
    assert bucket.proxy.requests
    version = ObjectStore(fs).stat(path).token  # type: ignore[union-attr]
    bucket.proxy.requests.pop()
    assert all(bucket.pins(request, version) for request in bucket.proxy.requests)


def test_a_cached_call_of_what_this_process_wrote_takes_two_requests_its_query_included(based: Any) -> None:
    @asset("x.parquet", cache_expiration=dt.timedelta(hours=1))
    def numbers() -> Any:
        return [{"id": n} for n in range(10)]

    numbers.query_sync()
    asked(based)
    assert numbers.query_sync("WHERE id = 3").fetchall() == [(3,)]
    assert sum(asked(based).values()) == 2


def test_a_cached_point_query_of_a_million_rows_takes_few_requests_and_two_again(
    based: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset("x.parquet", cache_expiration=dt.timedelta(hours=1))
    def numbers() -> Any:
        return duckdb.sql("SELECT range AS id, hash(range) AS h, random() AS x FROM range(1000000)")

    numbers.call_sync()
    monkeypatch.setenv(based.unread, "another")  # another client, as that of another process
    asked(based)
    for requests in (3 + based.requests_of_tail, 2):
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
        files = ObjectStore(fs).duckdb_files(session, paths)
        assert session.sql("SELECT sum(id) FROM read_json($1)", [files]).fetchall() == [(40,)]
    assert most[0] > 1


def test_an_object_that_is_replaced_while_its_end_is_looked_up_is_read_as_it_is_now(bucket: Any) -> None:
    path = bucket.put("x.csv", b"n\n" + b"1\n" * 1_000_000)

    def replaced(request: Request) -> None:
        if len(bucket.proxy.requests) == bucket.requests_of_tail:
            bucket.proxy.heal()
            bucket.put("x.csv", b"n\n" + b"2\n" * 1_100_000)

    bucket.proxy.faults = replaced
    with DuckSession() as session:
        files = bucket.store().duckdb_files(session, [path])
        assert session.sql("SELECT min(n), count(*) FROM read_csv($1)", [files]).fetchall() == [(2, 1_100_000)]
