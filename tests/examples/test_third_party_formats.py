"""The formats among the examples, tested by their own tests as if they were installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("example", ["mad_prefect_orc"])  # that of Arrow IPC is with the packaging tests
def test_a_format_of_the_examples_passes_the_tests_that_ours_pass(example: str, tmp_path: Path) -> None:
    project = tomllib.loads((EXAMPLES / example / "pyproject.toml").read_text("utf-8"))["project"]
    info = tmp_path / f"{example}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    [(name, module)] = project["entry-points"]["mad_prefect"].items()
    (info / "entry_points.txt").write_text(f"[mad_prefect]\n{name} = {module}\n")
    paths = os.pathsep.join((str(EXAMPLES / example / "src"), str(tmp_path)))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:asyncio"]

    ran = subprocess.run(
        [*command, EXAMPLES / example], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(rf"format {name}: \d+ passed(, \d+ not declared)? of \d+\n", ran.stdout), ran.stdout
