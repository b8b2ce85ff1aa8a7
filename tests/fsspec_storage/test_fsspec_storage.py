"""What users of fsspec's filesystems may rely on, beside the contract of all storages."""

from __future__ import annotations

import logging
import os
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncssh
import duckdb
import fsspec
import pytest
from file_servers import PASSWORD, sftp_server
from fsspec.implementations.memory import MemoryFileSystem

from mad_prefect.duckdb import register_mad_protocol
from mad_prefect.filesystems import FsspecFileSystem
from mad_prefect_core import asset
from mad_prefect_core.errors import (
    OptionError,
    PathError,
    StorageConflictError,
    StorageError,
    UnknownStorageError,
)
from mad_prefect_core.mounts import Mount, mount
from mad_prefect_core.plugins import PluginHost, get_host, use_host
from mad_prefect_core.runs.record import DataAssetRun
from mad_prefect_core.testing.storages.processes import Forked
from mad_prefect_fsspec.client import FsspecFiles
from mad_prefect_fsspec.storage import storage_for

Login = dict[str, Any]
LOGIN: Login = {"password": PASSWORD, "look_for_keys": False, "allow_agent": False}


class WithoutExtensions(asyncssh.SFTPServer):
    """An SFTP server without OpenSSH's posix-rename, which does not rename over a file."""

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("no posix-rename here")


@pytest.fixture
def lake() -> Iterator[str]:
    folder = uuid.uuid4().hex
    yield f"memory://{folder}"
    fs = MemoryFileSystem()
    if fs.exists(f"/{folder}"):
        fs.rm(f"/{folder}", recursive=True)


@pytest.fixture
def ftp_lake(ftp: int) -> tuple[str, Login]:
    return f"ftp://ada@127.0.0.1:{ftp}/{uuid.uuid4().hex}", {"password": PASSWORD}


@pytest.fixture
def sftp_lake(sftp: int, tmp_path: Path) -> tuple[str, Login]:
    return f"sftp://ada@127.0.0.1:{sftp}{tmp_path}/lake", LOGIN


def publish(base: Mount, key: str, data: bytes) -> None:
    base.at(key).write(data)


def bytes_at(base: Mount, key: str) -> bytes | None:
    found = base.at(key).read()
    return found.data if found else None


# -- which plugin ----------------------------------------------------------------------------------------------------


def test_a_protocol_of_an_installed_filesystem_is_served_in_any_case_of_letters_by_one_storage() -> None:
    assert get_host().storage_for("memory") is get_host().storage_for("MEMORY")
    assert get_host().storage_for("sftp").name == "sftp"


@pytest.mark.parametrize("protocol", ["file", "s3", "gs"])
def test_a_plugin_made_for_a_protocol_wins(protocol: str) -> None:
    assert type(get_host().storage_for(protocol)).__name__ != "FsspecStorage"


def test_a_missing_plugin_of_ours_is_told_though_fsspec_has_its_protocol() -> None:
    [entry_point] = [e for e in _entry_points() if e.name == "fsspec"]
    with pytest.raises(UnknownStorageError, match="mad_prefect_storage/s3"):
        PluginHost([entry_point]).storage_for("s3")


def test_a_third_party_made_for_a_protocol_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "mad_prefect_sftp" / "src"
    monkeypatch.syspath_prepend(example)
    made_for_it = EntryPoint("sftp", "mad_prefect_sftp.plugin", "mad_prefect")
    host = PluginHost([*_entry_points(), made_for_it])

    assert type(host.storage_for("sftp")).__module__ == "mad_prefect_sftp.storage"
    assert type(host.storage_for("ssh")).__module__ == "mad_prefect_fsspec.storage"


def _entry_points() -> list[EntryPoint]:
    return [*entry_points(group="mad_prefect")]


def test_a_filesystem_whose_package_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dropboxdrivefs", None)
    with pytest.raises(UnknownStorageError, match=r"'dropbox://' can't be imported.*requires \"dropboxdrivefs\""):
        get_host().storage_for("dropbox")


