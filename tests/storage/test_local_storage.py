"""What the local storage promises of one writer. Each name says what a user would lose."""

from __future__ import annotations

import errno
import os
import pickle
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mad_prefect_core.contracts import Storage
from mad_prefect_core.errors import StorageConflictError, StorageError
from mad_prefect_core.session import DuckSession
from mad_prefect_local import LocalOptions, LocalStorage

HOSTILE = [
    "it's.parquet",
    'a"b.parquet',
    "[x].parquet",
    "a*.parquet",
    "a?.parquet",
    "{}.parquet",
    "a b  c.parquet",
    "ünï-日本.parquet",
    "[[]].parquet",
    "];DROP TABLE x;--.parquet",
    "a[!x].parquet",
    "%2e%2e.parquet",
]


def test_it_is_a_storage() -> None:
    assert isinstance(LocalStorage(), Storage)


def test_a_relative_base_is_relative_to_the_working_folder_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        for url in ("file://./.tmp/storage", "local://./.tmp/storage", ".tmp/storage"):
            assert LocalStorage().filesystem(url, LocalOptions())[1] == f"{tmp_path}/{name}/.tmp/storage"


def test_a_published_file_replaces_the_old_one_and_leaves_nothing_beside_it(folder: Any) -> None:
    folder.publish("a/b/x.json", b"old")
    path = folder.publish("a/b/x.json", b"new")
    assert Path(path).read_bytes() == b"new"
    assert folder.names() == {"x.json"}


def test_a_staged_file_is_not_seen_by_readers_of_its_suffix(folder: Any) -> None:
    staged = folder.storage.stage(folder.fs, folder.path("x.parquet"))
    staged.write_bytes(b"half")
    assert staged.parent == folder.root
    assert not folder.fs.glob(f"{folder.root}/*.parquet")
    with DuckSession() as session:
        found = session.sql("FROM glob($1)", [f"{folder.root}/*.parquet"]).fetchall()
    assert found == []


def test_a_long_name_can_be_published(folder: Any) -> None:
    name = "x" * 232 + ".parquet"
    folder.publish(name, b"data")
    folder.storage.replace(
        folder.fs, folder.path(name), b"new", folder.storage.read(folder.fs, folder.path(name)).token
    )
    assert Path(folder.path(name)).read_bytes() == b"new"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_with_special_characters_is_that_file_and_no_other(folder: Any, name: str) -> None:
    place = f"d [x]*'/{name}"
    with DuckSession() as session:
        for number, path in enumerate((place, "d [x]*'/x.parquet", "d [x]*'/ab.parquet", "d x/x.parquet")):
            staged = folder.storage.stage(folder.fs, folder.path(path))
            session.execute(f"COPY (SELECT {number} AS n) TO $path (FORMAT parquet)", {"path": str(staged)})
            folder.storage.publish(folder.fs, staged, folder.path(path))
        files = folder.storage.duckdb_files(session, folder.fs, [folder.path(place)])
        assert session.sql("FROM read_parquet($1)", [files]).fetchall() == [(0,)]
    assert folder.storage.stat(folder.fs, folder.path(place)) is not None


@pytest.mark.parametrize("name", ["[x].parquet", "?.parquet", "*.parquet", "**.parquet"])
def test_a_missing_file_whose_name_looks_like_a_pattern_is_not_another_file(folder: Any, name: str) -> None:
    with DuckSession() as session:
        session.execute("COPY (SELECT 1 AS n) TO $path (FORMAT parquet)", {"path": folder.path("x.parquet")})
        files = folder.storage.duckdb_files(session, folder.fs, [folder.path(name)])
        with pytest.raises(duckdb.IOException, match="No files found"):
            session.sql("FROM read_parquet($1)", [files])


def test_duckdb_gets_absolute_native_paths(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.root)
    with DuckSession() as session:
        for path in (folder.path("x.csv"), "x.csv"):
            assert folder.storage.duckdb_files(session, folder.fs, [path]) == [folder.path("x.csv")]


