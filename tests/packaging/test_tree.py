"""No address of a package registry, no lock file and no path of somebody's machine is in the tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

UNPUBLISHED = "the advice to install a name that is not published"


def check(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / ".ci" / "check_tree.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("ignored/\n")
    return tmp_path


def test_this_tree_has_nothing_that_must_not_be_there(root: Path) -> None:
    done = check(root, root)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("uv.lock", "", "a lock file"),
        ("deep/down/pylock.dev.toml", "", "a lock file"),
        (
            "docs/a.md",
            "\nsee https://files." + "python" + "hosted.org/x",
            "docs/a.md:2: the address of a package registry",
        ),
        ("notes.txt", "https://" + "PyPI" + ".org/simple", "notes.txt:1: the address of a package registry"),
        ("run.sh", "cd '/" + "root/project'", "run.sh:1: a path of somebody's machine"),
        ("a.md", "`pip install " + "mad" + "-prefect`", f"a.md:1: {UNPUBLISHED}"),
        ("a.py", "uv add " + "mad" + "_prefect[s3]", f"a.py:1: {UNPUBLISHED}"),
        ("a.sh", "uvx " + "mad" + "-prefect plugins list", f"a.sh:1: {UNPUBLISHED}"),
        ("b.sh", "pip install -U x " + "Mad" + "-Prefect-avro", f"b.sh:1: {UNPUBLISHED}"),
        ("run.py", "open('/" + "home/anna/x')", "run.py:1: a path of somebody's machine"),
    ],
)
def test_what_must_not_be_in_the_tree_is_found_and_named(
    root: Path, checkout: Path, name: str, text: str, said: str
) -> None:
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text(text)
    done = check(root, checkout)

    assert done.returncode == 1
    assert said in done.stdout


def test_ordinary_and_ignored_files_are_left_alone(root: Path, checkout: Path) -> None:
    (checkout / "ignored").mkdir()
    (checkout / "ignored" / "uv.lock").write_text("")
    (checkout / "a.md").write_text("`pip install ./mad_prefect_core`, then ./work/x and homework/root/x")

    assert check(root, checkout).returncode == 0
