"""A place for files before they are uploaded."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from mad_prefect_core.stores import staged_file

__all__ = ["StagedUpload"]


class StagedUpload(io.BufferedWriter):
    """A file object for writing, uploaded when it is closed: not if its `with` block raised, nor if nobody closes it.

    Args:
        path: Where it goes, for the name of the local file.
        upload: Called with the local file, which is deleted afterwards. What it raises, `close` raises.
    """

    def __init__(self, path: str, upload: Callable[[Path], object]) -> None:
        self._staged = staged_file(path)
        self._upload = upload
        super().__init__(io.FileIO(self._staged, "x"))

    def close(self) -> None:
        if not self.closed:
            try:
                super().close()
                self._upload(self._staged)
            finally:
                self._staged.unlink(missing_ok=True)

    def discard(self) -> None:
        """Close it without uploading."""
        super().close()
        self._staged.unlink(missing_ok=True)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        if not self.closed:
            self.discard()
