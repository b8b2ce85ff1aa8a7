"""Blocking work beside an event loop or for a limited time, and async work from code that has no loop."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, ParamSpec, TypeVar

__all__ = ["StillRunningError", "in_thread", "in_threads", "is_blocked", "run_sync", "run_within"]

_AT_ONCE = 16

_blocked: contextvars.ContextVar[tuple[asyncio.AbstractEventLoop, ...]] = contextvars.ContextVar(
    "mad_prefect_blocked", default=()
)

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread, so that other tasks go on meanwhile.

    A thread can't be stopped. Where the task that waits for it is cancelled or interrupted, the call is waited for all
    the same before that goes on: nothing that cleans up ever meets it at work.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # the task was destroyed with its loop, and is cleaning up: nothing can be awaited any more
        return call(*args, **kwargs)
    # Not a task, which a loop that ends would cancel with all others while the thread goes on.
    bound = partial(contextvars.copy_context().run, _kept, partial(call, *args, **kwargs))
    work = loop.run_in_executor(None, bound)
    try:
        outcome = await asyncio.shield(work)
    except BaseException:
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # seen: what the caller gets is the cancellation, or this
        raise
    if isinstance(outcome, _TimedOut):
        raise outcome.error
    return outcome


class _TimedOut(NamedTuple):
    error: TimeoutError


def _kept(call: Callable[[], T]) -> T | _TimedOut:
    """What a call returns. asyncio would make another object of a TimeoutError, without its notes and cause."""
    try:
        return call()
    except TimeoutError as error:
        return _TimedOut(error)


def in_threads(call: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """`call` of each item, several at a time, each with the context variables of this thread; in the items' order."""
    bound: list[Callable[[], T]] = [partial(contextvars.copy_context().run, call, item) for item in items]
    if len(bound) == 1:
        return [work() for work in bound]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(lambda work: work(), bound))


def run_sync(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, whether or not an event loop is running in this thread.

    Where one is, the coroutine gets a loop and a thread of its own, with this one's context variables: what belongs
    to the running loop is not touched.
    """
    outcome: list[T] = []

    async def keep() -> None:
        # Not as the task's own result: `asyncio.run` makes a repr of that, and a relation's runs its query.
        outcome.append(await call())

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(keep())
        return outcome[0]
    problem: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(keep())
        except BaseException as error:
            problem.append(error)

    token = _blocked.set((*_blocked.get(), asyncio.get_running_loop()))
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name="mad-prefect-sync")
    _blocked.reset(token)
    thread.start()
    thread.join()
    if problem:
        raise problem[0]
    return outcome[0]


def is_blocked(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Whether this loop stands still until the call returns that asks, by `run_sync`."""
    return loop in _blocked.get()


class StillRunningError(TimeoutError):
    """A call took longer than it was given."""


def run_within(call: Callable[[], T], seconds: float) -> T:
    """Run a blocking call in a thread of its own, with this one's context variables, for so many seconds at most.

    Raises `StillRunningError` where it takes longer. No thread can be stopped from outside, so this one is left behind:
    it ends as soon as it runs Python code again, and it does not keep the process from ending.
    """
    outcome: list[T] = []
    problem: list[BaseException] = []
    ended = threading.Event()
    ending = threading.Lock()

    def work() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            problem.append(error)
        with ending:
            ended.set()

    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(work,), name="mad-prefect-bounded", daemon=True
    )
    try:
        thread.start()
        if not ended.wait(seconds):
            raise StillRunningError(f"not done after {seconds:g} seconds")
    finally:
        with ending:  # while this is held the thread can't end, so its identifier is not yet another's
            if not ended.is_set():
                _end(thread)
    if problem:
        raise problem[0]
    return outcome[0]


def _end(thread: threading.Thread) -> None:
    """Have a thread raise SystemExit when it next runs Python code."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
