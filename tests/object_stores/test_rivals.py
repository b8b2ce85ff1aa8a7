"""Several processes and threads that run assets on one object store at once, on each server."""

from __future__ import annotations

from typing import Any

import pytest
from rivals import RivalTests


class TestObjectStores(RivalTests):
    @pytest.fixture
    def lake(self, based: Any) -> Any:
        return based
