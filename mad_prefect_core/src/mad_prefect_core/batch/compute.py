"""`pyarrow.compute`, imported when one of its functions is first asked for: a run of plain rows needs none, and starts
without the tenth of a second that the import takes."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(importlib.import_module("pyarrow.compute"), name)
