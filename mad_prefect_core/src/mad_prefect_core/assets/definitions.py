"""Which assets this process defines: no two over one path, or with one name that somebody gave them."""

from __future__ import annotations

import gc
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from weakref import WeakValueDictionary

from mad_prefect_core.assets.modules import module_of
from mad_prefect_core.errors import OptionError
from mad_prefect_core.paths import is_url, split_url

__all__ = ["claim", "default_name", "label", "plain_name"]


class _Defined(Protocol):
    """What is asked of an asset here."""

    fn: Callable[..., Any]
    template_name: str
    template_path: str


_claims: WeakValueDictionary[tuple[str, str, str], _Defined] = WeakValueDictionary()
"""By what it is (path or name), which, and the function around the asset's own, "" for none."""
_lock = threading.Lock()


def default_name(fn: Callable[..., Any]) -> str:
    """The name of an asset that nobody has given one."""
    return f"{module_of(fn)}.{fn.__name__}"


def label(fn: Any) -> str | None:
    """The same of what may be no function at all."""
    inner = getattr(fn, "__func__", getattr(fn, "func", fn))
    return default_name(inner) if isinstance(getattr(inner, "__qualname__", None), str) else None


def plain_name(name: str) -> str:
    """A name with `_` for what no path segment should have."""
    return re.sub(r"[^A-Za-z0-9_.\-{}]", "_", name)


def claim(asset: _Defined, paths: Sequence[str]) -> None:
    """Have the asset be the one of its name and paths. Raises `OptionError` where another function's asset is that.

    The same function, by module and name, may be defined again: its file was loaded once more, or its cell in a
    notebook, or the function that makes it was called for other arguments. Functions within others are compared with
    those of the same one alone: the others may be calls that are over. What they write over is told by the record.
    """
    scope = _scope(asset)
    keys = [("path", _key(path), scope) for path in paths]
    keys.append(("name", asset.template_name, scope))
    with _lock:
        if any(_other(asset, key) for key in keys):
            gc.collect()  # one that nobody can call any more is no other
        for key in keys:
            kind = key[0]
            if problem := _other(asset, key):
                raise OptionError(
                    f"The {kind} {getattr(asset, f'template_{kind}')!r} is that of the asset {problem} already",
                    hint=(
                        f"Give each its own {kind}: the results of one would replace those of the other."
                        if kind == "path"
                        else "Give each its own name: their records and histories are stored by it."
                    )
                    + " If the function was given another name, as in a notebook, `del` the old one first.",
                )
        for claimed in keys:
            _claims[claimed] = asset


def _scope(asset: _Defined) -> str:
    around, local, _ = asset.fn.__qualname__.rpartition(".<locals>.")
    return f"{module_of(asset.fn)}.{around}" if local else ""


def _other(asset: _Defined, key: tuple[str, str, str]) -> str:
    """The asset of another function that has this already, in words; "" where there is none."""
    other = _claims.get(key)
    if other is None or _function(other) == _function(asset):
        return ""
    given = any(one.template_name != default_name(one.fn) for one in (asset, other))
    if key[0] == "name" and not given:
        return ""  # of local functions, and files, that are called alike: their paths tell them apart
    return f"{other.template_name!r}, of {module_of(other.fn)}.{other.fn.__qualname__}"


def _function(asset: _Defined) -> tuple[str, str, int]:
    named = asset.fn.__qualname__
    line = asset.fn.__code__.co_firstlineno if "<lambda>" in named and hasattr(asset.fn, "__code__") else 0
    return module_of(asset.fn), named, line


def _key(path: str) -> str:
    protocol, rest = split_url(path)
    key = "/".join(part for part in rest.split("/") if part not in ("", "."))
    return f"{protocol}://{key}" if is_url(path) and protocol != "mad" else key
