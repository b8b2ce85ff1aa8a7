"""A digest of a function's code, with the helpers and values that it uses: for assets that run again when it changes.

What counts is what the code does: its instructions and constants, not comments, names of variables or line numbers.
Python's own modules and installed packages count by name alone, unless the function itself is of that package. Another
release of Python compiles other instructions, so there everything runs once more.

Everything that a function can reach is a graph with cycles. It is walked with a list of what is left to do, so that no
depth of it is too much, and each node says what it is and which nodes it holds.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import importlib.util
import inspect
import operator
import re
import sys
import sysconfig
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import tzinfo
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, get_args, get_origin

from pydantic import SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from mad_prefect_core.assets.identity import encode
from mad_prefect_core.assets.modules import module_name, module_of
from mad_prefect_core.contracts import Asset

__all__ = ["code_digest"]

_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_PARTIAL = ("func", "args", "keywords")
_HOLDERS: dict[type, tuple[str, ...]] = {
    functools.partial: _PARTIAL,
    functools.partialmethod: _PARTIAL,
    functools.cached_property: ("func",),
    functools.singledispatchmethod: ("dispatcher", "func"),
    MethodType: ("__func__", "__self__"),
    BuiltinFunctionType: ("__qualname__", "__self__"),
    classmethod: ("__func__",),
    staticmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
    re.Pattern: ("pattern", "flags"),
    slice: ("start", "stop", "step"),
    FieldInfo: ("annotation", "default", "default_factory", "metadata"),
}
"""What holds others in attributes, and in which."""
_REDUCIBLE = (operator.itemgetter, operator.attrgetter, operator.methodcaller, tzinfo)
_DUNDERS = ("__annotations__", "__pydantic_fields__")
"""The members of classes with such names that count, besides functions."""


def code_digest(fn: Callable[..., Any]) -> str:
    """32 hexadecimal digits that change when what `fn` does changes, as far as it and its helpers say. It takes any
    function: what can't be looked at counts by its type."""
    own, sum_ = _package(fn), hashlib.sha256()
    seen: dict[int, tuple[int, Any]] = {}  # with the values themselves, so that no id is given to another meanwhile
    todo: list[Any] = [fn]
    while todo:
        value = todo.pop()
        parts: list[Any] = []
        if id(value) in seen:
            piece = f"again {seen[id(value)][0]}".encode()
        else:
            try:
                piece, parts = _node(value, own)
            except Exception:  # users' attributes may do anything
                piece = _label(type(value))
        if parts:  # what holds nothing can't lead back
            seen[id(value)] = (len(seen), value)
            todo.extend(reversed(parts))
        sum_.update(f"{len(piece)} {len(parts)} ".encode() + piece)
    return sum_.hexdigest()[:32]


def _node(value: Any, own: str) -> tuple[bytes, list[Any]]:
    """What a value is by itself, and the values that it holds."""
    kind = type(value)
    if kind in (bool, int, float, str, bytes, type(None)):
        return encode(value), []
    if isinstance(value, CodeType):
        flags = f"{value.co_flags} {value.co_argcount} {value.co_posonlyargcount} {value.co_kwonlyargcount}"
        arguments = value.co_varnames[: value.co_argcount + value.co_kwonlyargcount]
        return flags.encode(), [value.co_code, value.co_exceptiontable, value.co_names, arguments, value.co_consts]
    if isinstance(value, FunctionType):
        return _function(value, own)
    if isinstance(value, CellType):
        return b"cell", [value.cell_contents] if value != CellType() else []
    if isinstance(value, ModuleType):
        return module_name(value).encode(), []
    if origin := get_origin(value):
        return _label(kind), [origin, *get_args(value)]
    if isinstance(value, type):
        return _class(value, own)
    for holder, names in _HOLDERS.items():
        if isinstance(value, holder):
            return _label(kind), [getattr(value, name) for name in names]
    if isinstance(value, _REDUCIBLE):
        return _label(kind), list(value.__reduce__())
    if isinstance(value, Asset):
        return f"{value.name}|{value.path}|{value.id}".encode(), []
    return _object(value, kind, own)


def _object(value: Any, kind: type, own: str) -> tuple[bytes, list[Any]]:
    """Containers by what they hold, others by value; those of users' classes with their class and attributes too."""
    parts: list[Any] = []
    piece = _label(kind)
    if isinstance(value, dict | MappingProxyType):
        parts += _flat(value.items())
    elif isinstance(value, list | tuple | deque):
        parts += value
    elif isinstance(value, set | frozenset):
        parts += sorted(value, key=_order)
    elif not isinstance(value, Iterator | Mapping):  # the one would be used up, the other may be os.environ
        with suppress(Exception):
            piece += encode(value)
    if _is_installed(kind.__module__, own):
        return piece, [*parts, getattr(value, "__dict__", {}).get("__wrapped__")]
    parts.append(kind)
    if not hasattr(value, "__mad_prefect_key__") and not isinstance(value, SecretStr | SecretBytes):
        state = object.__getstate__(value)
        for attributes in state if isinstance(state, tuple) else (state,):  # a tuple where there are slots
            parts += _flat((k, v) for k, v in sorted((attributes or {}).items()) if not _is_cached(kind, k))
    return piece, parts


