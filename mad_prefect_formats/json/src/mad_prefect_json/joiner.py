"""Newline-delimited JSON, one file after the other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mad_prefect_core.sdk import FormatJoiner

__all__ = ["JsonJoiner"]


class JsonJoiner(FormatJoiner):
    """Every line is a row of its own, whatever is before it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._out = path.open("wb")

    def add(self, opened: Callable[[], BinaryIO]) -> bool:
        with opened() as file:
            shutil.copyfileobj(file, self._out)
        return True

    def close(self) -> None:
        self._out.close()

    def abort(self) -> None:
        self._out.close()
        self._path.unlink(missing_ok=True)
