"""Records of real runs, to forge."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from forgery import Canary, Stored, runs_of


@pytest.fixture(autouse=True)
def _no_log() -> Iterator[None]:
    """What is left out of a listing is logged, hundreds of times."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def canary(base: Path) -> Canary:
    """A folder beside the base."""
    return Canary(base.parent / "canary")


@pytest.fixture
def stored_runs(base: Path) -> Callable[[str], Stored]:
    """`stored_runs("csv")` makes the base that of an asset with a result of this format, soon if it was made before."""
    made: dict[str, tuple[Path, Stored]] = {}

    def stored(suffix: str) -> Stored:
        shutil.rmtree(base)
        if suffix not in made:
            base.mkdir()
            kept = base.parent / f"kept_{suffix}"
            made[suffix] = kept, runs_of(base, suffix)
            shutil.copytree(base, kept)
        else:
            shutil.copytree(made[suffix][0], base)
        return made[suffix][1]

    return stored
