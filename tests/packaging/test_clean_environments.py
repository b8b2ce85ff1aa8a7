"""What a user has after each `pip install`: wheels in an environment that knows nothing of this checkout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.packaging

# Runs in the clean environment, and prints what it finds there.
PROBE = """
import contextlib, json, sys
from mad_prefect_core import asset
from mad_prefect_core.errors import UnknownFormatError, UnknownStorageError
from mad_prefect_core.plugins import PluginHost

host = PluginHost()
found = {
    "formats": [f.name for f in host.formats()],
    "storages": [s.name for s in host.storages()],
    "failed": [str(r.error) for r in host.plugins() if r.error],
    "from": sys.modules["mad_prefect_core"].__file__,
}
with contextlib.suppress(UnknownStorageError):
    host.storage_for("memory")
    found["storages"].append("fsspec")  # it is listed nowhere: it serves what nobody claims
found["heavy"] = sorted({"prefect", "pandas", "s3fs", "gcsfs", "httpx"} & set(sys.modules))
try:
    found["x.parquet"] = host.format_of("x.parquet")[0].name
except UnknownFormatError as error:
    found["x.parquet"] = str(error)
try:
    asset("x.parquet")(lambda: []).plan()
    found["@asset"] = "made"
except UnknownFormatError as error:
    found["@asset"] = str(error)
print(json.dumps(found))
"""


CleanEnvironment = Any  # of the conftest beside this file


def probed(clean: CleanEnvironment) -> dict[str, Any]:
    return dict(json.loads(clean.run(clean.python, "-I", "-c", PROBE).splitlines()[-1]))


@pytest.fixture(scope="module")
def environment(new_environment: Callable[[], CleanEnvironment]) -> CleanEnvironment:
    return new_environment()


@pytest.fixture(scope="module")
def states(environment: CleanEnvironment, wheels: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """What is found with the core alone, with parquet beside it, after parquet is uninstalled, and with everything."""
    found = {}
    environment.install(wheels["mad-prefect-core"])
    found["core"] = probed(environment)
    environment.install(wheels["mad-prefect-parquet"])
    found["parquet"] = probed(environment)
    environment.uninstall("mad-prefect-parquet")
    found["uninstalled"] = probed(environment)
    environment.install(*wheels.values())
    found["everything"] = probed(environment)
    return found


State = dict[str, dict[str, Any]]


def test_the_clean_environment_knows_nothing_of_this_checkout(
    states: State, environment: CleanEnvironment, root: Path
) -> None:
    for state in states.values():
        assert Path(state["from"]).is_relative_to(environment.folder)
    paths = environment.run(environment.python, "-I", "-c", "import sys; print('\\n'.join(sys.path))")
    assert str(root) not in paths.splitlines()


def test_the_core_alone_imports_and_lists_no_format_and_no_storage(states: State) -> None:
    assert (states["core"]["formats"], states["core"]["storages"]) == ([], [])


def test_a_format_that_is_installed_appears(states: State) -> None:
    assert states["parquet"]["formats"] == ["parquet"]
    assert states["parquet"]["x.parquet"] == "parquet"
    assert states["parquet"]["@asset"] == "made"


def test_a_format_that_is_uninstalled_is_gone(states: State) -> None:
    assert states["uninstalled"]["formats"] == []


@pytest.mark.parametrize("state", ["core", "uninstalled"])
def test_without_parquet_its_path_and_an_asset_on_it_say_which_pip_install_brings_it_back(
    states: State, state: str
) -> None:
    for said in (states[state]["x.parquet"], states[state]["@asset"]):
        assert "`pip install ./mad_prefect_core ./mad_prefect_formats/parquet`" in said


def test_everything_lists_every_format_and_storage_of_the_workspace(states: State, root: Path) -> None:
    formats = {p.parent.name for p in root.glob("mad_prefect_formats/*/pyproject.toml")}
    storages = {p.parent.name for p in root.glob("mad_prefect_storage/*/pyproject.toml")}

    assert set(states["everything"]["formats"]) == formats
    assert set(states["everything"]["storages"]) == storages


@pytest.mark.parametrize("state", ["core", "parquet", "uninstalled", "everything"])
def test_no_plugin_fails_to_load(states: State, state: str) -> None:
    assert states[state]["failed"] == []


@pytest.mark.parametrize("state", ["core", "parquet", "uninstalled", "everything"])
def test_listing_what_is_installed_imports_nothing_heavy(states: State, state: str) -> None:
    assert states[state]["heavy"] == []


def test_each_plugin_installs_alone_beside_the_core(
    wheels: dict[str, Path], new_environment: Callable[[], CleanEnvironment], plugin: Any
) -> None:
    clean = new_environment()
    clean.install(wheels["mad-prefect-core"], wheels[plugin.name])
    found = probed(clean)

    assert found["formats"] + found["storages"] == [plugin.folder.name]
    assert found["failed"] == []


def test_a_resolver_without_our_overrides_never_pairs_prefect_with_a_fastapi_that_breaks_it(
    wheels: dict[str, Path], environment: CleanEnvironment
) -> None:
    """Plain pip reads the wheel's metadata alone."""
    (environment.folder / "core.txt").write_text(f"mad-prefect-core @ {wheels['mad-prefect-core'].as_uri()}\n")
    plain = environment.uv("pip", "compile", "--quiet", "--no-header", "--no-annotate", "core.txt")
    versions = dict(line.split("==") for line in plain.splitlines() if line.count("==") == 1)

    assert tuple(map(int, versions["prefect"].split(".")[:2])) >= (3, 8)
    assert tuple(map(int, versions["fastapi"].split(".")[:2])) < (0, 151)
