"""The block and the base by block, in real Prefect runs against a real server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.filesystems import WritableFileSystem

from mad_prefect_core import mounts
from mad_prefect_core.duckdb_files import MadFileSystem
from mad_prefect_core.errors import PluginLoadError
from mad_prefect_core.prefect_support.blocks import FsspecFileSystem, get_fs

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a saved block whose base is a folder of the test's own."""
    name = "b" + str(abs(hash(request.node.name)))
    block = FsspecFileSystem(basepath=f"file://{tmp_path}/base", storage_options={"auto_mkdir": True})
    block.save(name, _sync=True)  # type: ignore[call-arg]
    monkeypatch.setenv("FILESYSTEM_BLOCK_NAME", name)
    yield name


def keys(base: Path) -> list[str]:
    return [found.name for found in base.rglob("*") if found.is_file()]


@pytest.mark.parametrize("is_saved", [True, False])
def test_results_of_sync_tasks_are_stored_and_found_again(saved: str, tmp_path: Path, is_saved: bool) -> None:
    block = FsspecFileSystem.load(saved, _sync=True) if is_saved else FsspecFileSystem(basepath=f"file://{tmp_path}/base")  # type: ignore[call-arg]
    calls = []

    @task(persist_result=True, result_storage=block, result_storage_key="k/{parameters[x]}.json", log_prints=False)
    def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    @flow
    def two() -> list[int]:
        return [double(1), double(1)]

    if not is_saved:
        # Prefect takes a block that is not saved for a flow, not for a task.
        unsaved = double.with_options(result_storage=None)

        @flow(result_storage=block, persist_result=True)
        def two_unsaved() -> list[int]:
            return [unsaved(1), unsaved(1)]

        assert two_unsaved() == [2, 2]
    else:
        assert two() == [2, 2]
    assert calls == [1]
    assert (tmp_path / "base/k/1.json").is_file()


async def test_results_of_async_tasks_are_stored_and_found_again(saved: str, tmp_path: Path) -> None:
    block = await FsspecFileSystem.aload(saved)
    calls = []

    @task(persist_result=True, result_storage=block, result_storage_key="k/{parameters[x]}.json")
    async def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    @flow
    async def two() -> list[int]:
        return [await double(1), await double(1)]

    assert await two() == [2, 2]
    assert calls == [1]
    assert (tmp_path / "base/k/1.json").is_file()


async def test_results_of_sync_tasks_called_on_an_event_loop_are_stored(saved: str, tmp_path: Path) -> None:
    @task(persist_result=True, result_storage=await FsspecFileSystem.aload(saved), result_storage_key="k.json")
    def one() -> int:
        return 1

    @flow
    def sync_flow() -> int:
        return one()

    assert sync_flow() == 1
    assert (tmp_path / "base/k.json").is_file()


def test_a_saved_block_is_loaded_as_what_it_was(saved: str, tmp_path: Path) -> None:
    block = FsspecFileSystem.load(saved, _sync=True)  # type: ignore[call-arg]
    assert isinstance(block, WritableFileSystem)
    assert (block.basepath, block.storage_options.get_secret_value()) == (f"file://{tmp_path}/base", {"auto_mkdir": True})


def test_the_base_is_the_block_that_the_environment_names(saved: str, tmp_path: Path) -> None:
    assert mounts.default_mount().root == f"{tmp_path}/base"


async def test_the_base_is_found_on_an_event_loop_and_in_threads_too(saved: str, tmp_path: Path) -> None:
    expected = f"{tmp_path}/base"
    assert mounts.default_mount().root == expected
    assert (await asyncio.to_thread(mounts.default_mount)).root == expected
    assert (await get_fs())._fs_url == expected


def test_the_base_is_found_within_a_flow(saved: str, tmp_path: Path) -> None:
    @flow
    def root() -> str:
        return mounts.default_mount().root

    @flow
    async def async_root() -> str:
        return mounts.default_mount().root

    assert root() == f"{tmp_path}/base"
    assert asyncio.run(async_root()) == f"{tmp_path}/base"


def test_a_block_that_is_not_there_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILESYSTEM_BLOCK_NAME", "no-such-block")
    with pytest.raises(PluginLoadError, match="no-such-block"):
        mounts.default_mount()
    with pytest.raises(ValueError, match="no-such-block"):
        asyncio.run(get_fs())


def test_the_block_reads_what_mad_writes(saved: str, tmp_path: Path) -> None:
    block = FsspecFileSystem.load(saved, _sync=True)  # type: ignore[call-arg]
    with MadFileSystem(block.basepath, block.storage_options.get_secret_value()).open("x", "wb") as file:
        file.write(b"1")
    assert block.read_path("x") == b"1"


def test_listing_plugins_and_reading_a_base_without_a_block_does_not_import_prefect() -> None:
    code = """
import sys
from mad_prefect_core import mounts
from mad_prefect_core.plugins import get_host
get_host().plugins(); mounts.default_mount()
assert "prefect" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
