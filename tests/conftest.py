"""What all tests share: a base path of their own, the corpus of real files, and how hard hypothesis tries."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from weakref import WeakValueDictionary

import pytest
from hypothesis import HealthCheck, settings

# Prefect reads these when it is first imported, which a test module's imports may do.
os.environ.setdefault("PREFECT_HOME", tempfile.mkdtemp(prefix="mad_prefect_tests_"))
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

ROOT = Path(__file__).resolve().parents[1]

pytest_plugins = ["mad_prefect_core.testing.pytest_plugin", "pytester"]

settings.register_profile(
    "mad_prefect",
    deadline=None,  # two cores and a disk that others use too
    derandomize=True,  # the same examples each time: a failure is one of the code, not of the day
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("mad_prefect")


def pytest_collection() -> None:
    """All that is imported stays, so collecting garbage meanwhile only costs time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What was imported for all tests stays: searched at each collection, it would take a quarter of a second."""
    gc.enable()
    gc.freeze()


def pytest_unconfigure() -> None:
    """DuckDB reports what Python does not free at its end."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _definitions_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is a process to itself in this, too: what other modules define over the same path is no mistake."""
    monkeypatch.setattr("mad_prefect_core.assets.definitions._claims", WeakValueDictionary())


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test alone that is the base path. The working folder is another one beside it."""
    folder, here = tmp_path / "base", tmp_path / "cwd"
    folder.mkdir()
    here.mkdir()
    for name in ("FILESYSTEM_BLOCK_NAME", "ASSET_METADATA_LOCATION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{folder}")
    monkeypatch.chdir(here)
    return folder


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A server of Prefect's, for flows as users run them."""
    from prefect.testing import utilities

    sys.path.append(str(ROOT / "tests" / "servers"))
    from prefect_database import new_database

    folder = Path(tempfile.mkdtemp())
    new_database(folder / "prefect-test.db")
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(utilities, "mkdtemp", lambda: str(folder))
        with utilities.prefect_test_harness(server_startup_timeout=120):
            yield


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The longest that each pause before another attempt may be, in seconds. None takes any time here: how long a call
    that fails takes is told by these rather than by a clock, which on a busy machine shows other things too."""
    longest = []

    def uniform(least: float, most: float) -> float:
        longest.append(most)
        return least

    monkeypatch.setattr("mad_prefect_core.retries._chance.uniform", uniform)
    return longest


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Real files that nobody here wrote. They are not part of the repository."""
    folder = ROOT.parent / "shared" / "corpus"
    if not folder.is_dir():
        pytest.skip("the corpus is not there: it belongs at ../shared/corpus, beside the repository")
    return folder


@pytest.fixture
def stored(base: Path) -> Callable[[], dict[str, bytes]]:
    """Everything under the base but run records, markers and locks: what a failed run must leave as it was."""

    def files() -> dict[str, bytes]:
        found = {str(path.relative_to(base)): path for path in sorted(base.rglob("*")) if path.is_file()}
        records = ("/asset_run_id=", "/_leases/", ".lock", "/_secret_key")
        return {name: path.read_bytes() for name, path in found.items() if not any(part in name for part in records)}

    return files
