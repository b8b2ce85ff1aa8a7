"""Work on a place in other processes: what the races and the killed writers of the contract stand on."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import sys
import time
from pathlib import Path

import pytest

from mad_prefect_core.testing.storages.place import Place
from mad_prefect_core.testing.storages.processes import apart, beside, fork, forks, needs_fork, steady
from mad_prefect_local import LocalStorage


class StorageOfATestModule(LocalStorage):
    """What a fresh process could not import."""

    marker = "as here"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.of(StorageOfATestModule(), f"file://{tmp_path}", {})


def test_a_storage_that_is_defined_in_a_test_works_in_another_process(place: Place) -> None:
    def task(there: Place, key: str) -> tuple[int, str]:
        print("what a storage prints is no result")
        there.publish(key, b"from there")
        return os.getpid(), there.storage.marker  # type: ignore[attr-defined]

    pid, marker = apart(task, place, "x.bin")
    assert pid != os.getpid()
    assert marker == "as here"
    assert place.bytes_at("x.bin") == b"from there"


def test_a_method_of_a_class_that_is_defined_in_a_test_works_in_another_process(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "test_of_an_author.py"
    path.write_text("class TestIt:\n    def fault_targets(self, place):\n        return (place.root,)\n")
    spec = importlib.util.spec_from_file_location("test_of_an_author", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "test_of_an_author", module)
    spec.loader.exec_module(module)

    assert apart(lambda there, targets: targets(there), place, module.TestIt().fault_targets) == (place.root,)


def test_what_is_raised_there_is_told_here(place: Place) -> None:
    def task(there: Place) -> None:
        raise RuntimeError("went wrong there")

    with pytest.raises(AssertionError, match="RuntimeError: went wrong there"):
        apart(task, place)


@needs_fork
def test_a_fork_that_was_killed_gives_none_and_those_beside_it_their_results(place: Place) -> None:
    def task(there: Place) -> list[object]:
        def die() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        return [fork(die), *forks([lambda: 1, die, lambda: 3])]

    assert apart(task, place) == [None, 1, None, 3]


@needs_fork
def test_what_is_killed_takes_its_forks_with_it(place: Place, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")

    def task(there: Place) -> None:
        def stay() -> None:
            with open(f"{there.root}/alive", "wb", buffering=0) as pipe:
                pipe.write(b"!")
                time.sleep(60)

        fork(stay)

    with beside(task, place):
        alive = os.open(tmp_path / "alive", os.O_RDONLY)
        assert os.read(alive, 1) == b"!"
    ended, _, _ = select.select([alive], [], [], 10)  # the other end is closed: nobody has it open any more
    assert ended == [alive]
    assert os.read(alive, 1) == b""
    os.close(alive)


@needs_fork
def test_a_fork_that_stays_is_one_process_and_what_it_raises_is_told(place: Place) -> None:
    def task(there: Place) -> list[int]:
        with steady(lambda: os.getpid) as call:
            return [call(), call(), os.getpid()]

    first, second, other = apart(task, place)
    assert first == second != other

    def fail(there: Place) -> None:
        def make() -> None:
            raise RuntimeError("went wrong there")

        with steady(make) as call:  # type: ignore[arg-type]
            call()

    with pytest.raises(AssertionError, match="RuntimeError: went wrong there"):
        apart(fail, place)
