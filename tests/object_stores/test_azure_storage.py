"""What is special to Azure. Each name says what a user would lose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from http_proxy import Fault, Request

from mad_prefect_core.errors import PathError, StorageError
from mad_prefect_core.mounts import mount

MEGABYTE = 2**20


@pytest.fixture
def server(azurite_server: Any) -> Any:
    return azurite_server


def write_in_blocks(bucket: Any, key: str, data: bytes) -> None:
    """Somebody else does. That throws away all blocks of the blob that are in no list."""
    blob, block = bucket.container.get_blob_client(key), f"{0:032}-{0:06}"
    blob.stage_block(block, data)
    blob.commit_block_list([block])


def staged(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "staged"
    path.write_bytes(data)
    return path


def test_an_upload_whose_blocks_another_writer_discards_is_begun_anew(bucket: Any, tmp_path: Path) -> None:
    store, data = bucket.store(), bytes(range(256)) * (20 * MEGABYTE // 256)

    def discarding(request: Request) -> None:
        if "comp=blocklist" in request.query:
            bucket.proxy.heal()
            write_in_blocks(bucket, "x", b"others")

    bucket.proxy.faults = discarding
    store.publish(staged(tmp_path, data), bucket.path("x"))
    assert bucket.get("x") == data
    assert sum(map(bucket.is_part, bucket.proxy.requests)) == 10


def test_two_writers_of_one_large_object_both_come_through(bucket: Any, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    datas = [bytes([number]) * 20 * MEGABYTE for number in (1, 2, 3)]

    def write(number: int) -> None:
        (tmp_path / str(number)).mkdir()
        store = bucket.store(attempts=10 + number)  # a client of its own
        store.publish(staged(tmp_path / str(number), datas[number]), bucket.path("x"))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    assert bucket.get("x") in datas


def test_an_upload_whose_blocks_are_discarded_each_time_ends(bucket: Any, tmp_path: Path, pauses: list[float]) -> None:
    def discarding(request: Request) -> None:
        if "comp=blocklist" in request.query:
            write_in_blocks(bucket, "x", b"others")

    bucket.proxy.faults = discarding
    with pytest.raises(StorageError, match="InvalidBlockList"):
        bucket.store(attempts=2).publish(staged(tmp_path, bytes(20 * MEGABYTE)), bucket.path("x"))
    assert bucket.get("x") == b"others"


def test_a_list_of_blocks_whose_answer_was_lost_is_not_sent_as_another_upload(bucket: Any, tmp_path: Path) -> None:
    store = bucket.store()
    data = bytes(20 * MEGABYTE)
    bucket.proxy.faults = lambda r: lost.pop() if "comp=blocklist" in r.query and lost else None
    lost = [Fault(reply_lost=True)]
    store.publish(staged(tmp_path, data), bucket.path("x"))
    assert bucket.get("x") == data
    assert sum(map(bucket.is_part, bucket.proxy.requests)) == 5


def test_a_blob_under_a_lease_is_an_error_that_says_so_and_no_other_writer(bucket: Any, tmp_path: Path) -> None:
    store, path = bucket.store(attempts=2), bucket.put("x", b"old")
    lease = bucket.container.get_blob_client("x").acquire_lease()
    for act in (
        lambda: store.replace(path, b"new", store.stat(path).token),
        lambda: store.publish(staged(tmp_path, b"new"), path),
    ):
        with pytest.raises(StorageError, match="LeaseIdMissing"):
            act()
    lease.break_lease(0)
    assert bucket.get("x") == b"old"


def test_a_copy_of_which_the_server_says_that_it_goes_on_is_waited_for(bucket: Any) -> None:
    store, path, ask = bucket.store(), bucket.put("x", b"data"), bucket.proxy.ask
    states = ["pending", "pending", "success"]

    def slow(method: str, path: str, body: bytes, headers: Any) -> Any:
        status, said, data = ask(method, path, body, headers)
        said = [(name, states[0] if name.lower() == "x-ms-copy-status" else value) for name, value in said]
        if any(name.lower() == "x-ms-copy-status" for name, _ in said):
            states.pop(0)
        return status, said, data

    bucket.proxy.ask = slow
    token = store.link(path, bucket.path("y"))
    bucket.proxy.ask = ask
    assert store.stat(bucket.path("y")).token == token
    assert states == []


def test_a_name_that_azure_takes_for_another_one_is_refused(based: Any) -> None:
    with pytest.raises(PathError, match=r"\\"):
        mount(f"{based.url}/a\\b.json").path("x")
