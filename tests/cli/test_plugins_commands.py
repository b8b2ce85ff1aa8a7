"""`plugins list`, `show` and `doctor`: what a user learns, and what is never shown."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

_MAIN = "from mad_prefect_core.cli import main; main()"
_HEADER = "from fake_parts import *\nfrom mad_prefect_core import hookimpl\nrequires_plugin_api = (1, 1)\n"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, str], str]:
    """`written("shelf", source)` writes the distribution fake-shelf 1.0 and says where."""

    def write(name: str, source: str) -> str:
        info = tmp_path / "dists" / name / f"fake_{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info.parent / f"fake_{name}.py").write_text(_HEADER + source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fake-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[mad_prefect]\n{name} = fake_{name}\n")
        return str(info.parent)

    return write


# -- list ------------------------------------------------------------------------------------------------------------


def test_list_has_every_entry_point_whatever_became_of_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_DENY", "fake-observer")
    found = cli(
        "plugins", "list", "--json", installed=["fake-good", "fake-import-error", "fake-observer", "fake-clash-suffix"]
    )

    assert found.code == 0
    plugins = {plugin["distribution"]: plugin for plugin in found.data["plugins"]}
    assert {name: plugins[name]["status"] for name in plugins if name.startswith("fake-")} == {
        "fake-good": "loaded",
        "fake-import-error": "failed",
        "fake-observer": "blocked",
        "fake-clash-suffix": "conflict",
    }
    assert plugins["mad-prefect-parquet"]["status"] == "conflict"
    assert ".notes" in plugins["fake-good"]["formats"][0]["suffixes"]
    assert "libnotes.so is missing" in plugins["fake-import-error"]["problems"][0]["message"]
    assert "claimed by" in plugins["fake-clash-suffix"]["problems"][0]["message"]


def test_list_shows_a_person_why_a_plugin_is_not_in_use(cli: Cli) -> None:
    found = cli("plugins", "list", installed=["fake-good", "fake-new-api"])

    assert ["new", "fake-new-api", "1.0", "failed"] in [line.split()[:4] for line in found.out.splitlines()]
    assert "built for plugin API 1000 to 1001" in found.out
    assert "Update mad-prefect-core." in found.out
    assert found.err == ""  # and not a second time as a warning


def test_a_plugin_that_prints_does_not_spoil_json(cli: Cli, written: Callable[[str, str], str]) -> None:
    found = cli("plugins", "list", "--json", installed=[written("loud", "print('loud!')\n")])

    assert any(plugin["name"] == "loud" for plugin in found.data["plugins"])
    assert "loud!" in found.err


# -- show ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["csv", "mad-prefect-csv", "tsv", ".tsv.gz", "CSV"])
def test_a_format_is_shown_by_any_of_its_names(cli: Cli, name: str) -> None:
    [plugin] = cli("plugins", "show", name, "--json").data["plugins"]

    assert plugin["distribution"] == "mad-prefect-csv"
    [format] = plugin["formats"]
    assert format["capabilities"]["nested"] is False
    header = next(option for option in format["write_options"] if option["name"] == "header")
    assert (header["type"], header["default"], header["required"]) == ("bool", True, False)
    assert header["description"]


@pytest.mark.parametrize("name", ["local", "file", "file://"])
def test_a_storage_is_shown_by_any_of_its_names(cli: Cli, name: str) -> None:
    [plugin] = cli("plugins", "show", name, "--json").data["plugins"]

    [storage] = plugin["storages"]
    assert storage["protocols"] == ["file", "local"]
    assert storage["capabilities"]["atomic_replace"] is True


def test_all_plugins_that_a_name_means_are_shown(cli: Cli) -> None:
    found = cli("plugins", "show", "pq", "--json", installed=["fake-clash-suffix"])

    assert {plugin["distribution"] for plugin in found.data["plugins"]} == {"fake-clash-suffix", "mad-prefect-parquet"}


def test_options_are_shown_with_their_variables_and_without_their_secrets(
    cli: Cli, written: Callable[[str, str], str]
) -> None:
    source = """
from pydantic import Field, SecretStr

class ShelfOptions(Options):
    token: SecretStr = Field(SecretStr("hunter2"), description="Environment: SHELF_TOKEN or OLD_SHELF_TOKEN.")
    api_key: str = Field("hunter3", description="The key.")
    room: str = Field(description="Which room.")
    depth: int = Field(3, ge=1, description="How deep.")

shelf = FakeStorage("shelf", "shelf")
shelf.options = ShelfOptions

@hookimpl
def mad_prefect_storages():
    return [shelf]
