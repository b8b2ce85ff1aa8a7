"""Results that are larger than one request may carry to an object store, or copy there.

By default the store is held to a limit that is much lower than its own, and a result of 96 MiB is beyond it. With
`MAD_PREFECT_LARGE=long` the limit is S3's own, and the result has 5.1 GiB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from large_asset import WIDTH

LONG = os.environ.get("MAD_PREFECT_LARGE") == "long"
MEBIBYTE = 2**20
LIMIT = (5 * 1024 if LONG else 32) * MEBIBYTE
"""Bytes that one request may carry or copy."""
ROWS = (5222 if LONG else 96) * MEBIBYTE // WIDTH
ADDED = 400
"""Megabytes that the process may take for it beside what it takes for a small one."""


@pytest.mark.large
class LargeResultTests:
    """To be inherited for each kind of object store."""

    limits: ClassVar[dict[str, dict[str, int]]] = {}
    """By class and name, what of the client is to be as much lower as the store is."""

    @pytest.fixture
    def lake(self) -> Any:
        """A bucket that is the base of all assets, on a server that keeps to the limit."""
        raise NotImplementedError  # the tests of each store give their own

    def sha256(self, lake: Any, key: str) -> str:
        """Of an object, read in another way than the product's."""
        raise NotImplementedError  # as above

    def parts(self, lake: Any) -> dict[str, int]:
        """How many requests brought or copied a part of an object. Fails where one is not as it must be."""
        raise NotImplementedError  # as above

    def test_a_result_larger_than_any_one_request_is_published_whole_and_read_where_it_is(
        self, lake: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        job = {"rows": ROWS, "limits": {} if LONG else self.limits}
        script = str(Path(__file__).with_name("large_asset.py"))
        more = {
            "MAD_PREFECT_DUCKDB_MEMORY_LIMIT": "500MB",
            "MAD_PREFECT_DUCKDB_THREADS": "2",
            "MAD_PREFECT_LEASE_SECONDS": "300",  # moto does nothing else while it puts the parts together
        }
        done = subprocess.run(
            [sys.executable, script, json.dumps(job)],
            env=os.environ | more,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        said = json.loads(done.stdout.splitlines()[-1])
        parts = self.parts(lake)
        with capsys.disabled():
            print(f"\n{type(self).__name__}: {said['size']} bytes, {said['seconds']}, {said['megabytes']} MB, {parts}")

        assert said["size"] > ROWS * WIDTH > LIMIT
        assert self.sha256(lake, "lake/x.parquet") == said["sha256"]
        assert said["row"] == said["expected"]
        assert all(parts.values())
        assert said["megabytes"]["queried"] - said["megabytes"]["before"] < ADDED
