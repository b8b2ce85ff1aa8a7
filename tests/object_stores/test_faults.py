"""What object stores promise where servers, networks and users fail. Each name says what a user would lose."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from fsspec.asyn import sync
from http_proxy import Fault, Request

from mad_prefect_core import asset
from mad_prefect_core.errors import OutcomeUnknownError, StorageConflictError, StorageError
from mad_prefect_core.sdk import ObjectStore
from mad_prefect_core.session import DuckSession
from mad_prefect_core.stores import staged_file

FAULTS = [Fault(), Fault(reply_lost=True), Fault(half_reply=True), *(Fault(status=s) for s in (408, 429, 500, 503))]


def publish(fs: Any, path: str, data: bytes) -> None:
    staged = staged_file(path)
    staged.write_bytes(data)
    ObjectStore(fs).publish(staged, path)


def content(fs: Any, path: str) -> bytes:
    with DuckSession() as session:
        files = ObjectStore(fs).duckdb_files(session, [path])
        return bytes(session.sql("SELECT content FROM read_blob($1)", [files]).fetchall()[0][0])


# -- downloads and uploads by fsspec's own methods ---------------------------------------------------------------------


def test_a_folder_of_many_files_that_is_refused_does_not_hang(bucket: Any, tmp_path: Path) -> None:
    fs = bucket.fs(attempts=1)
    names = [f"d/{number}" for number in range(40)]  # more than a default executor has threads
    for name in names:
        bucket.put(name, b"data")
    bucket.proxy.fail(Fault(status=403), times=None, method="GET")
    with pytest.raises(StorageError):
        sync(fs.loop, fs._get, [bucket.path(x) for x in names], [str(tmp_path / x) for x in names], timeout=60)
    bucket.proxy.heal()
    fs.get(bucket.path("d"), str(tmp_path / "all"), recursive=True)
    assert len(list((tmp_path / "all").iterdir())) == 40


@pytest.mark.parametrize("mode", ["overwrite", "create"])
def test_bytes_of_any_length_are_one_object(bucket: Any, mode: str) -> None:
    data = bytes(range(256)) * (70 * 2**20 // 256)  # more than Azure's library sends at once by itself
    bucket.fs().pipe_file(bucket.path("x"), data, mode=mode)
    assert bucket.get("x") == data


# -- what passes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_request_that_fails_once_is_sent_again_and_nobody_notices(bucket: Any, fault: Fault) -> None:
    fs, path = bucket.fs(conditional_writes="trust"), bucket.path("x")
    bucket.put("x", b"old")
    acts: dict[str, Any] = {
        "publish": lambda: publish(fs, path, b"1234"),
        "stat": lambda: ObjectStore(fs).stat(path).size,  # type: ignore[union-attr]
        "read": lambda: ObjectStore(fs).read(path).data,  # type: ignore[union-attr]
        "link": lambda: ObjectStore(fs).link(path, bucket.path("y")),
        "replace": lambda: ObjectStore(fs).replace(path, b"5678", ObjectStore(fs).stat(path).token),
        "create": lambda: ObjectStore(fs).replace(bucket.path("new"), b"first", None),
        "query": lambda: content(fs, path),
        "list": lambda: fs.ls(bucket.name, detail=False),
        "delete": lambda: fs.rm_file(bucket.path("y")),
    }
    seen = {}
    for name, act in acts.items():
        before = fs.retried
        bucket.proxy.fail(fault, **({"method": bucket.put_by} if name in ("replace", "create") else {}))
        seen[name] = act()
        bucket.proxy.heal()
        if fault.status is not None:  # a broken connection may be mended without us
            assert fs.retried == before + 1, name

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
    with pytest.raises(StorageError, match=r"answered head with HTTP 503") as raised:
        ObjectStore(fs).stat(bucket.path("x"))

    assert bucket.proxy.count() == 3
    assert pauses == [0.25, 0.5]
    assert raised.value.path == f"{bucket.scheme}://{bucket.path('x')}"


def test_a_server_that_is_started_again_meanwhile_is_asked_again(bucket: Any) -> None:
    fs, path = bucket.fs(), bucket.put("x", b"data")
    fs.run(fs.client.who)
    with bucket.proxy.away(seconds=0.3):
        assert ObjectStore(fs).read(path).data == b"data"  # type: ignore[union-attr]


def test_a_server_that_says_nothing_is_given_up_after_the_read_timeout(bucket: Any) -> None:
    fs = bucket.fs(attempts=2, read_timeout=0.2)
    bucket.proxy.fail(Fault(wait=60), times=None)  # and then an answer, which would be no error
    with pytest.raises(StorageError, match="did not answer head in 2 attempts"):
        ObjectStore(fs).stat(bucket.path("x"))


def test_a_server_that_does_not_know_ranges_is_never_taken_at_its_word(bucket: Any) -> None:
    changing_headers(bucket)
    fs, ask = bucket.fs(**bucket.unsigned), bucket.proxy.ask
    path = bucket.put("x.csv", b"n\n" + b"1\n" * 1_000_000)
    assert fs.cat_file(path, 0, 2) == b"n\n"

    def whole(method: str, path: str, body: bytes, headers: Any) -> Any:
        for name in ("range", "x-ms-range"):
            del headers[name]
        return ask(method, path, body, headers)

    bucket.proxy.ask = whole
    with pytest.raises(StorageError, match=r"sent 2000002 bytes where 2 were asked for|does not answer as Azure"):
        fs.cat_file(path, 0, 2)
    if bucket.speaks != "Azure":  # whose library takes no answer without a range
        assert content(fs, path) == bucket.get("x.csv")


# -- what is not known -------------------------------------------------------------------------------------------------


def test_a_conditional_write_whose_answer_was_lost_is_known_for_ours(bucket: Any) -> None:
    fs, path = bucket.fs(conditional_writes="trust"), bucket.path("manifest")
    token = None
    for number in (b"1", b"2"):
        bucket.proxy.fail(Fault(reply_lost=True), method=bucket.put_by)
        token = ObjectStore(fs).replace(path, number, token)
        assert ObjectStore(fs).read(path).token == token  # type: ignore[union-attr]
        assert bucket.get("manifest") == number


def test_a_file_that_was_created_is_not_said_to_exist_where_the_answer_was_lost(bucket: Any) -> None:
    fs = bucket.fs(conditional_writes="trust")
    bucket.proxy.fail(Fault(reply_lost=True), method=bucket.put_by)
    fs.pipe_file(bucket.path("piped"), b"1", mode="create")
    bucket.proxy.fail(Fault(reply_lost=True), method=bucket.put_by)
    with fs.open(bucket.path("opened"), "xb") as file:
        file.write(b"1")
    assert bucket.listed() == ["opened", "piped"]


@pytest.mark.parametrize("fault", [Fault(), Fault(status=503), Fault(status=429)], ids=str)
def test_a_lost_race_is_a_conflict_also_where_the_first_answer_was_lost(bucket: Any, fault: Fault) -> None:
    fs, path = bucket.fs(conditional_writes="trust"), bucket.path("manifest")
    token = ObjectStore(fs).replace(path, b"1", None)

    def rival(request: Request) -> Fault | None:
        bucket.proxy.heal()
        bucket.rival().replace(path, b"rival", token)
        return fault

    bucket.proxy.faults = lambda request: rival(request) if request.method == bucket.put_by else None
    with pytest.raises(StorageConflictError):
        ObjectStore(fs).replace(path, b"2", token)
    assert bucket.get("manifest") == b"rival"


def test_a_write_of_unknown_outcome_says_so_and_is_no_conflict(bucket: Any) -> None:
    fs, path = bucket.fs(conditional_writes="trust", attempts=2), bucket.path("manifest")
    token = ObjectStore(fs).replace(path, b"0", None)
    token = ObjectStore(fs).replace(path, b"1", token)  # by now it is known how the server wants conditions

    def gone_after(request: Request) -> Fault | None:
        if request.method == bucket.put_by:
            bucket.proxy.fail(Fault(), times=None)
            return Fault(reply_lost=True)
        return None

    bucket.proxy.faults = gone_after
    with pytest.raises(OutcomeUnknownError, match="Nothing was deleted"):
        ObjectStore(fs).replace(path, b"2", token)
    assert bucket.get("manifest") == b"2"


def test_a_write_that_was_replaced_before_its_lost_answer_was_looked_up_is_no_conflict(bucket: Any) -> None:
    fs, path = bucket.fs(conditional_writes="trust"), bucket.path("manifest")
    token = ObjectStore(fs).replace(path, b"1", None)

    def replaced(request: Request) -> Fault | None:
        if request.method != bucket.put_by:
            bucket.proxy.heal()
            bucket.put("manifest", b"later")
        return Fault(reply_lost=True) if request.method == bucket.put_by else None

    bucket.proxy.faults = replaced
    with pytest.raises(OutcomeUnknownError):
        ObjectStore(fs).replace(path, b"2", token)


def test_a_write_that_the_server_refused_for_good_is_not_tried_again(bucket: Any) -> None:
    fs = bucket.fs(conditional_writes="trust")
    bucket.proxy.fail(Fault(status=400), times=None)
    with pytest.raises(StorageError, match="HTTP 400"):
        ObjectStore(fs).replace(bucket.path("manifest"), b"1", None)
    assert bucket.proxy.count() == 1


def test_a_server_that_dies_while_a_run_is_switched_loses_nothing(
    based: Any, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    monkeypatch.setenv("MAD_PREFECT_LEASE_SECONDS", "3")  # the next run waits for that of the one that failed
    value = 1

    @asset("x.json")
    def numbers() -> Any:
        return [{"id": value}]

    numbers.query_sync()
    value = 2

    def dies(request: Request) -> Fault | None:
        if (based.written(request) or "").endswith("manifest.json"):
            based.proxy.fail(Fault(status=503), times=None)
            return Fault(reply_lost=True)
        return None

    based.proxy.faults = dies
    with pytest.raises(StorageError):
        numbers.query_sync()
    assert 0 < sum(pauses) <= 8
    based.proxy.heal()

    assert numbers.query_sync("SELECT id").fetchall() == [(2,)]
    assert based.get("lake/x.json").strip() == b'{"id":2}'


# -- servers that ignore conditions ------------------------------------------------------------------------------------


def changing_headers(bucket: Any) -> None:
    """Skip where the server would notice, by the signature of a request, what a proxy has changed."""
    if type(bucket.server).__name__ == "Gateway":
        pytest.skip("Ceph's gateway checks the signatures of all headers")


def ignore_conditions(bucket: Any) -> None:
    """Have the conditions taken out of every write on its way, as some servers do. Signatures do not have them."""
    changing_headers(bucket)
    ask = bucket.proxy.ask

    def deaf(method: str, path: str, body: bytes, headers: Any) -> Any:
        kept = {name: value for name, value in headers.items() if not name.lower().startswith(("if-", "expect"))}
        path = re.sub("[?&]ifGenerationMatch=[^&]*", "", path)
        return ask(method, path, body, kept if method in ("PUT", "POST") else headers)

    bucket.proxy.ask = deaf


def test_a_server_that_ignores_conditions_is_found_out_once_and_said_plainly(
    bucket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ignore_conditions(bucket)
    fs, path = bucket.fs(**bucket.unsigned), bucket.path("d/manifest")
    token = ObjectStore(fs).replace(path, b"1", None)
    with pytest.raises(StorageConflictError):
        ObjectStore(fs).replace(path, b"2", None)
    token = ObjectStore(fs).replace(path, b"2", token)
    with pytest.raises(StorageConflictError):
        ObjectStore(fs).replace(path, b"3", fs.client.nobodys)

    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1
    assert "ignores the conditions of writes" in said[0]
    assert bucket.listed() == ["d/manifest"]
    assert bucket.get("d/manifest") == b"2"


def test_a_server_that_ignores_conditions_is_refused_where_that_is_asked_for(bucket: Any) -> None:
    ignore_conditions(bucket)
    fs = bucket.fs(**bucket.unsigned, conditional_writes="require")
    for _ in range(2):
        with pytest.raises(StorageError, match="ignores the conditions of writes"):
            ObjectStore(fs).replace(bucket.path("manifest"), b"1", None)
    assert bucket.listed() == []


def test_a_server_that_keeps_conditions_is_asked_once(bucket: Any, caplog: pytest.LogCaptureFixture) -> None:
    fs = bucket.fs()
    ObjectStore(fs).replace(bucket.path("a"), b"1", None)
    bucket.proxy.count()
    ObjectStore(fs).replace(bucket.path("b"), b"1", None)

    assert bucket.proxy.count() == 1
    assert not caplog.records
    assert bucket.listed() == ["a", "b"]


# -- what the user got wrong -------------------------------------------------------------------------------------------


def failing(bucket: Any, url: str, options: dict[str, Any]) -> StorageError:
    store = bucket.storage.open(url, bucket.storage.options(**{"attempts": 2, **options}))
    fs, path = store.fs, f"{store.path(url)}/x"
    errors = []
    for act in (
        lambda: store.read(path),
        lambda: publish(fs, path, b"data"),
        lambda: publish(fs, path, bytes(20 * 2**20)),
        lambda: store.replace(path, b"data", None),
        lambda: store.duckdb_files(DuckSession(), [path]),
        lambda: store.link(path, f"{path}.copy"),
        lambda: fs.ls(store.path(url)),
    ):
        with pytest.raises(StorageError) as raised:
            act()
        assert str(raised.value.path).startswith(url)
        assert raised.value.__cause__ is not raised.value, "tracebacks that follow causes would never end"
        errors.append(raised.value)
    return errors[0]


def test_a_bucket_that_is_not_there_is_an_error_that_names_it(bucket: Any) -> None:
    error = failing(bucket, f"{bucket.scheme}://no-such-bucket/lake", bucket.options)
    assert "HTTP 404" in str(error)
    assert "Make the " in str(error)


def test_a_server_that_is_not_there_is_an_error_within_seconds(bucket: Any, pauses: list[float]) -> None:
    options = {**bucket.options, "endpoint_url": "http://user:hidden@127.0.0.1:9", "attempts": 6}
    store = bucket.storage.open(bucket.url, bucket.storage.options(**options))
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:9.* did not answer") as raised:
        store.read(bucket.path("x"))
    assert "hidden" not in str(raised.value)
    assert 0 < sum(pauses) <= 8


def test_a_server_that_speaks_something_else_is_an_error(bucket: Any) -> None:
    fs, path = bucket.fs(conditional_writes="trust"), bucket.path("x")
    bucket.proxy.fail(Fault(status=200), times=None)
    for act in (
        lambda: ObjectStore(fs).stat(path),
        lambda: ObjectStore(fs).read(path),
        lambda: ObjectStore(fs).replace(path, b"1", None),
        lambda: content(fs, path),
        lambda: ObjectStore(fs).link(path, bucket.path("y")),
        lambda: publish(fs, path, b"x" * 2**24),
        lambda: fs.ls(bucket.name),
    ):
        with pytest.raises(StorageError, match=f"does not answer as {bucket.speaks} does|HTTP 200") as raised:
            act()
        assert raised.value.path
        assert raised.value.__cause__ is not raised.value


@pytest.mark.parametrize("wrong", ["bucket", "key", "endpoint", "server gone"])
def test_whatever_is_wrong_an_asset_says_within_seconds_which_asset_and_url(
    based: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, pauses: list[float], wrong: str
) -> None:
    if wrong == "bucket":
        monkeypatch.setenv("FILESYSTEM_URL", f"{based.scheme}://no-such-bucket/lake")
    elif wrong == "key":
        based.proxy.fail(Fault(status=401), times=None)
    elif wrong == "endpoint":
        for name, value in based.environment.items():
            monkeypatch.setenv(name, value.replace(based.proxy.url, "http://127.0.0.1:9"))
    else:
        based.proxy.fail(Fault(), times=None)

    @asset(f"{based.url}/there/x.json", name="numbers")
    def numbers() -> Any:
        return [{"id": 1}]

    with pytest.raises(StorageError) as raised:
        numbers.query_sync()
    assert sum(pauses) <= 8
    error = raised.value
    assert (error.asset, error.phase) == ("numbers", "cache")
    assert str(error.path).startswith((f"{based.scheme}://no-such-bucket/lake/", f"{based.url}/"))
    assert str(error).count("asset 'numbers'") == str(error).count(f"path '{error.path}'") == 1
    for secret in filter(None, (getattr(based.server, name, None) for name in ("secret", "key"))):
        assert secret not in f"{error} {caplog.text}"
