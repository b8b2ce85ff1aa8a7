"""Who asks, and what happens when the server no longer takes his tokens."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from gcs_server import Bucket as Held
from gcs_server import gcs
from http_proxy import Fault
from pydantic import SecretStr
from s3_server import new_certificate

from mad_prefect_core.errors import OptionError, StorageError
from mad_prefect_core.mounts import mount
from mad_prefect_core.object_stores import transfers
from mad_prefect_core.sdk import ObjectStore
from mad_prefect_core.session import DuckSession
from mad_prefect_core.stores import staged_file
from mad_prefect_gcs import GCSOptions, GCSStorage
from mad_prefect_gcs.client import GCSClient

STORAGE = GCSStorage()


@pytest.fixture
def server(gcs_server: Any) -> Any:
    return gcs_server


def read(bucket: Any, **options: Any) -> bytes:
    bucket.put("x", b"data")
    return bytes(ObjectStore(bucket.fs(**options)).read(bucket.path("x")).data)  # type: ignore[union-attr]


def refused(bucket: Any, **options: Any) -> str:
    with pytest.raises(StorageError) as raised:
        read(bucket, **options)
    assert isinstance(raised.value, PermissionError)
    return str(raised.value)


def authorizations(bucket: Any) -> set[str | None]:
    return {request.headers.get("authorization") for request in bucket.proxy.requests}


@dataclass(frozen=True)
class GcpCredentials:
    """With the fields of Prefect's block of this name."""

    service_account_info: Any = None
    service_account_file: Path | None = None
    project: str | None = None


@dataclass(frozen=True)
class GcsBucket:
    gcp_credentials: GcpCredentials = field(repr=False)


# -- ways to say it ----------------------------------------------------------------------------------------------------


