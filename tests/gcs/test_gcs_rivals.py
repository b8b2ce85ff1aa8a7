"""Several processes and threads that run assets on Google Cloud Storage at once."""

from __future__ import annotations

from typing import Any

import pytest
from rivals import RivalTests


class TestGCS(RivalTests):
    client = "mad_prefect_gcs.client"

    @pytest.fixture
    def lake(self, based: Any) -> Any:
        return based
