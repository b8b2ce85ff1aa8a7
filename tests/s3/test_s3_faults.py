"""What S3 promises where servers, networks and credentials fail. Each name says what a user would lose."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from http_proxy import Fault, Request

from mad_prefect_core import asset
from mad_prefect_core.errors import OutcomeUnknownError, StorageConflictError, StorageError
from mad_prefect_core.session import DuckSession
from mad_prefect_core.stores import staged_file
from mad_prefect_s3 import S3Options, S3Storage, S3Store

STORAGE = S3Storage()
FAULTS = [Fault(), Fault(reply_lost=True), Fault(half_reply=True), *(Fault(status=s) for s in (429, 500, 503))]


def publish(fs: Any, path: str, data: bytes) -> None:
    staged = staged_file(path)
    staged.write_bytes(data)
    S3Store(fs).publish(staged, path)


def content(fs: Any, path: str) -> bytes:
    with DuckSession() as session:
        files = S3Store(fs).duckdb_files(session, [path])
        return bytes(session.sql("SELECT content FROM read_blob($1)", [files]).fetchall()[0][0])


# -- what passes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_request_that_fails_once_is_sent_again_and_nobody_notices(bucket: Any, fault: Fault) -> None:
    fs, path = bucket.fs(conditional_writes="trust"), bucket.path("x")
    bucket.put("x", b"old")
    acts: dict[str, Any] = {
        "publish": lambda: publish(fs, path, b"1234"),
        "stat": lambda: S3Store(fs).stat(path).size,  # type: ignore[union-attr]
        "read": lambda: S3Store(fs).read(path).data,  # type: ignore[union-attr]
        "link": lambda: S3Store(fs).link(path, bucket.path("y")),
        "replace": lambda: S3Store(fs).replace(path, b"5678", S3Store(fs).stat(path).token),  # type: ignore[union-attr]
        "create": lambda: S3Store(fs).replace(bucket.path("new"), b"first", None),
        "query": lambda: content(fs, path),
        "list": lambda: fs.ls(bucket.name, detail=False),
        "delete": lambda: fs.rm_file(bucket.path("y")),
    }
    seen = {}
    for name, act in acts.items():
        before = fs.retrying.retried
        methods = {"replace": {"method": "PUT"}, "create": {"method": "PUT"}}.get(name, {})
        bucket.proxy.fail(fault, **methods)
        seen[name] = act()
        bucket.proxy.heal()
        if fault.status is not None:  # a broken connection may be mended without us
            assert fs.retrying.retried == before + 1, name

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
    with pytest.raises(StorageError, match=r"answered head_object with 503") as raised:
        S3Store(fs).stat(bucket.path("x"))

    assert bucket.proxy.count() == 3
    assert pauses == [0.25, 0.5]
    assert raised.value.path == f"s3://{bucket.path('x')}"


def test_a_server_that_is_started_again_meanwhile_is_asked_again(bucket: Any) -> None:
    fs, path = bucket.fs(), bucket.put("x", b"data")
    fs.run(fs.set_session)
    with bucket.proxy.away(seconds=0.3):
        assert S3Store(fs).read(path).data == b"data"  # type: ignore[union-attr]


# -- what is not known -------------------------------------------------------------------------------------------------


def test_a_conditional_write_whose_answer_was_lost_is_known_for_ours(any_bucket: Any) -> None:
    fs, path = any_bucket.fs(conditional_writes="trust"), any_bucket.path("manifest")
    any_bucket.proxy.fail(Fault(reply_lost=True), method="PUT")
    token = S3Store(fs).replace(path, b"1", None)
    assert S3Store(fs).read(path).token == token  # type: ignore[union-attr]
    any_bucket.proxy.fail(Fault(reply_lost=True), method="PUT")
    token = S3Store(fs).replace(path, b"2", token)
    assert S3Store(fs).read(path).token == token  # type: ignore[union-attr]


def test_a_lost_race_is_a_conflict_also_where_the_first_answer_was_lost(any_bucket: Any) -> None:
    fs, path = any_bucket.fs(conditional_writes="trust"), any_bucket.path("manifest")
    token = S3Store(fs).replace(path, b"1", None)

    def rival(request: Request) -> Fault | None:
        any_bucket.proxy.heal()
        other = S3Storage().open(any_bucket.url, S3Options(**any_bucket.server.options)).fs
        S3Store(other).replace(path, b"rival", token)
        return Fault()

    any_bucket.proxy.faults = lambda request: rival(request) if request.method == "PUT" else None
    with pytest.raises(StorageConflictError):
        S3Store(fs).replace(path, b"2", token)
    assert any_bucket.get("manifest") == b"rival"


def test_a_write_of_unknown_outcome_says_so_and_is_no_conflict(bucket: Any) -> None:
    fs, path = bucket.fs(conditional_writes="trust", attempts=2), bucket.path("manifest")
    token = S3Store(fs).replace(path, b"1", None)

    def gone_after(request: Request) -> Fault | None:
        if request.method == "PUT":
            bucket.proxy.fail(Fault(), times=None)
            return Fault(reply_lost=True)
        return None

    bucket.proxy.faults = gone_after
    with pytest.raises(OutcomeUnknownError, match="Nothing was deleted"):
        S3Store(fs).replace(path, b"2", token)
    assert bucket.get("manifest") == b"2"


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
        if request.method == "PUT" and request.path.endswith("/manifest.json"):
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


class Deaf:
    """A proxy's ear: takes the conditions out of every write, as some servers do."""

    def __init__(self, bucket: Any) -> None:
        ask = bucket.proxy.ask

        def deaf(method: str, path: str, body: bytes, headers: Any) -> Any:
            kept = {name: value for name, value in headers.items() if not name.lower().startswith(("if-", "expect"))}
            return ask(method, path, body, kept if method == "PUT" else headers)

        bucket.proxy.ask = deaf


