"""Who asks Azure, and what happens when the server no longer takes his keys. Each name says what a user would lose."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from http_proxy import Fault
from pydantic import SecretStr

from mad_prefect_azure import AzureOptions, AzureStorage
from mad_prefect_core import asset
from mad_prefect_core.errors import OptionError, StorageError
from mad_prefect_core.mounts import mount
from mad_prefect_core.session import DuckSession

STORAGE = AzureStorage()
WRONG = "d3Jvbmc="


@pytest.fixture
def server(azurite_server: Any) -> Any:
    return azurite_server


def read(bucket: Any, url: str | None = None, **options: Any) -> bytes:
    bucket.put("x", b"data")
    store = STORAGE.open(url or bucket.url, AzureOptions(**{"attempts": 2, **options}))
    found = store.read(bucket.path("x"))
    assert found is not None
    store.close()
    return found.data


@dataclass(frozen=True)
class AzureBlobStorageCredentials:
    """With the fields of Prefect's block of this name."""

    account_url: str | None = None
    connection_string: SecretStr | None = None


# -- ways to say it ----------------------------------------------------------------------------------------------------


def test_an_account_is_said_by_its_key_a_signature_a_connection_string_or_a_block(bucket: Any) -> None:
    endpoint, account, key = bucket.server.endpoint(bucket.proxy.url), bucket.server.account, bucket.server.key
    said, sas = bucket.server.connection_string(bucket.proxy.url), bucket.server.sas(bucket.name)
    ways: list[dict[str, Any]] = [
        {"endpoint_url": endpoint, "account_name": account, "account_key": key},
        {"endpoint_url": endpoint, "sas_token": sas},
        {"endpoint_url": endpoint, "sas_token": f"?{sas}"},
        {"connection_string": said},
        {"connection_string": f"BlobEndpoint={endpoint};SharedAccessSignature={sas}"},
        {"credentials": AzureBlobStorageCredentials(connection_string=SecretStr(said))},
    ]
    for way in ways:
        bucket.proxy.count()
        assert read(bucket, **way) == b"data"
        assert bucket.proxy.count() == 1, way


def test_the_same_is_said_by_the_environment(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bucket.options.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name.upper()}", value)
    assert read(bucket) == b"data"
    for name in bucket.options:
        monkeypatch.delenv(f"AZURE_STORAGE_{name.upper()}")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", bucket.server.connection_string(bucket.proxy.url))
    assert read(bucket) == b"data"


@pytest.mark.parametrize("other", ["ACCOUNT_NAME", "ACCOUNT_KEY", "SAS_TOKEN", "CONNECTION_STRING"])
@pytest.mark.parametrize("way", ["key", "signature", "connection string"])
def test_what_an_option_says_is_not_mixed_with_what_the_environment_says_of_another_account(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, way: str, other: str
) -> None:
    endpoint = bucket.server.endpoint(bucket.proxy.url)
    ways: dict[str, dict[str, Any]] = {
        "key": bucket.options,
        "signature": {"endpoint_url": endpoint, "sas_token": bucket.server.sas(bucket.name)},
        "connection string": {"connection_string": bucket.server.connection_string(bucket.proxy.url)},
    }
    elsewhere = f"AccountName=other;AccountKey={WRONG};BlobEndpoint=http://127.0.0.1:9/other"
    values = {"ACCOUNT_NAME": "other", "ACCOUNT_KEY": WRONG, "SAS_TOKEN": "sv=1&sig=x", "CONNECTION_STRING": elsewhere}
    monkeypatch.setenv(f"AZURE_STORAGE_{other}", values[other])
    assert read(bucket, **ways[way]) == b"data"


