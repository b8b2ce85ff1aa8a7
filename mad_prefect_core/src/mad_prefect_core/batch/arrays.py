"""Arrow arrays of plain Python values."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pyarrow as pa
from pydantic_core import to_json

__all__ = ["build_array"]


def build_array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """An array of a type. Raises what pyarrow does for values that do not fit."""
    if not _is_laid_out(kind):
        return pa.array(values, kind)
    # pyarrow builds maps not from dicts, and extension types neither inside containers nor from every Python value:
    # lay them out by hand.
    if isinstance(kind, pa.UuidType):
        storage = pa.array([value and value.bytes for value in values], kind.storage_type)
        return pa.ExtensionArray.from_storage(kind, storage)
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    if pa.types.is_map(kind):
        return _map_array(values, kind)
    missing = pa.array([value is None for value in values], pa.bool_())
    if pa.types.is_struct(kind):
        members = [
            build_array([None if v is None else v.get(field.name) for v in values], field.type) for field in kind
        ]
        return pa.StructArray.from_arrays(members, fields=list(kind), mask=missing)
    offsets: list[int] = [0]
    flat: list[Any] = []
    for value in values:
        flat += value or ()
        offsets.append(len(flat))
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), build_array(flat, kind.value_type), type=kind, mask=missing
    )


def _map_array(values: list[Any], kind: pa.MapType) -> pa.Array:
    """Of dicts, or of the pairs that Arrow has."""
    dicts = [value if value is None or isinstance(value, dict) else dict(value) for value in values]
    offsets: list[int | None] = []
    count = 0
    for value in dicts:
        offsets.append(None if value is None else count)
        count += len(value or ())
    present = [value for value in dicts if value]
    keys = build_array(list(chain.from_iterable(present)), kind.key_type)
    items = list(chain.from_iterable(map(dict.values, present)))
    if isinstance(kind.item_type, pa.JsonType):  # they have no other type for all
        items = [None if item is None else _json(item) for item in items]
    made = build_array(items, kind.item_type)
    return pa.MapArray.from_arrays(pa.array([*offsets, count], pa.int32()), keys, made, type=kind)


def _json(value: Any) -> str:
    return to_json(value, bytes_mode="base64", inf_nan_mode="strings").decode()


def _is_laid_out(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_map(kind):
        return True
    return any(_is_laid_out(kind.field(i).type) for i in range(kind.num_fields))