def test_a_server_that_ignores_conditions_is_found_out_once_and_said_plainly(
    bucket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    Deaf(bucket)
    fs, path = bucket.fs(), bucket.path("d/manifest")
    token = S3Store(fs).replace(path, b"1", None)
    with pytest.raises(StorageConflictError):
        S3Store(fs).replace(path, b"2", None)
    token = S3Store(fs).replace(path, b"2", token)
    with pytest.raises(StorageConflictError):
        S3Store(fs).replace(path, b"3", "stale")

    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1
    assert "ignores the conditions of writes" in said[0]
    assert bucket.listed() == ["d/manifest"]
    assert bucket.get("d/manifest") == b"2"


def test_a_server_that_ignores_conditions_is_refused_where_that_is_asked_for(bucket: Any) -> None:
    Deaf(bucket)
    fs = bucket.fs(conditional_writes="require")
    with pytest.raises(StorageError, match="ignores the conditions of writes"):
        S3Store(fs).replace(bucket.path("manifest"), b"1", None)
    assert bucket.listed() == []


def test_a_server_that_keeps_conditions_is_asked_once(bucket: Any, caplog: pytest.LogCaptureFixture) -> None:
    fs = bucket.fs()
    S3Store(fs).replace(bucket.path("a"), b"1", None)
    bucket.proxy.count()
    S3Store(fs).replace(bucket.path("b"), b"1", None)

    assert bucket.proxy.count() == 1
    assert not caplog.records
    assert bucket.listed() == ["a", "b"]


# -- what the user got wrong -------------------------------------------------------------------------------------------


def failing(url: str, options: dict[str, Any]) -> StorageError:
    store = STORAGE.open(url, S3Options(**{"attempts": 2, **options}))
    fs, root = store.fs, store.path(url)
    with pytest.raises(StorageError) as raised:
        S3Store(fs).read(f"{root}/x")
    with pytest.raises(StorageError):
        publish(fs, f"{root}/x", b"data")
    assert raised.value.path == f"{url}/x"
    return raised.value


def test_a_bucket_that_is_not_there_is_an_error_that_names_it(any_server: Any) -> None:
    error = failing("s3://no-such-bucket/lake", any_server.options)
    assert "NoSuchBucket" in str(error)
    assert "Make the bucket" in str(error)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"secret": "wrong-secret"}, "The secret key does not belong to the access key"),
        ({"key": "AKIANOBODY"}, "does not know this access key"),
    ],
)
def test_wrong_keys_are_an_error_that_shows_no_secret(any_strict: Any, wrong: dict[str, str], said: str) -> None:
    error = failing(f"s3://{any_strict.name}", {**any_strict.server.options, **wrong})
    assert isinstance(error, PermissionError)
    assert said in str(error)
    assert any_strict.server.secret not in str(error)
    assert "wrong-secret" not in str(error)


def test_a_server_that_is_not_there_is_an_error_within_seconds(pauses: list[float]) -> None:
    options = {"endpoint_url": "http://user:hidden@127.0.0.1:9", "key": "k", "secret": "s", "attempts": 6}
    error = failing("s3://bucket/lake", options)
    assert "did not answer" in str(error)
    assert "127.0.0.1:9" in str(error)
    assert "hidden" not in str(error)
    assert 0 < sum(pauses) <= 8


def test_a_server_that_is_no_s3_is_an_error(bucket: Any) -> None:
    fs, path = bucket.fs(conditional_writes="trust"), bucket.path("x")
    bucket.proxy.fail(Fault(status=200), times=None)
    for act in (
        lambda: S3Store(fs).stat(path),
        lambda: S3Store(fs).read(path),
        lambda: S3Store(fs).replace(path, b"1", None),
        lambda: content(fs, path),
    ):
        with pytest.raises(StorageError, match="does not answer as S3 does"):
            act()


