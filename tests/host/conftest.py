"""Fake distributions: those checked in beside this file, and others written as a test needs them."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mad_prefect_core.plugins import PluginHost

CHECKED_IN = Path(__file__).parent / "distributions"


class Distributions:
    """Distributions on `sys.path` as if they were installed, for one test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._monkeypatch = monkeypatch
        self._folder = folder
        self.entry_points: list[importlib.metadata.EntryPoint] = []
        monkeypatch.syspath_prepend(CHECKED_IN)  # for fake_parts

    def install(self, folder: Path) -> None:
        self._monkeypatch.syspath_prepend(folder)
        for distribution in importlib.metadata.distributions(path=[str(folder)]):
            self.entry_points += distribution.entry_points.select(group="mad_prefect")

    def installed(self) -> None:
        """The plugins of this project that are really installed, beside the rest."""
        found = importlib.metadata.entry_points(group="mad_prefect")
        self.entry_points += [e for e in found if e.dist is not None and e.dist.name.startswith("mad-prefect")]

    def checked_in(self, *names: str) -> PluginHost:
        """A host of these distributions of `tests/host/distributions`, and of what was written before."""
        for name in names:
            assert (CHECKED_IN / name).is_dir()
            self.install(CHECKED_IN / name)
        return PluginHost(self.entry_points)

    def written(self, name: str, source: str) -> PluginHost:
        """A host of one more distribution, with this source as its plugin."""
        module = f"fake_{name.removeprefix('fake-').replace('-', '_')}"  # never that of a real plugin
        folder = self._folder / name
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        header = "from fake_parts import *\nfrom mad_prefect_core import hookimpl\nrequires_plugin_api = (1, 1)\n"
        (folder / f"{module}.py").write_text(header + source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[mad_prefect]\n{name.removeprefix('fake-')} = {module}\n")
        self.install(folder)
        return PluginHost(self.entry_points)


def _distributions(folder: Path) -> Iterator[Distributions]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("MAD_PREFECT_PLUGINS_ALLOW", "MAD_PREFECT_PLUGINS_DENY"):
            monkeypatch.delenv(name, raising=False)
        yield Distributions(monkeypatch, folder)
    for name in [name for name in sys.modules if name.startswith("fake_")]:
        del sys.modules[name]


@pytest.fixture
def distributions(tmp_path: Path) -> Iterator[Distributions]:
    yield from _distributions(tmp_path)


@pytest.fixture(scope="module")
def module_distributions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distributions]:
    """As `distributions`, for all tests of a module."""
    yield from _distributions(tmp_path_factory.mktemp("distributions"))


@pytest.fixture
def host_of(distributions: Distributions) -> Callable[..., PluginHost]:
    """`host_of("fake-good", …)`: a host of checked-in distributions."""
    return distributions.checked_in


@pytest.fixture
def host_with(distributions: Distributions) -> Callable[..., PluginHost]:
    """`host_with("fake-x", source)`: a host of a distribution written for this test, and of those before it."""
    return distributions.written
