"""The format among the examples that is tested here, by its own tests, as if it were installed. That of Arrow IPC is
with the packaging tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mad_prefect_core.cards import Card

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "mad_prefect_orc"


def test_orc_passes_the_tests_that_ours_pass_and_has_a_card(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    info = tmp_path / f"mad_prefect_orc-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mad-prefect-orc\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text("[mad_prefect]\norc = mad_prefect_orc.plugin\n")
    paths = os.pathsep.join((str(EXAMPLE / "src"), str(tmp_path)))
    cards = pytestconfig.getoption("--capability-cards") or tmp_path  # as `./dev cards` asks for them
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:asyncio"]

    ran = subprocess.run(
        [*command, f"--capability-cards={cards}", EXAMPLE],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    made = Card.from_json((Path(cards) / "orc.json").read_text("utf-8"))
    shipped = Card.from_json((EXAMPLE / "src" / "mad_prefect_orc" / "capability_card.json").read_text("utf-8"))
    assert made.conforms
    assert shipped.conforms
    # Its tests are those of the last release; `./dev cards` makes it anew.
    assert (shipped.distribution, shipped.version, shipped.capabilities) == (
        made.distribution, made.version, made.capabilities
    )  # fmt: skip
