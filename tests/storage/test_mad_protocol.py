"""`mad://` on a user's own DuckDB connections."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import fsspec
import pytest

from mad_prefect_core.duckdb_files import MadFileSystem, register_mad, register_mad_protocol
from mad_prefect_core.errors import OptionError, PathError
from mad_prefect_core.settings import Settings, use_settings
from mad_prefect_core.shared_files import SharedFile, for_duckdb


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{tmp_path}/base")
    return tmp_path / "base"


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


async def test_it_is_registered_once_however_often_it_is_asked_for(
    base: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    threads = [threading.Thread(target=register_mad, args=(connection.cursor(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    await register_mad_protocol(connection)
    assert connection.list_filesystems() == ["mad"]


async def test_without_a_connection_it_is_on_duckdbs_default_one(base: Path) -> None:
    await register_mad_protocol()
    await register_mad_protocol()
    duckdb.sql("COPY (SELECT 1 AS a) TO 'mad://x.parquet'")
    assert duckdb.sql("FROM 'mad://x.parquet'").fetchall() == [(1,)]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "json", "csv.gz"])
def test_what_was_written_is_read_folders_being_made(
    base: Path, connection: duckdb.DuckDBPyConnection, suffix: str
) -> None:
    register_mad(connection)
    connection.execute(f"COPY (SELECT range AS a FROM range(1000)) TO 'mad://new/deep/x.{suffix}'")
    assert (base / f"new/deep/x.{suffix}").is_file()
    assert connection.sql(f"SELECT sum(a) FROM 'mad://new/**/*.{suffix}'").fetchall() == [(499500,)]


def test_partitions_are_written_to_a_folder_that_is_not_there_yet(
    base: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    register_mad(connection)
    connection.execute(
        "COPY (SELECT range AS a, range % 2 AS k FROM range(10)) TO 'mad://p' (FORMAT parquet, PARTITION_BY k)"
    )
    found = connection.sql("SELECT k::INT, count(*) FROM 'mad://p/*/*.parquet' GROUP BY k ORDER BY k").fetchall()
    assert found == [(0, 5), (1, 5)]


def test_the_base_is_that_of_the_moment_of_the_query(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_mad(connection)
    for name in ("one", "two"):
        monkeypatch.setenv("FILESYSTEM_URL", f"file://{tmp_path}/{name}")
        for part in range(4):
            connection.execute(f"COPY (SELECT '{name}' AS n FROM range(1000)) TO 'mad://x{part}.parquet'")
        query = "SELECT DISTINCT n FROM 'mad://x*.parquet'"
        assert connection.sql(query).fetchall() == [(name,)]
    # DuckDB's own threads open files too, and see no context variable.
    with use_settings(Settings(filesystem_url=f"file://{tmp_path}/one")):
        assert connection.sql(query).fetchall() == [("one",)]
    assert connection.sql(query).fetchall() == [("two",)]


def test_nothing_above_the_base_is_read_or_written(base: Path, connection: duckdb.DuckDBPyConnection) -> None:
    base.mkdir()
    (base.parent / "secret.csv").write_text("a\n1\n")
    register_mad(connection)
    for query in ("FROM 'mad://../secret.csv'", "FROM 'mad://x/../../*.csv'", "COPY (SELECT 1) TO 'mad://../out.csv'"):
        with pytest.raises(duckdb.Error, match="may not climb"):
            connection.execute(query)
    assert not (base.parent / "out.csv").exists()


@pytest.mark.parametrize("name", ["it's", 'a"b', "a b", "ünï", "{}", "];DROP TABLE x;--"])
def test_a_path_with_special_characters_is_an_ordinary_path(
    base: Path, connection: duckdb.DuckDBPyConnection, name: str
) -> None:
    register_mad(connection)
    connection.execute("COPY (SELECT 1 AS a) TO $path (FORMAT parquet)", {"path": f"mad://{name}/{name}.parquet"})
    assert connection.sql("FROM read_parquet($1)", params=[f"mad://{name}/{name}.parquet"]).fetchall() == [(1,)]


def test_the_filesystem_alone_is_a_folder_of_any_storage(tmp_path: Path) -> None:
    fs = MadFileSystem(f"file://{tmp_path}", {"auto_mkdir": True})
    with fs.open("a/b.txt", "w") as file:
        file.write("text")
    with fs.open("mad://a/b.txt") as file:
        assert isinstance(file, SharedFile)
        assert file.read() == b"text"
    with fs.open("a/b.txt", "r") as file:
        assert file.read() == "text"
    assert fs.ls("none") == []
    assert fs.glob("**/*.txt") == ["a/b.txt"]
    assert fs.find("") == ["a/b.txt"]
    assert fs.exists("/a/b.txt")
    with pytest.raises(PathError, match="may not climb"):
        fs.open("../x")
    with pytest.raises(FileNotFoundError):
        fs.open("none.txt")


def test_an_option_that_the_storage_does_not_have_is_named_but_not_shown(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="can't take these options: key") as raised:
        MadFileSystem(f"file://{tmp_path}", key="s3cr3t")
    assert "s3cr3t" not in str(raised.value)


def test_any_filesystem_can_be_served_under_any_protocol(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    connection.register_filesystem(for_duckdb(fsspec.filesystem("memory")))
    connection.register_filesystem(for_duckdb(fsspec.filesystem("file"), "disk"))
    for url in ("memory://mad_protocol_test/x.parquet", f"disk://{tmp_path}/x.parquet"):
        connection.execute("COPY (SELECT 1 AS a) TO $path (FORMAT parquet)", {"path": url})
        assert connection.sql("FROM read_parquet($1)", params=[url]).fetchall() == [(1,)]
    fsspec.filesystem("memory").rm("/mad_protocol_test", recursive=True)
