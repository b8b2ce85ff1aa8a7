"""What is kept of the objects that were read: right, and bounded."""

from __future__ import annotations

import itertools
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_prefect_core.errors import StorageError
from mad_prefect_core.object_stores import pinned as objects
from mad_prefect_core.object_stores.pinned import PinnedFiles
from mad_prefect_core.paths import is_written_once
from mad_prefect_core.sdk import ObjectInfo

MIB = 2**20


class Store:
    """A store in memory that keeps no old version."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[str, bytes]] = {}
        self.fetched = 0
        self._versions = itertools.count(1)

    def put(self, path: str, data: bytes) -> None:
        self.objects[path] = f"v{next(self._versions)}", data

    def tail(self, path: str, length: int, known: str | None) -> tuple[bytes, ObjectInfo] | None:
        version, data = self.objects[path]
        return None if version == known else (data[-length:], ObjectInfo(len(data), version))

    def fetch(self, path: str, version: str, start: int, end: int) -> bytes:
        self.fetched += 1
        now, data = self.objects[path]
        if now != version:
            raise StorageError("The object was replaced while it was read", path=path)
        return data[start:end]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("ab"), st.integers(1, 200)),
        st.tuples(st.just("open"), st.sampled_from("ab"), st.just(0)),
        st.tuples(st.just("read"), st.integers(0, 250), st.integers(1, 100)),
    ),
    max_size=40,
)


@given(STEPS)
def test_every_read_is_of_the_version_that_was_opened_whatever_is_kept(steps: list[tuple[str, Any, int]]) -> None:
    store, chance = Store(), random.Random(1)
    with pytest.MonkeyPatch.context() as patch:
        for name, size in {"_TAIL": 32, "_KEPT": 256, "_LONGEST": 64, "_LEAST": 8, "_KNOWN": 1}.items():
            patch.setattr(objects, name, size)
        files = PinnedFiles(store, "test")
        opened: list[tuple[Any, bytes]] = []
        for path in "ab":
            store.put(path, chance.randbytes(100))
        for act, where, size in steps:
            if act == "put":
                store.put(where, chance.randbytes(size))
            elif act == "open":
                opened.append((files.open_now(where), store.objects[where][1]))
            for file, data in opened if act == "read" else ():
                file.seek(where)
                try:
                    assert file.read(size) == data[where : where + size]
                except StorageError:
                    assert data not in [now for _, now in store.objects.values()], "it is still there"


def test_what_was_read_is_not_asked_for_again() -> None:
    store = Store()
    store.put("x", random.Random(1).randbytes(10 * MIB))
    files = PinnedFiles(store, "test")
    for _ in range(3):
        file = files.open_now("x")
        file.seek(MIB)
        assert file.read(2 * MIB) == store.objects["x"][1][MIB : 3 * MIB]
    assert store.fetched == 1


def test_what_is_kept_does_not_grow_with_what_is_read() -> None:
    store = Store()
    for number in range(40):
        store.put(str(number), bytes(4 * MIB))
    files = PinnedFiles(store, "test")
    tracemalloc.start()
    try:
        for number in range(40):
            file = files.open_now(str(number))
            for start in range(0, 4 * MIB, MIB):
                file.seek(start)
                file.read(MIB)
        del file
        assert tracemalloc.get_traced_memory()[0] < 66 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("path", "once"),
    [
        ("b/lake/_artifacts/asset=x/0123456789abcdef0123456789abcdef/x.csv.run", True),
        ("b/_artifacts/asset=x/year=2026/runtime=1/0123456789abcdef0123456789abcdef/fragment=0.json", True),
        ("b/raw/0123456789abcdef0123456789abcdef/fragment=0.json", False),
        ("b/_artifacts/asset=x/0123456789abcdef0123456789abcdef/x.csv", False),
        ("b/x.run", False),
    ],
)
def test_only_what_a_run_names_after_itself_is_not_looked_up_again(path: str, once: bool) -> None:
    assert is_written_once(path) is once
