"""What the functions of a workload are given: a folder, a size, the decorator under test, and a clock."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Bench"]

T = TypeVar("T")

_DECORATORS = {"ours": "mad_prefect_core", "old": "mad_prefect.data_assets"}
_ARTIFACTS = {"ours": "mad_prefect_core", "old": "mad_prefect.data_assets.data_artifact"}


class Bench:
    """One measurement, in the process that makes it.

    Args:
        subject: Who is measured: `ours`, `old` or `floor`.
        folder: The base path of assets. What `prepare` left there, else empty.
        size: The workload's numbers, by name.
    """

    def __init__(self, subject: str, folder: Path, size: Mapping[str, int]) -> None:
        self.subject = subject
        self.folder = folder
        self.size = size
        self.seconds = 0.0
        """On the clock so far."""
        self.cpu_seconds = 0.0
        """Of all threads, meanwhile."""
        self.requests: int | None = None
        """HTTP requests, where a workload counts them."""

    @property
    def asset(self) -> Callable[..., Callable[[Callable[..., Any]], Any]]:
        """The decorator of the subject."""
        decorator: Callable[..., Callable[[Callable[..., Any]], Any]]
        decorator = importlib.import_module(_DECORATORS[self.subject]).asset
        return decorator

    @property
    def artifact(self) -> Callable[..., Any]:
        """The `DataArtifact` of the subject."""
        artifact: Callable[..., Any] = importlib.import_module(_ARTIFACTS[self.subject]).DataArtifact
        return artifact

    def path(self, name: str) -> str:
        """The path of a file in the folder."""
        return str(self.folder / name)

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Only what is done in here counts."""
        self._count(-1, time.process_time)
        try:
            yield
        finally:
            self._count(1, time.process_time)

    def generated(self, items: Iterable[T]) -> Iterator[T]:
        """The items of an iterable that stands for the user's own work, whose time is taken off the clock."""
        iterator = iter(items)
        while True:
            self._count(1, time.thread_time)
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self._count(-1, time.thread_time)
            yield item

    def _count(self, sign: int, cpu: Callable[[], float]) -> None:
        self.seconds += sign * time.perf_counter()
        self.cpu_seconds += sign * cpu()
