"""Runs on Google Cloud Storage whose storage fails on the way. Each name says what a user would lose."""

from __future__ import annotations

from typing import Any

import pytest
from failed_runs import FailedRunTests


class TestGCS(FailedRunTests):
    @pytest.fixture
    def lake(self, based: Any) -> Any:
        return based