@pytest.mark.parametrize("protocol", ["az", "abfs", "abfss"])
def test_each_protocol_is_the_same_place(bucket: Any, protocol: str) -> None:
    store = STORAGE.open(f"{protocol}://{bucket.name}/lake/", AzureOptions(**bucket.direct))
    assert store.path(f"{protocol}://{bucket.name}/lake/") == f"{bucket.name}/lake"
    assert store.path(f"{protocol}://{bucket.name}@account.dfs.core.windows.net/lake") == f"{bucket.name}/lake"
    bucket.put("lake/x", b"data")
    assert store.fs.cat_file(f"{protocol}://{bucket.name}/lake/x") == b"data"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("abfss://c@one.dfs.core.windows.net/lake", "https://one.blob.core.windows.net"),
        ("abfss://c@one.dfs.core.usgovcloudapi.net/lake", "https://one.blob.core.usgovcloudapi.net"),
        ("az://c@one.blob.core.windows.net", "https://one.blob.core.windows.net"),
    ],
)
def test_the_account_in_a_url_is_the_one_that_is_asked(url: str, server: str) -> None:
    assert STORAGE.open(url, AzureOptions(account_key=WRONG)).fs.client.server() == server


def test_the_account_in_a_url_is_not_taken_for_the_one_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "abfss://c@one.dfs.core.windows.net/lake"
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "two")
    service = STORAGE.open(url, AzureOptions(account_key=WRONG)).fs.client._service
    assert service.credential.account_name == "one"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f"AccountName=two;AccountKey={WRONG}")
    with pytest.raises(OptionError, match="'two', and 'one' is named"):
        STORAGE.open(url, AzureOptions())


def test_an_account_in_an_option_is_not_taken_for_the_one_of_a_connection_string_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f"AccountName=dev;AccountKey={WRONG}")
    with pytest.raises(OptionError, match="'dev', and 'prod' is named"):
        STORAGE.open("az://container/lake", AzureOptions(account_name="prod"))


def test_a_service_principal_is_never_made_of_options_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CLIENT_SECRET", "another one's")
    with pytest.raises(ValueError, match="client secret"):
        STORAGE.open("az://container/lake", AzureOptions(account_name="one", client_id="a", tenant_id="b"))


def test_no_account_at_all_is_an_error_that_says_where_to_put_it() -> None:
    with pytest.raises(OptionError, match="Give the option account_name or connection_string"):
        STORAGE.open("az://container/lake", AzureOptions())


def test_a_public_container_is_read_by_nobody_and_not_written(bucket: Any) -> None:
    path = bucket.put("x", b"data")
    store = bucket.store(anon=True, account_key=None, attempts=2)
    with pytest.raises((StorageError, FileNotFoundError)):
        store.fs.cat_file(path)
    bucket.container.set_container_access_policy({}, public_access="container")
    assert store.read(path).data == b"data"
    assert store.fs.ls(bucket.name, detail=False) == [path]
    with pytest.raises(StorageError, match=r"HTTP 40"):
        store.replace(path, b"1", store.stat(path).token)
    assert {request.headers.get("authorization") for request in bucket.proxy.requests} == {None}
    assert bucket.get("x") == b"data"


# -- what the user got wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [WRONG, "not base64!"])
def test_a_wrong_key_is_an_error_that_shows_no_secret(bucket: Any, wrong: str) -> None:
    with pytest.raises((StorageError, OptionError)) as raised:
        read(bucket, **{**bucket.options, "account_key": wrong})
    assert wrong not in str(raised.value)
    assert bucket.server.account in str(raised.value) or "account_key" in str(raised.value)


def test_a_signature_that_has_ended_is_an_error_that_shows_none_of_it(bucket: Any) -> None:
    sas = bucket.server.sas(bucket.name, seconds=-60)
    with pytest.raises(PermissionError, match="answered get with") as raised:
        read(bucket, endpoint_url=bucket.server.endpoint(bucket.proxy.url), sas_token=sas)
    assert sas.rpartition("sig=")[2] not in str(raised.value)


