"""What a plugin's class lacks, or has so that the core can't call it, is told by name when the plugin is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from mad_prefect_core.contracts import FormatLike, StorageLike, StoreLike
from mad_prefect_core.plugins import PluginHost

Host = Callable[..., PluginHost]

FORMAT = """
from mad_prefect_core.contracts import FormatCapabilities, Options, ReadOptions

class Odd:
    def __init__(self):
        given = {"name": "odd", "suffixes": (".odd",), "capabilities": FormatCapabilities()}
        vars(self).update(given, read_options=ReadOptions, write_options=Options)
        vars(self).pop(LEFT_OUT, None)

METHODS = ("read", "write", "read_back")
for name in METHODS:
    if name != LEFT_OUT:
        setattr(Odd, name, WRONG if name == SPOILT else vars(FakeFormat)[name])

@hookimpl
def mad_prefect_formats():
    return [Odd()]
"""
STORAGE = """
class OddStore:
    fs = None

METHODS = ("stat", "read", "replace", "publish")
for name in (*METHODS, "path", "close"):
    if name != LEFT_OUT:
        setattr(OddStore, name, WRONG if name == SPOILT else getattr(FakeStore, name))

class Odd:
    def __init__(self):
        given = {"name": "odd", "protocols": ("odd",), "store": OddStore}
        vars(self).update(given, options=FakeStorage.options, capabilities=FakeStorage.capabilities)
        vars(self).pop(LEFT_OUT, None)

for name in ("open", "account"):
    if name != LEFT_OUT:
        setattr(Odd, name, WRONG if name == SPOILT else vars(FakeStorage)[name])

@hookimpl
def mad_prefect_storages():
    return [Odd()]
"""
WRONG = {
    "takes nothing": "def WRONG(self):\n    pass\n",
    "wants more": "def WRONG(self, a, b, c, d, e, f, *, g):\n    pass\n",
    "is no method": "WRONG = 7\n",
}
WRONG_TOLD = {"takes nothing": "can't be called as", "wants more": "can't be called as", "is no method": "is no method"}


def members(contract: type) -> list[str]:
    return sorted({*contract.__annotations__, *(name for name in vars(contract) if not name.startswith("_"))} - {"fs"})


def methods(contract: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(contract, inspect.isfunction) if not name.startswith("_")]


def told(host_with: Host, source: str, *, left_out: str = "", spoilt: str = "", wrong: str = "WRONG = None\n") -> str:
    host = host_with("fake-odd", f"LEFT_OUT, SPOILT = {left_out!r}, {spoilt!r}\n{wrong}{source}")
    [record] = [record for record in host.plugins() if record.distribution == "fake-odd"]
    assert (host.formats(), host.storages()) == ([], []) or record.error is None
    return str(record.error)


@pytest.mark.parametrize("source", [FORMAT, STORAGE])
def test_what_has_all_members_without_inheriting_is_taken(host_with: Host, source: str) -> None:
    assert told(host_with, source) == "None"


@pytest.mark.parametrize("member", members(FormatLike))
def test_a_format_that_lacks_a_member_is_refused_by_name(host_with: Host, member: str) -> None:
    text = told(host_with, FORMAT, left_out=member)
    assert f"Odd, lacks {member}" in text
    assert "docs/how-to/write-a-format-plugin.md" in text


@pytest.mark.parametrize("member", [*members(StorageLike), *members(StoreLike)])
def test_a_storage_that_lacks_a_member_is_refused_by_name(host_with: Host, member: str) -> None:
    text = told(host_with, STORAGE, left_out=member)
    assert f"lacks {member}" in text
    assert "docs/how-to/write-a-storage-plugin.md" in text


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("method", methods(FormatLike))
def test_a_format_whose_method_can_not_be_called_is_refused_by_name(host_with: Host, method: str, wrong: str) -> None:
    text = told(host_with, FORMAT, spoilt=method, wrong=WRONG[wrong])
    assert f"its {method} {WRONG_TOLD[wrong]}" in text


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("method", [*methods(StorageLike), *sorted({*methods(StoreLike)} - {"close"}), "close"])
def test_a_storage_whose_method_can_not_be_called_is_refused_by_name(host_with: Host, method: str, wrong: str) -> None:
    if (method, wrong) == ("close", "takes nothing"):
        wrong = "wants more"  # which is right for it
    text = told(host_with, STORAGE, spoilt=method, wrong=WRONG[wrong])
    assert f"{method} {WRONG_TOLD[wrong]}" in text


@pytest.mark.parametrize(
    ("kind", "hook", "members_"),
    [
        ("Format", "mad_prefect_formats", ("read", "write")),
        ("Storage", "mad_prefect_storages", ("open",)),
    ],
)
def test_a_class_that_inherits_and_forgets_is_refused_by_name(
    host_with: Host, kind: str, hook: str, members_: tuple[str, ...]
) -> None:
    source = f"""
from mad_prefect_core.contracts import {kind}

class Odd({kind}):
    pass

@hookimpl
def {hook}():
    return [Odd()]
"""
    text = told(host_with, source)
    assert "Odd" in text
    assert all(member in text for member in members_)


def test_a_store_that_inherits_and_forgets_is_refused_when_the_plugin_is_loaded(host_with: Host) -> None:
    source = """
from mad_prefect_core.contracts import Storage, Store

class OddStore(Store):
    def stat(self, path):
        return None

class Odd(Storage):
    name = "odd"
    protocols = ("odd",)
    store = OddStore

    def open(self, url, options):
        return OddStore(None)

@hookimpl
def mad_prefect_storages():
    return [Odd()]
"""
    assert "has a store, OddStore, that lacks publish, read, replace" in told(host_with, source)


@pytest.mark.parametrize("method", ["stage", "link", "duckdb_files", "sync", "create_private"])
def test_an_ability_that_can_not_be_called_is_refused_by_name(host_with: Host, method: str) -> None:
    source = f"{STORAGE}\nOddStore.{method} = lambda self: None\n"
    assert f"whose {method} can't be called as {method}(" in told(host_with, source)


def test_a_method_that_is_async_is_refused(host_with: Host) -> None:
    wrong = "async def WRONG(self, path):\n    pass\n"
    assert "stat is async" in told(host_with, STORAGE, spoilt="stat", wrong=wrong)
