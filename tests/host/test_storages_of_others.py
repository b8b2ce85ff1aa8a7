"""The hook that serves protocols which no plugin claims."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

from mad_prefect_core import hookimpl
from mad_prefect_core.errors import PluginLoadError, UnknownStorageError
from mad_prefect_core.hookspecs import PLUGIN_API
from mad_prefect_core.plugins import PluginHost
from mad_prefect_local import LocalStorage

Answer = Callable[[str], Any]


class AnyStorage(LocalStorage):
    def __init__(self, protocol: str) -> None:
        vars(self).update(name=protocol, protocols=(protocol,))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PluginHost]:
    def make(*answers: Answer, claims: str = "claimed") -> PluginHost:
        entry_points = []
        for number, answer in enumerate(answers):

            @hookimpl
            def mad_prefect_storage_for(protocol: str, answer: Any = answer) -> Any:
                return answer(protocol)

            @hookimpl
            def mad_prefect_storages() -> list[Any]:
                return [AnyStorage(claims)]

            plugin = ModuleType(f"plugin_{number}")
            vars(plugin).update(
                requires_plugin_api=(PLUGIN_API, PLUGIN_API), mad_prefect_storage_for=mad_prefect_storage_for
            )
            if number == 0:
                vars(plugin).update(mad_prefect_storages=mad_prefect_storages)
            monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
            entry_points.append(EntryPoint(plugin.__name__, plugin.__name__, "mad_prefect"))
        return PluginHost(entry_points)

    return make


def test_a_protocol_that_nobody_claims_is_served_by_the_first_who_can_and_always_by_the_same(
    host: Callable[..., PluginHost],
) -> None:
    asked: list[str] = []

    def last(protocol: str) -> Any:
        asked.append(protocol)
        return AnyStorage(protocol)

    found = host(lambda protocol: None, last)
    storage = found.storage_for("Moon")

    assert storage.name == "moon"
    assert found.storage_for("moon") is storage
    assert found.storage_for("cached::moon").name == "cached::moon"
    assert asked == ["moon", "cached::moon"]


def test_who_claims_a_protocol_has_it_and_nobody_else_is_asked(host: Callable[..., PluginHost]) -> None:
    asked: list[str] = []

    assert host(asked.append).storage_for("claimed").name == "claimed"
    assert asked == []


def test_nobody_takes_the_place_of_a_plugin_of_ours_that_is_missing(host: Callable[..., PluginHost]) -> None:
    with pytest.raises(UnknownStorageError, match="mad_prefect_storage/gcs"):
        host(AnyStorage).storage_for("gs")


def test_what_is_no_storage_is_an_error_that_names_the_plugin(host: Callable[..., PluginHost]) -> None:
    with pytest.raises(PluginLoadError, match=r"returned str, which lacks .*for 'moon' .*plugin_0"):
        host(str).storage_for("moon")


def test_a_plugin_that_fails_is_an_error_that_names_it(host: Callable[..., PluginHost]) -> None:
    with pytest.raises(PluginLoadError, match=r"mad_prefect_storage_for failed: ZeroDivisionError"):
        host(lambda protocol: 1 / 0).storage_for("moon")