def test_a_service_account_is_said_as_text_as_a_file_by_the_environment_or_by_a_block(
    own_bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = own_bucket.server.service_account()
    file = tmp_path / "key.json"
    file.write_text(json.dumps(info))
    assert "HTTP 401" in refused(own_bucket)

    ways: list[dict[str, Any]] = [
        {"token": json.dumps(info)},
        {"token": str(file)},
        {"credentials": GcpCredentials(service_account_info=info)},
        {"credentials": GcpCredentials(service_account_file=file)},
        {"credentials": GcsBucket(GcpCredentials(SecretDict(info)))},
    ]
    for way in ways:
        assert read(own_bucket, **way) == b"data"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    assert read(own_bucket, token="google_default") == b"data"
    assert read(own_bucket, credentials=GcpCredentials()) == b"data"


class SecretDict:
    """As Prefect's blocks keep a service account."""

    def __init__(self, value: dict[str, Any]) -> None:
        self._value = value

    def get_secret_value(self) -> dict[str, Any]:
        return self._value


def test_a_block_of_prefect_is_found_by_its_name(own_bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.blocks.core import Block

    named = {"gcp-credentials/lake": GcpCredentials(service_account_info=own_bucket.server.service_account())}

    def load(name: str, _sync: bool) -> Any:
        if name not in named:
            raise ValueError(f"Unable to find block document named {name}")
        return named[name]

    monkeypatch.setattr(Block, "load", load)
    assert read(own_bucket, credentials="gcp-credentials/lake") == b"data"
    with pytest.raises(OptionError, match="'gcp-credentials/lak' can't be loaded"):
        read(own_bucket, credentials="gcp-credentials/lak")


def test_an_access_token_is_sent_as_it_is(own_bucket: Any) -> None:
    token = own_bucket.server.token()
    assert read(own_bucket, token=token) == b"data"
    assert authorizations(own_bucket) == {f"Bearer {token}"}


def test_nobody_is_named_where_that_is_asked_for_or_the_server_speaks_plain_http(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_server: Any
) -> None:
    (tmp_path / "key.json").write_text(json.dumps(own_server.service_account()))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    assert read(bucket) == read(bucket, token="anon") == b"data"
    assert authorizations(bucket) == {None}


def test_the_project_that_pays_is_said_by_option_environment_or_service_account(
    own_bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = own_bucket.server.service_account()
    own_bucket.held.requester_pays = True

    def payer(**options: Any) -> str:
        own_bucket.proxy.count()
        read(own_bucket, requester_pays=True, **options)
        return str(own_bucket.proxy.requests[-1].query.partition("userProject=")[2])

    assert payer(token=json.dumps(info)) == "own-project"
    assert payer(credentials=GcpCredentials(info, project="the-blocks")) == "the-blocks"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "of-the-environment")
    assert payer(token=json.dumps(info)) == "of-the-environment"
    assert payer(token=json.dumps(info), project="mine") == "mine"


def test_the_endpoint_is_said_by_option_or_environment(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("x", b"data")
    for host in (bucket.proxy.url, f"{bucket.proxy.url}/", bucket.proxy.url.removeprefix("http://")):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
        store = STORAGE.open(bucket.url, GCSOptions())
        fs = store.fs
        assert ObjectStore(fs).read(bucket.path("x")).data == b"data"  # type: ignore[union-attr]
    assert bucket.proxy.count() == 3
    assert GCSOptions(endpoint="http://x").endpoint_url == "http://x"


PROGRAM = """
from mad_prefect.data_assets import asset


@asset("x.parquet")
def numbers():
    return [{"n": 1}, {"n": 2}]


print(numbers.query_sync("SELECT sum(n)").fetchall())
"""


@pytest.mark.parametrize("missing", [None, "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_an_authority_of_ones_own_is_said_by_the_variables_of_openssl_and_requests(
    tmp_path: Path, missing: str | None
) -> None:
    with gcs(certificate := new_certificate(tmp_path)) as server:
        server.buckets["lake"] = Held()
        (tmp_path / "key.json").write_text(json.dumps(server.service_account()))
        authority = str(certificate[0])
        said = {"SSL_CERT_FILE": authority, "REQUESTS_CA_BUNDLE": authority}
        said |= {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json"), "STORAGE_EMULATOR_HOST": server.url}
        if missing:
            del said[missing]
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
        environment = {**os.environ, **said, "FILESYSTEM_URL": "gs://lake"}
        ran = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (ran.stdout == "[(3,)]\n") == (missing is None), ran.stderr
    assert ("CERTIFICATE_VERIFY_FAILED" in ran.stderr) == (missing is not None)


@pytest.mark.parametrize("token", [True, False])
def test_a_user_and_password_in_the_endpoint_are_sent_where_there_is_no_token_and_are_never_shown(
    own_bucket: Any, caplog: pytest.LogCaptureFixture, token: bool, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * (GCSClient.single + 1))
    host = own_bucket.proxy.url.removeprefix("http://")
    said = {"endpoint_url": f"http://ada:pl4nted@{host}"}
    if token:
        said["token"] = own_bucket.server.token()
    basic = f"Basic {base64.b64encode(b'ada:pl4nted').decode()}"
    caplog.set_level(logging.DEBUG)
    store = own_bucket.store(**said, attempts=2)
    own_bucket.proxy.fail(Fault(status=503))
    assert read(own_bucket, **said) == b"data"
    own_bucket.proxy.fail(Fault(status=403), times=None)
    with pytest.raises(StorageError) as refusal:
        store.read(own_bucket.path("x"))
    own_bucket.proxy.fail(Fault(), times=None)
    with pytest.raises(StorageError) as silence:
        store.read(own_bucket.path("x"))
    own_bucket.proxy.heal()
    store.fs.run(transfers.upload, store.fs, large, own_bucket.path("large"))  # to where the server says
    assert authorizations(own_bucket) == {f"Bearer {said['token']}" if token else basic}
    shown = [repr(store), repr(store.fs), repr(GCSOptions(**said)), caplog.text, str(GCSOptions(**said).fingerprint())]
    for error in (refusal, silence):
        assert f"http://{host} " in str(error.value)
        shown += [repr(error.value), repr(error.value.__cause__), *traceback.format_exception(error.value)]
    assert not [text for text in shown if "pl4nted" in text or basic in text]


# -- tokens that end ---------------------------------------------------------------------------------------------------


def test_tokens_that_the_server_stops_to_take_are_renewed_in_the_middle_of_a_query(
    own_bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mad_prefect_core.object_stores.pinned._KEPT", 0)  # each query asks the server
    fs = own_bucket.fs(token=json.dumps(own_bucket.server.service_account()))
    path = own_bucket.put("x.csv", b"n\n" + b"1\n" * 500_000)  # more than is fetched at once
    with DuckSession() as session:
        relation = session.sql("FROM read_csv($1)", [ObjectStore(fs).duckdb_files(session, [path])])
        own_bucket.server.revoke()
        assert relation.aggregate("sum(n)").fetchall() == [(500_000,)]
    assert len(authorizations(own_bucket)) == 2


def test_a_new_file_of_credentials_is_read_where_the_old_ones_are_refused(own_bucket: Any, tmp_path: Path) -> None:
    server, file = own_bucket.server, tmp_path / "key.json"
    file.write_text(json.dumps(server.service_account()))
    assert read(own_bucket, token=str(file)) == b"data"
    server.revoke()
    server.forget_service_accounts()
    assert "Google gave no token: RefreshError: invalid_grant" in refused(own_bucket, token=str(file))
    file.write_text(json.dumps(server.service_account()))
    assert read(own_bucket, token=str(file)) == b"data"


def test_an_access_token_that_has_ended_is_tried_once_and_not_shown(own_bucket: Any) -> None:
    own_bucket.server.token()
    said = refused(own_bucket, token="ya29.expired-token")
    assert "HTTP 401: Invalid Credentials" in said
    assert "Log in again" in said
    assert "expired-token" not in said
    assert own_bucket.proxy.count() == 1


def test_a_token_that_can_not_be_had_is_an_error_that_shows_no_key(own_bucket: Any, tmp_path: Path) -> None:
    info = {**own_bucket.server.service_account(), "token_uri": "http://127.0.0.1:9/token"}
    with pytest.raises(StorageError, match="Google gave no token: TransportError") as raised:
        read(own_bucket, token=json.dumps(info), attempts=1)
    assert "PRIVATE KEY" not in str(raised.value)


# -- what the user got wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json {{ hidden", "has no Google credentials in it: JSONDecodeError"),
        ('{"private_key": "hidden"}', "has no Google credentials in it: KeyError"),
        ('{"type": "service_account", "private_key": "hidden"}', "has no Google credentials in it: MalformedError"),
        ('{"type": "authorized_user", "refresh_token": "hidden"}', "has no Google credentials in it: ValueError"),
        ('{"type": "external_account", "x": "hidden"}', "of the type 'external_account'.*GOOGLE_APPLICATION_CRED"),
        ('["hidden"]', "has no Google credentials in it: TypeError"),
    ],
)
def test_a_file_that_has_no_credentials_in_it_is_an_error_that_does_not_show_it(
    bucket: Any, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "key.json").write_text(text)
    with pytest.raises(OptionError, match=said) as raised:
        read(bucket, token=str(tmp_path / "key.json"))
    assert "hidden" not in str(raised.value)
    if text.startswith("{"):
        with pytest.raises(OptionError, match=said):
            read(bucket, token=text)


def test_a_file_that_is_not_there_is_an_error_that_names_it(bucket: Any) -> None:
    with pytest.raises(OptionError, match=r"can't be read: FileNotFoundError.*no/such\.json"):
        read(bucket, token="no/such.json")


def test_no_credentials_at_all_is_an_error_that_says_where_to_put_them(bucket: Any) -> None:
    said = refused(bucket, token="google_default")
    assert "There are no Google credentials" in said
    assert "gcloud auth application-default login" in said


def test_options_show_no_secret_and_refuse_what_they_do_not_know(
    own_bucket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert "very-secret" not in repr(GCSOptions(token="very-secret"))
    assert GCSOptions(token=SecretStr("very-secret")) == GCSOptions(token="very-secret")
    with pytest.raises(OptionError, match="tokn") as raised:
        mount(own_bucket.url, {"token": "very-secret", "tokn": "very-secret"})
    assert "very-secret" not in str(raised.value)
    with pytest.raises(OptionError, match="endpoint_url"):
        mount(own_bucket.url, {"endpoint_url": "127.0.0.1:9"})


def test_a_renewed_token_and_the_address_of_an_upload_are_in_no_log(
    own_bucket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    info, server = own_bucket.server.service_account(), own_bucket.server
    fs, path = own_bucket.fs(token=json.dumps(info)), own_bucket.path("big")
    number = iter(range(100))
    own_bucket.proxy.faults = lambda r: Fault(status=503) if r.method == "PUT" and next(number) == 1 else None
    with caplog.at_level(logging.DEBUG):
        staged = staged_file(path)
        staged.write_bytes(b"x" * 2**25)
        ObjectStore(fs).publish(staged, path)
    assert own_bucket.get("big") == b"x" * 2**25
    assert "attempt" in caplog.text.lower()
    secrets = [*filter(None, server.tokens), *server.uploads, info["private_key"]]
    assert len(secrets) == 3
    assert not any(secret in caplog.text for secret in secrets)
