"""What is special to Google Cloud Storage. Each name says what a user would lose."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from gcs_server import DELETE, LIST, READ, WRITE
from http_proxy import Fault
from stored import content, publish

from mad_prefect_core.errors import OptionError, StorageError
from mad_prefect_core.sdk import ObjectStore
from mad_prefect_core.session import DuckSession
from mad_prefect_core.stores import staged_file
from mad_prefect_gcs import GCSOptions, GCSStorage

STORAGE = GCSStorage()
MEGABYTE = 2**20


@pytest.fixture
def server(gcs_server: Any) -> Any:
    return gcs_server


@pytest.mark.parametrize("protocol", ["gs", "gcs"])
def test_both_protocols_are_the_same_place(bucket: Any, protocol: str) -> None:
    options = GCSOptions(endpoint_url=bucket.proxy.url)
    store = STORAGE.open(f"{protocol}://{bucket.name}/lake/", options)
    fs, root = store.fs, store.path(f"{protocol}://{bucket.name}/lake/")
    assert root == f"{bucket.name}/lake"
    bucket.put("lake/x", b"data")
    assert fs.cat_file(f"{protocol}://{root}/x") == b"data"


@pytest.mark.parametrize("fault", [Fault(), Fault(reply_lost=True), Fault(status=503)], ids=str)
def test_an_upload_in_parts_goes_on_where_it_was_interrupted(bucket: Any, fault: Fault) -> None:
    fs, number = bucket.fs(), iter(range(100))
    data = bytes(range(251)) * (40 * MEGABYTE // 251)
    bucket.proxy.faults = lambda r: fault if r.method == "PUT" and next(number) % 3 == 1 else None
    publish(bucket, fs, "big", data)

    assert bucket.get("big") == data
    assert fs.retries.retried == (1 if fault.reply_lost else 2)


def test_an_upload_whose_parts_never_arrive_ends(bucket: Any) -> None:
    fs = bucket.fs(attempts=3)
    bucket.proxy.faults = lambda r: Fault(status=503) if "bytes 0-" in r.headers.get("content-range", "") else None
    with pytest.raises(OSError, match="send with HTTP 503"):
        publish(bucket, fs, "big", b"x" * 20 * MEGABYTE)
    assert bucket.listed() == []


def test_a_large_object_is_linked_in_several_requests(own_bucket: Any) -> None:
    own_bucket.server.rewritten_at_once = 3
    path = own_bucket.put("a", b"0123456789")
    ObjectStore(own_bucket.fs()).link(path, own_bucket.path("b"))

    assert own_bucket.get("b") == b"0123456789"
    assert own_bucket.proxy.count() == 4


def test_bytes_are_those_that_are_stored_whatever_their_encoding(bucket: Any) -> None:
    packed = gzip.compress(b"n\n1\n")
    fs, path = bucket.fs(), bucket.put("x.csv.gz", packed, contentEncoding="gzip", contentType="text/csv")
    assert ObjectStore(fs).read(path).data == packed  # type: ignore[union-attr]
    assert ObjectStore(fs).stat(path).size == len(packed)  # type: ignore[union-attr]
    with DuckSession() as session:
        assert session.sql("FROM read_csv($1)", [ObjectStore(fs).duckdb_files(session, [path])]).fetchall() == [(1,)]


def test_a_folder_of_thousands_of_files_is_listed_to_the_end(bucket: Any) -> None:
    for number in range(2_500):
        bucket.put(f"d/{number:04}", b"")
    assert len(bucket.fs().ls(bucket.path("d"))) == 2_500
    assert len(bucket.fs().find(bucket.name)) == 2_500


def test_the_token_is_the_generation(bucket: Any) -> None:
    fs, path = bucket.fs(), bucket.put("x", b"1")
    generation = str(bucket.held.objects["x"].generation)
    assert ObjectStore(fs).stat(path).token == ObjectStore(fs).read(path).token == generation  # type: ignore[union-attr]
    assert ObjectStore(fs).replace(path, b"2", generation) == str(bucket.held.objects["x"].generation) != generation


def test_a_query_sees_its_generation_to_the_end_where_the_bucket_keeps_it(bucket: Any) -> None:
    fs = bucket.fs()

    def write(number: int, rows: int) -> str:
        with DuckSession() as session:
            staged = staged_file(bucket.path("x"))
            query = f"SELECT {number} AS n, hash(range) AS h FROM range({rows})"
            session.execute(f"COPY ({query}) TO $path (FORMAT parquet)", {"path": str(staged)})
            ObjectStore(fs).publish(staged, bucket.path("x"))
            return str(bucket.path("x"))

    with DuckSession() as session:
        bucket.held.keeps_versions = True
        path = write(3, 300_000)
        large = session.sql("SELECT n, h FROM read_parquet($1)", [ObjectStore(fs).duckdb_files(session, [path])])
        write(4, 10)
        assert large.aggregate("max(n), count(h)").fetchall() == [(3, 300_000)]


def test_a_bucket_whose_reader_pays_is_told_who_pays(bucket: Any) -> None:
    bucket.held.requester_pays = True
    path = bucket.put("x", b"data")
    with pytest.raises(StorageError, match="Give the options requester_pays and project"):
        ObjectStore(bucket.fs()).read(path)
    with pytest.raises(OptionError, match="Give the option project"):
        ObjectStore(bucket.fs(requester_pays=True)).read(path)
    fs = bucket.fs(requester_pays=True, project="mine")
    bucket.proxy.count()
    assert ObjectStore(fs).read(path).data == b"data"  # type: ignore[union-attr]
    assert content(DuckSession(), fs, path) == b"data"
    assert fs.ls(bucket.name, detail=False) == [path]
    publish(bucket, fs, "x", b"x" * 2**24)
    assert all("userProject=mine" in request.query for request in bucket.proxy.requests)


@pytest.mark.parametrize("missing", [READ, WRITE, DELETE, LIST])
def test_who_lacks_a_permission_is_told_what_is_needed_and_nothing_is_lost(own_bucket: Any, missing: str) -> None:
    path = own_bucket.put("x", b"old")
    fs = own_bucket.fs(token=own_bucket.server.token(*{READ, WRITE, DELETE, LIST} - {missing}))
    acts: dict[str, Any] = {
        READ: lambda: ObjectStore(fs).read(path),
        WRITE: lambda: publish(own_bucket, fs, "x", b"new"),
        DELETE: lambda: fs.rm_file(path),
        LIST: lambda: fs.ls(own_bucket.name),
    }
    with pytest.raises(StorageError, match="The credentials need storage") as raised:
        acts[missing]()
    assert isinstance(raised.value, PermissionError)
    assert f"Permission '{missing}' denied" in str(raised.value)
    assert own_bucket.get("x") == b"old"
