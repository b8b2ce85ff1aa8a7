"""Many writers at once, in threads and in processes, and writers that are killed."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from mad_prefect_core.errors import StorageConflictError
from mad_prefect_core.testing.base import needs
from mad_prefect_core.testing.faults import faults, kill
from mad_prefect_core.testing.storages.place import SECONDS, Place, StorageBase, at_once
from mad_prefect_core.testing.storages.processes import Forked, apart, beside, fork, forks, needs_fork, steady

__all__ = ["RaceContract"]

WRITERS = 16
_LENGTH = 1_000_000


class RaceContract(StorageBase, contract=True):
    """Races."""

    @needs("conditional_create")
    def test_of_threads_that_create_one_object_one_wins(self, place: Place) -> None:
        """Of 16 threads that create one object at once exactly one does, and its bytes stay."""
        for number in range(3):
            key = f"{number}.json"
            _check_winner(at_once([partial(_create, place, key, writer) for writer in range(WRITERS)]), place, key)

    @needs_fork
    @needs("conditional_create", "shared_between_processes")
    def test_of_processes_that_create_one_object_one_wins(self, place: Place) -> None:
        """Of 16 processes that create one object at once exactly one does, and its bytes stay."""
        for number, won in enumerate(apart(_race_to_create, place, 3)):
            _check_winner(won, place, f"{number}.json")

    @needs("conditional_replace")
    def test_no_update_of_racing_threads_is_lost(self, place: Place) -> None:
        """A counter that 4 threads count up by compare-and-swap, each as often as it takes, is exact."""
        at_once([partial(_count, place, "count", 10) for _ in range(4)])
        assert _counted(place) == 40

    @needs_fork
    @needs("conditional_replace", "shared_between_processes")
    def test_no_update_of_racing_processes_is_lost(self, place: Place) -> None:
        """A counter that 4 processes count up by compare-and-swap, each as often as it takes, is exact."""
        apart(_race_to_count, place, 4, 10)
        assert _counted(place) == 40

    @needs("atomic_replace")
    def test_a_reader_beside_writers_sees_whole_files(self, place: Place) -> None:
        """Whoever reads while two writers overwrite a file sees one of their files, whole, and never none."""
        place.publish("x.bin", bytes(_LENGTH))
        over = threading.Event()

        def write(letter: bytes) -> None:
            for _ in range(15):
                place.publish("x.bin", letter * _LENGTH)

        def write_all() -> None:
            try:
                at_once([partial(write, b"a"), partial(write, b"b")])
            finally:
                over.set()

        def read() -> set[Any]:
            seen = set()
            while not over.is_set():
                stored, stat = place.at("x.bin").read(), place.at("x.bin").stat()
                seen.add(_described(stored.data if stored else None))
                seen.add((stat.size, 1) if stat else None)
                seen.add((len(place.listing(".bin")) * _LENGTH, 1))
            return seen

        assert at_once([read, read, write_all])[:2] == [{(_LENGTH, 1)}] * 2

    @needs("atomic_replace")
    def test_a_file_that_is_open_is_one_file(self, place: Place) -> None:
        """A file that is replaced while it is open reads on as it was, or raises `OSError`; it never mixes two."""
        for letter in (b"a", b"b", b"c"):
            with place.publish("x.bin", letter * _LENGTH).open() as file:
                content = file.read(10)
                place.publish("x.bin", b"#" * _LENGTH)
                try:
                    content += file.read()
                except OSError:
                    continue
            assert _described(content) == (_LENGTH, 1)

    @needs_fork
    @needs("atomic_replace", "shared_between_processes")
    def test_a_writer_killed_at_random_leaves_whole_files(self, place: Place) -> None:
        """A writer that is killed (SIGKILL) at any moment leaves the old file or the new one, and nothing beside it
        that a reader of `*.bin` sees; another writer can go on at once."""
        place.publish("d/x.bin", bytes(_LENGTH))
        chance = random.Random(1)
        with beside(_overwrite_until_killed, place, [chance.uniform(0, 0.15) for _ in range(6)]) as process:
            while not process.over():
                assert _described(place.bytes_or_changed("d/x.bin")) in ((_LENGTH, 1), "changed")
            process.result()
        assert _described(place.bytes_at("d/x.bin")) == (_LENGTH, 1)
        assert place.listing(".bin") == {"d/x.bin"}
        place.publish("d/x.bin", b"after")
        assert place.bytes_at("d/x.bin") == b"after"

    @needs_fork
    @needs("atomic_replace", "shared_between_processes")
    def test_a_writer_killed_at_each_operation_leaves_whole_files(self, place: Place) -> None:
        """A writer that is killed (SIGKILL) at any storage operation of a publish, link or replace
        leaves the old file or the new one, nothing that a reader of `*.bin` sees, and no lock held."""
        killed = (_kill_at_each_operation, place, self.fault_targets, self.kill_at_every)
        for act, seen in apart(*killed, seconds=5 * SECONDS).items():
            assert len(seen) > 1, f"no operation of {act} could be interrupted: see fault_targets"
            assert {content for content, _ in seen} <= {b"old", b"new"}, act
            assert {tuple(strays) for _, strays in seen} == {()}, act


def _described(data: bytes | str | None) -> Any:
    """Length and number of different bytes: files here are of one letter each."""
    return (len(data), len(set(data))) if isinstance(data, bytes) else data


def _create(place: Place, key: str, writer: int) -> bool:
    try:
        place.replace(key, b"%d" % writer, None)
    except StorageConflictError:
        return False
    return True


def _check_winner(won: list[bool], place: Place, key: str) -> None:
    assert won.count(True) == 1
    assert place.bytes_at(key) == b"%d" % won.index(True)


def _counted(place: Place) -> int:
    return int((place.bytes_at("count") or b"0").split()[0])


def _count(place: Place, key: str, times: int) -> None:
    for _ in range(times):
        while True:
            found = place.at(key).read()
            value = int(found.data.split()[0]) if found else 0
            # No two writers write the same bytes: by these a storage knows that it was its write that came through.
            data = f"{value + 1} {uuid.uuid4()}".encode()
            try:
                place.replace(key, data, found.token if found else None)
                break
            except StorageConflictError:
                continue


def _race_to_create(place: Place, rounds: int) -> list[list[bool]]:
    together = multiprocessing.get_context("fork").Barrier(WRITERS)

    def create(writer: int) -> list[bool]:
        mine, won = place.another_client(), []
        for number in range(rounds):
            mine.at("nothing").read()  # it is connected, so that all write at one moment
            together.wait(SECONDS)
            won.append(_create(mine, f"{number}.json", writer))
        return won

    return [list(won) for won in zip(*forks([partial(create, writer) for writer in range(WRITERS)]), strict=True)]


def _race_to_count(place: Place, processes: int, times: int) -> None:
    forks([lambda: _count(place.another_client(), "count", times)] * processes)


def _overwrite_until_killed(place: Place, seconds: list[float]) -> None:
    def overwrite() -> None:
        mine = place.another_client()
        while True:
            for letter in (b"a", b"b", b"c"):
                mine.publish("d/x.bin", letter * _LENGTH)

    for wait in seconds:
        writer = Forked(overwrite)
        time.sleep(0.05 + wait)
        os.kill(writer.pid, signal.SIGKILL)
        writer.result()


def _kill_at_each_operation(
    place: Place, targets: Callable[[Place], tuple[Any, ...]], every: int
) -> dict[str, list[tuple[bytes | None, list[str]]]]:
    def publish(mine: Place) -> None:
        mine.publish("d/x.bin", b"new")

    def link(mine: Place) -> None:
        mine.at("d/source").link_to(mine.at("d/x.bin"))

    def replace(mine: Place) -> None:
        found = mine.at("d/x.bin").read()
        mine.replace("d/x.bin", b"new", found.token if found else None)

    def attempt(act: Callable[[Place], None], number: int) -> bool:
        mine = place.another_client()
        with faults(*targets(mine), fail_at=number, action=kill):
            act(mine)
        return True

    def looking() -> Callable[[], tuple[bytes | None, list[str]]]:
        mine = place.another_client()

        def look() -> tuple[bytes | None, list[str]]:
            seen = mine.bytes_at("d/x.bin"), sorted(mine.listing(".bin") - {"d/x.bin"})
            mine.publish("d/x.bin", b"old")
            return seen

        return look

    seen: dict[str, list[tuple[bytes | None, list[str]]]] = {}
    acts = [publish, link]
    if place.storage.capabilities.conditional_replace:
        acts.append(replace)
    fork(lambda: place.another_client().publish("d/source", b"new").link_to(place.at("d/x.bin")))
    with steady(looking) as look:
        look()
        for act in acts:
            found = seen.setdefault(act.__name__, [])
            for number in itertools.count(1, every):
                finished = fork(partial(attempt, act, number))
                found.append(look())
                if finished:
                    break
            found.append(fork(lambda: looking()()))  # who comes later sees the same
    return seen
