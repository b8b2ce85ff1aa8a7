"""Storages for the demo that need nothing but this machine."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

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
def _gcs() -> Iterator[None]:
    sys.path.append(str(Path(__file__).resolve().parents[3] / "tests" / "servers"))
    try:
        from gcs_server import Bucket, gcs  # noqa: PLC0415  it belongs to the tests of a clone
    except ModuleNotFoundError as error:
        raise SystemExit("Without a clone of the repository there is no server for --storage gcs") from error

    with gcs() as server:
        server.buckets[_BUCKET] = Bucket()
        _base(
            "A server for Google Cloud Storage (the one of the tests)",
            server.url,
            STORAGE_EMULATOR_HOST=server.url,
            FILESYSTEM_URL=f"gs://{_BUCKET}",
        )
        yield


def _base(what: str, url: str, **environment: str) -> None:
    for name in _OTHERS:
        os.environ.pop(name, None)
    os.environ |= environment
    print(f"{what} runs at {url}. It keeps all data in memory: both go when the demo ends.", flush=True)


STORAGES: dict[str, Callable[[], AbstractContextManager[None]]] = {"local": nullcontext, "s3": _s3, "gcs": _gcs}


def serving(storage: str) -> AbstractContextManager[None]:
    """Have `storage` be the base of all assets in the block: for "s3" and "gcs" on a server that begins and ends with
    it."""
    return STORAGES[storage]()
