"""With every fake distribution installed at once beside the real plugins, every ordinary command works."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import Settings, asset, use_settings
from mad_prefect_core.errors import PluginConflictError
from mad_prefect_core.plugins import PluginHost, use_host

Distributions = Any  # of the conftest beside this file

CHECKED_IN = Path(__file__).parent / "distributions"
ALL = sorted(path.name for path in CHECKED_IN.iterdir() if path.is_dir() and path.name.startswith("fake-"))
WORKING = {
    "fake-clash-name", "fake-clash-protocol", "fake-clash-suffix", "fake-good", "fake-observer", "fake-rival",
    "fake-same-name", "fake-watcher",
}  # fmt: skip


@pytest.fixture(scope="module")
def crowded(module_distributions: Distributions) -> PluginHost:
    """A host of all of them, and of what is really installed."""
    module_distributions.installed()
    host: PluginHost = module_distributions.checked_in(*ALL)
    with use_settings(Settings(MAD_PREFECT_PLUGIN_TIMEOUT=3)):
        host.plugins()
    return host


@pytest.fixture
def crowd(crowded: PluginHost, base: Path) -> Iterator[PluginHost]:
    """The same as the process's host."""
    with use_host(crowded):
        yield crowded


def test_every_plugin_is_listed_and_each_that_fails_says_why(crowd: PluginHost) -> None:
    states = {record.distribution: record.status for record in crowd.plugins()}
    assert {name: states[name] for name in ALL} == {name: "loaded" if name in WORKING else "failed" for name in ALL}
    for name in ("mad-prefect-core", "mad-prefect-csv", "mad-prefect-json", "mad-prefect-local", "mad-prefect-parquet"):
        assert states[name] == "loaded"

    for record in crowd.plugins():
        assert (record.status == "failed") == (record.error is not None)
        assert record.error is None or record.source in str(record.error)


def test_assets_run_hit_the_cache_and_are_queried(crowd: PluginHost, base: Path) -> None:
    @asset("bronze/rows.json", cache_expiration=timedelta(hours=1))
    def rows() -> Any:
        yield [{"id": 1, "tea": "Assam"}]
        yield [{"id": 2, "tea": "Ceylon"}]

    @asset("gold/teas.parquet|ndjson")
    async def teas() -> Any:
        return await rows.query("SELECT tea, id * 10 AS price FROM data")

    assert teas.query_sync("ORDER BY price").fetchall() == [("Assam", 10), ("Ceylon", 20)]
    assert rows.call_sync().from_cache
    assert (base / "gold/teas.parquet").is_file()
    assert (base / "gold/teas.ndjson").is_file()


def test_an_observer_that_fails_is_logged_and_the_run_is_not_affected(
    crowd: PluginHost, caplog: pytest.LogCaptureFixture
) -> None:
    @asset("teas.json")
    def teas() -> Any:
        return [{"tea": "Assam"}]

    import fake_watcher

    fake_watcher.seen.clear()
    with caplog.at_level(logging.ERROR):
        assert teas.query_sync().fetchall() == [("Assam",)]
    assert "the dashboard is down" in caplog.text
    assert [kind for kind, _ in fake_watcher.seen] == ["finished"]


CLASHES = [
    ("x.pq", "The suffix '.pq' is claimed by fake-clash-suffix 1.0", "mad-prefect-parquet"),
    ("local://x.json", "The protocol 'local' is claimed by fake-clash-protocol 1.0", "mad-prefect-local"),
]


@pytest.mark.parametrize(("path", "said", "ours"), CLASHES, ids=["suffix", "protocol"])
def test_nobody_wins_a_clash_with_ours_and_who_uses_the_name_is_told_both(
    crowd: PluginHost, path: str, said: str, ours: str
) -> None:
    ran: list[int] = []

    def clashing() -> Any:
        ran.append(1)
        return [{"a": 1}]

    with pytest.raises(PluginConflictError) as caught:
        asset(path)(clashing).call_sync()

    assert said in str(caught.value)
    assert ours in str(caught.value)
    assert not ran


def test_nobody_wins_a_clash_over_a_format_name_of_ours(crowd: PluginHost) -> None:
    with pytest.raises(PluginConflictError, match=r"The format 'csv' is claimed by fake-clash-name 1\.0 .*prefect-csv"):
        asset("x.json", artifact_filetype="csv")(lambda: None).call_sync()


def test_what_is_ours_alone_goes_on_working_in_a_clash(crowd: PluginHost) -> None:
    assert crowd.format_of("x.parquet")[0].name == "parquet"
    assert crowd.format_named("parquet").name == "parquet"
    assert crowd.format_of("x.csv")[0] is crowd.format_named("csv", suffix=".csv")
    assert crowd.storage_for("file").name == "local"
    assert crowd.format_for("columns").name == "parquet"


def test_each_real_name_that_a_stranger_claims_is_refused_to_both(
    distributions: Distributions, host_with: Callable[..., PluginHost]
) -> None:
    distributions.installed()
    real = PluginHost(list(distributions.entry_points))
    formats = {f.name: f.suffixes for f in real.formats()}
    protocols = [p for s in real.storages() for p in s.protocols]
    source = (
        "@hookimpl\ndef mad_prefect_formats():\n"
        f"    return [FakeFormat(n, *s) for n, s in {formats!r}.items()]\n"
        f"@hookimpl\ndef mad_prefect_storages():\n    return [FakeStorage('thief', *{protocols!r})]\n"
    )
    host = host_with("fake-thief", source)

    looks = [lambda n=n: host.format_named(n) for n in formats]
    looks += [lambda s=s: host.format_of(f"x{s}") for suffixes in formats.values() for s in suffixes]
    looks += [lambda p=p: host.storage_for(p) for p in protocols]
    for look in looks:
        with pytest.raises(PluginConflictError, match=r"claimed by fake-thief 1\.0 .* and mad-prefect-"):
            look()
    assert len(host.conflicts()) == len(looks)
