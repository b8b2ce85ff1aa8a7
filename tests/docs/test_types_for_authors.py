"""What authors of plugins copy, and what they write by the contracts, is accepted by their type checkers."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mad_prefect_core.cli.main import run

ROOT = Path(__file__).resolve().parents[2]

# Classes that satisfy the contracts without inheriting.
UNRELATED = """
from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import duckdb

from mad_prefect_core.sdk import (
    FileStat, FormatCapabilities, FormatLike, Options, ReadContext, ReadOptions, Schema, StorageCapabilities,
    StorageLike, StoreLike, Versioned, WriteContext,
)


class ShelfOptions(Options):
    floor: int = 0


class Shelf:
    def __init__(self) -> None:
        self.fs: Any = None

    def path(self, url: str) -> str:
        return url

    def stat(self, path: str) -> FileStat | None:
        return None

    def read(self, path: str) -> Versioned | None:
        return None

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        return ""

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None: ...

    def close(self) -> None: ...


class Shelves:
    name = "shelf"
    protocols = ("shelf",)
    capabilities = StorageCapabilities()
    options = ShelfOptions
    store = Shelf

    def account(self, url: str, options: ShelfOptions) -> Hashable:
        return options.floor

    def open(self, url: str, options: ShelfOptions) -> Shelf:
        return Shelf()


class ReadLedgerOptions(ReadOptions):
    header: bool = True


class WriteLedgerOptions(Options):
    lines: int = 1


class Ledger:
    name = "ledger"
    suffixes = (".ledger",)
    capabilities = FormatCapabilities()
    read_options = ReadLedgerOptions
    write_options = WriteLedgerOptions

    def read(self, file: str, context: ReadContext[ReadLedgerOptions]) -> duckdb.DuckDBPyRelation:
        return context.session.sql("SELECT $1 AS n", [context.options.header])

    def write(self, relation: str, schema: Schema, path: Path, context: WriteContext[WriteLedgerOptions]) -> None: ...

    def read_back(self, options: WriteLedgerOptions) -> ReadLedgerOptions:
        return ReadLedgerOptions(header=options.lines > 1)


storage: StorageLike[ShelfOptions] = Shelves()
store: StoreLike = Shelf()
format: FormatLike[ReadLedgerOptions, WriteLedgerOptions] = Ledger()
mistaken: FormatLike[ReadOptions, WriteLedgerOptions] = Ledger()  # type: ignore[assignment]  # of other options
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples of the hook reference, what the templates write, and classes of nobody's."""
    folder = tmp_path_factory.mktemp("authors")
    page = (ROOT / "docs" / "reference" / "hooks.md").read_text("utf-8")
    blocks = [block for block in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S) if "@hookimpl" in block]
    assert len(blocks) >= 6
    for number, block in enumerate(blocks):
        (folder / f"example_{number}.py").write_text(block, "utf-8")
    (folder / "unrelated.py").write_text(UNRELATED, "utf-8")
    if importlib.util.find_spec("copier"):
        before = os.getcwd()
        for kind in ("format", "storage"):
            (folder / kind).mkdir()
            os.chdir(folder / kind)
            try:
                assert run(["plugins", "new", kind, f"a{kind}"]) == 0
            finally:
                os.chdir(before)
            for source in (folder / kind).glob("*/src/*"):
                source.rename(folder / source.name)
    return folder


def sources(folder: Path) -> list[str]:
    return [*map(str, folder.glob("*.py")), *(str(path.parent) for path in folder.glob("*/py.typed"))]


def test_mypy_accepts_it_where_it_is_strict(code: Path) -> None:
    untyped = "".join(f"[mypy-{name}.*]\nignore_missing_imports = true\n" for name in ("fsspec", "pyarrow"))
    (code / "mypy.ini").write_text(f"[mypy]\nstrict = true\nincremental = false\n{untyped}", "utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", *sources(code)]
    found = subprocess.run(command, cwd=code, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_pyright_accepts_it(code: Path) -> None:
    pytest.importorskip("basedpyright", reason="pyright is in the development group alone")
    settings = {"typeCheckingMode": "standard", "pythonVersion": "3.11"}
    (code / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, *sources(code)]
    found = subprocess.run(command, cwd=code, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
