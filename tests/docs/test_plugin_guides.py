"""The guides for plugin authors are about the project that `plugins new` writes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mad_prefect_core import PLUGIN_API
from mad_prefect_core.cli.main import run
from mad_prefect_core.sdk import ObjectClient
from mad_prefect_core.session import DuckSession

TESTS_OF_GUIDE = """
import pytest
from guide import {name}Format
from mad_prefect_core.testing import FormatContract


class TestGuide(FormatContract):
    @pytest.fixture
    def format(self):
        return {name}Format()
"""
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


@pytest.mark.parametrize(("name", "first"), [("Ledger", "import pyarrow as pa"), ("Packs", "import struct")])
def test_each_format_in_the_guide_passes_the_contract(name: str, first: str, tmp_path: Path) -> None:
    page = (DOCS / "how-to" / "write-a-format-plugin.md").read_text("utf-8")
    [code] = re.findall(rf"^```python\n({first}\n.+?)```", page, re.M | re.S)
    (tmp_path / "guide.py").write_text(code)
    (tmp_path / "test_guide.py").write_text(TESTS_OF_GUIDE.format(name=name))
    # What takes long is tried in the formats of examples/, by the whole kit.
    without = [f"-pno:{name}" for name in ("xdist", "asyncio", "cacheprovider")]
    command = [sys.executable, "-m", "pytest", "-q", "--quick", "-pmad_prefect_core.testing.pytest_plugin", *without]

    ran = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_page_about_the_plugin_api_has_the_number() -> None:
    page = (DOCS / "reference" / "plugin-api.md").read_text("utf-8")
    assert f"`mad_prefect_core.PLUGIN_API`, now {PLUGIN_API}," in page


def test_the_guide_says_what_arrow_types_a_writer_is_given() -> None:
    page = (DOCS / "how-to" / "write-a-format-plugin.md").read_text("utf-8")
    [table] = re.findall(r"^\| DuckDB \| as Arrow \|\n\|---\|---\|\n((?:\|.+\n)+)", page, re.M)
    said = dict(re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", table, re.M))
    assert len(said) > 20
    with DuckSession() as session:
        schema = session.sql(f"SELECT {', '.join(f'CAST(NULL AS {kind})' for kind in said)}").to_arrow_reader(1).schema

    assert [str(field.type) for field in schema] == list(said.values())


def test_the_client_in_the_page_about_object_stores_has_what_a_client_has() -> None:
    page = (DOCS / "explanation" / "object-stores.md").read_text("utf-8")
    [client] = re.findall(r"^class ShelfClient\(ObjectClient\):\n(.+?)\n\n\n", page, re.M | re.S)
    [methods] = re.findall(r"# and the methods: (.+)", client)
    attributes = re.findall(r"^    (\w+) = ", client, re.M)

    assert set(methods.split(", ")) == ObjectClient.__abstractmethods__
    assert {name for name in attributes if not hasattr(ObjectClient, name)} == {"service", "scheme", "nobodys"}
    assert set(attributes) <= set(ObjectClient.__annotations__)
