"""No options show a secret when they are printed, whatever plugin they are of (S46)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from mad_prefect_core.contracts import Options
from mad_prefect_core.errors import OptionError, StorageError
from mad_prefect_core.mounts import mount
from mad_prefect_gcs.options import GCSOptions
from mad_prefect_s3.options import S3Options

SECRET = "hunter2hunter2"


class Proxy(BaseModel):
    host: str
    password: str


class Strangers(Options):
    """Options of somebody's plugin, who thought of no secrets."""

    user: str = ""
    api_token: str = ""
    pin: int = 0
    url: str = ""
    more: dict[str, Any] = {}
    hosts: list[str] = []
    headers: tuple[Any, ...] = ()
    proxy: Proxy | None = None


OPTIONS = [
    S3Options(s3_additional_kwargs={"SSECustomerKey": SECRET, "SSECustomerAlgorithm": "AES256"}),
    S3Options(config_kwargs={"proxies": {"https": f"http://user:{SECRET}@proxy:8080"}}),
    S3Options(config_kwargs={"proxies_config": {"proxy_client_cert": SECRET}}),
    S3Options(client_kwargs={"aws_session_token": SECRET}),
    S3Options(endpoint_url=f"https://user:{SECRET}@host"),
    S3Options(key=SECRET, secret=SECRET, token=SECRET, external_id=SECRET),
    GCSOptions(token=SECRET, endpoint_url=f"http://user:{SECRET}@host"),
    GCSOptions(credentials={"private_key": SECRET}),
    Strangers(api_token=SECRET),
    Strangers(url=f"https://x.test?sig={SECRET}", hosts=[f"sftp://a:{SECRET}@b"]),
    Strangers(more={"a": [{"password": SECRET}], "b": {"c": {"Authorization": SECRET}}}),
    Strangers(more={"credentials": {"a": [SECRET]}, "b": SecretStr(SECRET)}),
    Strangers(headers=({"cookie": SECRET},)),
    Strangers(proxy=Proxy(host="x", password=SECRET)),
]


@pytest.mark.parametrize("options", OPTIONS, ids=range(len(OPTIONS)))
def test_options_do_not_show_their_secrets(options: Options) -> None:
    shown = f"{options} {options!r} {[options]} {options!s}"
    assert SECRET not in shown
    assert "**********" in shown


def test_options_show_what_is_no_secret() -> None:
    assert "AES256" in repr(OPTIONS[0])
    assert "proxy:8080" in repr(OPTIONS[1])
    assert "4711" not in repr(Strangers(pin=4711, user="me"))
    assert "user='me'" in repr(Strangers(user="me", hosts=["a", "b"]))
    assert "['a', 'b']" in repr(Strangers(user="me", hosts=["a", "b"]))


def test_refused_options_are_not_shown() -> None:
    with pytest.raises(OptionError) as caught:
        S3Options(secret=SECRET)
    assert SECRET not in str(caught.value)


def test_an_error_of_a_server_does_not_show_the_secrets_of_the_options() -> None:
    mount("s3://bucket", {"key": "AKIA-test-key", "secret": SECRET, "endpoint_url": "http://127.0.0.1:9"})
    error = StorageError(f"403 for {SECRET}", path="s3://bucket/x")
    assert SECRET not in str(error) + repr(error)
