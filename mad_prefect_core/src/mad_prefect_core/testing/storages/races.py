"""Many writers at once, in threads and in processes, and writers that are killed."""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mad_prefect_core.errors import StorageConflictError
from mad_prefect_core.probe import unlike_one_file
from mad_prefect_core.testing.base import complaint, costly, needs
from mad_prefect_core.testing.faults import faults, kill, stop
from mad_prefect_core.testing.storages.place import SECONDS, Place, StorageBase, at_once
from mad_prefect_core.testing.storages.processes import Forked, apart, beside, fork, forks, needs_fork, steady

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

    @costly
    @needs_fork
    @needs("conditional_replace", "shared_between_processes")
    def test_a_writer_that_was_stopped_overwrites_nothing(self, place: Place) -> None:
        """A writer that is stopped (SIGSTOP) at any operation of a compare-and-swap, for longer than a lock of the
        storage lasts (`locks_last`), and then goes on, does not overwrite what another one has written meanwhile."""
        stopped = (_stop_at_each_operation, place, self.fault_targets, self.kill_at_every, self.locks_last)
        seen = apart(*stopped, seconds=self.locks_last + 5 * self.patience)
        assert len(seen) > 1, "No operation of replace could be interrupted: name what it calls in `fault_targets`"
        wrong = [
            f"stopped at operation {number} ({name}): {problem}"
            for number, name, outcomes, content in seen
            if (problem := _lost_update(outcomes, content))
        ]
        assert not wrong, complaint(
            "A writer that was stopped and went on has overwritten what another one had written",
            "Have the server compare as it writes, such as by If-Match or the token of the lock: a look at the lock, "
            "or at the clock, comes too early.",
            wrong,
        )

    @needs("atomic_replace")
    def test_a_reader_beside_writers_sees_whole_files(self, place: Place) -> None:
        """Whoever reads or lists while two writers overwrite a file sees one of their files, whole, and never none or
        another one."""
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
        """A writer that is killed at any moment of a publish leaves the old file or the new one, and nothing beside it
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
        killed = (_kill_at_each_operation, place, self.fault_targets, self.kill_at_every, acts, new, self.in_time)
        wrong, slow = [], []
        for act, seen in apart(*killed, seconds=5 * self.patience).items():
            assert len(seen) > 1, f"No operation of {act} could be interrupted: name what it calls in `fault_targets`"
            for each in seen:
                if each.state not in ("old", "new"):
                    wrong.append(f"{act} {each.when} leaves {each.state}")
                if each.strays:
                    wrong.append(f"{act} {each.when} leaves {', '.join(each.strays)} for readers to see")
                if each.next_took > self.in_time:
                    slow.append(f"{act} {each.when}: the next publish took {each.next_took:.0f} s")
        assert not wrong, complaint(
            "A writer that is killed leaves neither the old file nor the new one, whole",
            "Write under a name that nobody reads, or in one request, and switch at the end.",
            wrong,
        )
        assert not slow, complaint(
            "A writer that is killed holds up the next one",
            "Have a lock end with its holder, or say in `locks_last` after how many seconds it ends by itself.",
            slow,
        )


@dataclass(frozen=True)
class _AfterKill:
    """What is there after a writer was killed."""

    state: str
    strays: list[str]
    next_took: float
    """Seconds that the next publish took."""
    when: str = "in peace"


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
        wrong: set[str] = set()
        while not over.is_set():
            stored, stat = place.at("x.bin").read(), place.at("x.bin").stat()
            if _described(stored.data if stored else None) != (length, 1):
                wrong.add(f"read() gives {_in_words(stored.data if stored else None)}")
            if stat is None or stat.size != length:
                wrong.add(f"stat() gives {stat.size if stat else 'no'} bytes")
        return wrong

    def look() -> set[str]:
        wrong: set[str] = set()
        while not over.is_set():
            wrong.update(unlike_one_file(place.fs, place.path("x.bin"), length))
        return wrong

    wrong = set().union(*at_once([read, look, write_all], patience)[:2])
    assert not wrong, complaint(
        f"A reader beside writers sees parts of files of {length:,} bytes, or none",
        "Have a file appear whole at its name, also where it is sent in parts, and also in listings; or do not declare "
        "`atomic_replace`.",
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

        def look() -> tuple[str, list[str]]:
            # A server may carry out only now what the killed writer asked: who is told of it reads again.
            reads = (mine.bytes_or_changed("d/x.bin") for _ in range(3))
            seen = next((found for found in reads if found != "changed"), "changed each time that it is read")
            return _in_words(seen), sorted(mine.listing(".bin"))

        return look

    seconds = fork(measure)
    seen = []
    with steady(looking) as look:
        for number in range(times):
            fork(partial(publish_until_killed, (number + 0.5) / times))
            seen.append(look())
    return seen


def _lost_update(outcomes: dict[bytes, str], content: bytes | None) -> str | None:
    """What is wrong with how two writers that replace one version ended, in words."""
    if written := [data for data, outcome in outcomes.items() if outcome == "written"]:
        if len(written) > 1:
            return "both writers were told that they had replaced one version"
        if content != written[0]:
            return f"there is {content!r}, and it was the other writer that was told that it had written"
    if "conflict" in outcomes.values() and outcomes.get(content or b"") == "conflict":
        return f"there is {content!r}, and its writer was told of a conflict"
    return None


def _stop_at_each_operation(
    place: Place, targets: Callable[[Place], tuple[Any, ...]], every: int, locks_last: float
) -> list[tuple[int, str, dict[bytes, str], bytes | None]]:
    """One writer for each operation of a replace is stopped there, and another one replaces the same version. Returns
    number and name of the operation, how each of the two ended, by what it wrote, and what is there then."""

    def replace(key: str, data: bytes, stop_at: int | None) -> tuple[str, bool]:
        mine = place.another_client()
        with faults(*targets(mine), fail_at=stop_at, action=stop) as injected:
            try:
                mine.replace(key, data, tokens[key])
            except StorageConflictError:
                outcome = "conflict"
            except OSError as error:
                outcome = type(error).__name__
            else:
                outcome = "written"
        return outcome, bool(injected.failed)

    def create(keys: list[str]) -> dict[str, str]:
        mine = place.another_client()
        return {key: mine.replace(key, b"old", None) for key in keys}

    tokens: dict[str, str] = fork(partial(create, ["names"]))
    replacing = partial(_operations, place, targets, lambda mine: mine.replace("names", b"new", tokens["names"]))
    operations = list(enumerate(fork(replacing), 1))[::every]
    tokens = fork(partial(create, [f"{number}.json" for number, _ in operations]))
    first = {number: Forked(partial(replace, f"{number}.json", b"first", number)) for number, _ in operations}
    for writer in first.values():
        os.waitid(os.P_PID, writer.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    second = {number: Forked(partial(replace, f"{number}.json", b"second", None)) for number, _ in operations}
    # Those that find a lock wait until it ends; where none does, they wait until its holder goes on.
    deadline = time.monotonic() + (locks_last + SECONDS if locks_last else 1)
    for writer in second.values():
        writer.wait(max(0.0, deadline - time.monotonic()))
    for writer in first.values():
        os.kill(writer.pid, signal.SIGCONT)
    ended = {number: {b"first": first[number].result()[0], b"second": second[number].result()[0]} for number in first}
    read = fork(partial(_read_all, place, [f"{number}.json" for number in first]))
    return [(number, name, ended[number], read[f"{number}.json"]) for number, name in operations]


def _operations(place: Place, targets: Callable[[Place], tuple[Any, ...]], act: Callable[[Place], object]) -> list[str]:
    """The names of the operations that it takes, of another client."""
    mine = place.another_client()
    with faults(*targets(mine)) as injected:
        act(mine)
    return [operation.name for operation in injected.operations]


def _read_all(place: Place, keys: list[str]) -> dict[str, bytes | None]:
    mine = place.another_client()
    return {key: mine.bytes_at(key) for key in keys}


def _kill_at_each_operation(
    place: Place,
    targets: Callable[[Place], tuple[Any, ...]],
    every: int,
    acts: list[str],
    new: bytes,
    in_time: float,
) -> dict[str, list[_AfterKill]]:
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

    def looking() -> Callable[[], _AfterKill]:
        mine = place.another_client()

        def look() -> _AfterKill:
            content = mine.bytes_at("d/x.bin")
            state = {b"old": "old", new: "new", None: "no file"}.get(content) or f"{len(content or b'')} other bytes"
            strays = sorted(mine.listing(".bin") - {"d/x.bin"})
            begun = time.monotonic()
            mine.publish("d/x.bin", b"old")
            return _AfterKill(state, strays, time.monotonic() - begun)

        return look

    seen: dict[str, list[_AfterKill]] = {}
    fork(lambda: place.another_client().publish("d/source", new).link_to(place.at("d/x.bin")))
    with steady(looking) as look:
        look()
        for name, act in {"publish": publish, "link": link, "replace": replace}.items():
            if name not in acts:
                continue
            names = fork(partial(_operations, place, targets, act))
            found = seen.setdefault(name, [look()])
            for number in itertools.count(1, every):
                finished = fork(partial(attempt, act, number))
                operation = names[number - 1] if number <= len(names) else "beyond the last"
                found.append(dataclasses.replace(look(), when=f"killed at operation {number} ({operation})"))
                if finished or found[-1].next_took > in_time:
                    break
            found.append(fork(lambda: looking()()))  # who comes later sees the same
    return seen
