"""Who asks, and what happens when the server no longer takes his keys."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from s3_server import S3Server

from mad_prefect_core import asset
from mad_prefect_core.errors import OptionError, StorageError
from mad_prefect_core.mounts import mount
from mad_prefect_core.sdk import ObjectStore
from mad_prefect_core.session import DuckSession
from mad_prefect_s3 import S3Options, S3Storage

STORAGE = S3Storage()
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "s3.md"


class User:
    """Somebody the server knows, who may do some things."""

    def __init__(self, server: S3Server, *actions: str, policy: str | None = None) -> None:
        self._server = server
        self._name = f"user-{uuid.uuid4().hex[:8]}"
        allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        server.new_user(self._name, policy or json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))

    def new_key(self) -> S3Server:
        return self._server.new_key(self._name)

    def revoke(self, who: S3Server) -> None:
        self._server.revoke(self._name, who.key)


@pytest.fixture
def server(moto_server: Any) -> Any:
    return moto_server


def test_keys_that_the_server_stops_to_take_are_looked_up_anew_in_the_middle_of_a_query(
    any_strict: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, server = any_strict, any_strict.server
    file = tmp_path / "credentials"

    def log_in(who: S3Server) -> None:
        file.write_text(f"[lake]\naws_access_key_id = {who.key}\naws_secret_access_key = {who.secret}\n")

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setattr("mad_prefect_core.object_stores.pinned._KEPT", 0)  # each query asks the server
    user = User(server, "s3:*")
    old, new = user.new_key(), user.new_key()
    log_in(old)
    options = {name: value for name, value in server.options.items() if name not in ("key", "secret")}
    store = STORAGE.open(bucket.url, S3Options(**options, profile="lake"))
    fs = store.fs
    bucket.put("x.csv", b"n\n" + b"1\n" * 500_000)  # more than is fetched at once
    path = bucket.path("x.csv")

    with DuckSession() as session:
        relation = session.sql("FROM read_csv($1)", [ObjectStore(fs).duckdb_files(session, [path])])
        user.revoke(old)
        with pytest.raises(Exception, match="does not know this access key"):
            relation.aggregate("sum(n)").fetchall()
        log_in(new)
        assert relation.aggregate("sum(n)").fetchall() == [(500_000,)]
    assert ObjectStore(fs).stat(path) is not None


def test_a_role_is_taken_on_with_the_other_credentials(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", bucket.server.url)
    role = "arn:aws:iam::123456789012:role/lake"
    fs = bucket.fs(role_arn=role, external_id="partner")
    bucket.put("x", b"data")
    assert ObjectStore(fs).read(bucket.path("x")).data == b"data"  # type: ignore[union-attr]

    authorization = bucket.proxy.requests[-1].headers["authorization"]
    assert bucket.server.key not in authorization
    assert "x-amz-security-token" in bucket.proxy.requests[-1].headers


def test_a_role_is_taken_on_with_the_credentials_of_a_profile(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", bucket.server.url)
    keys = f"aws_access_key_id = {bucket.server.key}\naws_secret_access_key = {bucket.server.secret}\n"
    (tmp_path / "credentials").write_text(f"[lake]\n{keys}")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    bucket.put("x", b"data")
    who = {"profile": "lake", "role_arn": "arn:aws:iam::123456789012:role/lake", "region": "us-east-1"}
    options = S3Options(endpoint_url=bucket.proxy.url, **who)

    assert STORAGE.open(bucket.url, options).fs.cat_file(bucket.path("x")) == b"data"
    assert "x-amz-security-token" in bucket.proxy.requests[-1].headers


def test_anonymous_requests_send_the_user_and_password_of_the_endpoint(bucket: Any) -> None:
    bucket.server.client().put_object(Bucket=bucket.name, Key="x", Body=b"data", ACL="public-read")
    options = S3Options(endpoint_url=bucket.proxy.url.replace("//", "//ada:pl4nted@"), anon=True)

    assert STORAGE.open(bucket.url, options).fs.cat_file(bucket.path("x")) == b"data"
    assert bucket.proxy.requests[-1].headers["authorization"].startswith("Basic ")


def test_anonymous_requests_are_not_signed(bucket: Any) -> None:
    bucket.server.client().put_object(Bucket=bucket.name, Key="x", Body=b"data", ACL="public-read")
    options = {"endpoint_url": bucket.proxy.url, "anonymous": True}
    store = STORAGE.open(bucket.url, S3Options(**options))
    fs = store.fs
    assert ObjectStore(fs).read(bucket.path("x")).data == b"data"  # type: ignore[union-attr]
    assert "authorization" not in bucket.proxy.requests[-1].headers


def test_who_pays_is_said_with_each_request(bucket: Any) -> None:
    fs = bucket.fs(requester_pays=True)
    bucket.put("x", b"data")
    ObjectStore(fs).stat(bucket.path("x"))
    ObjectStore(fs).read(bucket.path("x"))
    assert {r.headers.get("x-amz-request-payer") for r in bucket.proxy.requests} == {"requester"}


@dataclass
class AwsCredentials:
    """With the fields of Prefect's block of this name."""

    aws_access_key_id: str
    aws_secret_access_key: SecretStr
    region_name: str
    aws_client_parameters: Any


@dataclass
class AwsClientParameters:
    endpoint_url: str


def test_a_prefect_block_with_credentials_says_who_asks_and_where(bucket: Any) -> None:
    block = AwsCredentials("block-key", SecretStr("block-secret"), "eu-west-1", AwsClientParameters(bucket.proxy.url))
    store = STORAGE.open(bucket.url, S3Options(credentials=block))
    fs = store.fs
    ObjectStore(fs).stat(bucket.path("x"))

    assert "block-key/" in bucket.proxy.requests[-1].headers["authorization"]
    assert "/eu-west-1/" in bucket.proxy.requests[-1].headers["authorization"]