def _class(cls: type, own: str) -> tuple[bytes, list[Any]]:
    if _is_installed(cls.__module__, own):
        return _label(cls), []
    members = ((name, member) for name, member in sorted(vars(cls).items()) if _counts(name, member))
    return cls.__qualname__.encode(), [type(cls), *cls.__bases__, *_flat(members)]


def _counts(name: str, member: object) -> bool:
    if name.startswith("__"):
        return name in _DUNDERS or isinstance(member, FunctionType | classmethod | staticmethod)
    return name != "_value2member_map_"  # of an enum of flags: it grows with use


def _function(fn: FunctionType, own: str) -> tuple[bytes, list[Any]]:
    cells = fn.__closure__ or ()
    if _is_installed(fn.__globals__.get("__name__", ""), own, fn.__code__.co_filename):
        held = [*vars(fn).values(), *(cell.cell_contents for cell in cells if cell != CellType())]
        users = [value for value in held if isinstance(value, FunctionType | MethodType | MappingProxyType)]
        return _label(fn), users  # a decorator's function, a generic function's registry
    parts = [fn.__code__, fn.__defaults__, fn.__kwdefaults__, *cells, *_flat(sorted(vars(fn).items()))]
    return fn.__qualname__.encode(), parts + list(_used(fn, own))


def _used(fn: FunctionType, own: str) -> Iterator[Any]:
    """The globals that a function names, and what it names of users' modules, also of those that it imports itself."""
    codes = list(_codes(fn.__code__))
    names = sorted({name for code in codes for name in code.co_names})
    held = (cell.cell_contents for cell in fn.__closure__ or () if cell != CellType())
    modules = [value for value in held if isinstance(value, ModuleType)]
    for code in codes:
        modules += _imported(code, fn.__globals__.get("__package__") or "", own)
    spaces = [fn.__globals__, *(vars(module) for module in modules if not _is_installed(module.__name__, own))]
    for space in spaces:  # it grows
        for name in names:
            found = space.get(name)
            if isinstance(found, ModuleType) and not _is_installed(found.__name__, own):
                if not any(vars(found) is other for other in spaces):
                    spaces.append(vars(found))
            elif name in space:
                yield from (name, found)


def _imported(code: CodeType, package: str, own: str) -> Iterator[ModuleType]:
    """The users' modules that a function imports when it runs. They are loaded for this: what a call would do too."""
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    for level, members, step in zip(steps, steps[1:], steps[2:], strict=False):
        if step.opname != "IMPORT_NAME":
            continue
        with suppress(Exception, SystemExit):
            name = importlib.util.resolve_name("." * level.argval + step.argval, package)
            if _is_installed(name, own):
                continue
            yield (module := importlib.import_module(name))
            for member in members.argval or ():
                if not hasattr(module, member):
                    yield importlib.import_module(f"{name}.{member}")


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _package(fn: Any) -> str:
    """The top-level package of a function."""
    with suppress(Exception):  # a circle of wrappers, or an object that answers nothing
        while isinstance(fn, functools.partial):
            fn = fn.func
        return str(inspect.unwrap(fn).__module__).partition(".")[0]
    return ""


def _is_installed(module: str, own: str, file: str = "") -> bool:
    top = module.partition(".")[0]
    if top in (own, "__main__"):
        return False
    if top in sys.stdlib_module_names or top == __name__.partition(".")[0]:
        return True
    origin = getattr(sys.modules.get(module), "__file__", None)
    if module not in sys.modules:
        with suppress(ValueError):  # a module that was made by hand has no spec
            origin = getattr(importlib.util.find_spec(top), "origin", None)
    return any(str(path).startswith(_INSTALLED) for path in (file, origin))


def _order(item: Any) -> bytes:
    """Where an item of a set comes: the same in every process, whatever its hash is there."""
    with suppress(Exception):
        return encode(item)
    code = getattr(item, "__code__", None)
    return _label(item if code else type(item)) + (code.co_code if code else b"")


def _label(named: Any) -> bytes:
    return f"{module_of(named)}.{named.__qualname__}".encode()


def _flat(pairs: Iterable[tuple[Any, Any]]) -> list[Any]:
    return [value for pair in pairs for value in pair]


def _is_cached(cls: type, name: str) -> bool:
    return isinstance(getattr(cls, name, None), functools.cached_property)
