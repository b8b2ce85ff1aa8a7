"""Objects that have named members: what is a row, and a dict inside of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from mad_prefect_core.errors import SchemaError, UnsupportedDataError
from mad_prefect_core.translation import user_code

__all__ = ["MakeRow", "as_row", "is_model", "row_maker", "serialized"]

_KNOWN = 1024  # classes for which answers are kept

MakeRow: TypeAlias = Callable[[Any], dict[Any, Any] | None]
"""Makes a row of an object."""


def as_row(value: object) -> dict[Any, Any] | None:
    """A row of a dict, mapping, dataclass, attrs or msgspec object, named tuple, pydantic model or a database driver's
    row; None for anything else. Keys are as they are: text or not.

    Raises `UnsupportedDataError` or `SchemaError` for what should be a row and can't be.
    """
    kind: Any = type(value)
    make = row_maker(kind)
    return None if make is None else make(value)


def is_model(kind: type) -> bool:
    """Whether pydantic serializes objects of a class: models, `RootModel`s, dataclasses of pydantic's."""
    return issubclass(kind, BaseModel) or (dataclasses.is_dataclass(kind) and hasattr(kind, "__pydantic_serializer__"))


def serialized(value: Any) -> Any:
    """What a model serializes to, as `model_dump` has it: a dict, or of a `RootModel` anything."""
    kind = type(value)
    try:
        with user_code():  # serializers and properties of the user's own
            if isinstance(value, BaseModel) and kind.model_dump is not BaseModel.model_dump:
                return value.model_dump()
            return kind.__pydantic_serializer__.to_python(value, warnings=False)
    except (PydanticSerializationError, ValueError) as error:  # pydantic's word for a model that contains itself
        raise UnsupportedDataError(
            f"A {kind.__qualname__} can't be serialized by pydantic: {error}",
            hint="Correct its serializers, or yield plain dicts.",
        ) from error


@lru_cache(_KNOWN)
def row_maker(kind: type) -> MakeRow | None:
    """What makes rows of objects of a class; None for a class of something else."""
    if issubclass(kind, dict):
        return _same if kind is dict else dict  # a defaultdict makes up what is missing
    if is_model(kind):
        return _of_model
    if issubclass(kind, Mapping):
        return dict
    if hasattr(kind, "_mapping") and hasattr(kind, "_fields"):
        return _of_sqlalchemy
    if issubclass(kind, tuple) and hasattr(kind, "_asdict"):
        return _of_named_tuple
    if dataclasses.is_dataclass(kind):
        return _by_names([field.name for field in dataclasses.fields(kind)])
    if (attributes := getattr(kind, "__attrs_attrs__", None)) is not None:
        return _by_names([attribute.name for attribute in attributes])
    if isinstance(names := getattr(kind, "__struct_fields__", None), tuple):  # msgspec's
        return _by_names(list(names))
    is_frame = hasattr(kind, "dtype") or hasattr(kind, "dtypes") or hasattr(kind, "__arrow_c_stream__")
    if hasattr(kind, "keys") and hasattr(kind, "__getitem__") and hasattr(kind, "__len__") and not is_frame:
        return _of_driver
    return None


def _same(value: Any) -> Any:
    return value


def _of_model(value: Any) -> dict[Any, Any] | None:
    found = serialized(value)
    return found if isinstance(found, dict) else None


def _of_named_tuple(value: Any) -> dict[Any, Any]:
    return dict(value._asdict())


def _by_names(names: list[str]) -> MakeRow:
    return lambda value: {name: getattr(value, name) for name in names}


def _of_sqlalchemy(value: Any) -> dict[Any, Any]:
    return _row(list(value._fields), list(value))


def _of_driver(value: Any) -> dict[Any, Any] | None:
    """As sqlite3, asyncpg and psycopg have rows: `keys()`, and a value for each and no more. An element of XML has keys
    too, those of its attributes, and is none."""
    names = list(value.keys())
    if not names or len(names) != len(value):
        return None
    try:
        return _row(names, [value[name] for name in names])
    except TypeError:  # its indices are numbers
        return None


def _row(names: list[Any], values: list[Any]) -> dict[Any, Any]:
    row = dict(zip(names, values, strict=True))
    if len(row) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SchemaError(
            "A row of a query has two columns of one name",
            column=str(twice),
            hint="Name them apart in the query: SELECT … AS ….",
        )
    return row
