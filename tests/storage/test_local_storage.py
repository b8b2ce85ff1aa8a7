"""What the local storage promises of one writer. Each name says what a user would lose."""

from __future__ import annotations

import errno
import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core.contracts import Storage
from mad_prefect_core.errors import StorageConflictError, StorageError
from mad_prefect_core.session import DuckSession
from mad_prefect_local import LocalOptions, LocalStorage


def test_it_is_a_storage() -> None:
    assert isinstance(LocalStorage(), Storage)


def test_a_relative_base_is_relative_to_the_working_folder_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        for url in ("file://./.tmp/storage", "local://./.tmp/storage", ".tmp/storage"):
            assert LocalStorage().open(url, LocalOptions()).path(url) == f"{tmp_path}/{name}/.tmp/storage"


def test_a_staged_file_is_not_seen_by_readers_of_its_suffix(folder: Any) -> None:
    staged = folder.store.stage(folder.path("x.parquet"))
    staged.write_bytes(b"half")
    assert staged.parent == folder.root
    assert not folder.store.fs.glob(f"{folder.root}/*.parquet")
    with DuckSession() as session:
        found = session.sql("FROM glob($1)", [f"{folder.root}/*.parquet"]).fetchall()
    assert found == []


def test_a_long_name_can_be_published(folder: Any) -> None:
    name = "x" * 232 + ".parquet"
    folder.publish(name, b"data")
    folder.store.replace(folder.path(name), b"new", folder.store.read(folder.path(name)).token)
    assert Path(folder.path(name)).read_bytes() == b"new"


def test_duckdb_gets_absolute_native_paths(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.root)
    with DuckSession() as session:
        for path in (folder.path("x.csv"), "x.csv"):
            assert folder.store.duckdb_files(session, [path]) == [folder.path("x.csv")]


@pytest.mark.parametrize("act", ["stage", "replace", "link"])
def test_a_base_that_can_not_be_written_is_an_error_that_says_what_to_do(folder: Any, act: str) -> None:
    source = folder.publish("file", b"")  # its name is taken, so it can't be a folder: also for root
    path = folder.path("file/x.json")
    acts = {
        "stage": lambda: folder.store.stage(path),
        "replace": lambda: folder.store.replace(path, b"", None),
        "link": lambda: folder.store.link(source, path),
    }
    with pytest.raises(StorageError, match=r"can't be written: .*name another base in FILESYSTEM_URL") as raised:
        acts[act]()
    assert raised.value.path == folder.path("file")
    assert isinstance(raised.value, OSError)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_an_error_before_anything_is_written(folder: Any) -> None:
    folder.root.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="Permission denied"):
            folder.store.stage(folder.path("x.json"))
    finally:
        folder.root.chmod(0o700)


@pytest.mark.parametrize("path", ["", "new/", "there"])
def test_a_path_that_is_or_would_be_a_folder_is_refused_before_anything_is_written(
    folder: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    folder.root.joinpath("there").mkdir()
    monkeypatch.chdir(folder.root)
    with pytest.raises(StorageError, match="is a folder"):
        folder.store.stage(path)
    assert [entry.name for entry in folder.root.iterdir()] == ["there"]


def test_a_bare_name_is_in_the_working_folder(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.root)
    staged = folder.store.stage("x.json")
    staged.write_bytes(b"data")
    folder.store.publish(staged, "x.json")
    assert folder.root.joinpath("x.json").read_bytes() == b"data"


# -- links -------------------------------------------------------------------------------------------------------


def test_a_link_has_the_bytes_without_a_copy(folder: Any) -> None:
    source = folder.publish("a.parquet", b"data")
    folder.store.link(source, folder.path("deep/b.parquet"))
    assert os.path.samefile(source, folder.path("deep/b.parquet"))


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_where_hard_links_can_not_be_made_the_bytes_are_copied(
    folder: Any, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    source = folder.publish("a.parquet", b"data")
    monkeypatch.setattr(os, "link", refuse)
    folder.store.link(source, folder.path("b.parquet"))
    assert Path(folder.path("b.parquet")).read_bytes() == b"data"
    assert folder.names() == {"a.parquet", "b.parquet"}


def test_a_link_of_a_symbolic_link_holds_the_bytes(folder: Any) -> None:
    real = folder.publish("real.parquet", b"data")
    os.symlink(real, folder.path("symbolic.parquet"))
    folder.store.link(folder.path("symbolic.parquet"), folder.path("b.parquet"))
    os.unlink(real)
    assert Path(folder.path("b.parquet")).read_bytes() == b"data"


# -- tokens ------------------------------------------------------------------------------------------------------


def test_bytes_changed_in_place_are_noticed_though_the_time_was_set_back(folder: Any) -> None:
    path = folder.publish("x.parquet", b"data")
    for _ in range(50):
        before, times = folder.store.stat(path), os.stat(path)
        with open(path, "r+b") as file:
            file.write(b"dat?")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert folder.store.stat(path).token != before.token


def test_a_token_is_given_only_when_the_clock_has_moved_on(folder: Any) -> None:
    path = folder.publish("x.parquet", b"data")
    folder.store.stat(path)
    assert time.time_ns() - os.stat(path).st_ctime_ns >= 10_000_000


# -- small objects -----------------------------------------------------------------------------------------------


def test_a_stale_or_missing_version_is_a_conflict_and_nothing_is_written(folder: Any) -> None:
    store, path = folder.store, folder.path("m.json")
    first = store.replace(path, b"1", None)
    store.replace(path, b"2", first)
    for expected in (None, first):
        with pytest.raises(StorageConflictError, match="Another writer was faster"):
            store.replace(path, b"3", expected)
    with pytest.raises(StorageConflictError, match="is gone"):
        store.replace(folder.path("none.json"), b"3", first)
    assert store.read(path).data == b"2"
    assert folder.names() == {"m.json", ".m.json.lock", ".none.json.lock"}