def test_without_the_plugin_it_is_said_what_to_install() -> None:
    with pytest.raises(UnknownStorageError, match="mad_prefect_storage/fsspec"):
        PluginHost([]).storage_for("memory")


@pytest.mark.parametrize("protocol", ["nothing", "data", "mad", "zip::sftp", "simplecache::nothing"])
def test_what_is_no_place_for_files_is_not_served(protocol: str) -> None:
    with use_host(PluginHost(_entry_points())), pytest.raises(UnknownStorageError):
        get_host().storage_for(protocol)


# -- programs of 2.x -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["lake", "sftp_lake", "ftp_lake"])
def test_a_block_reads_writes_moves_and_deletes(request: pytest.FixtureRequest, place: str) -> None:
    given = request.getfixturevalue(place)
    url, options = given if isinstance(given, tuple) else (given, {})
    block = FsspecFileSystem(basepath=url, storage_options=options)

    block.write_path("in/a.txt", b"a")
    block.write_path("in/[b].txt", b"b")
    block.write_data("in/rows.json", [{"n": 1}])
    assert block.read_path("in/[b].txt") == b"b"
    assert block.read_data("in/rows.json") == [{"n": 1}]
    assert sorted(block.glob("in/*.txt")) == ["in/[b].txt", "in/a.txt"]
    block.move_path("in/[b].txt", "out/b.txt")
    block.move_path("out", "[moved]")
    assert block.read_path("[moved]/b.txt") == b"b"
    block.delete_path("in", recursive=True)
    assert not block.exists("in/a.txt")
    assert block.read_path("[moved]/b.txt") == b"b"


