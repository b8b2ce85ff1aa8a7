"""The blocks, and the base that a block names, in real Prefect runs against a real server."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.filesystems import WritableFileSystem
from prefect.results import ResultStore
from pydantic import SecretStr

from mad_prefect_core import mounts
from mad_prefect_core.duckdb_files import MadFileSystem
from mad_prefect_core.errors import PluginLoadError
from mad_prefect_core.prefect_support.blocks import FsspecFileSystem, get_fs
from mad_prefect_core.prefect_support.envblock import EnvBlock

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    # Prefect's own connections to its server are left to the garbage collector when their event loop ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _no_garbage_for_later_tests() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a saved block whose base is a folder of the test's own."""
    name = "b" + str(abs(hash(request.node.name)))
    block = FsspecFileSystem(basepath=f"file://{tmp_path}/base", storage_options={"auto_mkdir": True})
    block.save(name, _sync=True)  # type: ignore[call-arg]
    monkeypatch.setenv("FILESYSTEM_BLOCK_NAME", name)
    return name


def keys(base: Path) -> list[str]:
    return [found.name for found in base.rglob("*") if found.is_file()]


def test_results_of_sync_tasks_are_stored_and_found_again(saved: str, tmp_path: Path) -> None:
    block = FsspecFileSystem.load(saved, _sync=True)  # type: ignore[call-arg]
    calls = []

    @task(persist_result=True, result_storage=block, result_storage_key="k/{parameters[x]}.json")
    def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    @flow
    def two() -> list[int]:
        return [double(1), double(1)]

    assert two() == [2, 2]
    assert calls == [1]
    assert keys(tmp_path / "base") == ["1.json"]


async def test_a_result_store_finds_what_it_wrote_to_a_block_that_is_not_saved(tmp_path: Path) -> None:
    store = ResultStore(result_storage=FsspecFileSystem(basepath=f"file://{tmp_path}/base"))
    store.write({"a": 1}, key="sync")
    await store.awrite({"a": 2}, key="async")
    assert sorted(keys(tmp_path / "base")) == ["async", "sync"]
    assert (store.exists("sync"), await store.aexists("async")) == (True, True)
    assert (await store.aread("sync")).result == {"a": 1}
    assert store.read("async").result == {"a": 2}


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
    assert keys(tmp_path / "base") == ["1.json"]


async def test_results_of_sync_tasks_called_on_an_event_loop_are_stored(saved: str, tmp_path: Path) -> None:
    @task(persist_result=True, result_storage=await FsspecFileSystem.aload(saved), result_storage_key="k.json")
    def one() -> int:
        return 1

    @flow
    def sync_flow() -> int:
        return one()

    assert sync_flow() == 1
    assert keys(tmp_path / "base") == ["k.json"]


def test_a_saved_block_is_loaded_as_what_it_was(saved: str, tmp_path: Path) -> None:
    block = FsspecFileSystem.load(saved, _sync=True)  # type: ignore[call-arg]
    assert isinstance(block, WritableFileSystem)
    assert (block.basepath, block.storage_options.get_secret_value()) == (
        f"file://{tmp_path}/base",
        {"auto_mkdir": True},
    )


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


async def test_an_envblock_is_the_saved_one_where_its_name_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    class Saved(EnvBlock):
        token: SecretStr

    await Saved(token=SecretStr("stored")).asave("production")
    monkeypatch.setenv("SAVED_CREDENTIAL_BLOCK_NAME", "production")
    assert (await Saved.from_env()).token.get_secret_value() == "stored"
