"""The contracts of asset, artifact, collector and query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

__all__ = ["Artifact", "Asset", "Collector", "Query"]


@runtime_checkable
class Artifact(Protocol):
    """One file of data: a fragment, or a result."""

    path: str

    async def persist(self) -> bool:
        """Write its data to its path, whole or not at all. False where there is no data to write."""

    async def query(self, query_str: str | None = None, params: Any = None) -> Any:
        """A lazy relation over its file; None where there is no file."""

    async def exists(self) -> bool:
        """Whether its file is there."""


@runtime_checkable
class Collector(Protocol):
    """Turns what a function returns or yields into fragments."""

    async def collect(self) -> Sequence[Artifact]:
        """Persist each batch as it comes, and return the artifacts in order."""


@runtime_checkable
class Query(Protocol):
    """SQL over several artifacts, united by column name."""

    async def query(self, query_str: str | None = None, params: Any = None) -> Any:
        """A lazy relation; None where there is nothing to read."""


@runtime_checkable
class Asset(Protocol):
    """A function whose result is durable, cached and queryable."""

    name: str
    path: str

    @property
    def id(self) -> str:
        """Identity of the asset with its arguments: 32 hexadecimal digits."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Artifact:
        """Run it, or find its result in the cache."""

    async def query(self, query_str: str | None = None, params: Any = None) -> Any:
        """Run or find it, and query the result."""