def test_a_certificate_that_nobody_vouches_for_is_refused(strict_server: Any) -> None:
    error = failing("s3://bucket/lake", {**strict_server.options, "verify": True})
    assert "certificate" in str(error).lower()


def test_the_authorities_of_the_environment_vouch_for_a_server(
    strict_server: Any, new_bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = new_bucket(strict_server)
    bucket.put("x", b"data")
    for name, value in strict_server.environment.items():
        monkeypatch.setenv(name, value)
    store = STORAGE.open(bucket.url, S3Options())
    fs = store.fs
    assert S3Store(fs).read(bucket.path("x")).data == b"data"  # type: ignore[union-attr]


def test_no_credentials_at_all_is_an_error_that_says_where_to_put_them(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    error = failing(bucket.url, {"endpoint_url": bucket.proxy.url})
    assert "Set AWS_ACCESS_KEY_ID" in str(error)


def answering(bucket: Any, status: int, code: str, message: str, **more: str) -> None:
    """Have the server say so to whatever it is asked."""
    said = "".join(f"<{name}>{text}</{name}>" for name, text in {"Code": code, "Message": message, **more}.items())
    answer = f'<?xml version="1.0" encoding="UTF-8"?><Error>{said}</Error>'.encode()
    bucket.proxy.ask = lambda *_: (status, [("Content-Type", "application/xml")], answer)


def test_a_token_that_has_expired_is_an_error_that_says_so(bucket: Any) -> None:
    answering(bucket, 400, "ExpiredToken", "The provided token has expired.")
    error = failing(bucket.url, {**bucket.options, "token": "a-secret-token"})
    assert "The credentials have expired" in str(error)
    assert "a-secret-token" not in str(error)


def test_a_clock_that_is_wrong_is_an_error_that_says_so(bucket: Any) -> None:
    answering(bucket, 403, "RequestTimeTooSkewed", "The difference between the times is too large.")
    assert "Set this machine's clock" in str(failing(bucket.url, bucket.options))


class InIreland:
    """A proxy's ear: answers as AWS does where a request is signed for another region than the bucket's."""

    def __init__(self, bucket: Any, tells: bool) -> None:
        ask = bucket.proxy.ask
        message = "The authorization header is malformed; the region 'us-east-1' is wrong"
        where = "<Region>eu-west-1</Region>" if tells else ""
        body = f"<Error><Code>AuthorizationHeaderMalformed</Code><Message>{message}</Message>{where}</Error>".encode()

        def strict(method: str, path: str, data: bytes, headers: Any) -> Any:
            if "/eu-west-1/" in headers["Authorization"]:
                return ask(method, path, data, headers)
            told = [("x-amz-bucket-region", "eu-west-1")] if tells else []
            return 400, [("Content-Type", "application/xml"), *told], body

        bucket.proxy.ask = strict


def test_the_region_of_a_bucket_is_found_out_where_the_server_tells_it(bucket: Any) -> None:
    bucket.put("x", b"data")
    InIreland(bucket, tells=True)
    assert S3Store(bucket.fs()).read(bucket.path("x")).data == b"data"  # type: ignore[union-attr]


def test_a_wrong_region_is_an_error_that_says_what_to_set(bucket: Any) -> None:
    InIreland(bucket, tells=False)
    error = failing(bucket.url, bucket.options)
    assert "Name the bucket's region" in str(error)
    assert S3Store(bucket.fs(region="eu-west-1")).stat(bucket.path("x")) is None


def test_a_server_that_says_nothing_is_given_up_after_the_read_timeout(bucket: Any) -> None:
    fs = bucket.fs(attempts=2, read_timeout=0.2)
    bucket.proxy.fail(Fault(wait=60), times=None)  # and then an answer, which would be no error
    with pytest.raises(StorageError, match="did not answer head_object in 2 attempts"):
        S3Store(fs).stat(bucket.path("x"))


@pytest.mark.parametrize("wrong", ["bucket", "key", "endpoint", "server gone"])
def test_whatever_is_wrong_an_asset_says_within_seconds_which_asset_and_url(
    based: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, pauses: list[float], wrong: str
) -> None:
    if wrong == "bucket":
        monkeypatch.setenv("FILESYSTEM_URL", "s3://no-such-bucket/lake")
    elif wrong == "key":
        answering(based, 403, "InvalidAccessKeyId", "The key is not known.")
    elif wrong == "endpoint":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
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
    assert str(error.path).startswith(("s3://no-such-bucket/lake/", f"{based.url}/"))
    assert str(error).count("asset 'numbers'") == str(error).count(f"path '{error.path}'") == 1
    assert based.server.secret not in f"{error} {caplog.text}"
