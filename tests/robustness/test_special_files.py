"""What is no file (a pipe, a device, a socket, a folder, links in a circle) is an error that names it, and no hang."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.errors import MadPrefectError, QueryError, StorageError
from mad_prefect_core.mounts import default_mount, locate
from mad_prefect_core.prefect_support.blocks import FsspecFileSystem
from mad_prefect_core.session import DuckSession

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    path.mkdir()


def bound_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    finally:
        os.chdir(here)


KINDS: list[Callable[[Path], None]] = [pipe, device, loop, folder, bound_socket]
special = pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)


@special
@pytest.mark.parametrize("suffix", ["json", "parquet", "csv", "avro", "json.gz"])
async def test_an_artifact_that_is_no_file_is_an_error_or_no_artifact(
    base: Path, make: Callable[[Path], None], suffix: str
) -> None:
    make(base / f"x.{suffix}")
    try:
        assert await DataArtifact(f"x.{suffix}").query() is None
    except MadPrefectError as error:
        assert f"x.{suffix}" in str(error)  # noqa: PT017  either is right


@special
@pytest.mark.parametrize("suffix", ["json", "parquet", "csv", "avro"])
async def test_a_fragment_that_is_no_file_fails_the_run(base: Path, make: Callable[[Path], None], suffix: str) -> None:
    if make is folder:
        pytest.skip("to say that there is no such file is right, as on object stores")
    make(base / f"part.{suffix}")

    @asset("x.parquet")
    def x() -> Iterator[Any]:
        yield [{"n": 1}]
        yield DataArtifact(f"part.{suffix}")

    with pytest.raises(StorageError, match=f"part.{suffix}"):
        await x()


@special
def test_no_door_to_a_file_waits_for_what_is_none(base: Path, make: Callable[[Path], None]) -> None:
    make(base / "x.csv")
    at = locate("x.csv")
    with DuckSession() as session, pytest.raises(StorageError, match=r"x\.csv"):
        at.duckdb_files(session)
    doors = [at.open, lambda: at.mount.fs.cat_file(at.path)]
    for door in doors if make is folder else [*doors, at.read, at.exists]:
        with pytest.raises(StorageError, match=r"x\.csv"):
            door()


@special
async def test_a_result_does_not_take_the_place_of_what_is_no_file(base: Path, make: Callable[[Path], None]) -> None:
    make(base / "x.parquet")

    @asset("x.parquet")
    def x() -> Any:
        pytest.fail("it is told before the function runs")

    with pytest.raises(StorageError, match=r"x\.parquet") as caught:
        await x()
    assert type(caught.value) is StorageError


@special
async def test_a_query_that_names_what_is_no_file_is_an_error_that_says_so(
    base: Path, make: Callable[[Path], None]
) -> None:
    make(base / "x.csv")

    @asset("y.parquet")
    def y() -> Any:
        return [{"n": 1}]

    with pytest.raises(QueryError, match=r"x\.csv") as caught:
        await y.query("SELECT * FROM read_csv('mad://x.csv', columns = {n: 'VARCHAR'})")
    assert "Traceback" not in str(caught.value)


@special
async def test_a_base_that_is_no_folder_fails_the_run(
    base: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    if make is folder:
        pytest.skip("that is one")
    make(base / "sub")
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{base}/sub")

    @asset("x.parquet")
    def x() -> Any:
        return [{"n": 1}]

    with pytest.raises(MadPrefectError):
        await x()


@special
async def test_a_folder_with_what_is_no_file_is_not_put_for_ever(
    base: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_text("a")
    make(source / "b.txt")
    block = FsspecFileSystem(basepath=f"file://{base}/to")
    try:
        await block.put_directory(str(source), "there")
    except OSError as error:
        assert "b.txt" in str(error)  # noqa: PT017  or it is left out


def test_a_link_to_a_file_is_read(base: Path) -> None:
    (base / "own.csv").write_text("n\n1\n")
    (base / "x.csv").symlink_to("own.csv")
    at = locate("x.csv")
    assert at.open().read() == b"n\n1\n"
    assert at.exists()
    assert default_mount().at("gone.csv").read() is None
