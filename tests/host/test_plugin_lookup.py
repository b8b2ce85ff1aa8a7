"""What is found by name, suffix and protocol, and what is said where nothing is."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from mad_prefect_core.errors import PathError, PluginConflictError, UnknownFormatError, UnknownStorageError
from mad_prefect_core.misspelt import check_base
from mad_prefect_core.plugins import PluginHost, get_host, use_host

Host = Callable[..., PluginHost]


# -- lookups ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["notes", "NOTES", ".notes", "notes.gz"])
def test_a_format_is_found_by_name_and_by_suffix_in_any_case(host_of: Host, name: str) -> None:
    assert host_of("fake-good").format_named(name).name == "notes"


@pytest.mark.parametrize(
    ("path", "format_name", "suffix"),
    [
        ("x.notes", "notes", ".notes"),
        ("a.b/x.y.notes", "notes", ".notes"),
        ("x.notes.gz", "notes", ".notes.gz"),
        ("x.NOTES.Gz", "notes", ".NOTES.Gz"),
        ("x.tar.gz", "gzip", ".gz"),
        (".hidden.notes", "notes", ".notes"),
        ("shelf://a/b.notes", "notes", ".notes"),
    ],
)
def test_the_longest_known_suffix_of_a_path_decides_in_any_case_of_letters(
    host_of: Host, path: str, format_name: str, suffix: str
) -> None:
    found, as_written = host_of("fake-good").format_of(path)

    assert (found.name, as_written) == (format_name, suffix)


def test_a_path_without_a_suffix_says_which_suffixes_there_are(host_of: Host) -> None:
    for path in ("folder.notes/x", ".notes", "x."):
        with pytest.raises(UnknownFormatError, match=r"has no file suffix.*\.gz, \.notes, \.notes\.gz") as caught:
            host_of("fake-good").format_of(path)
        assert caught.value.path == path


@pytest.mark.parametrize("protocol", ["shelf", "shelves", "SHELF"])
def test_a_storage_is_found_by_any_of_its_protocols_in_any_case(host_of: Host, protocol: str) -> None:
    assert host_of("fake-good").storage_for(protocol).name == "shelf"


def test_a_base_that_is_nearly_a_url_of_any_plugins_storage_is_told(host_of: Host) -> None:
    for base in ("shelf//lake", "Shelves:lake"):
        with use_host(host_of("fake-good")), pytest.raises(PathError, match=r"Did you mean 'shel(f|ves)://lake'"):
            check_base(base)


# -- nothing found ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("x.parquet", "pip install ./mad_prefect_core ./mad_prefect_formats/parquet"),
        ("x.PARQUET", "pip install ./mad_prefect_core ./mad_prefect_formats/parquet"),
        ("x.json.gz", "pip install ./mad_prefect_core ./mad_prefect_formats/json"),
        ("x.v2.csv", "pip install ./mad_prefect_core ./mad_prefect_formats/csv"),
        ("x.avro", "pip install ./mad_prefect_core ./mad_prefect_formats/avro"),
    ],
)
def test_a_known_format_that_is_missing_says_which_pip_install_brings_it(path: str, line: str) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        PluginHost([]).format_of(path)

    assert f"`{line}`" in str(caught.value)
    assert "Installed: none." in str(caught.value)
    assert caught.value.path == path


def test_a_known_storage_that_is_missing_says_which_pip_install_brings_it() -> None:
    with pytest.raises(
        UnknownStorageError,
        match=r"'s3://'.*pip install .*_storage/s3`.*Installed: none",
    ):
        PluginHost([]).storage_for("s3")


def test_a_misspelt_format_suggests_the_nearest_and_lists_what_is_installed(host_of: Host) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        host_of("fake-good").format_of("x.nots")

    assert "'.nots'" in str(caught.value)
    assert "Did you mean 'notes'?" in str(caught.value)
    assert "Installed: gz, gzip, notes, notes.gz." in str(caught.value)


def test_a_misspelt_format_that_is_not_installed_suggests_it_and_its_pip_install() -> None:
    with pytest.raises(
        UnknownFormatError,
        match=r"Did you mean 'parquet'\? .*pip install .*_formats/parquet`",
    ):
        PluginHost([]).format_named("parqet")


def test_a_format_nothing_is_like_only_lists_what_is_installed(host_of: Host) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        host_of("fake-good").format_named("qqqq")

    assert "Did you mean" not in str(caught.value)
    assert "pip install" not in str(caught.value)


def test_an_unknown_format_mentions_the_plugins_that_failed(host_of: Host) -> None:
    with pytest.raises(UnknownFormatError, match=r"fake-raises-late 1\.0, but it failed: .*the catalogue ends here"):
        host_of("fake-good", "fake-raises-late").format_named("early")


def test_a_missing_format_names_the_broken_plugin_that_should_have_brought_it(host_with: Host) -> None:
    host = host_with("mad-prefect-parquet", "raise ImportError('no libparquet')")

    with pytest.raises(UnknownFormatError) as caught:
        host.format_of("x.parquet")

    text = str(caught.value)
    assert "mad-prefect-parquet 1.0 brings it, but it failed" in text
    assert "ImportError: no libparquet" in text
    assert "pip install" not in text
    assert text.count("libparquet") == 1


def test_a_missing_format_of_an_outdated_plugin_says_to_upgrade_it(host_with: Host) -> None:
    host = host_with("mad-prefect-parquet", "")

    with pytest.raises(UnknownFormatError, match=r"`pip install [^`]*_formats/parquet`"):
        host.format_of("x.parquet")


# -- conflicts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(lambda host: host.format_named("notes"), id="name"),
        pytest.param(lambda host: host.format_of("x.notes"), id="suffix"),
        pytest.param(lambda host: host.storage_for("shelf"), id="protocol"),
    ],
)
def test_two_plugins_with_one_claim_are_an_error_that_names_both_distributions_and_versions(
    host_of: Host, look: Callable[[PluginHost], object]
) -> None:
    host = host_of("fake-good", "fake-rival")

    with pytest.raises(PluginConflictError) as caught:
        look(host)

    assert "claimed by fake-good 1.0 (plugin 'notes') and fake-rival 2.5 (plugin 'rival')" in str(caught.value)
    assert "MAD_PREFECT_PLUGINS_DENY" in str(caught.value)


def test_what_two_rivals_do_not_share_keeps_working(host_of: Host) -> None:
    host = host_of("fake-good", "fake-rival")

    assert host.format_of("x.memo")[0].name == "memo"
    assert host.format_of("x.notes.gz")[0].name == "notes"
    assert host.storage_for("shelves").name == "shelf"
    assert host.storage_for("drawer").name == "drawer"
    assert [f.name for f in host.formats()] == ["gzip", "memo"]
    assert {r.status for r in host.plugins()} == {"loaded"}


def test_a_format_whose_name_is_shared_is_still_found_by_name_and_its_own_suffix(host_of: Host) -> None:
    host = host_of("fake-good", "fake-rival")

    assert host.format_named("notes", suffix=".notes.gz").name == "notes"
    with pytest.raises(PluginConflictError):
        host.format_named("notes", suffix=".notes")


def test_a_format_name_that_is_a_suffix_of_another_plugin_goes_to_neither(host_of: Host, host_with: Host) -> None:
    host_of("fake-good")
    host = host_with("fake-suffix", "@hookimpl\ndef mad_prefect_formats():\n    return [FakeFormat('gz', '.gnuzip')]\n")

    with pytest.raises(PluginConflictError, match=r"The format 'gz' is claimed by fake-good 1\.0 .* fake-suffix 1\.0"):
        host.format_named("gz")
    assert host.format_of("x.gz")[0].name == "gzip"
    assert host.format_of("x.gnuzip")[0].name == "gz"
    assert [f.name for f in host.formats()] == ["gzip", "notes"]


def test_fragments_are_not_made_in_another_format_because_two_plugins_claim_the_best(host_with: Host) -> None:
    best = "class Best(FakeFormat):\n    capabilities = FormatCapabilities(best_for='columns')\n"
    brings = "@hookimpl\ndef mad_prefect_formats():\n    return [Best('best', '.{0}')]\n"
    host_with("fake-other", "@hookimpl\ndef mad_prefect_formats():\n    return [FakeFormat('a', '.a')]\n")
    assert host_with("fake-best", best + brings.format("x")).format_for("columns").name == "best"

    with pytest.raises(PluginConflictError, match="The format 'best' is claimed by"):
        host_with("fake-better", best + brings.format("y")).format_for("columns")


def test_what_two_plugins_claim_is_listed_and_logged_when_plugins_are_loaded(
    host_of: Host, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        conflicts = host_of("fake-good", "fake-rival").conflicts()

    assert [(c.kind, c.name) for c in conflicts] == [("format", "notes"), ("suffix", ".notes"), ("protocol", "shelf")]
    for conflict in conflicts:
        assert [record.distribution for record in conflict.records] == ["fake-rival", "fake-good"]
        assert str(conflict.error) in caplog.messages


def test_two_distributions_with_one_entry_point_name_are_both_loaded(host_of: Host) -> None:
    host = host_of("fake-good", "fake-same-name")

    assert [f.name for f in host.formats()] == ["diary", "gzip", "notes"]
    assert [(r.name, r.distribution) for r in host.plugins()] == [("notes", "fake-good"), ("notes", "fake-same-name")]


@pytest.mark.parametrize("order", [("fake-good", "fake-fork"), ("fake-fork", "fake-good")])
def test_two_distributions_of_one_module_are_both_listed_and_the_module_is_used_once(
    host_of: Host, order: tuple[str, str]
) -> None:
    host = host_of(*order)

    assert [(r.distribution, r.status) for r in host.plugins()] == [("fake-fork", "failed"), ("fake-good", "loaded")]
    assert "the plugin of both fake-good 1.0 and fake-fork 1.1" in str(host.plugins()[0].error)
    assert host.format_named("notes").name == "notes"


# -- allow and deny --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("denied", ["rival", "fake-rival", "something, Fake_Rival"])
def test_a_denied_plugin_is_not_loaded_by_entry_point_or_distribution_name(
    host_of: Host, monkeypatch: pytest.MonkeyPatch, denied: str
) -> None:
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_DENY", denied)
    host = host_of("fake-good", "fake-rival")

    assert [(r.name, r.status) for r in host.plugins()] == [("notes", "loaded"), ("rival", "blocked")]
    assert host.format_named("notes").name == "notes"


def test_where_plugins_are_allowed_by_distribution_no_other_is_even_imported(
    host_of: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_ALLOW", "Fake.Good")
    host = host_of("fake-good", "fake-import-error", "fake-rival")

    assert {r.name: r.status for r in host.plugins()} == {"broken": "blocked", "notes": "loaded", "rival": "blocked"}
    assert all(record.error is None for record in host.plugins())


def test_deny_wins_over_allow(host_of: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_ALLOW", "fake-good, fake_rival")
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_DENY", "notes")

    assert [f.name for f in host_of("fake-good", "fake-rival").formats()] == ["memo", "Notes"]


def test_denying_one_of_two_with_the_same_entry_point_name_by_distribution_spares_the_other(
    host_of: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_DENY", "fake-same-name")

    assert [f.name for f in host_of("fake-good", "fake-same-name").formats()] == ["gzip", "notes"]


def test_a_format_that_is_missing_because_its_plugin_is_blocked_says_so(
    host_with: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_DENY", "mad-prefect-parquet")
    host = host_with("mad-prefect-parquet", "raise AssertionError('imported')")

    with pytest.raises(
        UnknownFormatError, match=r"mad-prefect-parquet 1\.0 brings it, but it is blocked by MAD_PREFECT"
    ):
        host.format_of("x.parquet")


# -- the process's host ----------------------------------------------------------------------------------------------


def test_use_host_gives_way_to_the_host_before_it_also_after_an_error(host_of: Host) -> None:
    outer, inner = host_of("fake-good"), PluginHost([])
    with use_host(outer):
        with use_host(inner):
            assert get_host() is inner
        assert get_host() is outer
        with contextlib.suppress(RuntimeError), use_host(inner):
            raise RuntimeError
        assert get_host() is outer
    assert get_host() not in (outer, inner)


def test_the_processs_host_is_made_once() -> None:
    assert get_host() is get_host()


def test_the_environment_is_read_when_plugins_are_first_asked_for_not_before(
    host_of: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = host_of("fake-good")
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_DENY", "notes")

    assert host.formats() == []


def test_threads_that_ask_at_once_load_each_plugin_once(host_with: Host) -> None:
    host = host_with(
        "fake-slow",
        "import time\ncalls = []\n"
        "@hookimpl\ndef mad_prefect_formats():\n"
        "    calls.append(1)\n    time.sleep(0.05)\n    return [FakeFormat('slow', '.slow')]\n",
    )
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: host.format_named("slow").name, range(8)))

    import fake_slow

    assert names == ["slow"] * 8
    assert fake_slow.calls == [1]
