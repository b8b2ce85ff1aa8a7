"""The module constants of 2.x: what is assigned to one is in force for the process, whichever way it is read."""

from __future__ import annotations

import sys
import types
from typing import Any

from mad_prefect_core.settings import Settings, assign, get_settings

__all__ = ["settable"]


def settable(module: str, *names: str) -> None:
    """Have settings, by the names of their variables, be constants of a module that may be assigned to.

    They are read when used, not when imported.
    """
    fields = {str(field.alias): name for name, field in Settings.model_fields.items()}
    constants = {name: _constant(name, fields[name]) for name in names}
    sys.modules[module].__class__ = type("Module", (type(sys.modules[module]),), constants)


def _constant(name: str, field: str) -> property:
    def read(_: types.ModuleType) -> Any:
        return getattr(get_settings(), field)

    def write(_: types.ModuleType, value: str | None) -> None:
        assign(name, value)

    return property(read, write)
