"""What all contract tests of storages stand on: the fixtures that an author gives, and a fresh place to store in."""

from __future__ import annotations

import contextlib
import inspect
import string
import threading
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fsspec.implementations.local import LocalFileSystem

from mad_prefect_core.contracts import StorageLike
from mad_prefect_core.mounts import Location, Mount
from mad_prefect_core.testing.base import Contract
from mad_prefect_core.testing.faults import Target

__all__ = ["HOSTILE", "SECONDS", "Place", "StorageBase", "at_once"]

SECONDS = 60
"""After which something that several threads or processes do counts as hanging."""

HOSTILE = (
    *(f"a{character}b" for character in string.punctuation + " " if character != "/"),
    "[x]", "[!x]", "a**b", "{}", "{a,b}", "${x}", "a b  c", "%2e%2e", "a%2Fb", "%00", "a+b%20c", "..a", "...", "-rf",
    "~", "it's", 'a"b', "];DROP TABLE x;--", "x?versionId=1", "x#y", "a&b=c", "ünï-日本-🦆", "CON",
    unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"), "x" * 236, "k=v/k=v",
)  # fmt: skip


@dataclass(frozen=True)
class Place(Mount):
    """The base that the author gives: `at(key)` is a file there."""

    url: str
    given: Mapping[str, Any]
    """The options as the author gives them."""

    @classmethod
    def of(cls, storage: StorageLike[Any], url: str, given: Mapping[str, Any]) -> Place:
        store = storage.open(url, storage.options.model_validate(dict(given)))
        root = store.path(url)
        return cls(storage, store, root.rstrip("/") or ("/" if root.startswith("/") else ""), url, dict(given))

    def another_client(self) -> Place:
        """The same place as one sees it who starts anew."""
        clear = getattr(type(self.fs), "clear_instance_cache", None)
        if clear is not None:
            clear()
        return Place.of(self.storage, self.url, self.given)

    def publish(self, key: str, data: bytes, *, durable: bool = False) -> Location:
        """A published file."""
        location = self.at(key)
        staged = location.stage()
        try:
            staged.write_bytes(data)
            location.publish(staged, durable=durable)
        finally:
            staged.unlink(missing_ok=True)
        return location

    def replace(self, key: str, data: bytes, expected: str | None) -> str:
        """The storage's own compare-and-swap: `Location` sees to it that a lost answer is no lost race."""
        path = self.path(key)
        with self.call:
            return self.store.replace(path, data, expected)

    def bytes_at(self, key: str) -> bytes | None:
        """What a reader sees; None where there is no file."""
        try:
            with self.at(key).open() as file:
                return file.read()
        except FileNotFoundError:
            return None

    def unlike(self, expected: Mapping[str, bytes | None]) -> list[str]:
        """What readers see that is not as expected, in words: bytes by key, None for no file."""
        wrong = []
        for key, data in expected.items():
            if (seen := self.bytes_at(key)) != data:
                wrong.append(f"{key!r} is {_in_words(seen)} where it should be {_in_words(data)}")
        return wrong

    def bytes_or_changed(self, key: str) -> bytes | str | None:
        """What a reader sees while others write: `"changed"` if it was told that the file is another one now."""
        try:
            return self.bytes_at(key)
        except OSError:
            return "changed"

    def listing(self, suffix: str = "") -> set[str]:
        """All files, as a listing shows them."""
        found = (str(path)[len(self.root) :].lstrip("/") for path in self.fs.find(self.root))
        return {key for key in found if key.endswith(suffix)}


def _in_words(data: bytes | None) -> str:
    if data is None:
        return "no file"
    return f"the file {data!r}" if len(data) <= 40 else f"a file of {len(data):,} bytes"


