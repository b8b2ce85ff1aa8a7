"""How long the suite tries, and the counting of trials. `MAD_PREFECT_FAULTS=long` has it try everything."""

from __future__ import annotations

import gc
import importlib.metadata
import itertools
import logging
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "testing" / "storages"))
sys.path.append(str(Path(__file__).parents[1] / "servers"))

from lake import Crashing, Effort, Lake, LocalFiles, Trials
from memory_storage import MemoryFiles

from mad_prefect_core.plugins import PluginHost, use_host


@pytest.fixture(scope="session")
def effort() -> Effort:
    """How much is tried."""
    return Effort(long=os.environ.get("MAD_PREFECT_FAULTS") == "long")


@pytest.fixture(autouse=True)
def _no_log() -> Iterator[None]:
    """Injected faults are logged, and pytest would hold each, with the results that its frames hold."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def _small_heap() -> None:
    """Each of the hundreds of trials has its own garbage collected, without a look at all that was there before."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def trials(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[Trials]:
    """What was tried and what went wrong, printed as one line when the test is over."""
    tried = Trials()
    yield tried
    with capsys.disabled():
        print(f"\n{request.node.name}: trials={tried.count} violations={len(tried.violations)}")


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Lake]:
    """Makes lakes on local disk, each on a base of its own, with a good result and files of somebody else."""
    numbers = itertools.count()

    def make(**options: Any) -> Lake:
        base = tmp_path / f"base{next(numbers)}"
        monkeypatch.setenv("FILESYSTEM_URL", f"file://{base}")
        lake = Lake(LocalFiles(base), **options)
        lake.run()
        lake.plant()
        lake.run()
        return lake

    return make


@pytest.fixture(scope="session")
def crashing() -> Iterator[Crashing]:
    """Runs in processes that can be killed."""
    processes = Crashing()
    yield processes
    processes.close()


@pytest.fixture
def fresh_in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Lake]]:
    """The same on a storage in memory, whose files DuckDB can't read by itself."""
    installed = importlib.metadata.entry_points(group="mad_prefect")
    added = importlib.metadata.EntryPoint("memory", "memory_plugin", "mad_prefect")

    def make(**options: Any) -> Lake:
        folder = uuid.uuid4().hex
        monkeypatch.setenv("FILESYSTEM_URL", f"memory://{folder}")
        lake = Lake(MemoryOf(f"/{folder}"), **options)
        lake.run()
        lake.plant()
        lake.run()
        return lake

    with use_host(PluginHost([*installed, added])):
        yield make
    MemoryFiles.store.clear()


@dataclass(frozen=True)
class MemoryOf:
    """A folder in memory."""

    base: str

    def all(self) -> dict[str, bytes]:
        below = f"{self.base}/"
        with MemoryFiles.lock:
            return {p.removeprefix(below): f.getvalue() for p, f in MemoryFiles.store.items() if p.startswith(below)}

    def get(self, key: str) -> bytes | None:
        return self.all().get(key)

    def put(self, key: str, data: bytes) -> None:
        MemoryFiles().write_whole(f"{self.base}/{key}", data)
