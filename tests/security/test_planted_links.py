"""What another user with rights in a base's folders has put there never leads a writer to a file outside the base."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import pytest

from mad_prefect_core import asset
from mad_prefect_core.errors import StorageError
from mad_prefect_core.mounts import locate
from mad_prefect_core.paths import is_temporary

OWN = b"the victim's own file"


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A file outside the base that the runs may write to. It must be as it was at the end."""
    path = tmp_path / "victim"
    path.write_bytes(OWN)
    yield path
    assert path.read_bytes() == OWN


def plant(name: Path, victim: Path, how: str) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    if how == "link":
        name.symlink_to(victim)
    elif how == "hard link":
        os.link(victim, name)
    elif how == "folder":
        name.mkdir()
    else:
        os.mkfifo(name)


SMALL_FILES = ("manifest.json", "history.json", "lease.json", "_secret_key")


@pytest.mark.parametrize("how", ["link", "hard link", "folder", "fifo"])
def test_a_planted_temporary_file_is_not_written_to(base: Path, victim: Path, how: str) -> None:
    for name in SMALL_FILES:
        location = locate(f"metadata/{name}")
        plant(base / "metadata" / f".{name}.tmp", victim, how)
        token = location.replace(b"1", None)
        location.replace(b"2", token)
        assert (base / "metadata" / name).read_bytes() == b"2"


def test_a_run_beside_planted_temporary_files_overwrites_nothing_outside(base: Path, victim: Path) -> None:
    @asset("x.json", name="x", snapshot_artifacts=True)
    def x() -> Any:
        return [{"n": 1}]

    x.call_sync()
    for folder in [base, *(path for path in base.rglob("*") if path.is_dir())]:
        for name in (*SMALL_FILES, "metadata.json", "x.json", *(path.name for path in folder.iterdir())):
            if not os.path.lexists(planted := folder / f".{name}.tmp"):
                plant(planted, victim, "link")
    x.call_sync()
    assert x.query_sync("SELECT n").fetchall() == [(1,)]


@pytest.mark.parametrize("how", ["link", "folder", "fifo"])
def test_a_planted_lock_file_is_an_error_that_names_it(base: Path, victim: Path, how: str) -> None:
    lock = base / ".manifest.json.lock"
    plant(lock, victim, how)
    if how == "fifo":  # it locks as well as any file
        assert locate("manifest.json").replace(b"1", None)
        return
    with pytest.raises(StorageError, match=r"The lock file '.*\.manifest\.json\.lock' can't be used") as raised:
        locate("manifest.json").replace(b"1", None)
    assert raised.value.path == str(base / "manifest.json")
    assert "Delete it" in str(raised.value)
    assert not (base / "manifest.json").exists()


def test_a_victims_file_that_is_linked_as_a_lock_keeps_its_bytes(base: Path, victim: Path) -> None:
    plant(base / ".manifest.json.lock", victim, "hard link")
    token = locate("manifest.json").replace(b"1", None)
    locate("manifest.json").replace(b"2", token)


def test_a_lock_that_somebody_holds_on_and_on_is_an_error_that_says_what_to_do(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset("x.json", name="x")
    def x() -> Any:
        return [{"n": 1}]

    x.call_sync()
    manifest = next(base.rglob("manifest.json"))
    monkeypatch.setattr("mad_prefect_local.lock._SECONDS", 0)
    with (
        filelock.FileLock(manifest.with_name(".manifest.json.lock")),
        pytest.raises(StorageError, match=r"has held the lock .* continue it or end it"),
    ):
        x.call_sync()


def test_what_a_killed_writer_left_is_gone_after_the_next_write(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location = locate("manifest.json")
    token = location.replace(b"1", None)
    with monkeypatch.context() as killed:  # as far as the files show
        killed.setattr(os, "replace", raising(KeyboardInterrupt))
        killed.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            location.replace(b"2", token)
    assert [name for name in os.listdir(base) if is_temporary(name, "manifest.json")]
    location.replace(b"3", token)
    assert set(os.listdir(base)) == {"manifest.json", ".manifest.json.lock"}


@pytest.mark.parametrize("name", ["../victim", "other.json", "", "x" * 9000, f".other.json.{32 * 'a'}.tmp"])
def test_a_name_that_somebody_wrote_into_a_lock_file_deletes_nothing_else(base: Path, victim: Path, name: str) -> None:
    other = base / "other.json"
    other.write_bytes(b"other")
    if name.endswith(".tmp"):
        (base / name).write_bytes(b"other's")
    (base / ".manifest.json.lock").write_text(name)
    location = locate("manifest.json")
    location.replace(b"2", location.replace(b"1", None))
    assert other.read_bytes() == b"other"
    assert not name.endswith(".tmp") or (base / name).exists()


@pytest.mark.parametrize("suffix", ["json", "parquet", "csv", "avro"])
@pytest.mark.parametrize("how", ["one batch", "several", "columns"])
def test_no_name_that_is_written_to_can_be_guessed_from_what_is_there(
    base: Path, victim: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, how: str
) -> None:
    """A user who watches the folder puts links where the parts of a file that is being written may come."""
    import pyarrow as pa

    def watch() -> None:
        for path in list(base.rglob("*.tmp*")):
            for more in ("", "0", "1", "2", "part", "more", "tmp"):
                for name in (f"{path.name}.{more}", path.name.rpartition(".tmp")[0] + ".tmp"):
                    if not os.path.lexists(planted := path.with_name(name)):
                        planted.symlink_to(victim)

    @asset(f"x.{suffix}", name="x", artifact_filetype=suffix)
    def x() -> Any:
        def pages() -> Iterator[Any]:
            for page in range(3):
                watch()
                rows: Any = [{"n": page}] if how != "several" else [{"n": page}, {"m": "text"}]
                yield pa.Table.from_pylist(rows) if how == "columns" else rows
            watch()

        yield pages() if how != "one batch" else [{"n": 0}]
        watch()

    x.call_sync()
    shutil.rmtree(base)


def raising(error: type[BaseException]) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise error

    return call


def test_a_copy_is_not_made_into_a_planted_link(base: Path, victim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a disk has no hard links."""
    location = locate("a.json")
    location.write(b"bytes")

    def refuse(source: str, target: Path) -> None:
        target.symlink_to(victim)
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(FileExistsError):
        location.link_to(locate("b.json"))
