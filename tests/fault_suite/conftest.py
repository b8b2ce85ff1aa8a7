"""How long the suite tries, and the counting of trials. `MAD_PREFECT_FAULTS=long` has it try everything."""

from __future__ import annotations

import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "testing" / "storages"))
sys.path.append(str(Path(__file__).parents[1] / "servers"))

from lake import Crashing, Effort, Lake, LocalFiles, Trials


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
