"""Storages for the demo that need nothing but this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["STORAGES", "serving"]

STORAGES = ("local", "s3")
_BUCKET = "nyc-flights"


@contextmanager
def serving(storage: str) -> Iterator[None]:
    """Have `storage` be the base of all assets in the block: for "s3" on a server that begins and ends with it."""
    if storage == "local":
        yield
        return
    import boto3  # noqa: PLC0415  these two are there only where S3 is wanted
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "FILESYSTEM_BLOCK_NAME", "ASSET_METADATA_LOCATION"):
            os.environ.pop(name, None)
        os.environ |= {
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_REGION": "us-east-1",
            "FILESYSTEM_URL": f"s3://{_BUCKET}",
        }
        boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket=_BUCKET)
        print(
            f"An S3 server (moto) runs at {url}. It keeps all data in memory: both go when the demo ends.", flush=True
        )
        yield
    finally:
        server.stop()
