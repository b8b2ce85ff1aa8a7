"""A digest of a function's code, with the helpers and values that it uses: for assets that run again when it changes.

What counts is what the code does: its instructions and constants, not comments, names of variables or line numbers.
Python's own modules and installed packages do not count. Another release of Python compiles other instructions, so
there everything runs once more.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from mad_prefect_core.assets.identity import encode
from mad_prefect_core.errors import ArgumentError

__all__ = ["code_digest"]

_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def code_digest(fn: Callable[..., Any]) -> str:
    """32 hexadecimal digits that change when what `fn` does changes, as far as it and its helpers say."""
    parts = hashlib.sha256()
    for piece in _pieces(fn, set()):
        parts.update(len(piece).to_bytes(8, "big") + piece)
    return parts.hexdigest()[:32]


def _pieces(value: Any, seen: set[int]) -> Iterator[bytes]:
    if isinstance(value, functools.partial):
        for inner in (value.func, value.args, value.keywords):
            yield from _pieces(inner, seen)
        return
    value = inspect.unwrap(value) if callable(value) else value
    if id(value) in seen:
        return
    if isinstance(value, FunctionType):
        seen.add(id(value))
        yield from _function(value, seen)
    elif isinstance(value, type):
        seen.add(id(value))
        yield value.__qualname__.encode()
        if not _is_installed(value.__module__):
            for name, member in sorted(vars(value).items()):
                function = getattr(member, "__func__", getattr(member, "fget", member))
                if isinstance(function, FunctionType):
                    yield name.encode()
                    yield from _pieces(function, seen)
    else:
        try:
            yield encode(value)
        except ArgumentError:
            yield f"{type(value).__module__}.{type(value).__qualname__}".encode()


def _function(fn: FunctionType, seen: set[int]) -> Iterator[bytes]:
    yield fn.__qualname__.encode()
    if fn.__code__.co_filename.startswith(_INSTALLED):
        yield fn.__module__.encode()
        return
    yield from _code(fn.__code__)
    yield from _pieces(fn.__defaults__, seen)
    yield from _pieces(fn.__kwdefaults__, seen)
    for cell in fn.__closure__ or ():
        try:
            yield from _pieces(cell.cell_contents, seen)
        except ValueError:  # not filled yet
            continue
    names = sorted(_names(fn.__code__))
    for name in names:
        if name not in fn.__globals__:
            continue
        used = fn.__globals__[name]
        yield name.encode()
        if not isinstance(used, ModuleType):
            yield from _pieces(used, seen)
        elif not _is_installed(used.__name__):
            for attribute in names:
                if attribute in vars(used):
                    yield attribute.encode()
                    yield from _pieces(vars(used)[attribute], seen)


def _code(code: CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield " ".join((*code.co_names, "|", *code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code(constant)
        elif constant is not Ellipsis:
            yield encode(constant)


def _names(code: CodeType) -> set[str]:
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)


def _is_installed(module: str) -> bool:
    if module.partition(".")[0] in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and file.startswith(_INSTALLED)
