"""What every storage promises, and what is this one's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import duckdb
import pytest
from mad_prefect_sftp import SFTPStorage

from mad_prefect_core.errors import PathError, StorageError
from mad_prefect_core.session import DuckSession
from mad_prefect_core.testing import StorageContract
from mad_prefect_core.testing.storages import Place


class TestSFTPStorage(StorageContract):
    not_secret = ("check_host_key",)
    large_megabytes = 20

    @pytest.fixture
    def storage(self) -> SFTPStorage:
        return SFTPStorage()

    @pytest.fixture
    def url(self, server: Any, tmp_path: Path) -> str:
        return f"{server.url}{tmp_path}/lake"

    @pytest.fixture
    def options(self, server: Any) -> dict[str, Any]:
        return {"password": server.password, "known_hosts": server.known_hosts}

    def fault_targets(self, place: Place) -> tuple[Any, ...]:
        return ((place.fs, ("request",)),)


class Lacking(asyncssh.SFTPServer):
    """An SFTP server without OpenSSH's extensions."""

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("no posix-rename here")

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("no hardlink here")


@pytest.fixture
def lacking(start: Any) -> Iterator[Any]:
    with start(Lacking) as server:
        yield server


def place_on(server: Any, folder: Path, **options: Any) -> Place:
    given = {"password": server.password, "known_hosts": server.known_hosts} | options
    return Place.of(SFTPStorage(), f"{server.url}{folder}", given)


def test_a_server_that_is_not_known_gets_no_password(server: Any, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch()
    seen = len(server.passwords)
    place = place_on(server, tmp_path, known_hosts=str(tmp_path / "known_hosts"))

    with pytest.raises(StorageError, match=r"Host key is not trusted .* add its key to the known hosts"):
        place.at("x.bin").stat()
    assert len(server.passwords) == seen


def test_a_server_is_taken_as_it_comes_if_that_is_asked_for(server: Any, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch()
    place = place_on(server, tmp_path, known_hosts=str(tmp_path / "known_hosts"), check_host_key=False)

    assert place.at("x.bin").stat() is None


def test_a_key_with_a_passphrase_opens_the_server(server: Any, tmp_path: Path) -> None:
    key = {"password": None, "client_keys": [server.client_key]}

    assert place_on(server, tmp_path, **key, passphrase=server.password).at("x.bin").stat() is None
    with pytest.raises(StorageError, match="passphrase") as caught:
        place_on(server, tmp_path, **key, passphrase="pl4nted-s3cret").at("x.bin").stat()
    assert "pl4nted-s3cret" not in repr(caught.value)


@pytest.mark.parametrize("option", ["client_keys", "known_hosts"])
def test_a_missing_key_is_not_taken_for_a_missing_file(server: Any, tmp_path: Path, option: str) -> None:
    missing = str(tmp_path / "none")
    given = {"password": None, "client_keys": [missing]} if option == "client_keys" else {"known_hosts": missing}

    with pytest.raises(StorageError, match=r"Can't log in .* No such file"):
        place_on(server, tmp_path, **given).at("x.bin").stat()


def test_a_wrong_password_is_an_error_that_does_not_show_it(server: Any, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Permission denied") as caught:
        place_on(server, tmp_path, password="pl4nted-s3cret").at("x.bin").stat()
    assert "pl4nted-s3cret" not in repr(caught.value)


def test_a_password_in_the_url_is_refused_and_not_shown(server: Any) -> None:
    with pytest.raises(PathError, match="as options of the storage") as caught:
        Place.of(SFTPStorage(), "sftp://ada:pl4nted-s3cret@localhost/lake", {})
    assert "pl4nted-s3cret" not in repr(caught.value)


def test_a_lost_connection_is_made_anew_for_whoever_holds_the_filesystem(server: Any, tmp_path: Path) -> None:
    place = place_on(server, tmp_path)
    location = place.publish("x.bin", b"data")
    with location.open() as file:
        server.drop()
        with pytest.raises(OSError, match="failed"):
            file.read()

    assert place.bytes_at("x.bin") == b"data"


def test_a_server_that_is_gone_is_not_taken_for_an_empty_one(start: Any, tmp_path: Path) -> None:
    with start() as server:
        place = place_on(server, tmp_path)
        location = place.publish("x.bin", b"data")
    for look in (location.exists, location.stat, location.read, lambda: place.fs.isdir(place.root)):
        with pytest.raises(OSError):  # noqa: PT011  whichever it is
            look()


def test_a_server_that_hangs_is_given_up(server: Any, tmp_path: Path) -> None:
    place = place_on(server, tmp_path, timeout=0.5)
    location = place.publish("x.bin", b"data")
    with server.hanging(), pytest.raises(StorageError, match="failed"):
        location.stat()

    assert place.bytes_at("x.bin") == b"data"


def test_a_query_logs_in_with_the_password_of_its_own_options(server: Any, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"n\n1\n")
    with DuckSession() as session:
        files = place_on(server, tmp_path, password="wrong").at("x.csv").duckdb_files(session)
        with pytest.raises(duckdb.Error, match="Permission denied"):
            session.sql("FROM read_csv($1)", [files]).fetchall()
        files = place_on(server, tmp_path).at("x.csv").duckdb_files(session)
        assert session.sql("FROM read_csv($1)", [files]).fetchall() == [(1,)]


def test_a_server_that_can_not_rename_over_a_file_is_refused_and_the_file_stays(lacking: Any, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"old")
    place = place_on(lacking, tmp_path)

    with pytest.raises(StorageError, match="no posix-rename here"):
        place.publish("x.bin", b"new")
    with pytest.raises(StorageError, match="no hardlink here"):
        place.replace("y.json", b"new", None)
    assert place.bytes_at("x.bin") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.bin"]


def test_a_file_whose_writing_failed_does_not_appear(server: Any, tmp_path: Path) -> None:
    place = place_on(server, tmp_path)

    def write() -> None:
        with place.fs.open(place.path("x.bin"), "wb") as file:
            file.write(b"half")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write()
    assert place.listing() == set()


def test_a_folder_is_deleted_with_what_is_in_it(server: Any, tmp_path: Path) -> None:
    place = place_on(server, tmp_path)
    for key in ("d/x.bin", "d/e/y.bin", "z.bin"):
        place.publish(key, b"data")
    place.fs.rm(place.path("d"), recursive=True)

    assert [path.name for path in tmp_path.iterdir()] == ["z.bin"]
