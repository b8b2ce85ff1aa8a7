"""What strangers bring, installed beside ours: their formats work and are certified, and what is broken says so."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.packaging

CleanEnvironment = Any  # of the conftest beside this file

OURS = ("mad-prefect-json", "mad-prefect-parquet", "mad-prefect-csv", "mad-prefect-local")
FAILING = {
    "fake-exits": "no licence found",
    "fake-fork": "is the plugin of both",
    "fake-hangs": "was not done after",
    "fake-hangs-in-hook": "was not done after",
    "fake-import-error": "libnotes.so is missing",
    "fake-junk": "lacks capabilities",
    "fake-misspelt": "Did you mean mad_prefect_formats?",
    "fake-new-api": "built for plugin API 1000 to 1001",
    "fake-no-api": "does not say which plugin API",
    "fake-old-api": "built for plugin API 0 to 0",
    "fake-raises": "the catalogue is damaged",
    "fake-raises-late": "the catalogue ends here",
    "fake-spins": "was not done after",
    "fake-unmarked": "is not marked with @hookimpl",
}
PATIENCE = {"MAD_PREFECT_PLUGIN_TIMEOUT": "3"}

# Runs in the clean environment: assets at the paths that are given.
ASSETS = """
import json, sys
from mad_prefect_core import asset
from mad_prefect_core.errors import MadPrefectError

@asset("bronze/teas.json")
def teas():
    yield [{"tea": "Assam", "grams": 50}]
    yield [{"tea": "Ceylon", "grams": 100}]

def made(path):
    try:
        @asset(path)
        async def result():
            return await teas.query()
        return result.query_sync("WHERE grams > ? ", [60]).fetchall()
    except MadPrefectError as error:
        return str(error)

