"""Who is measured, in which environment, and with which versions."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "about", "environment", "python"]

ROOT = Path(__file__).resolve().parents[1]
_OLD = ROOT / ".tmp" / "bench" / "old"
_OLD_PACKAGES = (
    "mad-prefect==2.3.0",
    "fastapi<0.151",
    "moto[server,s3]",
    "msgspec",
    "pandas",
    "polars",
    "pyarrow",
    "s3fs",
)
_VERSIONS = ("mad-prefect", "duckdb", "prefect", "pyarrow", "pandas", "polars")


@cache
def python(subject: str) -> str:
    """The interpreter of a subject. The environment of mad-prefect 2.3.0 is made when first asked for.

    Raises `subprocess.CalledProcessError` where it can't be.
    """
    if subject != "old":
        return sys.executable
    interpreter = _OLD / ("Scripts" if os.name == "nt" else "bin") / "python"
    complete = _OLD / "packages.json"  # written last
    if not complete.exists() or tuple(json.loads(complete.read_text("utf-8"))) != _OLD_PACKAGES:
        print("Making an environment with mad-prefect 2.3.0 ...", file=sys.stderr)
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, _OLD], check=True)
        subprocess.run([*uv, "pip", "install", "--quiet", "--python", interpreter, *_OLD_PACKAGES], check=True)
        complete.write_text(json.dumps(_OLD_PACKAGES), "utf-8")
    return str(interpreter)


def environment(folder: Path) -> dict[str, str]:
    """The environment variables of a process whose assets are below `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MAD_PREFECT_"))}
    return kept | {
        "DO_NOT_TRACK": "1",
        "FILESYSTEM_URL": f"file://{folder}",
        "PREFECT_HOME": str(ROOT / ".tmp" / "bench" / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


def about() -> dict[str, Any]:
    """Versions and machine, without anything that says whose machine it is."""
    return {
        "python": platform.python_version(),
        "ours": {name: importlib.metadata.version(name) for name in _VERSIONS},
        "old": _old_versions(),
        "system": platform.system(),
        "cpus": os.cpu_count(),
        "cpu": _first_line_of("/proc/cpuinfo", "model name"),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
    }


def _old_versions() -> dict[str, str]:
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {_VERSIONS!r}}}))"
    found = subprocess.run([python("old"), "-c", code], check=True, capture_output=True, text=True).stdout
    versions: dict[str, str] = json.loads(found)
    return versions


def _first_line_of(path: str, key: str) -> str:
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), platform.machine())
