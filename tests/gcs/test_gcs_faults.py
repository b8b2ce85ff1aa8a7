"""What Google Cloud Storage promises where servers, networks and users fail. Each name says what a user would lose."""

from __future__ import annotations

import logging
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from gcs_server import DELETE, LIST, READ, WRITE
from http_proxy import Fault, Request

from mad_prefect_core import asset
from mad_prefect_core.errors import OptionError, OutcomeUnknownError, StorageConflictError, StorageError
from mad_prefect_core.session import DuckSession
from mad_prefect_core.stores import staged_file
from mad_prefect_gcs import GCSOptions, GCSStorage, GCSStore

STORAGE = GCSStorage()
FAULTS = [Fault(), Fault(reply_lost=True), Fault(half_reply=True), *(Fault(status=s) for s in (408, 429, 500, 503))]


def publish(fs: Any, path: str, data: bytes) -> None:
    staged = staged_file(path)
    staged.write_bytes(data)
    GCSStore(fs).publish(staged, path)


def content(fs: Any, path: str) -> bytes:
    with DuckSession() as session:
        files = GCSStore(fs).duckdb_files(session, [path])
        return bytes(session.sql("SELECT content FROM read_blob($1)", [files]).fetchall()[0][0])


# -- what passes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_request_that_fails_once_is_sent_again_and_nobody_notices(bucket: Any, fault: Fault) -> None:
    fs, path = bucket.fs(conditional_writes="trust"), bucket.path("x")
    bucket.put("x", b"old")
    acts: dict[str, Any] = {
        "publish": lambda: publish(fs, path, b"1234"),
        "stat": lambda: GCSStore(fs).stat(path).size,  # type: ignore[union-attr]
        "read": lambda: GCSStore(fs).read(path).data,  # type: ignore[union-attr]
        "link": lambda: GCSStore(fs).link(path, bucket.path("y")),
        "replace": lambda: GCSStore(fs).replace(path, b"5678", str(bucket.held.objects["x"].generation)),
        "create": lambda: GCSStore(fs).replace(bucket.path("new"), b"first", None),
        "query": lambda: content(fs, path),
        "list": lambda: fs.ls(bucket.name, detail=False),
        "delete": lambda: fs.rm_file(bucket.path("y")),
    }
    seen = {}
    for name, act in acts.items():
        bucket.proxy.count()
        bucket.proxy.fail(fault)
        seen[name] = act()
        bucket.proxy.heal()
        assert bucket.proxy.count() > 1 or (name == "delete" and fault.half_reply), name

    assert (seen["stat"], seen["read"], seen["query"]) == (4, b"1234", b"5678")
    assert seen["list"] == [bucket.path(name) for name in ("new", "x", "y")]
    assert (bucket.get("x"), bucket.get("new")) == (b"5678", b"first")
    assert bucket.listed() == ["new", "x"]