print(json.dumps({path: made(path) for path in sys.argv[1:]}))
"""
PATHS = ("x.feather|parquet", "x.arrow", "x.orc", "x.json", "x.parquet", "x.pq", "local://x.json")
ROWS = [["Ceylon", 100]]

# The same on an SFTP server that `ssh` would log in to: it is among the known hosts, and has the user's key.
ON_SFTP = f"""
import importlib.util, sys
from pathlib import Path
import asyncssh
spec = importlib.util.spec_from_file_location("support", sys.argv[1])
support = importlib.util.module_from_spec(spec)
spec.loader.exec_module(support)
ssh = Path.home() / ".ssh"
server = support.Server(ssh, asyncssh.SFTPServer)
asyncssh.read_private_key(server.client_key, server.password).write_private_key(server.client_key)
sys.argv[1:] = [f"{{server.url}}{{Path.home()}}/lake/{{path}}" for path in sys.argv[2:]]
{ASSETS}
server.stop()
"""


def wheel_of_fake(folder: Path, target: Path) -> Path:
    """A fake distribution as a wheel."""
    info = next(folder.glob("*.dist-info"))
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*.py")}
    files |= {f"{info.name}/{path.name}": path.read_bytes() for path in info.iterdir()}
    files[f"{info.name}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    lines = [
        f"{name},sha256={urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}"
        for name, data in files.items()
    ]
    record = f"{info.name}/RECORD"
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    path = target / f"{info.name.removesuffix('.dist-info')}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)
    return path


@pytest.fixture(scope="module")
def environment(
    new_environment: Callable[[], CleanEnvironment], wheels: dict[str, Path], example_wheels: dict[str, Path]
) -> CleanEnvironment:
    """Ours, with the conformance kit, and what third parties bring."""
    clean = new_environment()
    core = f"mad-prefect-core[testing] @ {wheels['mad-prefect-core'].as_uri()}"
    clean.install(core, *(wheels[name] for name in OURS), *example_wheels.values())
    return clean


def made(environment: CleanEnvironment, *paths: str) -> dict[str, Any]:
    printed = environment.run(environment.python, "-I", "-c", ASSETS, *(paths or PATHS), **PATIENCE)
    return dict(json.loads(printed.splitlines()[-1]))


@pytest.mark.parametrize("example", ["mad_prefect_ipc", "mad_prefect_sftp"])
def test_an_example_passes_the_tests_that_ours_pass(environment: CleanEnvironment, root: Path, example: str) -> None:
    tests = environment.folder / example / "tests"
    shutil.copytree(root / "examples" / example / "tests", tests, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "examples" / example / "pyproject.toml", tests.parent)
    options = ("-q", "-m", "not large", "-p", "no:cacheprovider")
    printed = environment.run(environment.python, "-m", "pytest", tests.parent, *options)

    assert re.search(r"\d+ passed", printed)
    assert " failed" not in printed


def test_an_asset_in_a_third_partys_format_is_materialised_queried_and_listed(environment: CleanEnvironment) -> None:
    found = made(environment)

    assert found["x.feather|parquet"] == found["x.arrow"] == found["x.orc"] == ROWS
    listed = environment.run(environment.program("mad-prefect"), "plugins", "list")
    assert "mad-prefect-ipc 0.1.0" in listed
    assert ".feather" in listed


def test_an_asset_on_a_third_partys_storage_is_materialised_queried_and_listed(
    environment: CleanEnvironment, root: Path, tmp_path: Path
) -> None:
    (tmp_path / ".ssh").mkdir()
    support = root / "examples" / "mad_prefect_sftp" / "tests" / "conftest.py"
    printed = environment.run(
        environment.python, "-I", "-c", ON_SFTP, support, "x.json|feather", "x.parquet", HOME=str(tmp_path)
    )
    found = json.loads(printed.splitlines()[-1])

    assert list(found.values()) == [ROWS, ROWS]
    files = {path.name for path in (tmp_path / "lake").iterdir() if path.is_file()}
    assert files == {"x.json", "x.feather", "x.parquet"}
    listed = environment.run(environment.program("mad-prefect"), "plugins", "list")
    assert "mad-prefect-sftp 0.1.0" in listed
    assert "sftp://" in listed


def test_broken_and_clashing_plugins_cost_only_themselves_and_are_seen_by_list_and_doctor(
    environment: CleanEnvironment, root: Path, tmp_path: Path
) -> None:
    folder = root / "tests" / "host" / "distributions"
    (tmp_path / "parts" / "fake_parts-1.0.dist-info").mkdir(parents=True)
    shutil.copy(folder / "fake_parts.py", tmp_path / "parts")
    (tmp_path / "parts" / "fake_parts-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: fake-parts\nVersion: 1.0\n"
    )
    fakes = [path for path in sorted(folder.glob("fake-*")) if path.is_dir()]
    environment.install(*(wheel_of_fake(path, tmp_path) for path in [*fakes, tmp_path / "parts"]))

    # Every ordinary command works.
    found = made(environment)
    for path in ("x.feather|parquet", "x.arrow", "x.json", "x.parquet"):
        assert found[path] == ROWS, path
    assert "claimed by fake-clash-suffix 1.0" in found["x.pq"]
    assert "claimed by fake-clash-protocol 1.0" in found["local://x.json"]

    # Each failure is visible.
    program = environment.program("mad-prefect")
    listed = json.loads(environment.run(program, "plugins", "list", "--json", **PATIENCE))
    states = {plugin["distribution"]: plugin for plugin in listed["plugins"]}
    assert states.keys() >= {path.name for path in fakes}
    for name, said in FAILING.items():
        assert states[name]["status"] == "failed", name
        assert said in str(states[name]["problems"]), name
    for name in (*OURS, "mad-prefect-core", "mad-prefect-ipc", "mad-prefect-sftp", "fake-good"):
        assert states[name]["status"] != "failed", name
    doctor = " ".join(environment.run(program, "plugins", "doctor", "--json", status=1, **PATIENCE).split())
    for name, said in FAILING.items():
        assert name in doctor
        assert said in doctor
    environment.uninstall("fake-parts", *(path.name for path in fakes))


def test_a_third_partys_format_that_is_uninstalled_is_missed_with_a_clear_error(environment: CleanEnvironment) -> None:
    environment.uninstall("mad-prefect-ipc")
    found = made(environment)

    assert "No installed plugin brings the format of suffix '.arrow'" in found["x.arrow"]
    assert "Installed: csv" in found["x.arrow"]
    assert found["x.parquet"] == ROWS


def test_a_third_partys_storage_that_is_uninstalled_is_missed_with_a_clear_error(environment: CleanEnvironment) -> None:
    environment.uninstall("mad-prefect-sftp")
    found = made(environment, "sftp://files.example.org/x.parquet", "x.parquet")

    assert "No installed plugin brings the protocol 'sftp://'" in found["sftp://files.example.org/x.parquet"]
    assert found["x.parquet"] == ROWS