"""
    folder = written("shelf", source)
    told = cli("plugins", "show", "shelf", "--json", installed=[folder])
    shown = cli("plugins", "show", "shelf", installed=[folder])

    [plugin] = told.data["plugins"]
    options = {option["name"]: option for option in plugin["storages"][0]["options"]}
    assert options["token"]["environment"] == ["SHELF_TOKEN", "OLD_SHELF_TOKEN"]
    assert [name for name, option in options.items() if option["secret"]] == ["token", "api_key"]
    assert [name for name, option in options.items() if option["required"]] == ["room"]
    assert "depth: int = 3" in shown.out
    assert "room: str, required" in shown.out
    assert "hunter" not in told.out + shown.out


def test_the_capability_card_that_a_plugin_ships_is_shown(cli: Cli, written: Callable[[str, str], str]) -> None:
    from mad_prefect_core.cards import Card, Finding

    card = Card("format", "notes", (".notes",), "fake-cards", "1.0", 1, {}, (Finding("a", "A.", "passed"),))
    folder = Path(written("cards", "formats = 0\n"))
    package = folder / "fake_cards"
    package.mkdir()
    (folder / "fake_cards.py").rename(package / "__init__.py")
    (package / "capability_card.json").write_text(card.to_json())

    assert "capability card 1 passed of 1" in cli("plugins", "show", "cards", installed=[str(folder)]).out
    told = cli("plugins", "show", "cards", "--json", installed=[str(folder)])
    assert told.data["plugins"][0]["card"]["tests"][0]["promise"] == "A."

    (package / "capability_card.json").write_text(dataclasses.replace(card, version="0.9").to_json())
    assert "capability card" not in cli("plugins", "show", "cards", installed=[str(folder)]).out


@pytest.mark.parametrize(
    ("name", "hint"),
    [("parquett", "Did you mean 'parquet'?"), ("nothing-like-it", "`mad-prefect plugins list` says what there is.")],
)
def test_a_name_that_nothing_has_is_one_line_that_says_what_to_do(cli: Cli, name: str, hint: str) -> None:
    found = cli("plugins", "show", name)

    assert (found.code, found.out) == (1, "")
    assert found.err.count("\n") == 1
    assert repr(name) in found.err
    assert hint in found.err


def test_a_format_that_is_not_installed_is_shown_as_the_pip_line_that_brings_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAD_PREFECT_PLUGINS_ALLOW", "mad-prefect-json")
    found = cli("plugins", "show", "tsv")

    assert found.code == 1
    assert "`pip install ./mad_prefect_core ./mad_prefect_formats/csv`" in " ".join(found.err.split())


# -- doctor ----------------------------------------------------------------------------------------------------------


def test_doctor_finds_no_problem_where_there_is_none_and_leaves_nothing(
    cli: Cli, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{base}/not/there")
    found = cli("plugins", "doctor", "--json", "--url", f"file://{tmp_path}/other")

    assert (found.code, found.data["problems"]) == (0, [])
    assert [storage["reachable"] for storage in found.data["storages"]] == [True, True]
    assert found.data["storages"][0]["metadata"] == f"{base}/not/there/_asset_metadata"
    assert all(finding["found"] for storage in found.data["storages"] for finding in storage["findings"])
    assert found.data["versions"].keys() == {"duckdb", "prefect", "fsspec", "pyarrow"}
    assert found.data["distributions"]["mad-prefect-local"]
    assert list(base.iterdir()) == []
    assert not (tmp_path / "other").exists()


def test_doctor_says_what_failed_and_what_mends_it(cli: Cli) -> None:
    found = cli("plugins", "doctor", installed=["fake-new-api", "fake-clash-suffix"])

    assert found.code == 1
    assert "new (fake-new-api 1.0): The plugin was built for plugin API 1000 to 1001" in found.out
    assert "Update mad-prefect-core." in found.out
    assert found.out.count("The suffix '.pq' is claimed by") == 1  # once, though two plugins claim it
    assert "Problems: 3." in found.out  # the third is that a fake's format can't write


def test_doctor_finds_out_a_format_that_does_not_give_back_what_it_was_given(
    cli: Cli, written: Callable[[str, str], str]
) -> None:
    source = """
from mad_prefect_json import JsonFormat

class Lossy(JsonFormat):
    name, suffixes = "lossy", (".lossy",)

    def read_many(self, files, context):
        return super().read_many(files, context).limit(0)

class Raising(JsonFormat):
    name, suffixes = "raising", (".raising",)

    def writer(self, path, context):
        raise KeyError("no codec")

@hookimpl
def mad_prefect_formats():
    return [Lossy(), Raising()]
