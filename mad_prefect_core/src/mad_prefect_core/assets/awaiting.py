"""What a call gives that may have been meant to be awaited."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Generator
from typing import Any, NoReturn, TypeVar

from mad_prefect_core.artifacts import DataArtifact

__all__ = ["FinishedArtifact", "in_sync_flow", "told_apart"]

T = TypeVar("T")


def told_apart(coroutine: Coroutine[Any, Any, T], name: str, hint: str) -> Coroutine[Any, Any, T]:
    """The coroutine, by this name and with this advice in Python's warning that nobody awaited it."""
    named: Any = coroutine
    named.__qualname__ = f"{name} ({hint})"
    return coroutine


def in_sync_flow() -> bool:
    """Whether this is code of a Prefect flow or task that could await nothing."""
    prefect: Any = sys.modules.get("prefect.context")  # no flow runs where it was never imported
    if prefect is None or not (prefect.FlowRunContext.get() or prefect.TaskRunContext.get()):
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


class FinishedArtifact(DataArtifact, Coroutine[Any, Any, DataArtifact]):
    """The result of a call that has run already. `asyncio.run` and `await` give the artifact that it stands for."""

    def __init__(self, artifact: DataArtifact) -> None:
        self.__dict__.update(artifact.__dict__)
        self._artifact = artifact

    def __await__(self) -> Generator[Any, Any, DataArtifact]:
        return self._artifact
        yield  # what makes it a generator

    def send(self, value: object) -> NoReturn:
        """Finish."""
        raise StopIteration(self._artifact)

    def throw(self, *error: Any) -> NoReturn:
        """Raise what is thrown in."""
        raise error[0]

    def close(self) -> None:
        """Nothing is open."""

    def __repr__(self) -> str:
        return repr(self._artifact)
