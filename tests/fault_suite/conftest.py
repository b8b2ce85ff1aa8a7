"""How long the suite tries, and the counting of trials. `MAD_PREFECT_FAULTS=long` has it try everything."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "testing" / "storages"))
sys.path.append(str(Path(__file__).parents[1] / "servers"))

from lake import Effort, Trials


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
