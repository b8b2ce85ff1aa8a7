"""The command line as a user has it: its exit code and what it prints, with fake distributions installed if need be."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import Settings
from mad_prefect_core.cli.main import run
from mad_prefect_core.plugins import PluginHost, use_host

DISTRIBUTIONS = Path(__file__).resolve().parents[1] / "host" / "distributions"


@dataclass(frozen=True)
class Printed:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What `--json` printed: all of stdout."""
        return json.loads(self.out)


@pytest.fixture
def cli(
    base: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Printed]]:
    """`cli("plugins", "list", installed=["fake-good"])`, on a base of this test, 80 columns wide."""
    for field in Settings.model_fields.values():
        if field.alias != "FILESYSTEM_URL":
            monkeypatch.delenv(str(field.alias), raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def called(*words: str, installed: list[str] | None = None) -> Printed:
        for name in ["", *(installed or [])]:
            folder = Path(name) if name.startswith("/") else DISTRIBUTIONS / name
            assert folder.is_dir()
            monkeypatch.syspath_prepend(folder)
        capfd.readouterr()
        with use_host(PluginHost()):
            code = run(words)
        return Printed(code, *capfd.readouterr())

    yield called
    for name in [name for name in sys.modules if name.startswith("fake_")]:
        del sys.modules[name]
