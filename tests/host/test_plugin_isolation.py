"""One broken plugin costs only itself, and says so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core.errors import PluginApiError, PluginLoadError, UnknownFormatError
from mad_prefect_core.hookspecs import PLUGIN_API
from mad_prefect_core.plugins import PluginHost, PluginRecord

Distributions = Any  # of the conftest beside this file
Host = Callable[..., PluginHost]

BROKEN = {
    "fake-exits": "SystemExit: no licence found",
    "fake-import-error": "RuntimeError: libnotes.so is missing",
    "fake-junk": "What the plugin's hook mad_prefect_formats returned, dict, lacks capabilities",
    "fake-misspelt": "unknown hook 'mad_prefect_format'",
    "fake-new-api": "built for plugin API 1000 to 1001",
    "fake-no-api": "does not say which plugin API",
    "fake-old-api": "built for plugin API 0 to 0",
    "fake-raises": "ValueError: the catalogue is damaged",
    "fake-raises-late": "ValueError: the catalogue ends here",
    "fake-unmarked": "mad_prefect_formats is not marked with @hookimpl",
}


def record_of(host: PluginHost, distribution: str) -> PluginRecord:
    return next(record for record in host.plugins() if record.distribution == distribution)


@pytest.mark.parametrize("broken", sorted(BROKEN))
def test_a_broken_plugin_leaves_the_others_working(host_of: Host, broken: str) -> None:
    host = host_of("fake-good", broken)

    assert [f.name for f in host.formats()] == ["gzip", "notes"]
    assert [s.name for s in host.storages()] == ["shelf"]
    assert host.format_named("notes").name == "notes"


@pytest.mark.parametrize("broken", sorted(BROKEN))
def test_a_broken_plugin_says_what_is_wrong_and_which_distribution_it_is(
    host_of: Host, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    with caplog.at_level(logging.WARNING):
        record = record_of(host_of("fake-good", broken), broken)

    assert record.status == "failed"
    assert BROKEN[broken] in str(record.error)
    assert f"{record.name} ({broken} 1.0)" in str(record.error)
    assert str(record.error) in caplog.messages


def test_all_broken_plugins_at_once_are_listed_beside_the_good_one(host_of: Host) -> None:
    host = host_of("fake-good", *BROKEN)

    assert {r.distribution: r.status for r in host.plugins()} == dict.fromkeys(BROKEN, "failed") | {
        "fake-good": "loaded"
    }
    assert [r.name for r in host.plugins()] == sorted(r.name for r in host.plugins())
    assert host.format_named("notes").name == "notes"


def test_the_exception_behind_a_failure_is_kept(host_of: Host) -> None:
    error = record_of(host_of("fake-import-error"), "fake-import-error").error

    assert isinstance(error, PluginLoadError)
    assert isinstance(error.__cause__, RuntimeError)


def test_a_plugin_that_fails_half_way_brings_nothing_at_all(host_of: Host) -> None:
    host = host_of("fake-raises-late")

    assert (host.formats(), host.storages()) == ([], [])
    record = record_of(host, "fake-raises-late")
    assert (record.formats, record.storages) == ([], [])
    with pytest.raises(UnknownFormatError):
        host.format_of("x.early")


def test_none_of_a_failed_plugins_hooks_is_called(host_with: Host) -> None:
    host = host_with(
        "fake-half",
        "calls = []\n"
        "@hookimpl\ndef mad_prefect_formats():\n    raise ValueError('no')\n"
        "@hookimpl\ndef mad_prefect_run_finished(run):\n    calls.append(run)\n",
    )
    host.notify("mad_prefect_run_finished", "a run")

    import fake_half

    assert fake_half.calls == []


def test_a_misspelt_hook_suggests_the_near_name(host_of: Host) -> None:
    assert "Did you mean mad_prefect_formats?" in str(record_of(host_of("fake-misspelt"), "fake-misspelt").error)


def test_one_plugins_misspelt_hook_is_not_anothers_fault(host_of: Host, host_with: Host) -> None:
    host_of("fake-misspelt")
    host_with("fake-also-misspelt", "@hookimpl\ndef mad_prefect_format():\n    return []\n")
    host = host_of("fake-good", "fake-watcher")

    assert {r.distribution: r.status for r in host.plugins()} == {
        "fake-also-misspelt": "failed",
        "fake-good": "loaded",
        "fake-misspelt": "failed",
        "fake-watcher": "loaded",
    }
    assert "fake_misspelt" not in str(record_of(host, "fake-also-misspelt").error)


def test_a_hook_with_an_argument_that_there_is_not_is_refused(host_with: Host) -> None:
    host = host_with("fake-arguments", "@hookimpl\ndef mad_prefect_formats(registry):\n    return []\n")

    assert "registry" in str(record_of(host, "fake-arguments").error)


def test_an_old_plugin_is_told_both_versions_and_to_be_upgraded(host_of: Host) -> None:
    error = record_of(host_of("fake-old-api"), "fake-old-api").error

    assert isinstance(error, PluginApiError)
    assert "plugin API 0 to 0" in str(error)
    assert f"this core has {PLUGIN_API}" in str(error)
    assert "Update fake-old-api." in str(error)


def test_a_plugin_ahead_of_the_core_says_to_upgrade_the_core(host_of: Host) -> None:
    error = record_of(host_of("fake-new-api"), "fake-new-api").error

    assert isinstance(error, PluginApiError)
    assert f"built for plugin API 1000 to 1001, this core has {PLUGIN_API}" in str(error)
    assert "Update mad-prefect-core." in str(error)


@pytest.mark.parametrize("said", ["1", "(1,)", "(2, 1)", "('1', '1')", "(True, True)", "[1, 1]"])
def test_a_plugin_api_that_is_not_a_range_is_refused(host_with: Host, said: str) -> None:
    error = record_of(host_with("fake-range", f"requires_plugin_api = {said}\n"), "fake-range").error

    assert isinstance(error, PluginApiError)
    assert "requires_plugin_api = (first, last)" in str(error)


JUNK = {
    "None": "returned NoneType where a list was expected",
    "'notes'": "returned str where a list was expected",
    "{'notes': 1}": "returned dict where a list was expected",
    "[42]": "int, lacks capabilities, name",
    "[FakeStorage('s', 's')]": "FakeStorage, lacks read",
    "[FakeFormat]": "FakeFormat, is a class where an instance was expected",
    "[FakeFormat(7, '.x')]": "has a name that is not text",
    "[FakeFormat('x')]": "has suffixes ()",
    "[FakeFormat('x', 'x')]": "has suffixes ('x',) where something like (\".toml\",) was expected",
    "[FakeFormat('x', '.X')]": "has suffixes ('.X',)",
    "[FakeFormat('x', '.x'), FakeFormat('y', '.x')]": "claims '.x' twice",
}


@pytest.mark.parametrize("junk", JUNK)
def test_junk_from_a_hook_is_refused_and_named(host_with: Host, junk: str) -> None:
    host = host_with("fake-junk", f"@hookimpl\ndef mad_prefect_formats():\n    return {junk}\n")

    assert host.formats() == []
    assert JUNK[junk] in str(record_of(host, "fake-junk").error)


def test_options_and_capabilities_of_the_wrong_kind_are_refused(host_with: Host) -> None:
    host = host_with(
        "fake-options",
        "class Odd(FakeFormat):\n    capabilities = {}\n    read_options = dict\n    write_options = Options()\n"
        "@hookimpl\ndef mad_prefect_formats():\n    return [Odd('odd', '.odd')]\n",
    )

    text = str(record_of(host, "fake-options").error)
    assert "capabilities that are not FormatCapabilities" in text
    assert "read_options that are not a subclass of ReadOptions" in text
    assert "write_options that are not a subclass of Options" in text


def test_suffixes_given_as_one_text_are_refused(host_with: Host) -> None:
    host = host_with(
        "fake-text",
        "class Odd(FakeFormat):\n    suffixes = '.odd'\n    def __init__(self):\n        self.name = 'odd'\n"
        "@hookimpl\ndef mad_prefect_formats():\n    return [Odd()]\n",
    )

    assert "has suffixes '.odd' where something like" in str(record_of(host, "fake-text").error)


def test_a_storage_without_a_url_scheme_is_refused(host_with: Host) -> None:
    host = host_with("fake-scheme", "@hookimpl\ndef mad_prefect_storages():\n    return [FakeStorage('x', 'x://')]\n")

    assert host.storages() == []
    assert "has protocols ('x://',)" in str(record_of(host, "fake-scheme").error)


@pytest.mark.parametrize("hook", ["mad_prefect_formats", "mad_prefect_storages"])
def test_an_async_hook_is_refused(host_with: Host, hook: str) -> None:
    host = host_with("fake-async", f"@hookimpl\nasync def {hook}():\n    return []\n")

    assert "hooks are plain functions" in str(record_of(host, "fake-async").error)


@pytest.mark.parametrize("form", ["wrapper", "hookwrapper"])
def test_a_hook_wrapper_is_refused(host_with: Host, form: str) -> None:
    host = host_with("fake-wrapper", f"@hookimpl({form}=True)\ndef mad_prefect_formats():\n    return (yield)\n")

    assert "mad_prefect_formats is a wrapper" in str(record_of(host, "fake-wrapper").error)


def test_a_batches_hook_that_would_answer_for_every_object_is_refused(host_with: Host) -> None:
    host = host_with("fake-greedy", "@hookimpl\ndef mad_prefect_batches(data):\n    yield from ()\n")

    assert "is a generator function, which can't answer None" in str(record_of(host, "fake-greedy").error)
    assert host.batches(object()) is None


def test_a_distribution_without_metadata_is_listed_and_costs_only_itself(
    distributions: Distributions, tmp_path: Path
) -> None:
    info = tmp_path / "nameless-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[mad_prefect]\nnameless = not a module: at all\n")
    distributions.install(tmp_path)
    host = distributions.checked_in("fake-good")

    record = next(record for record in host.plugins() if record.name == "nameless")
    assert record.status == "failed"
    assert "a distribution without a name" in str(record.error)
    assert host.format_named("notes").name == "notes"


def test_an_interrupt_while_loading_is_not_swallowed_and_loading_begins_anew(
    host_with: Host, host_of: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_INTERRUPT", "1")
    host_with(
        "fake-interrupt",
        "import os\nif os.environ.get('FAKE_INTERRUPT'):\n    raise KeyboardInterrupt\n"
        "@hookimpl\ndef mad_prefect_formats():\n    return [FakeFormat('later', '.later')]\n",
    )
    host = host_of("fake-good")
    with pytest.raises(KeyboardInterrupt):
        host.formats()

    monkeypatch.delenv("FAKE_INTERRUPT")
    assert [f.name for f in host.formats()] == ["gzip", "later", "notes"]


def test_a_plugin_that_asks_the_host_while_it_is_imported_does_not_hang_it(host_with: Host) -> None:
    host = host_with(
        "fake-asks",
        "from mad_prefect_core.plugins import get_host\nnames = [f.name for f in get_host().formats()]\n"
        "@hookimpl\ndef mad_prefect_formats():\n    return [FakeFormat('asks', '.asks')]\n",
    )
    from mad_prefect_core.plugins import use_host

    with use_host(host):
        assert [f.name for f in host.formats()] == ["asks"]
