"""Wheels of every distribution, built once, and the distributions themselves as the tree has them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Distribution:
    """A distribution of the workspace."""

    folder: Path
    project: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.project["name"])

    @property
    def package(self) -> Path:
        """The folder of its one import package."""
        return self.folder / "src" / self.name.replace("-", "_")

    def __str__(self) -> str:
        return self.name


def _distributions() -> list[Distribution]:
    folders = [
        ROOT,
        ROOT / "mad_prefect_core",
        *ROOT.glob("mad_prefect_formats/*"),
        *ROOT.glob("mad_prefect_storage/*"),
    ]
    projects = [folder / "pyproject.toml" for folder in folders if folder.is_dir() and not folder.name.startswith("_")]
    return sorted((Distribution(p.parent, tomllib.loads(p.read_text())["project"]) for p in projects), key=str)


DISTRIBUTIONS = _distributions()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`distribution`: each one. `plugin`: those of the folders of formats and storages."""
    if "distribution" in metafunc.fixturenames:
        metafunc.parametrize("distribution", DISTRIBUTIONS, ids=str)
    if "plugin" in metafunc.fixturenames:
        plugins = [d for d in DISTRIBUTIONS if d.folder.parent != ROOT and d.folder != ROOT]
        metafunc.parametrize("plugin", plugins, ids=str)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def all_distributions() -> list[Distribution]:
    return DISTRIBUTIONS


def built_wheel(folder: Path, target: Path) -> Path:
    """The wheel of a project's folder."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = target.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each distribution, by the distribution's name."""
    return {d.name: built_wheel(d.folder, tmp_path_factory.mktemp(d.name)) for d in DISTRIBUTIONS}


@pytest.fixture(scope="session")
def example_wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each third party's project among the examples, by the name of its folder."""
    projects = sorted(path.parent for path in ROOT.glob("examples/mad_prefect_*/pyproject.toml"))
    return {folder.name: built_wheel(folder, tmp_path_factory.mktemp(folder.name)) for folder in projects}


def _uv() -> str:
    """The uv of this environment, or one that is on the path."""
    if importlib.util.find_spec("uv"):
        from uv import find_uv_bin

        return str(find_uv_bin())
    return shutil.which("uv") or pytest.fail("These tests need uv, which `./dev setup` installs")


class CleanEnvironment:
    """A virtual environment of its own, with the versions of constraints.txt."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        self._environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "MAD_"))}
        overrides = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["uv"]["override-dependencies"]
        (folder / "overrides.txt").write_text("\n".join(overrides))
        self._constraints = root / "constraints.txt"
        self.uv("venv", "--quiet", "--python", sys.executable, "env")

    def program(self, name: str) -> str:
        return str(self.folder / "env" / ("Scripts" if os.name == "nt" else "bin") / name)

    @property
    def python(self) -> str:
        return self.program("python")

    def run(self, *command: str | Path, status: int = 0, **variables: str) -> str:
        """What a command prints. It has to end with this status."""
        done = subprocess.run(
            list(map(str, command)), cwd=self.folder, env=self._environ | variables, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def uv(self, *arguments: str) -> str:
        """As `run`, of uv."""
        return self.run(_uv(), *arguments)

    def install(self, *wheels: Path | str) -> None:
        constraints = ("--constraints", str(self._constraints), "--overrides", "overrides.txt")
        self.uv("pip", "install", "--quiet", "--python", self.python, *constraints, *map(str, wheels))

    def uninstall(self, *names: str) -> None:
        self.uv("pip", "uninstall", "--quiet", "--python", self.python, *names)


@pytest.fixture(scope="session")
def new_environment(root: Path) -> Iterator[Callable[[], CleanEnvironment]]:
    """On disk, where uv links what it has: in memory each would be a copy of some hundred megabytes."""
    on_disk = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="mad_prefect_clean_", dir=on_disk, ignore_cleanup_errors=True) as folder:
        yield lambda: CleanEnvironment(root, Path(tempfile.mkdtemp(dir=folder)))