async def test_assets_and_mad_paths_work_on_the_base_that_a_variable_names(
    lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESYSTEM_URL", lake)

    @asset("bronze/x.parquet", artifacts_dir="raw")
    def numbers() -> Iterator[Any]:
        yield [{"n": 1}]
        yield [{"n": 2}]

    relation = await numbers.query("SELECT sum(n)")
    assert relation is not None
    assert relation.fetchall() == [(3,)]
    with duckdb.connect() as connection:
        await register_mad_protocol(connection)
        assert connection.sql("SELECT sum(n) FROM 'mad://bronze/*.parquet'").fetchall() == [(3,)]
    assert MemoryFileSystem().isfile(f"{lake.removeprefix('memory:/')}/bronze/x.parquet")


def test_what_fsspec_itself_put_into_memory_is_read(lake: str) -> None:
    with fsspec.open(f"{lake}/x.json", "wb") as file:
        file.write(b"data")

    assert bytes_at(mount(lake), "x.json") == b"data"


def test_a_password_in_the_url_of_a_block_becomes_an_option(sftp_lake: tuple[str, Login]) -> None:
    url = sftp_lake[0].replace("ada@", f"ada:{quote(PASSWORD)}@")
    block = FsspecFileSystem(basepath=url, look_for_keys=False, allow_agent=False)

    block.write_path("x.txt", b"data")
    assert block.read_path("x.txt") == b"data"
    assert PASSWORD not in repr(block)


# -- options ---------------------------------------------------------------------------------------------------------


def test_an_option_is_shown_as_a_secret_unless_it_is_known_to_be_none() -> None:
    storage = storage_for("sftp")
    assert storage is not None
    options = storage.options(
        username="ada", port=22, password="pl4nted-1", whatever="pl4nted-2", auth=("ada", "pl4nted-3")
    )

    assert "pl4nted" not in repr(options)
    assert "username='ada'" in repr(options)
    assert "port=22" in repr(options)


def test_accounts_have_clients_of_their_own(lake: str) -> None:
    one, two = (mount(lake, {"skip": secret}).fs for secret in ("a", "b"))

    assert one is not two
    assert one is mount(f"{lake}/deeper", {"skip": "a"}).fs


def test_an_option_that_the_filesystem_does_not_take_is_named(ftp: int) -> None:
    with pytest.raises(OptionError, match="can't take these options"):
        mount("webdav://x", {"base_url": "http://localhost", "colour": "red"}).at("x").read()


# -- what can't be promised ------------------------------------------------------------------------------------------


def records(base: Mount) -> list[str]:
    return [str(path) for path in base.fs.find(base.root) if str(path).endswith("metadata.json")]


def test_what_a_server_can_not_promise_is_told_once_and_recorded_by_the_run(
    ftp_lake: tuple[str, Login], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, login = ftp_lake
    monkeypatch.setattr("mad_prefect_fsspec.storage._told", set())

    @asset("x.parquet")
    def numbers() -> list[dict[str, int]]:
        return [{"n": 1}]

    with based_on(url, login), caplog.at_level(logging.WARNING, "mad_prefect_fsspec"):
        artifacts = [numbers.call_sync() for _ in range(2)]

    told = [record.getMessage() for record in caplog.records if "can't promise" in record.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("ftp://127.0.0.1:")
    assert "a reader never sees part of a result" in told[0]
    run: DataAssetRun = artifacts[0].run
    assert run.not_promised == {"ftp": ["atomic_replace", "conditional_create", "conditional_replace"]}


def test_a_run_on_a_storage_that_promises_all_records_nothing_of_that(lake: str) -> None:
    @asset(f"{lake}/x.parquet")
    def numbers() -> list[dict[str, int]]:
        return [{"n": 1}]

    with based_on(lake, {}):
        assert numbers.call_sync().run.not_promised == {}


class based_on:
    """Has relative paths be on a base with options."""

    def __init__(self, url: str, options: Login) -> None:
        self._base = url, options
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> None:
        self._patch.setattr(PluginHost, "base", lambda host, settings: self._base)

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def test_a_server_without_a_rename_at_one_moment_is_refused_where_that_is_required(tmp_path: Path) -> None:
    with sftp_server(WithoutExtensions) as port:
        url = f"sftp://ada@127.0.0.1:{port}{tmp_path}/lake"
        with pytest.raises(StorageError, match="as the option require='atomic' asks"):
            publish(mount(url, {**LOGIN, "require": "atomic"}), "x.bin", b"new")
        base = mount(url, LOGIN)
        for data in (b"old", b"new"):
            publish(base, "x.bin", data)
        assert bytes_at(base, "x.bin") == b"new"
        assert os.listdir(tmp_path / "lake") == ["x.bin"]


def test_a_server_with_one_is_not(sftp_lake: tuple[str, Login]) -> None:
    url, login = sftp_lake
    base = mount(url, {**login, "require": "atomic"})
    publish(base, "x.bin", b"new")

    assert base.at("x.bin").promises().atomic_replace


def test_a_move_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sftp_server(WithoutExtensions) as port:
        base = mount(f"sftp://ada@127.0.0.1:{port}{tmp_path}/lake", LOGIN)
        publish(base, "x.bin", b"old")
        rename = FsspecFiles.rename
        calls: list[str] = []

        def failing(files: FsspecFiles, path1: str, path2: str) -> None:
            calls.append(path2)
            if len(calls) == 2:
                raise OSError("the line is cut")
            rename(files, path1, path2)

        monkeypatch.setattr(FsspecFiles, "rename", failing)
        with pytest.raises(OSError, match="the line is cut"):
            publish(base, "x.bin", b"new")
        assert len(calls) == 3
        assert bytes_at(base, "x.bin") == b"old"
        assert os.listdir(tmp_path / "lake") == ["x.bin"]


# -- only for reading ------------------------------------------------------------------------------------------------


def of_others(folder: Path) -> None:
    (folder / "x.csv").write_bytes(b"n\n1\n2\n")


def read_only(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> str:
    if kind == "http":
        url: str = request.getfixturevalue("http")
        of_others(request.getfixturevalue("served"))
        return url
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.csv", "n\n1\n2\n")
    return f"zip://::file://{tmp_path}/a.zip"


@pytest.mark.parametrize("kind", ["http", "zip"])
def test_what_is_only_for_reading_is_read(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> None:
    base = mount(read_only(request, kind, tmp_path))

    assert bytes_at(base, "x.csv") == b"n\n1\n2\n"
    assert bytes_at(base, "none.csv") is None
    with base.at("x.csv").open() as file:
        file.seek(2)
        assert file.read(1) == b"1"


@pytest.mark.parametrize("kind", ["http", "zip"])
def test_a_base_that_is_only_for_reading_is_refused_before_anything_is_run(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    ran = []

    @asset("new.parquet")
    def numbers() -> list[dict[str, int]]:
        ran.append(1)
        return [{"n": 1}]

    with (
        based_on(read_only(request, kind, tmp_path), {}),
        pytest.raises(StorageError, match=f"{kind}.* is only for reading"),
    ):
        numbers.call_sync()
    assert ran == []


def test_a_path_that_is_only_for_reading_is_refused_before_anything_is_run(http: str, tmp_path: Path) -> None:
    ran = []

    @asset(f"{http}/new.parquet")
    def numbers() -> list[dict[str, int]]:
        ran.append(1)
        return [{"n": 1}]

    with based_on(f"file://{tmp_path}", {}), pytest.raises(StorageError, match="is only for reading"):
        numbers.call_sync()
    assert ran == []


# -- chains ----------------------------------------------------------------------------------------------------------


def test_a_cache_never_shows_what_was_replaced(ftp_lake: tuple[str, Login]) -> None:
    url, login = ftp_lake
    cached = mount(f"simplecache::{url}", {"ftp": login})
    direct = mount(url, login)

    publish(direct, "x.bin", b"old")
    assert bytes_at(cached, "x.bin") == b"old"
    publish(direct, "x.bin", b"newer")
    assert bytes_at(cached, "x.bin") == b"newer"
    publish(cached, "x.bin", b"newest of all")
    assert bytes_at(direct, "x.bin") == bytes_at(cached, "x.bin") == b"newest of all"


def test_a_chain_of_which_a_part_is_unknown_is_told() -> None:
    with pytest.raises(UnknownStorageError, match="'simplecache::nothing://'"):
        mount("simplecache::nothing://host/lake")


def test_a_password_in_a_chain_is_refused_and_not_shown() -> None:
    with pytest.raises(PathError) as caught:
        mount("simplecache::sftp://ada:pl4nted-s3cret@host/lake")
    assert "pl4nted" not in repr(caught.value)


# -- processes, threads, failures ------------------------------------------------------------------------------------


def test_a_forked_child_logs_in_by_itself(ftp_lake: tuple[str, Login]) -> None:
    base = mount(*ftp_lake)
    publish(base, "x.bin", b"data")

    assert Forked(partial(bytes_at, base, "x.bin")).result() == b"data"
    assert bytes_at(base, "x.bin") == b"data"


def test_a_server_that_is_gone_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    with sftp_server() as port:
        base = mount(f"sftp://ada@127.0.0.1:{port}{tmp_path}", LOGIN)
        publish(base, "x.bin", b"data")
    location = base.at("x.bin")
    looks: list[Callable[[], Any]] = [location.exists, location.stat, location.read, lambda: base.fs.isdir(base.root)]
    for look in looks:
        with pytest.raises(StorageError, match=r"sftp://127\.0\.0\.1:\d+ failed"):
            look()


def test_a_writer_that_died_with_the_lock_does_not_stop_the_next_for_ever(
    ftp_lake: tuple[str, Login], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mad_prefect_fsspec.storage._PATIENCE", 0.2)
    base = mount(*ftp_lake)
    token = base.at("m.json").replace(b"1", None)
    base.fs.mkdir(base.path(".m.json.lock"), create_parents=False)

    base.at("m.json").replace(b"2", token)
    assert bytes_at(base, "m.json") == b"2"
    assert not base.fs.exists(base.path(".m.json.lock"))


def test_of_writers_with_clients_of_their_own_one_creates_an_object(ftp_lake: tuple[str, Login]) -> None:
    url, login = ftp_lake
    bases = [mount(url, {**login, "timeout": 20 + number}) for number in range(4)]
    for base in bases:
        base.at("x").promises()

    def create(number: int) -> bool:
        try:
            bases[number].store.replace(bases[number].path("m.json"), b"%d" % number, None)
        except StorageConflictError:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        won = list(threads.map(create, range(4)))
    assert won.count(True) == 1
    assert bytes_at(bases[0], "m.json") == b"%d" % won.index(True)