@pytest.mark.parametrize(("missing", "act"), [("r", "read"), ("w", "publish"), ("d", "delete"), ("l", "list")])
def test_who_lacks_a_permission_is_told_what_is_needed_and_nothing_is_lost(
    bucket: Any, missing: str, act: str, tmp_path: Path
) -> None:
    path = bucket.put("x", b"old")
    sas = bucket.server.sas(bucket.name, "racwdl".replace("c", "").replace(missing, ""))
    store = bucket.store(account_key=None, sas_token=sas)
    (tmp_path / "staged").write_bytes(b"new")
    acts: dict[str, Any] = {
        "read": lambda: store.read(path),
        "publish": lambda: store.publish(tmp_path / "staged", path),
        "delete": lambda: store.fs.rm_file(path),
        "list": lambda: store.fs.ls(bucket.name),
    }
    with pytest.raises(PermissionError, match="a SAS token the permissions racwdl"):
        acts[act]()
    assert bucket.get("x") == b"old"


# -- keys that change --------------------------------------------------------------------------------------------------


def test_a_signature_that_is_refused_is_looked_up_again_in_the_environment(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT_URL", bucket.server.endpoint(bucket.proxy.url))
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", bucket.server.sas(bucket.name, seconds=-60))
    store, path = STORAGE.open(bucket.url, AzureOptions()), bucket.put("x", b"data")
    with pytest.raises(PermissionError):
        store.read(path)
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", bucket.server.sas(bucket.name))
    bucket.proxy.count()
    assert store.read(path).data == b"data"  # type: ignore[union-attr]
    assert bucket.proxy.count() == 2
    store.close()


def test_a_block_whose_key_was_changed_is_read_again(bucket: Any) -> None:
    @dataclass
    class Block:
        account_url: str
        sas_token: SecretStr

    block = Block(bucket.server.endpoint(bucket.proxy.url), SecretStr(bucket.server.sas(bucket.name, seconds=-60)))
    store, path = STORAGE.open(bucket.url, AzureOptions(credentials=block)), bucket.put("x", b"data")
    block.sas_token = SecretStr(bucket.server.sas(bucket.name))
    assert store.read(path).data == b"data"  # type: ignore[union-attr]
    store.close()


# -- secrets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["key", "signature", "connection string"])
def test_no_secret_shows_in_reprs_logs_errors_and_records(
    based: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    server, sas = based.server, based.server.sas(based.name)
    for name in based.environment:
        monkeypatch.delenv(name)
    endpoint = server.endpoint(based.proxy.url)
    said = {
        "key": {"ACCOUNT_NAME": server.account, "ACCOUNT_KEY": server.key, "ENDPOINT_URL": endpoint},
        "signature": {"SAS_TOKEN": sas, "ENDPOINT_URL": endpoint},
        "connection string": {"CONNECTION_STRING": server.connection_string(based.proxy.url)},
    }[way]
    for name, value in said.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    options = AzureOptions(**{name.lower(): value for name, value in said.items()})
    caplog.set_level(logging.DEBUG)

    @asset("x.json")
    def numbers() -> Any:
        return [{"id": 1}]

    number = iter(range(1_000))
    based.proxy.faults = lambda _: Fault(status=503) if next(number) % 3 == 2 else None
    numbers.query_sync()
    based.proxy.fail(Fault(status=403), times=None)
    with pytest.raises(StorageError) as raised:
        numbers.query_sync()
    based.proxy.heal()
    with DuckSession() as session:
        files = mount(based.url).store.duckdb_files(session, [based.path("lake/x.json")])
    store = STORAGE.open(based.url, options)
    records = [based.get(key).decode("utf-8", "replace") for key in based.listed()]
    seen = [repr(options), str(options.fingerprint()), repr(store), repr(store.fs), str(files), caplog.text, *records]
    seen += [str(raised.value), repr(raised.value), repr(raised.value.__cause__)]
    for text in seen:
        for secret in (server.key, sas.rpartition("sig=")[2]):
            assert secret not in text
    store.close()
