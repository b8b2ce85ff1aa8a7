"""Storages for the demo that need nothing but this machine."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

__all__ = ["STORAGES", "serving"]

_BUCKET = "nyc-flights"
_OTHERS = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "FILESYSTEM_BLOCK_NAME", "ASSET_METADATA_LOCATION")


@contextmanager
def _s3() -> Iterator[None]:
    import boto3  # noqa: PLC0415  these two are there only where S3 is wanted
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        _base(
            "An S3 server (moto)",
            url,
            AWS_ENDPOINT_URL_S3=url,
            AWS_ACCESS_KEY_ID="nobody",
            AWS_SECRET_ACCESS_KEY="nothing",
            AWS_REGION="us-east-1",
            FILESYSTEM_URL=f"s3://{_BUCKET}",
        )
        boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket=_BUCKET)
        yield
    finally:
        server.stop()


@contextmanager
def _rgw() -> Iterator[None]:
    module = _of_the_tests("s3_server")
    if missing := module.rgw_missing():
        raise SystemExit(f"Ceph's gateway can't be started: {missing}")
    with TemporaryDirectory(prefix="rgw") as folder, module.rgw(Path(folder)) as server:
        _base(
            "Ceph's gateway",
            server.url,
            AWS_ENDPOINT_URL_S3=server.url,
            FILESYSTEM_URL=f"s3://{_BUCKET}",
            **server.environment,
        )
        server.client().create_bucket(Bucket=_BUCKET)
        yield


def _of_the_tests(name: str) -> Any:
    """A module with a server that belongs to the tests of a clone."""
    sys.path.append(str(Path(__file__).resolve().parents[3] / "tests" / "servers"))
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise SystemExit("Without a clone of the repository there is no server for this storage") from error


@contextmanager
def _gcs() -> Iterator[None]:
    module = _of_the_tests("gcs_server")
    with module.gcs() as server:
        server.buckets[_BUCKET] = module.Bucket()
        _base(
            "A server for Google Cloud Storage (the one of the tests)",
            server.url,
            STORAGE_EMULATOR_HOST=server.url,
            FILESYSTEM_URL=f"gs://{_BUCKET}",
        )
        yield


@contextmanager
def _azure() -> Iterator[None]:
    module = _of_the_tests("azurite")
    if missing := module.azurite_missing():
        raise SystemExit(f"Azurite can't be started: {missing}")
    with TemporaryDirectory(prefix="azurite") as folder, module.azurite(Path(folder)) as server:
        _base(
            "Azurite, Microsoft's emulator of Azure,",
            server.url,
            AZURE_STORAGE_CONNECTION_STRING=server.connection_string(),
            FILESYSTEM_URL=f"az://{_BUCKET}",
        )
        server.client.create_container(_BUCKET)
        yield


def _base(what: str, url: str, **environment: str) -> None:
    for name in _OTHERS:
        os.environ.pop(name, None)
    os.environ |= environment
    print(f"{what} runs at {url}. It keeps all data in memory: both go when the demo ends.", flush=True)


STORAGES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "local": nullcontext,
    "s3": _s3,
    "rgw": _rgw,
    "gcs": _gcs,
    "azure": _azure,
}


def serving(storage: str) -> AbstractContextManager[None]:
    """Have `storage` be the base of all assets in the block: but for "local" on a server that ends with it."""
    return STORAGES[storage]()
