"""Python values as JSON, and back, by a table of plain types. Nothing that a file names is imported or called.

JSON has no dates, decimals, bytes or sets: such a value is written as `{"__class__": "datetime.date", "data": …}`, as
Prefect's serializer did it in 2.x. A name that is not in the table means nothing: the object is read as the dict that
it is. A dict of the user's that has just these two keys is written as a list of pairs, and so comes back unchanged.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import pathlib
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import AnyUrl, TypeAdapter
from pydantic_core import to_jsonable_python

from mad_prefect_core.batch.values import column_name, plain
from mad_prefect_core.errors import CorruptFileError, UnsupportedDataError

__all__ = ["dump_json", "load_json"]


@dataclass(frozen=True)
class _Kind:
    of: type
    write: Callable[[Any], Any]
    """The value as JSON has it: text or a list."""
    read: Callable[[Any], Any]
    written: type = str


_SAME_HASH = 100  # members of a set; by chance there are two or three


def _without_collisions(data: list[Any]) -> list[Any]:
    """Raise `ValueError` for members chosen to have one hash, which a set takes hours for."""
    if len(data) > _SAME_HASH and max(Counter(map(hash, data)).values()) > _SAME_HASH:
        raise ValueError("The members of a set have the same hashes")
    return data


_PATHS = {
    "PosixPath": pathlib.Path,
    "WindowsPath": pathlib.Path,
    "PurePosixPath": pathlib.PurePosixPath,
    "PureWindowsPath": pathlib.PureWindowsPath,
}
_ADDRESSES = ("IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network", "IPv4Interface", "IPv6Interface")

_KINDS = {
    "builtins.bytes": _Kind(
        bytes,
        lambda value: value.decode("utf-8", "surrogateescape"),
        lambda data: data.encode("utf-8", "surrogateescape"),
    ),
    "builtins.set": _Kind(set, list, lambda data: set(_without_collisions(data)), list),
    "builtins.frozenset": _Kind(frozenset, list, lambda data: frozenset(_without_collisions(data)), list),
    "collections.deque": _Kind(deque, list, deque, list),
    "datetime.datetime": _Kind(dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    "datetime.date": _Kind(dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "datetime.time": _Kind(dt.time, dt.time.isoformat, dt.time.fromisoformat),
    "datetime.timedelta": _Kind(dt.timedelta, to_jsonable_python, TypeAdapter(dt.timedelta).validate_python),
    "decimal.Decimal": _Kind(Decimal, str, Decimal),
    "uuid.UUID": _Kind(uuid.UUID, str, uuid.UUID),
    **{f"pathlib.{name}": _Kind(getattr(pathlib, name), str, read) for name, read in _PATHS.items()},
    **{f"ipaddress.{name}": _Kind(kind := getattr(ipaddress, name), str, kind) for name in _ADDRESSES},
}
_NAMES = {kind.of: name for name, kind in _KINDS.items()}

_MARK = {"__class__", "data"}
_PAIRS = "builtins.dict"
_NATIVE = (str, int, float, bool, type(None))


def dump_json(data: Any, *, indent: bool) -> bytes:
    """`data` as JSON. Models and dataclasses become dicts of their fields, enums their values.

    Raises `UnsupportedDataError` that names the place of a value that can't be written, such as a secret.
    """
    try:
        return json.dumps(_marked(data, ()), indent=4 if indent else None).encode()
    except RecursionError:
        raise UnsupportedDataError("The data is nested too deeply for JSON, or contains itself") from None
    except ValueError as error:  # an integer of thousands of digits
        raise UnsupportedDataError(f"The data can't be written as JSON: {error}") from error


def load_json(text: str) -> Any:
    """The inverse. Raises `ValueError` for what is not JSON, `CorruptFileError` for what is nested too deeply."""
    try:
        return json.loads(text, object_hook=_unmarked)
    except RecursionError:
        raise CorruptFileError("The JSON is nested too deeply to be read") from None


def _marked(value: Any, path: tuple[str, ...]) -> Any:
    kind = type(value)
    if kind in _NATIVE:
        return value
    if kind is list or kind is tuple:
        return [_marked(item, (*path, "[]")) for item in value]
    if kind is dict:
        return _marked_dict(value, path)
    if name := _NAMES.get(kind):
        return {"__class__": name, "data": _written(value, _KINDS[name], path)}
    if isinstance(value, AnyUrl):
        return str(value)
    if isinstance(value, BaseException):
        return {"__exc_type__": f"{kind.__module__}.{kind.__qualname__}", "message": str(value)}
    return _marked(plain(value, path), path)


def _marked_dict(value: dict[Any, Any], path: tuple[str, ...]) -> dict[Any, Any]:
    for key in value:
        if not isinstance(key, _NATIVE):
            raise UnsupportedDataError(
                f"A value of type {type(key).__qualname__} can't be a key in JSON", column=column_name(path)
            )
    if not all(isinstance(key, str) for key in value) and len(json.loads(json.dumps(dict.fromkeys(value)))) < len(
        value
    ):
        raise UnsupportedDataError("Two keys are the same in JSON, such as 1 and '1'", column=column_name(path))
    fields = {key: _marked(item, (*path, str(key))) for key, item in value.items()}
    return {"__class__": _PAIRS, "data": list(map(list, fields.items()))} if fields.keys() == _MARK else fields


def _written(value: Any, kind: _Kind, path: tuple[str, ...]) -> Any:
    data = _marked(kind.write(value), path)
    if kind.of in (set, frozenset) and any(isinstance(item, list) for item in data):
        raise UnsupportedDataError("A tuple in a set would be read as a list", column=column_name(path))
    return data


def _unmarked(found: dict[str, Any]) -> Any:
    if found.keys() != _MARK:
        return found
    name, data = found["__class__"], found["data"]
    if name == _PAIRS:
        return dict(data) if _are_pairs(data) else found
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is not None and kind.of is Decimal and isinstance(data, int | float):
        data = str(data)  # as older serializers wrote it
    if kind is None or not isinstance(data, kind.written):
        return found
    try:
        return kind.read(data)
    except (ValueError, TypeError, ArithmeticError):
        return found


def _are_pairs(data: Any) -> bool:
    if not isinstance(data, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in data):
        return False
    return sorted(str(pair[0]) for pair in data) == sorted(_MARK)