class StorageBase(Contract):
    """The fixtures."""

    kind = "storage"
    names = "protocols"

    shared_between_processes: ClassVar[bool] = True
    """False for a storage that lives in one process."""
    large_megabytes: ClassVar[int] = 60
    """About how large the files of the tests marked `large` are. DuckDB reads small ones with one thread; of this size
    an ordinary file object fails every third query of a Parquet file."""
    kill_at_every: ClassVar[int] = 1
    """At every so-many-th storage operation a writer is killed. More where a client takes long to begin."""
    fail_at_every: ClassVar[int] = 1
    """At every so-many-th storage operation a fault is tried, of each kind of fault at others. More where a request is
    several operations, one within the other, or a round takes long."""
    parts_above: ClassVar[int] = 20 * 2**20
    """Bytes above which the storage or its client publishes in another way than below, such as in several requests.
    Faults, races and kills are tried below and above."""
    client_errors: ClassVar[tuple[Callable[[str], Exception], ...]] = ()
    """What the storage's client library raises where a request, or its reply, is lost: classes of exceptions, or
    functions that make one of a message. Faults raise them, beside `OSError`."""
    sends_again: ClassVar[bool] = False
    """Whether it sends a request again that was lost, or whose reply was, so that a single fault is no error."""
    hostile_names: ClassVar[tuple[str, ...]] = HOSTILE
    """Names of files that each stand for themselves, but for those with characters that the storage refuses."""
    locks_last: ClassVar[float] = 0
    """Seconds after which a lock, or lease, that the storage takes as it writes ends though its holder has not let go.
    0 where it takes none, or where one lasts as long as the process that holds it."""
    patience: ClassVar[int] = SECONDS
    """Seconds after which something that several threads or processes do counts as hanging."""
    writers: ClassVar[int] = 16
    """How many threads, or processes, create one object at once."""

    @classmethod
    def declared(cls, subject: Any) -> dict[str, bool]:
        """The capabilities, `sends_again`, `shared_between_processes`, and `works_without_options`: whether the author
        gives none."""
        without = inspect.getattr_static(cls, "options") is vars(StorageBase)["options"]
        more = {
            "sends_again": cls.sends_again,
            "shared_between_processes": cls.shared_between_processes,
            "works_without_options": without,
        }
        return {**super().declared(subject), **more}

    @property
    def in_time(self) -> float:
        """Seconds after which a publish is held up by an earlier one."""
        return self.patience / 4 + self.locks_last

    def large(self, letter: bytes) -> bytes:
        """The bytes of a file that is larger than `parts_above`, all of them one letter."""
        return letter * (self.parts_above + 2**20)

    def possible(self, place: Place, names: Iterable[str]) -> list[str]:
        """Those of the names that the storage does not refuse."""
        refused = {*place.storage.capabilities.refused_characters}
        return [name for name in names if refused.isdisjoint(name)]

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        """Options of the storage, secrets as plain text; overridden where it needs some."""
        return {}

    @pytest.fixture(autouse=True)
    def _under_test(self, request: pytest.FixtureRequest, storage: StorageLike[Any]) -> None:
        self.begin(request, storage)

    @pytest.fixture
    def place(self, storage: StorageLike[Any], url: str, options: Mapping[str, Any], _under_test: None) -> Place:
        """The author's place, with nothing in it."""
        return Place.of(storage, url, options)

    def fault_targets(self, place: Place) -> tuple[Target, ...]:
        """Where faults are injected; overridden for a storage whose calls fsspec does not see."""
        if isinstance(place.fs, LocalFileSystem):
            return (Path(place.root),)
        return (place.fs,)


def at_once(tasks: Iterable[Callable[[], Any]], seconds: float = SECONDS) -> list[Any]:
    """What each task returns, all begun at one moment in threads of their own. Raises what the first of them raised,
    and `TimeoutError` if one has not ended after so many seconds."""
    todo = list(tasks)
    results: list[Any] = [None] * len(todo)
    errors: list[BaseException] = []
    together = threading.Barrier(len(todo))

    def run(number: int) -> None:
        try:
            together.wait()
            results[number] = todo[number]()
        except BaseException as error:
            errors.append(error)
            with contextlib.suppress(threading.BrokenBarrierError):
                together.abort()

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(todo))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    if errors:
        raise errors[0]
    if any(thread.is_alive() for thread in threads):
        raise TimeoutError(f"Threads still hang after {seconds} seconds")
    return results
