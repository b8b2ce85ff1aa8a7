"""A copy of a file that DuckDB can read: UTF-8, all of whose lines end alike."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import BinaryIO

from mad_prefect_csv.dialect import Dialect, decompressed

__all__ = ["normalized"]

_CHUNK = 1 << 20  # bytes


def normalized(opener: Callable[[], BinaryIO], path: str, dialect: Dialect, codec: str | None) -> None:
    """Write the copy to `path`. Ends of lines within quotes stay as they are.

    Raises `UnicodeError` where the file is not of its encoding.
    """
    decoder = codecs.getincrementaldecoder(dialect.encoding)()
    within, kept = False, ""
    with opener() as opened, open(path, "w", encoding="utf-8", newline="") as copy:
        stream = decompressed(opened, codec)
        while True:
            data = stream.read(_CHUNK)
            text = kept + decoder.decode(data, final=not data)
            kept = "\r" if data and text.endswith("\r") else ""
            parts = text.removesuffix(kept).split(dialect.quote) if dialect.quote else [text.removesuffix(kept)]
            for place, part in enumerate(parts):
                if place:
                    copy.write(dialect.quote)
                    within = not within
                copy.write(part if within else part.replace("\r\n", "\n").replace("\r", "\n"))
            if not data:
                return
