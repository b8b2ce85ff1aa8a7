"""What `plugins new` writes is a plugin like ours: certified as it is, built, installed, used and uninstalled."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.packaging

CleanEnvironment = Any  # of the conftest beside this file

OURS = ("mad-prefect-json", "mad-prefect-parquet", "mad-prefect-csv", "mad-prefect-local")

# Runs in the clean environment: an asset at a path, on a base.
ASSET = """
import json, sys
from mad_prefect_core import Settings, asset, use_settings
from mad_prefect_core.errors import MadPrefectError

base, path = sys.argv[1:]

def made():
    @asset(path)
    def teas():
        yield [{"tea": "Assam", "grams": 50}]
        yield [{"tea": "Ceylon", "grams": 100}]

    with use_settings(Settings(filesystem_url=base)):
        return teas.query_sync("WHERE grams > ?", [60]).fetchall()

try:
    print(json.dumps(made()))
except MadPrefectError as error:
    print(json.dumps(str(error)))
"""


@pytest.fixture(scope="module")
def environment(new_environment: Callable[[], CleanEnvironment], wheels: dict[str, Path]) -> CleanEnvironment:
    """Ours, with what makes new projects."""
    clean = new_environment()
    core = f"mad-prefect-core[new] @ {wheels['mad-prefect-core'].as_uri()}"
    clean.install(core, *(wheels[name] for name in OURS))
    return clean


@pytest.fixture(scope="module")
def kit_alone(new_environment: Callable[[], CleanEnvironment], wheels: dict[str, Path]) -> CleanEnvironment:
    """The kit, and what it depends on."""
    clean = new_environment()
    core = f"mad-prefect-core[testing] @ {wheels['mad-prefect-core'].as_uri()}"
    clean.install(core, wheels["mad-prefect-local"])  # which it depends on, and which no index has
    return clean


@pytest.mark.parametrize(("kind", "name"), [("format", "ledger"), ("storage", "shelf")])
def test_a_new_plugin_is_certified_as_it_is_where_the_kit_and_nothing_else_is_installed(
    kit_alone: CleanEnvironment, tmp_path: Path, kind: str, name: str
) -> None:
    project = tmp_path / name
    command = [sys.executable, "-c", "from mad_prefect_core.cli import main; main()", "plugins", "new", kind, name]
    subprocess.run([*command, project], capture_output=True, check=True)
    kit_alone.install(_wheel(project))

    printed = kit_alone.run(kit_alone.python, "-m", "pytest", "-q", project, "-p", "no:cacheprovider")
    assert re.search(rf"{kind} {name}: \d+ passed", printed)
    assert not re.search(r"\d+ (failed|error|not run)", printed)
    kit_alone.uninstall(f"mad-prefect-{name}")


def _wheel(project: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    built = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    [wheel] = (project / "dist").glob("*.whl")
    return wheel


@pytest.mark.parametrize(
    ("kind", "name", "base", "path", "file"),
    [
        ("format", "ledger", "file://{}", "gold/teas.ledger", "gold/teas.ledger"),
        ("storage", "shelf", "shelf://{}", "gold/teas.parquet", "gold/teas.parquet"),
    ],
)
def test_a_new_plugin_works_once_installed_and_is_gone_once_uninstalled(
    environment: CleanEnvironment, tmp_path: Path, kind: str, name: str, base: str, path: str, file: str
) -> None:
    program, project = environment.program("mad-prefect"), tmp_path / name
    environment.run(program, "plugins", "new", kind, name, project)
    environment.install(_wheel(project))

    def listed() -> set[str]:
        return {
            plugin["name"] for plugin in json.loads(environment.run(program, "plugins", "list", "--json"))["plugins"]
        }

    def teas() -> Any:
        printed = environment.run(environment.python, "-I", "-c", ASSET, base.format(tmp_path / "lake"), path)
        return json.loads(printed.splitlines()[-1])

    assert name in listed()
    environment.run(program, "plugins", "doctor", "--url", base.format(tmp_path / "lake"))
    assert teas() == [["Ceylon", 100]]
    assert (tmp_path / "lake" / file).is_file()

    environment.uninstall(f"mad-prefect-{name}")
    assert name not in listed()
    assert "No installed plugin brings" in teas()
