"""What the fake plugins beside this file are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mad_prefect_core.contracts import FormatCapabilities, Options, ReadOptions, StorageCapabilities


class FakeFormat:
    """A format with a name and suffixes, which can't be read or written."""

    capabilities = FormatCapabilities()
    read_options = ReadOptions
    write_options = Options

    def __init__(self, name: str, *suffixes: str) -> None:
        self.name = name
        self.suffixes = suffixes

    def scan(self, session: Any, files: Any, options: Any, *, suffix: str, schema: Any = None) -> Any:
        raise AssertionError("a fake")

    def read_back(self, options: Any) -> Any:
        raise AssertionError("a fake")

    def writer(self, session: Any, path: Path, options: Any, *, suffix: str) -> Any:
        raise AssertionError("a fake")

    def export(self, session: Any, relation: str, schema: Any, path: Path, options: Any, *, suffix: str) -> None:
        raise AssertionError("a fake")


class FakeStorage:
    """A storage with a name and protocols, where nothing can be put."""

    capabilities = StorageCapabilities(
        atomic_replace=False,
        conditional_create=False,
        conditional_replace=False,
        strong_listing=False,
        native_duckdb=False,
    )
    options = Options

    def __init__(self, name: str, *protocols: str) -> None:
        self.name = name
        self.protocols = protocols

    def _fail(self, *arguments: Any, **options: Any) -> Any:
        raise AssertionError("a fake")

    filesystem = duckdb_files = stage = publish = link = stat = read = replace = _fail