def test_an_asset_runs_through_where_every_third_request_fails(based: Any) -> None:
    number = iter(range(10_000))
    based.proxy.faults = lambda _: FAULTS[n // 3 % len(FAULTS)] if (n := next(number)) % 3 == 2 else None

    @asset("x.parquet|csv")
    def numbers() -> Any:
        yield [{"id": 1}]
        yield [{"id": 2}]

    assert numbers.query_sync("SELECT sum(id)").fetchall() == [(3,)]
    based.proxy.heal()
    assert based.get("lake/x.csv") == b"id\n1\n2\n"


def test_attempts_are_bounded_and_the_error_says_what_was_tried(bucket: Any, pauses: list[float]) -> None:
    fs = bucket.fs(attempts=3)
    bucket.proxy.fail(Fault(status=503), times=None)
    with pytest.raises(StorageError, match=r"answered GET with HTTP 503") as raised:
        GCSStore(fs).stat(bucket.path("x"))

    assert bucket.proxy.count() == 3
    assert pauses == [0.25, 0.5]
    assert raised.value.path == f"gs://{bucket.path('x')}"


def test_a_server_that_is_started_again_meanwhile_is_asked_again(bucket: Any) -> None:
    fs, path = bucket.fs(), bucket.put("x", b"data")
    fs.run(fs._set_session)
    with bucket.proxy.away(seconds=0.3):
        assert GCSStore(fs).read(path).data == b"data"  # type: ignore[union-attr]


def test_a_server_that_says_nothing_is_given_up_after_the_read_timeout(bucket: Any) -> None:
    fs = bucket.fs(attempts=2, read_timeout=0.2)
    bucket.proxy.fail(Fault(wait=60), times=None)  # and then an answer, which would be no error
    with pytest.raises(StorageError, match="did not answer GET in 2 attempts: SocketTimeoutError"):
        GCSStore(fs).stat(bucket.path("x"))


def test_a_server_that_stops_to_take_what_it_is_sent_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mad_prefect_gcs import client

    monkeypatch.setattr(client, "_SLOWEST", 2**40)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        options = GCSOptions(endpoint_url=url, attempts=2, connect_timeout=0.2, read_timeout=0.2)
        store = STORAGE.open("gs://bucket", options)
        fs, root = store.fs, store.path("gs://bucket")
        ends = threading.Timer(30, deaf.close)  # resets the connections, which would be another error
        ends.start()
        with pytest.raises(StorageError, match="did not answer an upload in 2 attempts: TimeoutError"):
            publish(fs, f"{root}/x", b"x" * 2**23)
        ends.cancel()


def test_a_server_that_does_not_know_ranges_is_never_taken_at_its_word(bucket: Any) -> None:
    fs, ask = bucket.fs(), bucket.proxy.ask
    path = bucket.put("x.csv", b"n\n" + b"1\n" * 1_000_000)
    assert fs.cat_file(path, 0, 2) == b"n\n"

    def whole(method: str, path: str, body: bytes, headers: Any) -> Any:
        del headers["Range"]
        return ask(method, path, body, headers)

    bucket.proxy.ask = whole
    with pytest.raises(StorageError, match="sent 2000002 bytes where 2 were asked for"):
        fs.cat_file(path, 0, 2)
    assert content(fs, path) == bucket.get("x.csv")


# -- what is not known -------------------------------------------------------------------------------------------------


def test_a_conditional_write_whose_answer_was_lost_is_known_for_ours(bucket: Any) -> None:
    fs, path = bucket.fs(conditional_writes="trust"), bucket.path("manifest")
    token = None
    for number in (b"1", b"2"):
        bucket.proxy.fail(Fault(reply_lost=True), method="POST")
        token = GCSStore(fs).replace(path, number, token)
        assert GCSStore(fs).read(path).token == token  # type: ignore[union-attr]
        assert bucket.get("manifest") == number


def test_a_file_that_was_created_is_not_said_to_exist_where_the_answer_was_lost(bucket: Any) -> None:
    fs = bucket.fs(conditional_writes="trust")
    bucket.proxy.fail(Fault(reply_lost=True), method="POST")
    fs.pipe_file(bucket.path("piped"), b"1", mode="create")
    bucket.proxy.fail(Fault(reply_lost=True), method="POST")
    with fs.open(bucket.path("opened"), "xb") as file:
        file.write(b"1")
    assert bucket.listed() == ["opened", "piped"]


@pytest.mark.parametrize("fault", [Fault(), Fault(status=503), Fault(status=429)], ids=str)
def test_a_lost_race_is_a_conflict_also_where_the_first_answer_was_lost(bucket: Any, fault: Fault) -> None:
    fs, path = bucket.fs(conditional_writes="trust"), bucket.path("manifest")
    token = GCSStore(fs).replace(path, b"1", None)

    def rival(request: Request) -> Fault | None:
        bucket.proxy.heal()
        options = GCSOptions(endpoint_url=bucket.server.url, conditional_writes="trust")
        STORAGE.open(bucket.url, options).replace(path, b"rival", token)
        return fault

    bucket.proxy.faults = lambda request: rival(request) if request.method == "POST" else None
    with pytest.raises(StorageConflictError):
        GCSStore(fs).replace(path, b"2", token)
    assert bucket.get("manifest") == b"rival"


def test_a_write_of_unknown_outcome_says_so_and_is_no_conflict(bucket: Any) -> None:
    fs, path = bucket.fs(conditional_writes="trust", attempts=2), bucket.path("manifest")
    token = GCSStore(fs).replace(path, b"1", None)

    def gone_after(request: Request) -> Fault | None:
        if request.method == "POST":
            bucket.proxy.fail(Fault(), times=None)
            return Fault(reply_lost=True)
        return None

    bucket.proxy.faults = gone_after
    with pytest.raises(OutcomeUnknownError, match="Nothing was deleted"):
        GCSStore(fs).replace(path, b"2", token)
    assert bucket.get("manifest") == b"2"


def test_a_write_that_was_replaced_before_its_lost_answer_was_looked_up_is_no_conflict(bucket: Any) -> None:
    fs, path = bucket.fs(conditional_writes="trust"), bucket.path("manifest")
    token = GCSStore(fs).replace(path, b"1", None)

    def replaced(request: Request) -> Fault | None:
        if request.method == "GET":
            bucket.proxy.heal()
            bucket.put("manifest", b"later")
        return Fault(reply_lost=True) if request.method == "POST" else None

    bucket.proxy.faults = replaced
    with pytest.raises(OutcomeUnknownError):
        GCSStore(fs).replace(path, b"2", token)


def test_a_write_that_the_server_refused_for_good_is_not_tried_again(bucket: Any) -> None:
    fs = bucket.fs(conditional_writes="trust")
    bucket.proxy.fail(Fault(status=400), times=None)
    with pytest.raises(StorageError, match="HTTP 400"):
        GCSStore(fs).replace(bucket.path("manifest"), b"1", None)
    assert bucket.proxy.count() == 1


def test_a_server_that_dies_while_a_run_is_switched_loses_nothing(
    based: Any, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    monkeypatch.setenv("MAD_PREFECT_LEASE_SECONDS", "3")  # the next run waits for that of the one that failed
    value, dead = 1, []

    @asset("x.json")
    def numbers() -> Any:
        return [{"id": value}]

    numbers.query_sync()
    value = 2
    ask = based.proxy.ask

    def dies(method: str, path: str, body: bytes, headers: Any) -> Any:
        if dead or (method == "POST" and b"manifest.json" in body):
            dead.append(path)
            if len(dead) == 1:
                ask(method, path, body, headers)
            return 503, [], b""
        return ask(method, path, body, headers)

    based.proxy.ask = dies
    with pytest.raises(StorageError):
        numbers.query_sync()
    assert 0 < sum(pauses) <= 8
    based.proxy.ask = ask

    assert numbers.query_sync("SELECT id").fetchall() == [(2,)]
    assert based.get("lake/x.json").strip() == b'{"id":2}'


# -- servers that ignore conditions ------------------------------------------------------------------------------------


def test_a_server_that_ignores_conditions_is_found_out_once_and_said_plainly(
    own_bucket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    own_bucket.server.keeps_conditions = False
    fs, path = own_bucket.fs(), own_bucket.path("d/manifest")
    token = GCSStore(fs).replace(path, b"1", None)
    with pytest.raises(StorageConflictError):
        GCSStore(fs).replace(path, b"2", None)
    token = GCSStore(fs).replace(path, b"2", token)
    with pytest.raises(StorageConflictError):
        GCSStore(fs).replace(path, b"3", "1")

    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1
    assert "ignores the conditions of writes" in said[0]
    assert own_bucket.listed() == ["d/manifest"]
    assert own_bucket.get("d/manifest") == b"2"


def test_a_server_that_ignores_conditions_is_refused_where_that_is_asked_for(own_bucket: Any) -> None:
    own_bucket.server.keeps_conditions = False
    fs = own_bucket.fs(conditional_writes="require")
    for _ in range(2):
        with pytest.raises(StorageError, match="ignores the conditions of writes"):
            GCSStore(fs).replace(own_bucket.path("manifest"), b"1", None)
    assert own_bucket.listed() == []


def test_a_server_that_keeps_conditions_is_asked_once(bucket: Any, caplog: pytest.LogCaptureFixture) -> None:
    fs = bucket.fs()
    GCSStore(fs).replace(bucket.path("a"), b"1", None)
    bucket.proxy.count()
    GCSStore(fs).replace(bucket.path("b"), b"1", None)

    assert bucket.proxy.count() == 1
    assert not caplog.records
    assert bucket.listed() == ["a", "b"]


# -- what the user got wrong -------------------------------------------------------------------------------------------


def failing(url: str, options: dict[str, Any]) -> StorageError:
    store = STORAGE.open(url, GCSOptions(**{"attempts": 2, **options}))
    fs, root = store.fs, store.path(url)
    with pytest.raises(StorageError) as raised:
        GCSStore(fs).read(f"{root}/x")
    for act in (
        lambda: publish(fs, f"{root}/x", b"data"),
        lambda: GCSStore(fs).replace(f"{root}/x", b"data", None),
        lambda: fs.ls(root),
    ):
        with pytest.raises(StorageError):
            act()
    assert raised.value.path == f"{url}/x"
    return raised.value


def test_a_bucket_that_is_not_there_is_an_error_that_names_it(bucket: Any) -> None:
    error = failing("gs://no-such-bucket/lake", {"endpoint_url": bucket.proxy.url})
    assert "HTTP 404: The specified bucket does not exist" in str(error)
    assert "Make the bucket" in str(error)


def test_a_server_that_is_not_there_is_an_error_within_seconds(pauses: list[float]) -> None:
    error = failing("gs://bucket/lake", {"endpoint_url": "http://user:hidden@127.0.0.1:9", "attempts": 6})
    assert "did not answer" in str(error)
    assert "127.0.0.1:9" in str(error)
    assert "hidden" not in str(error)
    assert 0 < sum(pauses) <= 8


def test_a_server_that_is_no_gcs_is_an_error(bucket: Any) -> None:
    fs, path = bucket.fs(conditional_writes="trust"), bucket.path("x")
    bucket.proxy.fail(Fault(status=200), times=None)
    for act in (
        lambda: GCSStore(fs).stat(path),
        lambda: GCSStore(fs).read(path),
        lambda: GCSStore(fs).replace(path, b"1", None),
        lambda: GCSStore(fs).link(path, bucket.path("y")),
        lambda: publish(fs, path, b"x" * 2**24),
        lambda: content(fs, path),
        lambda: fs.ls(bucket.name),
    ):
        with pytest.raises(StorageError, match="does not answer as Google Cloud Storage does"):
            act()


def test_a_bucket_whose_reader_pays_is_told_who_pays(bucket: Any) -> None:
    bucket.held.requester_pays = True
    path = bucket.put("x", b"data")
    with pytest.raises(StorageError, match="Give the options requester_pays and project"):
        GCSStore(bucket.fs()).read(path)
    with pytest.raises(OptionError, match="Give the option project"):
        GCSStore(bucket.fs(requester_pays=True)).read(path)
    fs = bucket.fs(requester_pays=True, project="mine")
    bucket.proxy.count()
    assert GCSStore(fs).read(path).data == b"data"  # type: ignore[union-attr]
    assert content(fs, path) == b"data"
    assert fs.ls(bucket.name, detail=False) == [path]
    publish(fs, path, b"x" * 2**24)
    assert all("userProject=mine" in request.query for request in bucket.proxy.requests)


@pytest.mark.parametrize("missing", [READ, WRITE, DELETE, LIST])
def test_who_lacks_a_permission_is_told_what_is_needed_and_nothing_is_lost(own_bucket: Any, missing: str) -> None:
    path = own_bucket.put("x", b"old")
    fs = own_bucket.fs(token=own_bucket.server.token(*{READ, WRITE, DELETE, LIST} - {missing}))
    acts: dict[str, Any] = {
        READ: lambda: GCSStore(fs).read(path),
        WRITE: lambda: publish(fs, path, b"new"),
        DELETE: lambda: fs.rm_file(path),
        LIST: lambda: fs.ls(own_bucket.name),
    }
    with pytest.raises(StorageError, match="The credentials need storage") as raised:
        acts[missing]()
    assert isinstance(raised.value, PermissionError)
    assert f"Permission '{missing}' denied" in str(raised.value)
    assert own_bucket.get("x") == b"old"


@pytest.mark.parametrize("wrong", ["bucket", "token", "endpoint", "server gone"])
def test_whatever_is_wrong_an_asset_says_within_seconds_which_asset_and_url(
    based: Any, monkeypatch: pytest.MonkeyPatch, pauses: list[float], wrong: str
) -> None:
    if wrong == "bucket":
        monkeypatch.setenv("FILESYSTEM_URL", "gs://no-such-bucket/lake")
    elif wrong == "token":
        based.proxy.fail(Fault(status=401), times=None)
    elif wrong == "endpoint":
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    else:
        based.proxy.fail(Fault(), times=None)

    @asset(f"{based.url}/there/x.json", name="numbers")
    def numbers() -> Any:
        return [{"id": 1}]

    with pytest.raises(StorageError) as raised:
        numbers.query_sync()
    assert sum(pauses) <= 8
    error = raised.value
    assert error.asset == "numbers"
    assert str(error.path).startswith(("gs://no-such-bucket/lake/", f"{based.url}/"))
    assert str(error).count("asset 'numbers'") == str(error).count(f"path '{error.path}'") == 1
