"""Many writers at once, in threads and in processes, and writers that are killed."""

from __future__ import annotations

import itertools
import multiprocessing
import signal
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from mad_prefect_core.errors import StorageConflictError
from mad_prefect_core.testing.base import complaint, costly, needs
from mad_prefect_core.testing.faults import faults, kill
from mad_prefect_core.testing.storages.place import Place, StorageBase, at_once
from mad_prefect_core.testing.storages.processes import apart, beside, fork, forks, needs_fork, steady

__all__ = ["RaceContract"]

_LENGTH = 1_000_000


class RaceContract(StorageBase, contract=True):
    """Races."""

    @needs("conditional_create")
    def test_of_threads_that_create_one_object_one_wins(self, place: Place) -> None:
        """Of 16 threads that create one object at once exactly one does, and its bytes stay."""
        for number in range(3):
            key = f"{number}.json"
            won = at_once([partial(_create, place, key, writer) for writer in range(self.writers)], self.patience)
            _check_winner(won, place, key)

    @costly
    @needs_fork
    @needs("conditional_create", "shared_between_processes")
    def test_of_processes_that_create_one_object_one_wins(self, place: Place) -> None:
        """Of 16 processes that create one object at once exactly one does, and its bytes stay."""
        race = (_race_to_create, place, 3, self.writers, self.patience)
        for number, won in enumerate(apart(*race, seconds=self.patience)):
            _check_winner(won, place, f"{number}.json")

    @needs("conditional_replace")
    def test_no_update_of_racing_threads_is_lost(self, place: Place) -> None:
        """A counter that 4 threads count up by compare-and-swap, each as often as it takes, is exact."""
        at_once([partial(_count, place, "count", 10) for _ in range(4)], self.patience)
        _check_count(place)

    @costly
    @needs_fork
    @needs("conditional_replace", "shared_between_processes")
    def test_no_update_of_racing_processes_is_lost(self, place: Place) -> None:
        """A counter that 4 processes count up by compare-and-swap, each as often as it takes, is exact."""
        apart(_race_to_count, place, 4, 10, seconds=self.patience)
        _check_count(place)

    @needs("atomic_replace")
    def test_a_reader_beside_writers_sees_whole_files(self, place: Place) -> None:
        """Whoever reads while two writers overwrite a file sees one of their files, whole, and never none."""
        _read_beside_writers(place, _LENGTH, 15, self.patience)

    @costly
    @needs("atomic_replace")
    def test_a_reader_beside_writers_sees_whole_large_files(self, place: Place) -> None:
        """The same of files that are larger than `parts_above`, which clients send in another way."""
        _read_beside_writers(place, len(self.large(b"a")), 3, self.patience)

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
            assert _described(content) == (_LENGTH, 1), complaint(
                f"A file that was replaced while it was open reads as {_in_words(content)}",
                "Read the version that was opened, or raise OSError where it is gone.",
            )

    @costly
    @needs_fork
    @needs("atomic_replace", "shared_between_processes")
    def test_a_writer_killed_at_random_leaves_whole_files(self, place: Place) -> None:
        """A writer that is killed (SIGKILL) at any moment leaves the old file or the new one, and nothing beside it
        that a reader of `*.bin` sees; another writer can go on at once."""
        _kill_at_random(place, _LENGTH, 6, self.patience)

    @costly
    @needs_fork
    @needs("atomic_replace", "shared_between_processes")
    def test_a_writer_of_large_files_killed_at_random_leaves_whole_files(self, place: Place) -> None:
        """The same of files that are larger than `parts_above`."""
        _kill_at_random(place, len(self.large(b"a")), 10, self.patience)

    @costly
    @needs_fork
    @needs("atomic_replace", "shared_between_processes")
    def test_a_writer_killed_at_each_operation_leaves_whole_files(self, place: Place) -> None:
        """A writer that is killed (SIGKILL) at any storage operation of a publish, link or replace
        leaves the old file or the new one, nothing that a reader of `*.bin` sees, and no lock held."""
        acts = ["publish", "link"]
        if place.storage.capabilities.conditional_replace:
            acts.append("replace")
        self._kill_at_each(place, b"new", acts)

    @costly
    @needs_fork
    @needs("atomic_replace", "shared_between_processes")
    def test_a_writer_killed_at_each_operation_of_a_large_publish_leaves_whole_files(self, place: Place) -> None:
        """The same of a publish of a file that is larger than `parts_above`."""
        self._kill_at_each(place, self.large(b"n"), ["publish"])

    def _kill_at_each(self, place: Place, new: bytes, acts: list[str]) -> None:
        killed = (_kill_at_each_operation, place, self.fault_targets, self.kill_at_every, acts, new)
        wrong = []
        for act, seen in apart(*killed, seconds=5 * self.patience).items():
            assert len(seen) > 1, f"No operation of {act} could be interrupted: name what it calls in `fault_targets`"
            for number, (state, strays) in enumerate(seen, 1):
                if state not in ("old", "new"):
                    wrong.append(f"{act} killed at turn {number} leaves {state}")
                if strays:
                    wrong.append(f"{act} killed at turn {number} leaves {', '.join(strays)} for readers to see")
        assert not wrong, complaint(
            "A writer that is killed leaves neither the old file nor the new one, whole",
            "Write under a name that nobody reads, or in one request, and switch at the end.",
            wrong,
        )


