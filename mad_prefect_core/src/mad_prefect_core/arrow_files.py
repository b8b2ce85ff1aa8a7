"""Files that are read into Arrow, as their formats get them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Generic

from mad_prefect_core.contracts.formats import ReadT
from mad_prefect_core.errors import CorruptFileError, MadPrefectError

__all__ = ["OpenFile", "Source"]


@dataclass(frozen=True, kw_only=True)
class OpenFile(Generic[ReadT]):
    """A file that is being read. More fields may come, with defaults."""

    data: BinaryIO
    """Its bytes, from the start. The base closes it."""
    name: str
    """Its path or URL, for messages."""
    options: ReadT
    suffix: str
    """One of the format's `suffixes`."""


@dataclass(frozen=True)
class Source:
    """A file that can be opened again and again. Holds no session."""

    name: str
    open: Callable[[], BinaryIO]
    options: Any
    suffix: str
    place: int
    """Among the files that are scanned."""

    @contextmanager
    def opened(self) -> Iterator[OpenFile[Any]]:
        """The file, open. What a library raises for it is a `CorruptFileError`; what its storage raises stays."""
        with self.open() as data:
            try:
                yield OpenFile(data=data, name=self.name, options=self.options, suffix=self.suffix)
            except Exception as error:
                if isinstance(error, MadPrefectError | MemoryError) or _is_the_storages(error):
                    raise
                raise CorruptFileError(f"The file is damaged, or of another kind: {error!r}", path=self.name) from error


def _is_the_storages(error: Exception) -> bool:
    """A library that finds a file broken may say so by an OSError, which has no number then."""
    return isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None)
