"""A plugin is trusted by the distribution that brings it, and nobody is sent to a name that a stranger could take."""

from __future__ import annotations

import importlib.metadata
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mad_prefect_core.errors import MadPrefectError
from mad_prefect_core.plugins import PluginHost, catalogue

Host = Callable[..., PluginHost]


@pytest.fixture
def host_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """`host_of(("acme-formats", "json"))`: a host of distributions, each with one entry point."""
    monkeypatch.delenv("MAD_PREFECT_PLUGINS_DENY", raising=False)

    def host(*given: tuple[str, str]) -> PluginHost:
        entry_points: list[importlib.metadata.EntryPoint] = []
        for number, (distribution, name) in enumerate(given):
            folder = tmp_path / str(number)
            info = folder / f"stranger_{number}-1.0.dist-info"
            info.mkdir(parents=True)
            (folder / f"stranger_{number}.py").write_text("requires_plugin_api = (1, 1)\n")
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[mad_prefect]\n{name} = stranger_{number}\n")
            monkeypatch.syspath_prepend(folder)
            (found,) = importlib.metadata.distributions(path=[str(folder)])
            entry_points += found.entry_points
        own = importlib.metadata.entry_points(group="mad_prefect", name="prefect")
        return PluginHost([*entry_points, *own])

    yield host
    for name in [name for name in sys.modules if name.startswith("stranger_")]:
        del sys.modules[name]


def _statuses(host: PluginHost) -> dict[str, str]:
    return {record.distribution: record.status for record in host.plugins()}


@pytest.mark.parametrize("allowed", ["acme-formats", "Acme.Formats", " acme_formats ,other", "ACME--formats"])
def test_a_stranger_that_claims_an_allowed_entry_point_is_not_even_imported(
    host_of: Host, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_ALLOW", allowed)
    host = host_of(("acme-formats", "json"), ("stranger", "json"), ("another", "acme-formats"))
    assert _statuses(host) == {
        "acme-formats": "loaded", "stranger": "blocked", "another": "blocked", "mad-prefect-core": "loaded",
    }  # fmt: skip
    assert not {"stranger_1", "stranger_2"} & {*sys.modules}


def test_an_entry_point_in_the_allow_list_allows_nothing_and_says_whose_it_is(
    host_of: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_ALLOW", "JSON")
    host = host_of(("acme-formats", "json"), ("stranger", "json"))
    with caplog.at_level(logging.WARNING):
        assert _statuses(host) == {"acme-formats": "blocked", "stranger": "blocked", "mad-prefect-core": "loaded"}
    (line,) = [record.getMessage() for record in caplog.records]
    assert "'json' is an entry point of acme-formats and stranger" in line


def test_a_distribution_without_a_name_is_never_allowed(host_of: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_ALLOW", "json")
    unknown = importlib.metadata.EntryPoint("json", "no_such_module", "mad_prefect")
    assert [record.status for record in PluginHost([unknown]).plugins()] == ["blocked"]


@pytest.mark.parametrize("denied", ["acme_formats", "JSON"])
def test_a_plugin_is_denied_by_either_name(host_of: Host, monkeypatch: pytest.MonkeyPatch, denied: str) -> None:
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_ALLOW", "acme-formats")
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_DENY", denied)
    assert _statuses(host_of(("acme-formats", "json")))["acme-formats"] == "blocked"


def test_no_error_tells_to_install_a_name_that_a_stranger_could_take(host_of: Host) -> None:
    host = host_of()
    said = []
    lookups: list[tuple[Callable[[str], object], list[str]]] = [
        (host.format_named, [*catalogue()["formats"], "parqet", "nothing"]),
        (lambda name: host.format_of(f"x.{name}"), [*catalogue()["formats"], "parqet", "nothing"]),
        (host.storage_for, [*catalogue()["protocols"], "s4", "nothing"]),
        (lambda _: host.format_for("rows"), [""]),
    ]
    for look_up, names in lookups:
        for name in names:
            with pytest.raises(MadPrefectError) as raised:
                look_up(name)
            said.append(str(raised.value))
    assert any("pip install ./mad_prefect_core ./mad_prefect_formats/avro" in text for text in said)
    for text in said:
        assert not re.search(r"pip install[^`]*[^/]mad[-_]prefect", text), text


def test_every_folder_that_an_error_tells_to_install_is_there() -> None:
    from mad_prefect_core.plugins import folder_of

    root = Path(__file__).resolve().parents[2]
    for bringer in {bringer for table in catalogue().values() for bringer in table.values()}:
        assert (root / folder_of(bringer) / "pyproject.toml").is_file()