def _read_beside_writers(place: Place, length: int, times: int, patience: float) -> None:
    place.publish("x.bin", bytes(length))
    over = threading.Event()

    def write(letter: bytes) -> None:
        for _ in range(times):
            place.publish("x.bin", letter * length)

    def write_all() -> None:
        try:
            at_once([partial(write, b"a"), partial(write, b"b")], patience)
        finally:
            over.set()

    def read() -> set[str]:
        wrong = set()
        while not over.is_set():
            stored, stat = place.at("x.bin").read(), place.at("x.bin").stat()
            if _described(stored.data if stored else None) != (length, 1):
                wrong.add(f"read() gives {_in_words(stored.data if stored else None)}")
            if stat is None or stat.size != length:
                wrong.add(f"stat() gives {stat.size if stat else 'no'} bytes")
            if place.listing(".bin") != {"x.bin"}:
                wrong.add(f"the listing is {sorted(place.listing('.bin'))}")
        return wrong

    wrong = set().union(*at_once([read, read, write_all], patience)[:2])
    assert not wrong, complaint(
        f"A reader beside writers sees parts of files of {length:,} bytes, or none",
        "Have a file appear whole at its name, also where it is sent in parts.",
        sorted(wrong),
    )


def _kill_at_random(place: Place, length: int, times: int, patience: float) -> None:
    place.publish("d/x.bin", bytes(length))
    wrong = set()
    with beside(_kill_while_publishing, place, length, times) as process:
        while not process.over():
            seen = place.bytes_or_changed("d/x.bin")
            if _described(seen) not in ((length, 1), "changed"):
                wrong.add(f"meanwhile: {_in_words(seen)}")
        afterwards = process.result(2 * patience)
    for number, (content, listed) in enumerate(afterwards, 1):
        when = f"after kill {number} of {times}"
        if content != f"{length:,} bytes of 1 files":
            wrong.add(f"{when}: {content}")
        if listed != ["d/x.bin"]:
            wrong.add(f"{when} the listing is {listed}")
    assert not wrong, complaint(
        "A writer that is killed leaves neither the old file nor the new one, whole",
        "Write under a name that nobody reads, or in one request, and switch at the end.",
        sorted(wrong),
    )
    place.publish("d/x.bin", b"after")
    assert place.bytes_at("d/x.bin") == b"after"


def _in_words(data: bytes | str | None) -> str:
    if isinstance(data, bytes):
        return f"{len(data):,} bytes of {len(set(data))} files"
    return data or "no file"


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
    assert won.count(True) == 1, complaint(
        f"{won.count(True)} of {len(won)} writers that created one object at once were told that they did", _COMPARE
    )
    wrong = place.unlike({key: b"%d" % won.index(True)})
    assert not wrong, complaint("The object is not that of the writer who was told that it won", _COMPARE, wrong)


