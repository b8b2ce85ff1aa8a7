"""File objects that several threads read at once, as DuckDB 2.0 does."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from mad_prefect_core.shared_files import SharedFile, for_duckdb

DATA = random.Random(1).randbytes(100_000)


def shared(**kwargs: Any) -> SharedFile:
    def fetch(start: int, end: int) -> bytes:
        assert start < end, "some stores refuse to be asked for nothing"
        return DATA[start:end]

    return SharedFile(fetch, len(DATA), **kwargs)


def in_thread(call: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


@pytest.mark.parametrize("ahead", [0, 1000])
def test_in_one_thread_it_is_an_ordinary_file(ahead: int) -> None:
    ordinary, file, chance = io.BytesIO(DATA), shared(ahead=ahead), random.Random(2)
    for _ in range(3000):
        match chance.randrange(4):
            case 0:
                offset = chance.randrange(120_000)
                assert file.seek(offset) == ordinary.seek(offset)
            case 1:
                offset = -chance.randrange(1000)
                assert file.seek(offset, io.SEEK_END) == ordinary.seek(offset, io.SEEK_END)
            case 2:
                size = chance.randrange(3000)
                assert file.read(size) == ordinary.read(size)
            case 3:
                assert file.tell() == ordinary.tell()
    file.seek(10)
    assert (file.read(), file.read(1)) == (DATA[10:], b"")
    file.seek(10)
    target = bytearray(50)
    assert (file.readinto(target), bytes(target), file.tell()) == (50, DATA[10:60], 60)
    with pytest.raises(ValueError, match="negative seek position"):
        file.seek(-1)


def test_a_seek_of_one_thread_does_not_move_the_read_of_another() -> None:
    file = shared()
    file.seek(10)
    in_thread(lambda: file.seek(5000))
    assert file.read(5) == DATA[10:15]


def test_threads_that_take_turns_get_all_bytes_once() -> None:
    file = shared()
    parts = [in_thread(lambda: file.read(10_000)) if turn % 2 else file.read(10_000) for turn in range(11)]
    assert b"".join(parts) == DATA


def test_a_seek_before_another_thread_takes_over_is_where_that_thread_begins() -> None:
    file = shared()
    file.read(7000)
    file.seek(0)
    assert in_thread(lambda: file.read(100)) == DATA[:100]
    assert file.read(100) == DATA[100:200]


def test_many_threads_that_seek_and_read_get_what_they_asked_for() -> None:
    file = shared()
    wrong: list[int] = []

    def read_around(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(2000):
            start = chance.randrange(len(DATA))
            file.seek(start)
            if file.read(100) != DATA[start : start + 100]:
                wrong.append(start)

    threads = [threading.Thread(target=read_around, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_small_reads_in_sequence_are_not_a_request_each() -> None:
    requests: list[tuple[int, int]] = []

    def fetch(start: int, end: int) -> bytes:
        requests.append((start, end))
        return DATA[start:end]

    file = SharedFile(fetch, len(DATA), ahead=40_000)
    assert b"".join(file.read(1000) for _ in range(100)) == DATA
    assert requests == [(0, 40_000), (40_000, 80_000), (80_000, 100_000)]


def test_a_closed_file_can_not_be_read_and_is_released_once() -> None:
    released: list[bool] = []
    file = shared(release=lambda: released.append(True))
    with file:
        pass
    file.close()
    assert released == [True]
    with pytest.raises(ValueError, match="closed file"):
        file.read(1)


def test_a_file_that_is_forgotten_unclosed_is_released() -> None:
    released: list[bool] = []
    file = shared(release=lambda: released.append(True))  # DuckDB closes few of the files that it opens
    del file
    assert released == [True]


class ObjectStore(AbstractFileSystem):
    """Files whose handles read ranges of one version, as those of s3fs do."""

    protocol = "objects"

    class Handle(AbstractBufferedFile):
        def _fetch_range(self, start: int, end: int) -> bytes:
            return DATA[start:end]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": len(DATA), "type": "file"}

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        kwargs.pop("block_size", None), kwargs.pop("autocommit", None), kwargs.pop("cache_options", None)
        return self.Handle(self, path, mode, **kwargs)

    def cat_file(self, *_: Any, **__: Any) -> bytes:
        raise AssertionError("reads whatever version is there")


def test_an_object_store_is_read_through_the_handle_that_knows_its_version() -> None:
    file = for_duckdb(ObjectStore()).open("objects://x")
    file.seek(100)
    assert (file.read(10), file.size) == (DATA[100:110], len(DATA))


def test_any_other_filesystem_is_read_by_ranges() -> None:
    memory = MemoryFileSystem()
    memory.pipe_file("/shared_file_test", DATA)
    try:
        file = for_duckdb(memory).open("memory://shared_file_test")
        file.seek(100)
        assert (file.read(10), file.size) == (DATA[100:110], len(DATA))
    finally:
        memory.rm_file("/shared_file_test")


def test_a_local_file_gives_its_descriptor_back(tmp_path: Any) -> None:
    (tmp_path / "x").write_bytes(DATA)
    file = for_duckdb(fsspec.filesystem("file")).open(f"{tmp_path}/x")
    assert file.read() == DATA
    file.close()
    with pytest.raises(ValueError, match="closed file"):
        file.read(1)
