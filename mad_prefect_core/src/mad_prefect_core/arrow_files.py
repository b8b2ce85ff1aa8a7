"""Files that are read into Arrow, as their formats get them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Generic

from mad_prefect_core.contracts.formats import ReadT
from mad_prefect_core.errors import MadPrefectError
from mad_prefect_core.translation import read_error

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OpenFile", "Source"]


@dataclass(frozen=True, kw_only=True)
class OpenFile(Generic[ReadT]):
    """A file that is being read. More fields may come, with defaults."""

    data: BinaryIO
    """Its bytes: at the start, and seekable, on every storage. It was opened for this one call, and the base closes
    it."""
    name: str
    """Its path or URL as its user knows it, for messages."""
    options: ReadT
    """As in `ReadContext`."""
    suffix: str
    """One of the format's `suffixes`."""
    schema: pa.Schema | None = None
    """What `file_schema` said, where the file is open for `batches`; None where it is open for `file_schema`."""


@dataclass(frozen=True)
class Source:
    """A file that can be opened again and again. Holds no session."""

    format: Any
    name: str
    """As `OpenFile.name`."""
    open: Callable[[], BinaryIO]
    options: Any
    suffix: str
    place: int
    """Among the files that are scanned."""

    @contextmanager
    def opened(self, schema: pa.Schema | None = None) -> Iterator[OpenFile[Any]]:
        """The file, open. What the format raises for it is an error of ours that names both; what its storage raises
        stays."""
        with self.open() as data:
            try:
                yield OpenFile(data=data, name=self.name, options=self.options, suffix=self.suffix, schema=schema)
            except MadPrefectError as error:
                error.path = error.path or self.name
                error.plugin = error.plugin or self.format.name
                raise
            except Exception as error:
                if isinstance(error, MemoryError) or _is_the_storages(error):
                    raise
                problem = read_error(self.format, error)
                problem.path = self.name
                raise problem from error


def _is_the_storages(error: Exception) -> bool:
    """A library that finds a file broken may say so by an OSError, which has no number then."""
    return isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None)