def test_a_key_of_the_options_is_never_used_with_the_session_token_of_a_block(bucket: Any) -> None:
    @dataclass
    class Block:
        aws_access_key_id: str = "another"
        aws_secret_access_key: str = "its secret"
        aws_session_token: str = "its token"
        region_name: str = "eu-west-1"

    bucket.put("x", b"data")
    fs = bucket.fs(credentials=Block(), region=None)
    assert ObjectStore(fs).read(bucket.path("x")).data == b"data"  # type: ignore[union-attr]
    sent = bucket.proxy.requests[-1].headers
    assert f"{bucket.server.key}/" in sent["authorization"]
    assert "/eu-west-1/" in sent["authorization"]
    assert "x-amz-security-token" not in sent


def test_options_show_no_secret_and_refuse_what_they_do_not_know(bucket: Any) -> None:
    options = S3Options(key="an-id", secret="very-secret", token="a-token", external_id="partner")
    assert not any(secret in repr(options) for secret in ("an-id", "very-secret", "a-token", "partner"))
    with pytest.raises(OptionError, match="belong together"):
        S3Options(key="an-id")
    with pytest.raises(OptionError, match="secrt") as raised:
        mount(bucket.url, {"key": "an-id", "secrt": "very-secret"})
    assert "very-secret" not in str(raised.value)


def test_a_key_that_may_not_write_is_told_what_it_needs(any_strict: Any) -> None:
    bucket = any_strict
    options = User(bucket.server, "s3:GetObject").new_key().options
    store = STORAGE.open(bucket.url, S3Options(**options))
    fs = store.fs
    path = bucket.put("x", b"old")

    assert ObjectStore(fs).read(path).data == b"old"  # type: ignore[union-attr]
    for act in (
        lambda: ObjectStore(fs).replace(path, b"new", None),
        lambda: ObjectStore(fs).link(path, f"{path}.copy"),
        lambda: fs.rm_file(path),
        lambda: fs.ls(bucket.name),
    ):
        with pytest.raises(StorageError, match="The credentials need s3:GetObject, s3:PutObject") as raised:
            act()
        assert isinstance(raised.value, PermissionError)
    assert bucket.get("x") == b"old"


def asks_as(who: S3Server, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assets are below `lake/` in the bucket, for this user."""
    for name in ("FILESYSTEM_BLOCK_NAME", "ASSET_METADATA_LOCATION", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    said = {**S3Server(bucket.proxy.url, who.key, who.secret).environment, "FILESYSTEM_URL": f"{bucket.url}/lake"}
    for name, value in said.items():
        monkeypatch.setenv(name, value)


def test_the_policies_of_the_page_are_enough_for_those_who_write_and_those_who_read(
    any_strict: Any, new_bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, server, another = any_strict, any_strict.server, new_bucket(any_strict.server)
    policy, denied = re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    monkeypatch.setattr("mad_prefect_s3.client.S3Client.single", 5 * 2**20)  # what is larger goes up in parts
    size = 6 * 2**20

    @asset("x.parquet|csv", artifact_filetype="csv")
    def x() -> Any:
        return [{"n": 1, "text": "x" * size}]

    writer = User(server, policy=policy.replace("my-bucket", bucket.name)).new_key()
    asks_as(writer, bucket, monkeypatch)
    for _ in range(3):  # the third sweeps what the first left
        x.call_sync()
    assert x.cache_first().query_sync("SELECT n, len(text)").fetchall() == [(1, size)]
    store = STORAGE.open(bucket.url, S3Options(**writer.options))
    fs = store.fs
    outside = bucket.put("elsewhere", b"old")
    for act in (
        lambda: ObjectStore(fs).replace(outside, b"new", None),
        lambda: ObjectStore(fs).read(outside),
        lambda: ObjectStore(fs).link(bucket.path("lake/x.csv"), outside),
        lambda: fs.rm_file(outside),
        lambda: fs.ls(another.name),
    ):
        with pytest.raises(StorageError, match="The credentials need s3:GetObject") as raised:
            act()
        assert isinstance(raised.value, PermissionError)
    assert bucket.get("elsewhere") == b"old"

    bucket.put("lake/_asset_metadata/_secret_key", b"k" * 32)
    may_read = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
    reading = json.dumps({"Version": "2012-10-17", "Statement": [may_read, json.loads(denied)]})
    reader = User(server, policy=reading.replace("my-bucket", bucket.name)).new_key()
    asks_as(reader, bucket, monkeypatch)
    store = STORAGE.open(bucket.url, S3Options(**reader.options))
    fs = store.fs
    with pytest.raises(PermissionError):
        ObjectStore(fs).read(bucket.path("lake/_asset_metadata/_secret_key"))
    assert x.cache_first().query_sync("SELECT n, len(text)").fetchall() == [(1, size)]
    with pytest.raises(StorageError, match="The credentials need"):
        x.call_sync()


def test_without_the_permission_to_list_a_first_run_is_told_why_it_fails(
    rgw_server: S3Server, new_bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = new_bucket(rgw_server)
    asks_as(User(rgw_server, "s3:GetObject", "s3:PutObject", "s3:DeleteObject").new_key(), bucket, monkeypatch)

    @asset("x.json", name="x")
    def x() -> Any:
        return [{"n": 1}]

    with pytest.raises(StorageError, match="without the last, also an object that is not there is refused") as raised:
        x.call_sync()
    assert (raised.value.asset, raised.value.phase) == ("x", "lease")
    assert bucket.listed() == []
