"""Names of modules: the same for a file however it was loaded.

Python calls one file `__main__` where it is run, `flow` or `__prefect_loader_…` where Prefect loads it by its path, and
`pkg.flow` where it is imported. What is stored of an asset goes by one name: that of its file, with the packages
(folders with an `__init__.py`) that it is in.
"""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from types import ModuleType
from typing import Any

__all__ = [
    "as_before",
    "global_of",
    "is_before",
    "is_called_by_cloudpickle",
    "is_earlier_name",
    "module_name",
    "module_of",
]

_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_PASSING = ("__main__", "__mp_main__", "__prefect_loader_")
"""Names, or their beginnings, that say how a file was loaded and not which file it is."""

_before: ContextVar[tuple[str, str] | None] = ContextVar("mad_prefect_modules_before", default=None)


def module_of(value: Any) -> str:
    """The name of the module that a function or class is of: by its file, where it has one, if it is not installed."""
    name = str(value.__module__)
    file = _file_of(value)
    stable = _name_of(file, name) if file else name
    if (before := _before.get()) is not None:
        return before[1] if stable == before[0] else name
    return stable


def module_name(module: ModuleType) -> str:
    """The name of a module, by its file as that of a function in it."""
    file = getattr(module, "__file__", None)
    return _name_of(file, module.__name__) if isinstance(file, str) else module.__name__


@contextmanager
def as_before(stable: str, name: str) -> Iterator[None]:
    """Have names of modules be as they were told before they went by files, when the module now called `stable` was
    loaded as `name`."""
    token = _before.set((stable, name))
    try:
        yield
    finally:
        _before.reset(token)


def is_before() -> bool:
    """Whether names of modules are told as they were, by `as_before`."""
    return _before.get() is not None


def is_earlier_name(name: str, stable: str) -> bool:
    """Whether a module that is now called `stable` may have been loaded as `name`."""
    return name.startswith(_PASSING) or name.rpartition(".")[2] == stable.rpartition(".")[2]


def _file_of(value: Any) -> str | None:
    """The file that a function or class is written in."""
    name = value.__module__
    spaces: list[dict[str, Any]] = []
    if inspect.isfunction(value):
        with suppress(ValueError):  # a circle of wrappers
            spaces.append(getattr(inspect.unwrap(value), "__globals__", {}))
    if name in sys.modules:
        spaces.append(vars(sys.modules[name]))
    for space in spaces:
        if space.get("__name__") == name and isinstance(file := space.get("__file__"), str):
            return file
    return None


@lru_cache(maxsize=4096)
def _name_of(file: str, name: str) -> str:
    path = os.path.abspath(file)
    stem, suffix = os.path.splitext(os.path.basename(path))
    installed = path.startswith(_INSTALLED) and not name.startswith(_PASSING)
    if installed or suffix != ".py" or not os.path.isfile(path):
        return name
    folder = os.path.dirname(path)
    parts = [] if stem == "__init__" else [stem]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, package = os.path.split(folder)
        parts.insert(0, package)
    return ".".join(parts) or name


def global_of(fn: Any) -> Any:
    """What the module of a function has under its name; None where that is nothing."""
    found: Any = sys.modules.get(fn.__module__)
    for name in fn.__qualname__.split("."):
        found = getattr(found, name, None)
    return found


def is_called_by_cloudpickle() -> bool:
    """Whether the function that asks was called while cloudpickle, be it one that another package brings, pickles."""
    caller = inspect.currentframe()
    for _ in range(2):
        caller = caller.f_back if caller else None
    return caller is not None and str(caller.f_globals.get("__name__")).rpartition(".")[2] == "cloudpickle"