@pytest.mark.parametrize("act", ["stage", "replace", "link"])
def test_a_base_that_can_not_be_written_is_an_error_that_says_what_to_do(folder: Any, act: str) -> None:
    source = folder.publish("file", b"")  # its name is taken, so it can't be a folder: also for root
    path = folder.path("file/x.json")
    acts = {
        "stage": lambda: folder.storage.stage(folder.fs, path),
        "replace": lambda: folder.storage.replace(folder.fs, path, b"", None),
        "link": lambda: folder.storage.link(folder.fs, source, path),
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
            folder.storage.stage(folder.fs, folder.path("x.json"))
    finally:
        folder.root.chmod(0o700)


# -- every call to the system may fail, once ---------------------------------------------------------------------

CALLS = ["fsync", "replace", "open", "link"]


@pytest.mark.parametrize("act", ["publish", "link", "swap"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_failing_disk_leaves_the_old_file_or_the_new_one(
    folder: Any, monkeypatch: pytest.MonkeyPatch, act: str, call: str, number: int
) -> None:
    path, source = folder.publish("x.json", b"old"), folder.publish("source.json", b"new")
    token = folder.storage.read(folder.fs, path).token
    real, calls = getattr(os, call), iter(range(1, 100))

    def failing(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == number:
            raise OSError(errno.EIO, "Input/output error")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, call, failing)
    failed = False
    try:
        match act:
            case "publish":
                folder.publish("x.json", b"new")
            case "link":
                folder.storage.link(folder.fs, source, path)
            case "swap":
                folder.storage.replace(folder.fs, path, b"new", token)
    except OSError:
        failed = True
    monkeypatch.undo()
    content = Path(path).read_bytes()
    assert content in (b"old", b"new")
    if not failed:
        assert content == b"new"
    assert Path(source).read_bytes() == b"new"


# -- links -------------------------------------------------------------------------------------------------------


def test_a_link_has_the_bytes_without_a_copy(folder: Any) -> None:
    source = folder.publish("a.parquet", b"data")
    folder.storage.link(folder.fs, source, folder.path("deep/b.parquet"))
    assert os.path.samefile(source, folder.path("deep/b.parquet"))


def test_linking_a_file_to_its_own_link_leaves_nothing_beside_it(folder: Any) -> None:
    source = folder.publish("a.parquet", b"data")
    for _ in range(2):
        folder.storage.link(folder.fs, source, folder.path("b.parquet"))
    folder.storage.link(folder.fs, source, source)
    assert folder.names() == {"a.parquet", "b.parquet"}


def test_publishing_over_a_link_leaves_the_other_name_as_it_was(folder: Any) -> None:
    source = folder.publish("a.parquet", b"old")
    folder.storage.link(folder.fs, source, folder.path("b.parquet"))
    folder.publish("b.parquet", b"new")
    assert Path(source).read_bytes() == b"old"


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_where_hard_links_can_not_be_made_the_bytes_are_copied(
    folder: Any, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    source = folder.publish("a.parquet", b"data")
    monkeypatch.setattr(os, "link", refuse)
    folder.storage.link(folder.fs, source, folder.path("b.parquet"))
    assert Path(folder.path("b.parquet")).read_bytes() == b"data"
    assert folder.names() == {"a.parquet", "b.parquet"}


def test_a_missing_source_is_an_error_and_the_target_stays(folder: Any) -> None:
    target = folder.publish("b.parquet", b"old")
    with pytest.raises(FileNotFoundError):
        folder.storage.link(folder.fs, folder.path("a.parquet"), target)
    assert Path(target).read_bytes() == b"old"
    assert folder.names() == {"b.parquet"}


def test_a_link_of_a_symbolic_link_holds_the_bytes(folder: Any) -> None:
    real = folder.publish("real.parquet", b"data")
    os.symlink(real, folder.path("symbolic.parquet"))
    folder.storage.link(folder.fs, folder.path("symbolic.parquet"), folder.path("b.parquet"))
    os.unlink(real)
    assert Path(folder.path("b.parquet")).read_bytes() == b"data"


# -- tokens ------------------------------------------------------------------------------------------------------


def test_bytes_changed_in_place_are_noticed_though_the_time_was_set_back(folder: Any) -> None:
    path = folder.publish("x.parquet", b"data")
    for _ in range(50):
        before, times = folder.storage.stat(folder.fs, path), os.stat(path)
        with open(path, "r+b") as file:
            file.write(b"dat?")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert folder.storage.stat(folder.fs, path).token != before.token


def test_a_token_is_given_only_when_the_clock_has_moved_on(folder: Any) -> None:
    path = folder.publish("x.parquet", b"data")
    folder.storage.stat(folder.fs, path)
    assert time.time_ns() - os.stat(path).st_ctime_ns >= 10_000_000


def test_a_file_that_nobody_touches_keeps_its_token(folder: Any) -> None:
    path = folder.publish("x.parquet", b"data")
    before = folder.storage.stat(folder.fs, path)
    Path(path).read_bytes()
    folder.publish("y.parquet", b"data")
    assert folder.storage.stat(folder.fs, path) == before
    assert before.size == 4


def test_what_is_no_file_has_no_stat(folder: Any) -> None:
    folder.publish("d/x.json", b"{}")
    for name in ("none.json", "d", "d/x.json/none"):
        assert folder.storage.stat(folder.fs, folder.path(name)) is None


# -- small objects -----------------------------------------------------------------------------------------------


def test_a_small_object_is_created_read_and_swapped(folder: Any) -> None:
    storage, path = folder.storage, folder.path("m/manifest.json")
    assert storage.read(folder.fs, path) is None
    first = storage.replace(folder.fs, path, b"1", None)
    assert storage.read(folder.fs, path).token == first
    second = storage.replace(folder.fs, path, b"2", first)
    assert (storage.read(folder.fs, path).data, storage.read(folder.fs, path).token) == (b"2", second)


def test_a_stale_or_missing_version_is_a_conflict_and_nothing_is_written(folder: Any) -> None:
    storage, path = folder.storage, folder.path("m.json")
    first = storage.replace(folder.fs, path, b"1", None)
    storage.replace(folder.fs, path, b"2", first)
    for expected in (None, first):
        with pytest.raises(StorageConflictError, match="Another writer was faster"):
            storage.replace(folder.fs, path, b"3", expected)
    with pytest.raises(StorageConflictError, match="is gone"):
        storage.replace(folder.fs, folder.path("none.json"), b"3", first)
    assert storage.read(folder.fs, path).data == b"2"
    assert folder.names() == {"m.json", ".m.json.lock", ".none.json.lock"}
