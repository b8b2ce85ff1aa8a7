"""Arrow arrays of plain Python values."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

__all__ = ["build_array"]


def build_array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """An array of a type. Raises what pyarrow does for values that do not fit."""
    if not _has_extension(kind):
        return pa.array(values, kind)
    # pyarrow builds extension types neither inside containers nor from every Python value: lay them out by hand.
    if isinstance(kind, pa.UuidType):
        storage = pa.array([value and value.bytes for value in values], kind.storage_type)
        return pa.ExtensionArray.from_storage(kind, storage)
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
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


def _has_extension(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return True
    return any(_has_extension(kind.field(i).type) for i in range(kind.num_fields))
