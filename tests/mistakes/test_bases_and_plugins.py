"""A base that would go with its folder, and a format whose plugin is not there."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from mad_prefect_core import asset
from mad_prefect_core.errors import PathError, UnknownFormatError
from mad_prefect_core.plugins import PluginHost, use_host


@contextmanager
def flow_run(deployment: object) -> Iterator[None]:
    """As code in a flow run of Prefect's sees it."""
    from prefect.client.schemas.objects import FlowRun
    from prefect.context import FlowRunContext

    run = FlowRun(flow_id=uuid4(), deployment_id=deployment)
    with FlowRunContext.model_construct(flow_run=run, parameters={}):
        yield


@asset("deployed.parquet")
def deployed() -> list[dict[str, int]]:
    return [{"n": 1}]


@pytest.mark.parametrize("url", [None, "file://./lake", "lake", "file:lake/../x", "./lake"])
def test_a_relative_base_in_a_deployments_run_is_refused_before_anything_is_lost(
    base: Path, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    if url is None:
        monkeypatch.delenv("FILESYSTEM_URL")
    else:
        monkeypatch.setenv("FILESYSTEM_URL", url)
    with flow_run(uuid4()), pytest.raises(PathError, match=r"base.*(relative|nearly a URL)") as raised:
        deployed.call_sync()
    assert raised.value.hint
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("own", ["file://./own/x.parquet", "file://own/x.parquet"])
def test_an_assets_own_relative_path_in_a_deployments_run_is_refused(base: Path, own: str) -> None:
    x = asset(own)(lambda: [{"n": 1}])
    with flow_run(uuid4()), pytest.raises(PathError, match=r"path.*relative.*whole path"):
        x.call_sync()
    assert not list(Path.cwd().iterdir())


def test_a_relative_base_in_other_runs_of_flows_is_as_it_was(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILESYSTEM_URL", "file://./lake")
    with flow_run(None):
        deployed.call_sync()
    assert (Path.cwd() / "lake/deployed.parquet").is_file()


def test_a_whole_path_in_a_deployments_run_is_as_it_was(base: Path) -> None:
    with flow_run(uuid4()):
        deployed.call_sync()
    assert (base / "deployed.parquet").is_file()


@pytest.mark.parametrize("url", ["data//lake", "a:b/c", "2024:01", "files//lake", "file name: x/y"])
def test_a_folder_whose_name_is_unusual_but_no_storages_is_a_base(
    base: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("FILESYSTEM_URL", url)
    assert deployed.query_sync().fetchall() == [(1,)]
    assert (Path.cwd() / url / "deployed.parquet").is_file()


def test_an_assets_own_path_on_the_base_by_its_protocol_works(base: Path) -> None:
    @asset("mad://own/x.parquet|csv")
    def own() -> list[dict[str, int]]:
        return [{"n": 1}]

    assert own.query_sync().fetchall() == [(1,)]
    assert own.cache_first().call_sync().from_cache
    assert {path.name for path in (base / "own").glob("x.*")} == {"x.parquet", "x.csv"}


def _without(name: str) -> PluginHost:
    found = importlib.metadata.entry_points(group="mad_prefect")
    return PluginHost([entry for entry in found if entry.name != name])


def _define() -> tuple[Any, Any]:
    @asset("plugged/one.avro", name="one")
    def one() -> list[dict[str, int]]:
        return [{"n": 1}]

    @asset("plugged/other.parquet", name="other")
    def other() -> list[dict[str, int]]:
        return [{"n": 2}]

    return one, other


@pytest.mark.parametrize("how", ["path", "fragments", "unknown"])
def test_a_plugin_that_is_missing_costs_the_call_of_its_asset_alone(base: Path, how: str) -> None:
    called = []

    def fn() -> list[dict[str, int]]:
        called.append(1)
        return [{"n": 1}]

    with use_host(_without("avro")):
        options: dict[str, Callable[[], Any]] = {
            "path": lambda: asset("plugged/x.avro")(fn),
            "fragments": lambda: asset("plugged/x.parquet", artifact_filetype="avro")(fn),
            "unknown": lambda: asset("plugged/x.orc|parquet")(fn),
        }
        x = options[how]()
        _, other = _define()
        assert other.query_sync().fetchall() == [(2,)]
        with pytest.raises(UnknownFormatError, match="orc" if how == "unknown" else "avro") as raised:
            x.call_sync()
    assert raised.value.asset == x.name
    assert "pip install" in str(raised.value) or "Installed: " in str(raised.value)
    assert not called


def test_the_error_says_which_distribution_wrote_the_files_last(base: Path) -> None:
    one, _ = _define()
    one.call_sync()
    version = importlib.metadata.version("mad-prefect-avro")
    [record] = (base / "_asset_metadata/asset_name=one").rglob("metadata.json")
    assert json.loads(record.read_text())["data"]["writers"]["avro"] == f"mad-prefect-avro {version}"
    for call in (one.call_sync, one.query_sync, one.cache_first().call_sync):
        with (
            use_host(_without("avro")),
            pytest.raises(UnknownFormatError, match=f"last written by mad-prefect-avro {version}"),
        ):
            call()
    assert one.cache_first().call_sync().from_cache
