"""Async code from code that is not."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["run_sync"]

T = TypeVar("T")


def run_sync(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, whether or not an event loop is running in this thread.

    Where one is, the coroutine gets a loop and a thread of its own, with this one's context variables: what belongs
    to the running loop is not touched.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(call())
    outcome: list[T] = []
    problem: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(asyncio.run(call()))
        except BaseException as error:
            problem.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name="mad-prefect-sync")
    thread.start()
    thread.join()
    if problem:
        raise problem[0]
    return outcome[0]
