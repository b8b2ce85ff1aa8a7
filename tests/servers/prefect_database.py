"""Prefect's database as its migrations make it. That takes a server longer than all else, so it is made once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

_KEPT = Path(__file__).resolve().parents[2] / ".tmp"


def new_database(path: Path) -> None:
    """Have an empty database there."""
    kept = _KEPT / f"prefect-{version('prefect')}.db"
    _KEPT.mkdir(exist_ok=True)
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            _migrate(kept)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept, path)


def _migrate(target: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    with tempfile.TemporaryDirectory(dir=target.parent) as home:
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
        done = subprocess.run(command, env=own | {"PREFECT_HOME": home}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        os.replace(Path(home) / "prefect.db", target)
