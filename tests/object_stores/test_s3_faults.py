"""What is special to S3 where keys, certificates, clocks and regions are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from mad_prefect_core.errors import StorageError
from mad_prefect_core.sdk import ObjectStore
from mad_prefect_core.stores import staged_file
from mad_prefect_s3 import S3Options, S3Storage

STORAGE = S3Storage()


@pytest.fixture
def server(moto_server: Any) -> Any:
    return moto_server


def publish(fs: Any, path: str, data: bytes) -> None:
    staged = staged_file(path)
    staged.write_bytes(data)
    ObjectStore(fs).publish(staged, path)


def failing(url: str, options: dict[str, Any]) -> StorageError:
    store = STORAGE.open(url, S3Options(**{"attempts": 2, **options}))
    fs, root = store.fs, store.path(url)
    with pytest.raises(StorageError) as raised:
        ObjectStore(fs).read(f"{root}/x")
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
    assert ObjectStore(fs).read(bucket.path("x")).data == b"data"  # type: ignore[union-attr]


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
    assert ObjectStore(bucket.fs()).read(bucket.path("x")).data == b"data"  # type: ignore[union-attr]


def test_a_wrong_region_is_an_error_that_says_what_to_set(bucket: Any) -> None:
    InIreland(bucket, tells=False)
    error = failing(bucket.url, bucket.options)
    assert "Name the bucket's region" in str(error)
    assert ObjectStore(bucket.fs(region="eu-west-1")).stat(bucket.path("x")) is None


def test_a_key_that_the_server_does_not_know_is_an_error_that_shows_no_secret(bucket: Any) -> None:
    answering(bucket, 403, "InvalidAccessKeyId", "The key is not known.")
    error = failing(bucket.url, bucket.options)
    assert "does not know this access key" in str(error)
    assert bucket.server.secret not in str(error)
