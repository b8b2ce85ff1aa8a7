"""What the fake plugins beside this file are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mad_prefect_core.contracts import FormatCapabilities, Options, ReadOptions, StorageCapabilities, Store


class FakeFormat:
    """A format with a name and suffixes, which can't be read or written."""

    capabilities = FormatCapabilities()
    read_options = ReadOptions
    write_options = Options

    def __init__(self, name: str, *suffixes: str) -> None:
        self.name = name
        self.suffixes = suffixes

    def read(self, file: str, context: Any) -> Any:
        raise AssertionError("a fake")

    def read_back(self, options: Any) -> Any:
        raise AssertionError("a fake")

    def write(self, relation: str, schema: Any, path: Path, context: Any) -> None:
        raise AssertionError("a fake")


class FakeStore(Store):
    """Which nobody opens."""

    def stat(self, path: str) -> Any:
        raise AssertionError("a fake")

    def read(self, path: str) -> Any:
        raise AssertionError("a fake")

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        raise AssertionError("a fake")

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        raise AssertionError("a fake")


class FakeStorage:
    """A storage with a name and protocols, where nothing can be put."""

    capabilities = StorageCapabilities()
    options = Options
    store = FakeStore

    def __init__(self, name: str, *protocols: str) -> None:
        self.name = name
        self.protocols = protocols

    def account(self, url: str, options: Any) -> str:
        return url

    def open(self, url: str, options: Any) -> Any:
        raise AssertionError("a fake")
