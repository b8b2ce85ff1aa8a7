"""A local storage on a folder of its own, and one Prefect server for all tests here."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from mad_prefect_local import LocalOptions, LocalStorage, LocalStore

# Prefect reads these when it is first imported, which a test module's imports may do.
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="mad_prefect_tests_")
os.environ["DO_NOT_TRACK"] = "1"
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"


@dataclass(frozen=True)
class Folder:
    """A local store, and paths in a folder that exists."""

    store: LocalStore
    root: Path

    def path(self, name: str) -> str:
        return str(self.root / name)

    def publish(self, name: str, data: bytes) -> str:
        path = self.path(name)
        staged = self.store.stage(path)
        staged.write_bytes(data)
        self.store.publish(staged, path)
        return path

    def names(self) -> set[str]:
        return {found.name for found in self.root.rglob("*") if found.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(LocalStorage().open("file:///", LocalOptions()), tmp_path)