"""
    folder = written("lossy", source)
    found = cli("plugins", "doctor", "--json", installed=[folder])

    assert found.code == 1
    assert [format["name"] for format in found.data["formats"] if not format["works"]] == ["lossy", "raising"]
    assert [(problem["where"], problem["message"]) for problem in found.data["problems"]] == [
        ("format lossy", "A row does not come there and back: A file of one row is read as []"),
        ("format raising", "A row does not come there and back: KeyError: 'no codec'"),
    ]
    assert "json" in cli("plugins", "doctor", installed=[folder]).out


def test_doctor_finds_out_a_storage_that_promises_more_than_it_does(
    cli: Cli, written: Callable[[str, str], str], tmp_path: Path
) -> None:
    source = """
from mad_prefect_local import LocalStorage, LocalStore

class Forgetful(LocalStorage):
    name = "forgetful"
    protocols = ("forgetful",)

    def open(self, url, options):
        return ForgetfulStore(super().open(url, options).fs)

class ForgetfulStore(LocalStore):
    def path(self, url):
        return super().path(url.replace("forgetful", "file", 1))

    def replace(self, path, data, expected):
        found = self.read(path)
        return super().replace(path, data, found.token if found else None)

@hookimpl
def mad_prefect_storages():
    return [Forgetful()]
"""
    url = f"forgetful://{tmp_path}/lake"
    found = cli("plugins", "doctor", "--json", "--url", url, installed=[written("forgetful", source)])

    assert found.code == 1
    storage = found.data["storages"][1]
    assert storage["reachable"] is True
    assert [(f["check"], f["declared"]) for f in storage["findings"] if not f["found"]] == [
        ("conditional_create", True),
        ("conditional_replace", True),
    ]
    assert [problem["where"] for problem in found.data["problems"]] == [url, url]
    assert "stale token was not refused" in found.data["problems"][1]["message"]


_HANGS = """
import threading

class Hanging(FakeStorage):
    def open(self, url, options):
        threading.Event().wait()

@hookimpl
def mad_prefect_storages():
    return [Hanging("hanging", "hanging")]
"""


def test_doctor_waits_no_longer_than_it_is_told_for_a_storage_that_does_not_answer(
    cli: Cli, written: Callable[[str, str], str]
) -> None:
    words = ("plugins", "doctor", "--timeout", "1", "--url", "hanging://a", "--url", "hanging://b")
    found = cli(*words, "--json", installed=[written("hanging", _HANGS)])

    assert found.code == 1
    assert [storage["reachable"] for storage in found.data["storages"]] == [True, False, False]
    assert "no answer within 1 seconds" in found.data["problems"][0]["message"]


def test_doctor_says_of_a_storage_that_no_plugin_brings_what_to_install(cli: Cli) -> None:
    found = cli("plugins", "doctor", "--url", "nope://x")

    assert found.code == 1
    assert "nope://x: not reachable" in found.out
    assert "No installed plugin brings the protocol 'nope://'." in found.out
    assert "Traceback" not in found.out + found.err


def test_doctor_shows_no_secret_of_urls_and_errors(
    cli: Cli, written: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
class Talkative(FakeStorage):
    def open(self, url, options):
        raise RuntimeError(f"can't reach {url} with the password hunter2")

@hookimpl
def mad_prefect_storages():
    return [Talkative("talkative", "talkative")]
"""
    url = "talkative://ada:hunter2@shelf/lake?token=hunter3"
    monkeypatch.setenv("FILESYSTEM_URL", url)
    folder = written("talkative", source)
    for words in (["--json"], []):
        found = cli("plugins", "doctor", "--url", url, *words, installed=[folder])
        assert found.code == 1
        assert "talkative://" in found.out
        assert "A URL has a password or a secret parameter in it" in " ".join(found.out.split())
        assert "hunter" not in found.out + found.err


# -- all commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plugins", "lst"], 'Did you mean "list"?'),
        (["plugins", "show"], "NAME"),
        (["plugins", "doctor", "--ulr", "x"], "Did you mean --url?"),
        (["plugins", "doctor", "--timeout", "soon"], '"soon"'),
        (["plugins", "new", "formt", "x"], '"formt"'),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(cli: Cli, words: list[str], said: str) -> None:
    found = cli(*words)

    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("mad-prefect: ")
    assert found.err.count("\n") == 1
    assert said in found.err


def in_process(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    command = [sys.executable, "-c", _MAIN, *words]
    return subprocess.run(command, env=environ | variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [["plugins", "list"], ["plugins", "show", "csv"], ["plugins", "doctor"], ["--help"]])
def test_in_a_pipe_there_are_no_colours_and_lines_fit_80_columns(base: Path, words: list[str]) -> None:
    done = in_process(*words, FILESYSTEM_URL=f"file://{base}")

    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_no_color_is_heeded(base: Path) -> None:
    coloured = in_process("plugins", "list", FORCE_COLOR="1")
    plain = in_process("plugins", "list", FORCE_COLOR="1", NO_COLOR="1")

    assert "\x1b[32m" in coloured.stdout
    assert "\x1b[32m" not in plain.stdout
