"""Wheels of every distribution, built once, and the distributions themselves as the tree has them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
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


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each distribution, by the distribution's name."""
    built = {}
    for distribution in DISTRIBUTIONS:
        target = tmp_path_factory.mktemp(distribution.name)
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
        done = subprocess.run(command, cwd=distribution.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        [built[distribution.name]] = target.glob("*.whl")
    return built
