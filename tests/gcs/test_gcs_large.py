"""Results on Google Cloud Storage that take several requests to bring there, and to copy there."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from large_results import LIMIT, LargeResultTests


class TestGCS(LargeResultTests):
    @pytest.fixture
    def lake(self, based: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setattr(based.server, "rewritten_at_once", LIMIT)
        return based

    def sha256(self, lake: Any, key: str) -> str:
        return hashlib.sha256(lake.get(key)).hexdigest()

    def parts(self, lake: Any) -> dict[str, int]:
        seen = {"sent": 0, "copied": 0}
        for request in lake.proxy.requests:
            sent = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", request.headers.get("content-range", ""))
            if sent:
                start, last, size = map(int, sent.groups())
                assert last + 1 == size or (last + 1 - start) % 2**18 == 0
                seen["sent"] += 1
            seen["copied"] += "rewriteToken=" in request.query
        return seen
