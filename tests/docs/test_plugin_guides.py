"""The guides for plugin authors are about the project that `plugins new` writes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from mad_prefect_core import PLUGIN_API
from mad_prefect_core.cli.main import run

DOCS = Path(__file__).resolve().parents[2] / "docs"

pytest.importorskip("copier")


def drawn(tree: str) -> set[str]:
    """The files of a drawn tree, as paths."""
    folders: list[str] = []
    found = set()
    for line in tree.splitlines()[1:]:
        marks, name = re.fullmatch(r"((?:│   |    )*[├└]── )(\S+).*", line).groups()
        folders[len(marks) // 4 - 1 :] = [name]
        if not name.endswith("/"):
            found.add("".join(folders))
    return found


@pytest.mark.parametrize("kind", ["format", "storage"])
def test_the_tree_of_files_in_a_guide_is_what_is_written(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (DOCS / "how-to" / f"write-a-{kind}-plugin.md").read_text("utf-8")
    [command] = re.findall(r"^mad-prefect (plugins new .+)$", page, re.M)
    [tree] = re.findall(r"^```\n(mad-prefect-\w+/\n.+?)```", page, re.M | re.S)
    monkeypatch.chdir(tmp_path)
    assert run(command.split()) == 0

    [project] = os.listdir(tmp_path)
    assert tree.startswith(f"{project}/\n")
    written = {path.relative_to(project).as_posix() for path in Path(project).rglob("*") if path.is_file()}
    assert drawn(tree) == written - {".gitignore"}


def test_the_page_about_the_plugin_api_has_the_number() -> None:
    page = (DOCS / "reference" / "plugin-api.md").read_text("utf-8")
    assert f"`mad_prefect_core.PLUGIN_API`, now {PLUGIN_API}," in page
