"""Files of any fsspec filesystem, as a storage without a way of its own into DuckDB has them read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from mad_prefect_core.session import DuckSession
from mad_prefect_core.shared_files import serve


@pytest.fixture
def session() -> Iterator[DuckSession]:
    with DuckSession() as session:
        yield session


@pytest.fixture
def folder() -> Iterator[str]:
    folder = f"/{uuid.uuid4().hex}"
    yield folder
    MemoryFileSystem().rm(folder, recursive=True)


def rows(session: DuckSession, fs: Any, *paths: str) -> list[Any]:
    return session.sql(
        "FROM read_csv($1, header=true, hive_partitioning=false)", [serve(session, fs, paths)]
    ).fetchall()


NAMES = ["x?y.csv", "[ab].csv", "**/x.csv", "a%20b #.csv", 'it\'s "{}".csv', "k=v/b\\[c].csv"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_with_special_characters_is_that_file_and_no_other(session: DuckSession, folder: str, name: str) -> None:
    fs = MemoryFileSystem()
    for other in ("xzy.csv", "a.csv", "deep/x.csv"):
        fs.pipe_file(f"{folder}/{other}", b"n\n1\n")
    fs.pipe_file(f"{folder}/{name}", b"n\n42\n")
    assert rows(session, fs, f"{folder}/{name}") == [(42,)]
    fs.rm_file(f"{folder}/{name}")
    with pytest.raises(duckdb.IOException, match="No files found"):
        rows(session, fs, f"{folder}/{name}")


def test_filesystems_of_one_kind_do_not_meet_in_one_database(session: DuckSession, folder: str) -> None:
    one, two = (DirFileSystem(f"{folder}/{name}", MemoryFileSystem()) for name in ("one", "two"))
    for number, fs in enumerate((one, two)):
        fs.pipe_file("x.csv", f"n\n{number}\n".encode())
    assert rows(session, one, "x.csv") == [(0,)]
    with DuckSession() as other:
        assert rows(other, two, "x.csv") == [(1,)]
    assert rows(session, one, "x.csv") == [(0,)]


def test_a_filesystem_is_registered_once_however_often_it_is_read(session: DuckSession, folder: str) -> None:
    fs = MemoryFileSystem()
    for number in range(5):
        fs.pipe_file(f"{folder}/x.csv", f"n\n{number}\n".encode())
        assert rows(session, fs, f"{folder}/x.csv") == [(number,)]
    names = serve(session, fs, [f"{folder}/x.csv"]) + serve(session, MemoryFileSystem(), [f"{folder}/x.csv"])
    assert len(set(names)) == 1
