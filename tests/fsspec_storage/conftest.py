"""Servers for fsspec's clients, started once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "servers"))

from file_servers import PASSWORD, ftp_server, http_server, sftp_server, webdav_server


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The contract's tests that take long are of memory alone, unless all is asked for: servers take minutes."""
    if os.environ.get("MAD_PREFECT_FAULTS") == "long":
        return
    servers = [
        item for item in items if item.path.name == "test_fsspec_contract.py" and "TestMemory" not in item.nodeid
    ]
    left_out = {item.nodeid for item in servers if "costly" in vars(getattr(item, "function", None))}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]


@pytest.fixture(scope="session")
def password() -> str:
    return PASSWORD


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that FTP, WebDAV and HTTP serve."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="session")
def sftp() -> Iterator[int]:
    with sftp_server() as port:
        yield port


@pytest.fixture(scope="session")
def ftp(served: Path) -> Iterator[int]:
    with ftp_server(served) as port:
        yield port


@pytest.fixture(scope="session")
def webdav(served: Path) -> Iterator[str]:
    with webdav_server(served) as url:
        yield url


@pytest.fixture(scope="session")
def http(served: Path) -> Iterator[str]:
    with http_server(served) as url:
        yield url
