"""What a storage really does is found out, whatever it says, and nothing is left of the trial."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from mad_prefect_core.contracts import StorageCapabilities
from mad_prefect_core.errors import StorageError
from mad_prefect_core.mounts import Mount
from mad_prefect_core.probe import CHECKS, Probe, probe
from mad_prefect_local import LocalStorage, LocalStore


def probed(
    store: type[LocalStore], folder: Path, fs: Any = None, storage: LocalStorage | None = None, **options: Any
) -> Probe:
    return probe(Mount(storage or LocalStorage(), store(fs or LocalFileSystem()), str(folder)), **options)


class IgnoresExpected(LocalStore):
    """As some S3 servers: conditions are taken and not looked at."""

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        found = self.read(path)
        return super().replace(path, data, found.token if found else None)


class LooksOnlyWhetherItIsThere(LocalStore):
    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        found = self.read(path)
        return super().replace(path, data, found.token if found and expected else expected)


class WritesInPlace(LocalStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        data = staged.read_bytes()
        with open(path, "wb") as file:
            for part in (data[: len(data) // 2], data[len(data) // 2 :]):
                file.write(part)
                file.flush()
                time.sleep(0.01)  # longer than a reader needs


class PublishesAmongOthers(LocalStore):
    """The file is whole at any moment, and listings show another one beside it."""

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        stray = Path(path).with_name("half.bin")
        stray.write_bytes(b"half")
        time.sleep(0.02)  # longer than a reader needs
        super().publish(staged, path, durable=durable)
        stray.unlink()


class Hides(LocalFileSystem):
    """Reads and finds a file that it does not list."""

    cachable = False

    def ls(self, path: str, detail: bool = False, **kwargs: Any) -> Any:
        found = super().ls(path, detail=detail, **kwargs)
        return [each for each in found if not str(each["name"] if detail else each).endswith("/x.bin")]


class ReadsOthers(LocalStore):
    def duckdb_files(self, session: Any, paths: Any) -> list[str]:
        return [__file__ for _ in paths]


class CachesListings(LocalFileSystem):
    cachable = False

    def ls(self, path: str, detail: bool = False, **kwargs: Any) -> Any:
        known: dict[str, Any] = self.__dict__.setdefault("known", {})
        if path not in known:
            known[path] = super().ls(path, detail=True, **kwargs) if os.path.isdir(path) else []
        return known[path] if detail else [entry["name"] for entry in known[path]]


class KeepsAll(LocalFileSystem):
    cachable = False

    def rm_file(self, path: str) -> None:
        pass


def test_a_storage_that_does_what_it_says_is_found_to(tmp_path: Path) -> None:
    found = probed(LocalStore, tmp_path)

    assert [finding.check for finding in found.findings] == list(CHECKS)
    assert all(finding.found and finding.declared and not finding.detail for finding in found.findings)
    assert found.broken == ()
    assert found.left_behind is None


def test_everything_that_capabilities_promise_is_tried() -> None:
    limits = {"refused_characters", "largest_object"}
    assert {field.name for field in dataclasses.fields(StorageCapabilities)} - limits <= {*CHECKS}


@pytest.mark.parametrize(
    ("store", "fs", "broken"),
    [
        (IgnoresExpected, LocalFileSystem, ["conditional_create", "conditional_replace"]),
        (LooksOnlyWhetherItIsThere, LocalFileSystem, ["conditional_replace"]),
        (WritesInPlace, LocalFileSystem, ["atomic_replace"]),
        (PublishesAmongOthers, LocalFileSystem, ["atomic_replace"]),
        (LocalStore, Hides, ["atomic_replace"]),
        (ReadsOthers, LocalFileSystem, ["duckdb_reads"]),
        (LocalStore, CachesListings, ["strong_listing"]),
        (LocalStore, KeepsAll, ["strong_listing", "delete"]),
    ],
)
def test_a_storage_that_does_less_than_it_says_is_found_out(
    tmp_path: Path, store: type[LocalStore], fs: Callable[[], Any], broken: list[str]
) -> None:
    found = probed(store, tmp_path, fs())

    assert [finding.check for finding in found.broken] == broken
    assert all(finding.detail for finding in found.broken)


def test_what_is_not_promised_is_not_broken(tmp_path: Path) -> None:
    class Modest(LocalStorage):
        capabilities = dataclasses.replace(
            LocalStorage.capabilities, conditional_create=False, conditional_replace=False
        )

    found = probed(IgnoresExpected, tmp_path, storage=Modest())

    assert [finding.check for finding in found.findings if not finding.found] == [
        "conditional_create",
        "conditional_replace",
    ]
    assert found.broken == ()


def test_a_check_that_raises_is_a_finding_and_the_others_are_made(tmp_path: Path) -> None:
    class NoReplace(LocalStore):
        def replace(self, path: str, data: bytes, expected: str | None) -> str:
            raise OSError(22, "Invalid argument")

    found = probed(NoReplace, tmp_path)

    assert [finding.check for finding in found.broken] == ["conditional_create", "conditional_replace"]
    assert "Invalid argument" in found.broken[0].detail


def test_some_checks_alone_can_be_made(tmp_path: Path) -> None:
    found = probed(LocalStore, tmp_path, checks=["delete", "conditional_create"])

    assert [finding.check for finding in found.findings] == ["conditional_create", "delete"]


@pytest.mark.parametrize("store", [LocalStore, IgnoresExpected, WritesInPlace])
def test_nothing_is_left_and_what_was_there_stays(tmp_path: Path, store: type[LocalStore]) -> None:
    (tmp_path / "own").write_bytes(b"mine")
    probed(store, tmp_path)

    assert [path.name for path in tmp_path.rglob("*")] == ["own"]
    assert (tmp_path / "own").read_bytes() == b"mine"


def test_a_base_that_looks_like_a_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    assert probed(LocalStore, tmp_path / "a[1]*?").broken == ()


def test_a_folder_that_was_not_there_is_not_there_afterwards(tmp_path: Path) -> None:
    probed(LocalStore, tmp_path / "lake" / "bronze")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_written_is_one_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="'local' can't be read and written") as caught:
        probed(LocalStore, tmp_path / "file" / "lake")

    assert caught.value.path == str(tmp_path / "file" / "lake")
    assert caught.value.hint
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


def test_a_storage_that_forgets_what_is_written_is_an_error(tmp_path: Path) -> None:
    class Forgets(LocalStore):
        def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
            staged.unlink()

    with pytest.raises(StorageError, match="does not keep what is written"):
        probed(Forgets, tmp_path)
