"""An address that DuckDB reads a file by is of use to the session that it was made for, and to nobody else."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from mad_prefect_core.errors import QueryError
from mad_prefect_core.object_stores.pinned import PinnedFiles
from mad_prefect_core.relations import Relation
from mad_prefect_core.sdk import ObjectInfo
from mad_prefect_core.session import DuckSession
from mad_prefect_core.shared_files import serve

SECRET = b"n\n4711\n"


class Store:
    def tail(self, path: str, length: int, known: str | None) -> tuple[bytes, ObjectInfo]:
        return SECRET, ObjectInfo(len(SECRET), "v1")

    def fetch(self, path: str, version: str, start: int, end: int) -> bytes:
        return SECRET[start:end]


@pytest.fixture
def folder() -> Iterator[str]:
    folder = f"/{uuid.uuid4().hex}"
    MemoryFileSystem().pipe_file(f"{folder}/secret.csv", SECRET)
    MemoryFileSystem().pipe_file(f"{folder}/mine.csv", b"n\n1\n")
    yield folder
    MemoryFileSystem().rm(folder, recursive=True)


@pytest.fixture(params=["served", "pinned"])
def give(request: pytest.FixtureRequest, folder: str) -> Any:
    if request.param == "served":
        return lambda session, name="secret.csv": serve(session, MemoryFileSystem(), [f"{folder}/{name}"])[0]
    pinned = PinnedFiles(Store(), "test")
    return lambda session, name="secret.csv": pinned.urls(session, [f"{folder}/{name}"])[0]


def rows(session: DuckSession, url: str) -> Any:
    return session.sql("SELECT n FROM read_csv($1, header = true)", [[url]]).fetchall()


def test_the_session_that_it_was_made_for_reads_it(give: Any) -> None:
    with DuckSession() as session:
        assert rows(session, give(session)) == rows(session, give(session)) == [(4711,)]


def relation(query: str) -> Relation:
    return Relation(lambda session: session.sql(query))


READS = {
    "sql": lambda session, query, url: session.sql(query),
    "execute": lambda session, query, url: session.execute(query),
    "relation": lambda session, query, url: relation(query).fetchall(),
    "reader": lambda session, query, url: relation("SELECT 1 AS n").query("v", query).to_arrow_reader(),
    "arrow": lambda session, query, url: relation("SELECT 1 AS n").query("v", query).__arrow_c_stream__(),
    "sniffed": lambda session, query, url: relation(f"SELECT Columns FROM sniff_csv('{url}')").fetchall(),
    "in a part": lambda session, query, url: relation(
        f"SELECT n FROM read_csv(concat('{url[:9]}', '{url[9:]}'), header = true)"
    ).fetchall(),
}


@pytest.mark.parametrize("read", READS)
def test_another_sessions_query_does_not_read_it(give: Any, read: str) -> None:
    with DuckSession() as session, DuckSession() as other:
        url = give(session)
        give(other)  # so that the filesystem is there
        with pytest.raises((duckdb.Error, QueryError)):
            READS[read](other, f"SELECT n FROM read_csv('{url}', header = true)", url)


def test_an_address_of_the_old_form_is_not_one(give: Any, folder: str) -> None:
    with DuckSession() as session:
        protocol = give(session).partition("://")[0]
        for name in (f"{folder}/secret.csv", f"{folder.strip('/')}/secret.csv", f"v1.7/{folder}/secret.csv"):
            with pytest.raises(duckdb.Error):
                rows(session, f"{protocol}://{name}")


def test_the_address_of_one_file_says_nothing_of_the_next(give: Any) -> None:
    with DuckSession() as session, pytest.raises(duckdb.Error):
        rows(session, give(session, "mine.csv").replace("mine.csv", "secret.csv"))


def test_what_a_user_sees_in_a_filename_column_is_no_address(give: Any) -> None:
    with DuckSession() as session, DuckSession() as other:
        query = "SELECT DISTINCT filename FROM read_csv($1, header = true, filename = true)"
        ((seen,),) = session.sql(query, [[give(session)]]).fetchall()
        assert seen.endswith("secret.csv")
        for reader in (session, other):
            with pytest.raises(duckdb.Error):
                rows(reader, seen)


def test_no_address_is_twice_the_same(give: Any) -> None:
    with DuckSession() as one, DuckSession() as two:
        urls = {give(session, name) for session, name in itertools.product((one, two), ("mine.csv", "secret.csv"))}
    assert len(urls) == 4
