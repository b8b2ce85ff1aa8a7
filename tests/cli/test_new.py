"""`plugins new`: a whole project, or one clear error and nothing touched."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import PLUGIN_API

Cli = Callable[..., Any]

pytest.importorskip("copier")


@pytest.mark.parametrize("kind", ["format", "storage"])
def test_a_project_has_the_files_that_ours_have(cli: Cli, kind: str) -> None:
    found = cli("plugins", "new", kind, "ledger", "--json")

    assert found.code == 0
    project = Path("mad-prefect-ledger")
    assert found.data["folder"] == str(project)
    package = "src/mad_prefect_ledger"
    names = ("__init__.py", "options.py", "plugin.py", "py.typed", f"{kind}.py")
    assert sorted(found.data["files"]) == sorted(
        [
            ".gitignore", "README.md", "pyproject.toml", "tests/conftest.py", f"tests/test_{kind}.py",
            "tests/test_plugin.py", *(f"{package}/{name}" for name in names),
        ]
    )  # fmt: skip
    assert {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()} == {
        *found.data["files"]
    }
    metadata = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    assert metadata["entry-points"] == {"mad_prefect": {"ledger": "mad_prefect_ledger.plugin"}}
    assert [line.partition(">=")[0] for line in metadata["dependencies"]] == ["mad-prefect-core"]
    assert f"requires_plugin_api = ({PLUGIN_API}, {PLUGIN_API})" in (project / package / "plugin.py").read_text()


@pytest.mark.parametrize("kind", ["format", "storage"])
@pytest.mark.parametrize("name", ["x", "ledger2", "zebra"])
def test_a_project_of_any_name_is_in_order(cli: Cli, tmp_path: Path, kind: str, name: str) -> None:
    assert cli("plugins", "new", kind, name, str(tmp_path / "a project")).code == 0

    check = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--line-length",
        "120",
        "--select",
        "F,I,B,UP,RUF,PT",
        ".",
    ]
    done = subprocess.run(check, cwd=tmp_path / "a project", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_person_is_told_what_was_written_and_how_to_go_on(cli: Cli) -> None:
    found = cli("plugins", "new", "format", "ledger", "my ledger")

    assert "src/mad_prefect_ledger/format.py" in found.out
    assert "cd 'my ledger'" in found.out
    assert 'pip install --editable ".[test]"' in found.out


@pytest.mark.parametrize(
    "name", ["my-format", "my_format", "7z", "class", "Ledger", "", "../up", "a b", "é", "x" * 41, "a/b", "{{ 7 * 7 }}"]
)
def test_a_name_that_can_not_be_one_is_refused_and_nothing_is_written(cli: Cli, tmp_path: Path, name: str) -> None:
    found = cli("plugins", "new", "format", name)

    assert (found.code, found.out) == (2, "")
    assert "small letters and digits" in found.err
    assert found.err.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("csv", "mad-prefect-csv"),
        ("jsonl", "mad-prefect-json"),
        ("file", "mad-prefect-local"),
        ("s3", "mad-prefect-s3"),
        ("prefect", "mad-prefect-core"),
        ("core", "mad_prefect_core"),
        ("notes", "fake-good"),
    ],
)
def test_a_name_that_is_taken_is_refused_with_who_has_it(cli: Cli, tmp_path: Path, name: str, by: str) -> None:
    found = cli("plugins", "new", "format", name, installed=["fake-good"])

    assert (found.code, found.out) == (1, "")
    assert f"The name {name!r} is taken by {by}" in found.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_nothing_that_is_there_is_overwritten(cli: Cli) -> None:
    Path("mad-prefect-ledger").mkdir()
    Path("mad-prefect-ledger", "README.md").write_text("mine")
    Path("file").write_text("mine")
    for folder in ([], ["file"]):
        found = cli("plugins", "new", "format", "ledger", *folder)
        assert found.code == 1
        assert "nothing is overwritten" in found.err

    assert [path.name for path in Path("mad-prefect-ledger").iterdir()] == ["README.md"]
    assert {Path("mad-prefect-ledger", "README.md").read_text(), Path("file").read_text()} == {"mine"}


def test_an_empty_folder_may_be_filled(cli: Cli) -> None:
    Path("here").mkdir()

    assert cli("plugins", "new", "storage", "shelf", "here").code == 0


def test_without_copier_the_pip_line_that_brings_it_is_said(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "copier", None)
    found = cli("plugins", "new", "format", "ledger")

    assert found.code == 1
    assert "pip install 'copier>=9.4'" in found.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
