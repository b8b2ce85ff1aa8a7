"""Importing the library and listing plugins must cost next to nothing."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

HEAVY = ["aiobotocore", "boto3", "fastavro", "filelock", "gcsfs", "httpx", "pandas", "polars", "prefect"]
HEAVY += ["pydantic_settings", "s3fs"]
LIGHT = ["mad_prefect_core", "mad_prefect", "mad_prefect.data_assets"]


def modules_after(script: str) -> set[str]:
    program = f"{script}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", [name for name in LIGHT if importlib.util.find_spec(name)])
def test_importing_it_imports_no_prefect_no_pandas_no_cloud_sdk_and_no_plugin(module: str) -> None:
    modules = modules_after(f"import {module}")

    assert not modules & set(HEAVY)
    plugins = {name.split(".")[0] for name in modules if name.startswith("mad_prefect_")} - {"mad_prefect_core"}
    assert not plugins


def test_listing_plugins_imports_no_prefect_no_pandas_and_no_cloud_sdk() -> None:
    modules = modules_after(
        "from mad_prefect_core.plugins import get_host\n"
        "host = get_host(); assert host.plugins(); host.formats(); host.storages()\n"
    )

    assert not modules & set(HEAVY)
    assert {"mad_prefect_core.plugins", "mad_prefect_local.plugin"} <= modules


@pytest.mark.parametrize("words", [["plugins", "list"], ["plugins", "show", "json"], ["--help"]])
def test_the_command_line_imports_no_prefect_no_pandas_no_cloud_sdk_and_no_copier(words: list[str]) -> None:
    modules = modules_after(f"from mad_prefect_core.cli.main import run\nassert run({words!r}) == 0\n")

    assert not modules & {*HEAVY, "copier"}
