"""Running the code of plugins: for a limited time while they are loaded, and with errors that name them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pluggy

from mad_prefect_core.errors import MadPrefectError, PluginLoadError
from mad_prefect_core.plugins.records import PluginRecord, failed
from mad_prefect_core.settings import get_settings
from mad_prefect_core.threads import StillRunningError, run_within

__all__ = ["ask", "in_time", "listed", "taking", "wrong"]

T = TypeVar("T")


def in_time(record: PluginRecord, what: str, call: Callable[[], T]) -> T:
    """Run code of a plugin that is being loaded, in another thread if need be, for as long as plugins are given.

    Raises `PluginLoadError` where it takes longer. A plugin of a package that this very thread is importing has to run
    here: in another thread it would wait for that import.
    """
    importing = _importing()
    if record.package in {name.partition(".")[0] for name in importing}:
        return call()
    seconds = get_settings().plugin_timeout
    try:
        return run_within(call, seconds)
    except StillRunningError:
        waiting = f" It may wait for the import of {importing[0]}, which asked for plugins." if importing else ""
        raise PluginLoadError(
            f"The plugin's {what} was not done after {seconds:g} seconds",
            plugin=record.label,
            hint="MAD_PREFECT_PLUGIN_TIMEOUT gives it longer, MAD_PREFECT_PLUGINS_DENY leaves it out." + waiting,
        ) from None


def _importing() -> list[str]:
    """The modules that this thread is in the middle of importing, the innermost first."""
    frame, names = inspect.currentframe(), []
    while frame is not None:
        name = frame.f_globals.get("__name__", "__main__")
        if frame.f_code.co_name == "<module>" and name != "__main__":
            names.append(name)
        frame = frame.f_back
    return names


def taking(implementation: pluggy.HookImpl) -> Callable[..., Any]:
    """The implementation's function, to be called with all of the hook's arguments: it may take fewer."""
    function, names = implementation.function, implementation.argnames
    return lambda **arguments: function(**{name: arguments[name] for name in names})


def ask(record: PluginRecord, hook: str, call: Callable[..., Any], **arguments: Any) -> Any:
    """What a plugin answers. Whatever it raises is a `PluginLoadError`, unless it is an error of ours."""
    try:
        answer = call(**arguments)
    except MadPrefectError:
        raise
    except (Exception, SystemExit) as error:
        raise failed(record, f"The plugin's hook {hook} failed", error) from error
    if inspect.iscoroutine(answer):
        answer.close()
        raise PluginLoadError(f"The plugin's hook {hook} is async; hooks are plain functions", plugin=record.label)
    return answer


def listed(values: Any) -> list[Any]:
    if inspect.iscoroutine(values):
        values.close()
        raise TypeError("it is async; hooks are plain functions")
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | dict):
        raise TypeError(f"it returned {type(values).__name__} where a list was expected")
    return list(values)  # a generator raises only here


def wrong(record: PluginRecord, hook: str, answer: Any, expected: str) -> PluginLoadError:
    return PluginLoadError(
        f"The plugin's hook {hook} returned {type(answer).__name__} where it is to return {expected}",
        plugin=record.label,
    )
