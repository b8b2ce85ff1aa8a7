"""A storage's client serves those alone who gave the same options: secrets count, though they print alike."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, temporary_settings
from pydantic import Secret, SecretStr

from mad_prefect_core.contracts import Options
from mad_prefect_core.prefect_support import saved_block_account
from mad_prefect_core.stores import opened
from mad_prefect_gcs import GCSOptions, GCSStorage
from mad_prefect_s3 import S3Options, S3Storage


class Block:
    """What is known by its identity."""


S3, GCS = S3Storage(), GCSStorage()


def _s3(**options: Any) -> tuple[S3Storage, S3Options]:
    return S3, S3Options(**{"key": "k", "secret": "s", "endpoint_url": "http://127.0.0.1:1", **options})


def _gcs(**options: Any) -> tuple[GCSStorage, GCSOptions]:
    return GCS, GCSOptions(**{"endpoint_url": "http://127.0.0.1:1", **options})


A, B = SecretStr("a"), SecretStr("b")
DIFFERENT = [
    (_s3(secret="a"), _s3(secret="b")),
    (_s3(token="a"), _s3(token="b")),
    (_s3(s3_additional_kwargs={"SSECustomerKey": A}), _s3(s3_additional_kwargs={"SSECustomerKey": B})),
    (_s3(client_kwargs={"x": {"y": [A]}}), _s3(client_kwargs={"x": {"y": [B]}})),
    (_s3(config_kwargs={"proxies": {"https": A}}), _s3(config_kwargs={"proxies": {"https": B}})),
    (_gcs(token="a"), _gcs(token="b")),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_tenants_with_different_secrets_never_share_a_client(one: Any, other: Any) -> None:
    mine, theirs, again = (opened(storage, "s3://b/x", options).fs for storage, options in (one, other, one))
    assert mine is again
    assert mine is not theirs
    assert mine != theirs
    assert len({mine, theirs, again}) == 2


@pytest.mark.parametrize(
    ("storage", "option", "variable"),
    [
        (S3Storage(), _s3()[1], "AWS_SECRET_ACCESS_KEY"),
        (GCSStorage(), _gcs()[1], "GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
def test_a_secret_that_is_rotated_in_the_environment_makes_a_new_client(
    storage: Any, option: Options, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = set()
    for secret in ("first", "second"):
        monkeypatch.setenv(variable, secret)
        clients.add(opened(storage, "s3://b/x", option).fs)
    assert len(clients) == 2


@pytest.mark.parametrize("kind", [S3Options, GCSOptions])
def test_a_fingerprint_shows_no_secret_and_goes_by_identity_for_objects(kind: Any) -> None:
    block = Block()
    field = "secret" if kind is S3Options else "token"
    more: dict[str, Any] = {"key": "k"} if kind is S3Options else {}
    prints = [kind(**{field: secret, **more}).fingerprint() for secret in ("s3cr3t", "s3cr3t", "other")]
    assert prints[0] == prints[1] != prints[2]
    assert "s3cr3t" not in prints[0]
    assert kind(credentials=block).fingerprint() == kind(credentials=block).fingerprint()
    assert kind(credentials=block).fingerprint() != kind(credentials=Block()).fingerprint()


def test_a_fingerprint_tells_a_secret_from_text_and_one_shape_from_another() -> None:
    class Any_(Options):
        value: Any = None

    values: list[Any] = [None, "", "None", 1, True, 1.0, "1", b"1", ["1"], {"1": None}, {1: None}, [["1", None]]]
    values += [SecretStr("1"), Secret("1"), Secret(1), [SecretStr("1")], Secret([SecretStr("1")])]
    prints = [Any_(value=value).fingerprint() for value in values if not isinstance(value, Secret) or value]
    assert len(set(prints)) >= len(values) - 1  # SecretStr and Secret of one text are one


def test_the_name_of_a_block_means_another_one_on_another_prefect_server() -> None:
    told = set()
    for settings in (
        {PREFECT_API_URL: "http://one/api", PREFECT_API_KEY: "a"},
        {PREFECT_API_URL: "http://one/api", PREFECT_API_KEY: "b"},
        {PREFECT_API_URL: "http://two/api", PREFECT_API_KEY: "a"},
    ):
        with temporary_settings(settings):
            told.add(saved_block_account("aws-credentials/production"))
    assert len(told) == 3
    assert saved_block_account(Block()) is None
