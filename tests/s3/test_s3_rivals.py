"""Several processes and threads that run assets on S3 at once, on each server."""

from __future__ import annotations

from typing import Any

import pytest
from rivals import RivalTests


class TestS3(RivalTests):
    client = "mad_prefect_s3.client"

    @pytest.fixture
    def lake(self, any_based: Any) -> Any:
        return any_based
