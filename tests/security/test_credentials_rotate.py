"""A block is the one that was asked for, and as it is now: no tenant gets another's, no key outlives its rotation."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_CLIENT_CUSTOM_HEADERS,
    temporary_settings,
)
from pydantic import SecretStr

from mad_prefect_core.prefect_support import saved
from mad_prefect_core.prefect_support.blocks import FsspecFileSystem, get_fs, load_block
from mad_prefect_core.prefect_support.envblock import EnvBlock


class Tenant(EnvBlock):
    token: SecretStr


class Server:
    """Stands in for a Prefect server that has one block of each kind."""

    def __init__(self) -> None:
        self.now = 0.0
        self.secret = "first"
        self.loads = 0
        self.failure: Exception | None = None

    def load(self, kind: type, name: str, **_: object) -> Any:
        self.loads += 1
        if self.failure is not None:
            raise self.failure
        if issubclass(kind, EnvBlock):
            return kind(token=SecretStr(self.secret))
        return FsspecFileSystem(basepath="memory://lake", storage_options={"key": self.secret})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    for kind in (FsspecFileSystem, Tenant):
        monkeypatch.setattr(kind, "load", classmethod(_load_of(server)))
    monkeypatch.setattr(saved.time, "monotonic", lambda: server.now)
    saved._blocks.clear()
    return server


def _load_of(server: Server) -> Callable[..., Any]:
    return lambda kind, name, **given: server.load(kind, name, **given)


def _key(block: FsspecFileSystem) -> str:
    return str(block.storage_options.get_secret_value()["key"])


def _refusal(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://server")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))


async def test_variables_of_one_tenant_are_never_answered_with_the_block_of_another() -> None:
    for token in ("a", "b", "a", "c"):
        block = await Tenant.from_env(env_vars={"TENANT_TOKEN": token})
        assert block.token.get_secret_value() == token


async def test_rotated_variables_are_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for token in ("one", "two"):
        monkeypatch.setenv("TENANT_TOKEN", token)
        assert (await Tenant.from_env()).token.get_secret_value() == token


async def test_one_tenants_block_is_not_changed_by_another() -> None:
    mine = await Tenant.from_env(env_vars={"TENANT_TOKEN": "same"})
    theirs = await Tenant.from_env(env_vars={"TENANT_TOKEN": "same"})
    theirs.token = SecretStr("changed")
    assert mine.token.get_secret_value() == "same"


async def test_rotated_credentials_of_a_saved_block_are_seen_after_a_minute(server: Server) -> None:
    assert _key(load_block("lake")) == "first"
    server.secret = "second"
    server.now = saved.SECONDS - 1
    assert _key(load_block("lake")) == "first"
    assert server.loads == 1
    server.now = saved.SECONDS
    assert _key(load_block("lake")) == "second"
    variables = {"TENANT_CREDENTIAL_BLOCK_NAME": "credentials"}
    assert (await Tenant.from_env(variables)).token.get_secret_value() == "second"
    server.secret = "third"
    server.now += saved.SECONDS
    assert (await Tenant.from_env(variables)).token.get_secret_value() == "third"


async def test_the_base_has_the_rotated_credentials(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILESYSTEM_BLOCK_NAME", "lake")
    assert _key(await get_fs()) == "first"
    server.secret, server.now = "second", saved.SECONDS
    assert _key(await get_fs()) == "second"


def test_a_block_that_has_not_changed_stays_the_same_object(server: Server) -> None:
    block = load_block("lake")
    for _ in range(3):
        server.now += saved.SECONDS
        assert load_block("lake") is block
    assert server.loads == 4


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("s3cr3t"), httpx.ReadTimeout("s3cr3t"), _refusal(503), _refusal(429), ConnectionResetError()],
)
def test_a_server_that_is_down_costs_a_warning_and_not_the_run(
    server: Server, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    load_block("lake")
    try:
        raise RuntimeError("Failed to reach API") from failure  # as Prefect's client has it
    except RuntimeError as error:
        server.failure = error
    server.now = saved.SECONDS
    with caplog.at_level(logging.WARNING):
        assert _key(load_block("lake")) == "first"
        assert _key(load_block("lake")) == "first"
    assert server.loads == 2, "the server is not asked again for a minute"
    (line,) = [record.getMessage() for record in caplog.records]
    assert "'lake' stays in use" in line
    assert "s3cr3t" not in caplog.text
    server.failure, server.secret = None, "second"
    server.now *= 2
    assert _key(load_block("lake")) == "second"


@pytest.mark.parametrize("failure", [ValueError("no block named lake"), _refusal(401), _refusal(403), _refusal(404)])
def test_credentials_that_were_taken_away_are_not_used_any_longer(server: Server, failure: Exception) -> None:
    load_block("lake")
    server.now, server.failure = saved.SECONDS, failure
    for _ in range(2):
        with pytest.raises(type(failure)):
            load_block("lake")


def test_a_server_that_never_answered_is_an_error(server: Server) -> None:
    server.failure = httpx.ConnectError("down")
    with pytest.raises(httpx.ConnectError):
        load_block("lake")
    server.failure = None
    assert _key(load_block("lake")) == "first"


@pytest.mark.parametrize(
    "settings",
    [
        {PREFECT_API_URL: "http://other/api"},
        {PREFECT_API_KEY: "key-of-b"},
        {PREFECT_API_AUTH_STRING: "b:password"},
        {PREFECT_CLIENT_CUSTOM_HEADERS: {"Authorization": "password"}},
        {PREFECT_API_DATABASE_CONNECTION_URL: "sqlite+aiosqlite:////tmp/password.db"},
    ],
)
def test_a_block_is_not_shared_between_servers_or_accounts(server: Server, settings: dict[Any, Any]) -> None:
    with temporary_settings({PREFECT_API_URL: "http://one/api", PREFECT_API_KEY: "key-of-a"}):
        assert _key(load_block("lake")) == "first"
        server.secret = "of-b"
        with temporary_settings(settings):
            assert _key(load_block("lake")) == "of-b"
        assert _key(load_block("lake")) == "first"
    assert not any("key-of" in repr(key) or "password" in repr(key) for key in saved._blocks)


def test_threads_go_on_with_the_block_they_have_while_one_asks_for_a_newer(server: Server) -> None:
    load_block("lake")
    server.now, server.secret = saved.SECONDS, "second"
    asking, answer = threading.Event(), threading.Event()
    before = server.load

    def slow(*given: Any, **named: Any) -> Any:
        asking.set()
        assert answer.wait(30)
        return before(*given, **named)

    server.load = slow  # type: ignore[method-assign]
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(_key(load_block("lake"))))
    thread.start()
    assert asking.wait(30)
    assert _key(load_block("lake")) == "first"
    late: list[str] = []
    server.now = 2 * saved.SECONDS  # too old for those that do not ask, too
    other = threading.Thread(target=lambda: late.append(_key(load_block("lake"))))
    other.start()
    answer.set()
    for each in (thread, other):
        each.join(30)
    assert (got, late) == (["second"], ["second"])
    assert _key(load_block("lake")) == "second"


def test_two_threads_that_both_need_a_block_load_it_once(server: Server) -> None:
    barrier, got = threading.Barrier(4), []

    def use() -> None:
        barrier.wait(30)
        got.append(load_block("lake"))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert server.loads == 1
    assert all(block is got[0] for block in got)
