"""A whole program of 2.x runs as it is on storages that 2.x took from fsspec, and says the same on each as on disk."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

sys.path.append(str(Path(__file__).parents[1] / "servers"))

from azurite import azurite, azurite_missing
from file_servers import PASSWORD, sftp_server

PROGRAM = Path(__file__).with_name("program_of_2x.py")
FIRST_CALLS = ["totals", "orders 2024", "orders 2025", "by_frame", "by_frame", "by_frame"]
CALLS_AFTER = ["totals", "by_frame", "by_frame", "by_frame"]  # the others are cached for a day
SAID = {
    "totals": [[2024, 6, 9.0], [2025, 6, 9.0]],
    "exists": True,
    "twice": [[6, "2025-0-0"]],
    "file": [["2024-1-2", 2024]],
    "several": [[2024, 6], [2025, 6]],
    "frame": [["Århus", 2]],
    "seven": [[7]],
    "json": [["Köln"], ["Århus"]],
    "files": {
        "there": ["notes/first.json", "notes/raw.bin", "notes/table.parquet"],
        "read": [[{"note": "a"}], [{"note": "b", "n": 2}]],
        "moved": ["0001", False],
        "left": [False, ["notes/table.parquet"]],
        "results": ["bronze/orders/year=2024/orders.parquet", "bronze/orders/year=2025/orders.parquet"],
        "pages": 2,
    },
}


@dataclass(frozen=True)
class Sftp:
    port: int
    key: asyncssh.SSHKey
    """Of the one user."""


@contextmanager
def sftp(folder: Path) -> Iterator[Sftp]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_public_key(folder / "authorized_keys")
    with sftp_server(authorized_keys=folder / "authorized_keys") as port:
        yield Sftp(port, key)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Any], Any]]:
    """Started when the first test asks for them."""
    with ExitStack() as stack:
        yield functools.cache(lambda server: stack.enter_context(server(tmp_path_factory.mktemp(server.__name__))))


def on_disk(servers: Any, folder: Path) -> dict[str, str]:
    return {"FILESYSTEM_URL": f"file://{folder}/lake"}


def in_memory(servers: Any, folder: Path) -> dict[str, str]:
    return {"FILESYSTEM_URL": "memory://lake/base"}


def on_sftp(servers: Any, folder: Path) -> dict[str, str]:
    server = servers(sftp)
    (folder / ".ssh").mkdir()
    server.key.write_private_key(folder / ".ssh/id_ed25519")
    return {"FILESYSTEM_URL": f"sftp://ada@127.0.0.1:{server.port}{folder}/lake"}


def on_azure(servers: Any, folder: Path) -> dict[str, str]:
    if missing := azurite_missing():
        pytest.skip(f"Azurite is {missing}")
    server = servers(azurite)
    server.client.create_container("lake")
    said = {"AZURE_STORAGE_CONNECTION_STRING": server.connection_string()}
    return said | {"FILESYSTEM_URL": f"abfss://lake@{server.account}.dfs.core.windows.net/base"}


def run(folder: Path, **said: str) -> dict[str, Any]:
    """What the program says on a base."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "FILESYSTEM_"))}
    environment = {**kept, **said, "HOME": str(folder)}
    command = [sys.executable, "-W", "ignore", str(PROGRAM)]
    ran = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert PASSWORD not in ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("place", [on_disk, in_memory, on_sftp, on_azure])
def test_a_program_of_2x_runs_as_it_is(servers: Any, tmp_path: Path, place: Callable[..., dict[str, str]]) -> None:
    said = place(servers, tmp_path)
    assert run(tmp_path, **said) == {**SAID, "calls": FIRST_CALLS}
    if place in (on_sftp, on_azure):  # memory is gone with its process
        assert run(tmp_path, **said) == {**SAID, "calls": CALLS_AFTER}


@pytest.mark.usefixtures("prefect_server")
def test_a_program_of_2x_runs_on_the_block_that_a_variable_names(servers: Any, tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL

    from mad_prefect.filesystems import FsspecFileSystem

    url = f"sftp://ada@127.0.0.1:{servers(sftp).port}{tmp_path}/lake"
    FsspecFileSystem(basepath=url, storage_options={"password": PASSWORD}).save("lake-of-2x", overwrite=True)
    said = {"FILESYSTEM_BLOCK_NAME": "lake-of-2x", "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    assert run(tmp_path, **said) == {**SAID, "calls": FIRST_CALLS}
    assert (tmp_path / "lake/bronze/orders/year=2024/orders.parquet").is_file()