def _check_count(place: Place) -> None:
    counted = int((place.bytes_at("count") or b"0").split()[0])
    assert counted == 40, complaint(f"Of 40 updates by racing writers {40 - counted} are lost", _COMPARE)


_COMPARE = "Compare and write in one step, that holds for all threads and processes."


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


def _race_to_create(place: Place, rounds: int, writers: int, patience: float) -> list[list[bool]]:
    together = multiprocessing.get_context("fork").Barrier(writers)

    def create(writer: int) -> list[bool]:
        mine, won = place.another_client(), []
        for number in range(rounds):
            mine.at("nothing").read()  # it is connected, so that all write at one moment
            together.wait(patience)
            won.append(_create(mine, f"{number}.json", writer))
        return won

    return [list(won) for won in zip(*forks([partial(create, writer) for writer in range(writers)]), strict=True)]


def _race_to_count(place: Place, processes: int, times: int) -> None:
    forks([lambda: _count(place.another_client(), "count", times)] * processes)


def _kill_while_publishing(place: Place, length: int, times: int) -> list[tuple[str, list[str]]]:
    """Kill one writer after the other, each at a later part of a publish. Returns what is there after each."""

    def publish(mine: Place, letter: bytes, kill_after: float = 0) -> float:
        """Publish, with a kill that many seconds after the file was staged. Returns how long it took."""
        location = mine.at("d/x.bin")
        staged = location.stage()
        staged.write_bytes(letter * length)
        begun = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, kill_after)
        location.publish(staged, durable=False)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return time.monotonic() - begun

    def measure() -> float:
        mine = place.another_client()
        return min(publish(mine, letter) for letter in (b"a", b"b"))

    def publish_until_killed(part: float) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process as SIGKILL does, at once
        mine = place.another_client()
        mine.at("d/x.bin").stat()  # it is connected
        took = seconds
        for letter in itertools.cycle((b"a", b"b", b"c")):
            took = publish(mine, letter, part * took)

    def looking() -> Callable[[], tuple[str, list[str]]]:
        mine = place.another_client()
        return lambda: (_in_words(mine.bytes_at("d/x.bin")), sorted(mine.listing(".bin")))

    seconds = fork(measure)
    seen = []
    with steady(looking) as look:
        for number in range(times):
            fork(partial(publish_until_killed, (number + 0.5) / times))
            seen.append(look())
    return seen


def _kill_at_each_operation(
    place: Place, targets: Callable[[Place], tuple[Any, ...]], every: int, acts: list[str], new: bytes
) -> dict[str, list[tuple[str, list[str]]]]:
    def publish(mine: Place) -> None:
        mine.publish("d/x.bin", new)

    def link(mine: Place) -> None:
        mine.at("d/source").link_to(mine.at("d/x.bin"))

    def replace(mine: Place) -> None:
        found = mine.at("d/x.bin").read()
        mine.replace("d/x.bin", new, found.token if found else None)

    def attempt(act: Callable[[Place], None], number: int) -> bool:
        mine = place.another_client()
        with faults(*targets(mine), fail_at=number, action=kill):
            act(mine)
        return True

    def looking() -> Callable[[], tuple[str, list[str]]]:
        mine = place.another_client()

        def look() -> tuple[str, list[str]]:
            content = mine.bytes_at("d/x.bin")
            state = {b"old": "old", new: "new", None: "no file"}.get(content) or f"{len(content or b'')} other bytes"
            seen = state, sorted(mine.listing(".bin") - {"d/x.bin"})
            mine.publish("d/x.bin", b"old")
            return seen

        return look

    seen: dict[str, list[tuple[str, list[str]]]] = {}
    fork(lambda: place.another_client().publish("d/source", new).link_to(place.at("d/x.bin")))
    with steady(looking) as look:
        look()
        for name, act in {"publish": publish, "link": link, "replace": replace}.items():
            if name not in acts:
                continue
            found = seen.setdefault(name, [])
            for number in itertools.count(1, every):
                finished = fork(partial(attempt, act, number))
                found.append(look())
                if finished:
                    break
            found.append(fork(lambda: looking()()))  # who comes later sees the same
    return seen
