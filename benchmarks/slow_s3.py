"""An S3 server that is as far away as one in a cloud: it counts requests, and takes 25 ms longer for each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["LATENCY", "SlowServer", "slow_s3"]

LATENCY = 0.025  # s, of each request
_ROOT = Path(__file__).resolve().parents[1]


class SlowServer:
    """A server in a process of its own, so that its work is not that of whoever is measured."""

    bucket = "bench"

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self.environment: dict[str, str] = json.loads(self._out.readline())
        """Variables by which AWS's own tools find it."""

    def counted(self) -> int:
        """Requests since the last time this was asked."""
        print(file=self._in, flush=True)
        return int(self._out.readline())

    @property
    def options(self) -> dict[str, Any]:
        """As the storage `s3` takes them."""
        return {
            "endpoint_url": self.environment["AWS_ENDPOINT_URL"],
            "key": self.environment["AWS_ACCESS_KEY_ID"],
            "secret": self.environment["AWS_SECRET_ACCESS_KEY"],
            "region": self.environment["AWS_REGION"],
        }


@contextmanager
def slow_s3() -> Iterator[SlowServer]:
    """The server, with one empty bucket, while the block runs."""
    command = [sys.executable, "-m", "benchmarks.slow_s3"]
    process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield SlowServer(process)
    finally:
        process.communicate()


def _serve() -> None:
    """Print the environment of a new server as one line of JSON, and a count for each line on stdin, to its end."""
    sys.path.append(str(_ROOT / "tests" / "servers"))
    from http_proxy import Fault, proxy_to
    from s3_server import moto

    with moto() as server, proxy_to(server.url) as proxy:
        server.client().create_bucket(Bucket=SlowServer.bucket)
        proxy.faults = lambda request: Fault(wait=LATENCY)
        print(json.dumps({**server.environment, "AWS_ENDPOINT_URL": proxy.url}), flush=True)
        for _ in sys.stdin:
            print(proxy.count(), flush=True)


if __name__ == "__main__":
    _serve()
