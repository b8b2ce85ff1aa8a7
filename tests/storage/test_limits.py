"""What a storage declares that it can't hold is refused by the core, before anything is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mad_prefect_core.duckdb_files import _BaseFiles
from mad_prefect_core.errors import PathError, StorageError
from mad_prefect_core.mounts import Mount
from mad_prefect_local import LocalOptions, LocalStorage


class Limited(LocalStorage):
    capabilities = replace(LocalStorage.capabilities, refused_characters="\\?", largest_object=10)


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(Limited(), LocalStorage().open("file:///", LocalOptions()), str(tmp_path))


@pytest.mark.parametrize("key", ["a\\b", "d?/x", "x?versionid=1"])
def test_a_name_that_a_storage_can_not_hold_is_refused_whatever_is_done(mount: Mount, key: str) -> None:
    location = mount.at(key)
    acts = (location.stage, location.stat, location.read, location.open, location.delete, location.exists)
    for act in (*acts, lambda: location.replace(b"data", None), lambda: location.write(b"data")):
        with pytest.raises(PathError, match="The storage 'local' can't hold names with"):
            act()
    with pytest.raises(PathError, match="can't hold names with"):
        _BaseFiles(mount).open(f"mad://{key}", "wb")
    assert not list(Path(mount.root).iterdir())


def test_a_file_that_is_larger_than_a_storage_can_hold_is_refused_and_the_old_one_stays(mount: Mount) -> None:
    location = mount.at("x")
    location.write(b"old")
    for act in (lambda: location.write(b"x" * 11), lambda: location.replace(b"x" * 11, None)):
        with pytest.raises(
            StorageError, match="11 bytes is larger than the storage 'local' can hold, which is 10 bytes"
        ):
            act()
    assert Path(mount.root, "x").read_bytes() == b"old"
    location.write(b"x" * 10)
    assert Path(mount.root, "x").read_bytes() == b"x" * 10
