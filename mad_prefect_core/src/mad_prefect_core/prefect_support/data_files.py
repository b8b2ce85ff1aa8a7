"""Python data as the bytes of a small file, and back, for `read_data` and `write_data` of the block."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from mad_prefect_core.errors import UnsupportedDataError, located
from mad_prefect_core.prefect_support.json_values import dump_json, load_json

__all__ = ["from_bytes", "to_bytes"]


def to_bytes(path: str, data: Any, *, indent: bool) -> bytes:
    """`data` as what the suffix of `path` says: Parquet, CSV, or else JSON.

    For Parquet and CSV, `data` is a list of dicts, a dict of columns, one dict of values, or anything that speaks
    the Arrow PyCapsule interface. CSV gets lists and dicts as JSON text. Raises `UnsupportedDataError`, and
    `pyarrow.ArrowInvalid` (a `ValueError`) for a column of mixed types.
    """
    buffer = io.BytesIO()
    match _suffix(path):
        case "parquet":
            pyarrow.parquet.write_table(_table(data), buffer)
        case "csv":
            pyarrow.csv.write_csv(_flat(_table(data)), buffer)
        case _:
            with located(path=path):
                return dump_json(data, indent=indent)
    return buffer.getvalue()


def from_bytes(path: str, content: bytes, *, encoding: str) -> Any:
    """The inverse: a list of dicts from Parquet and CSV, whatever was serialized from JSON.

    CSV fields become numbers and booleans where the whole column is, and None where a field is empty; dates stay
    text, as in 2.x.
    """
    match _suffix(path):
        case "parquet":
            return pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
        case "csv":
            return _read_csv(content, encoding).to_pylist()
        case _:
            with located(path=path):
                return load_json(content.decode(encoding).removeprefix("\ufeff"))


def _suffix(path: str) -> str:
    return path.lower().rpartition(".")[2]


def _table(data: Any) -> Any:
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    if isinstance(data, Mapping):
        if all(isinstance(column, list | tuple) for column in data.values()):
            return pa.table({str(name): list(column) for name, column in data.items()})
        data = [data]
    rows = list(data)
    if not all(isinstance(row, Mapping) for row in rows):
        raise UnsupportedDataError(
            "Only a list of dicts, a dict or Arrow data can be written as a table",
            hint="Make each row a dict of column names to values.",
        )
    names = dict.fromkeys(name for row in rows for name in row)  # of all rows: later ones may bring columns
    return pa.table({str(name): [row.get(name) for row in rows] for name in names})


def _flat(table: Any) -> Any:
    for index, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            text = [None if value is None else json.dumps(value, default=str) for value in table[index].to_pylist()]
            table = table.set_column(index, field.name, pa.array(text, pa.string()))
    return table


def _read_csv(content: bytes, encoding: str) -> Any:
    def read(types: Mapping[str, Any]) -> Any:
        return pyarrow.csv.read_csv(
            io.BytesIO(content),
            read_options=pyarrow.csv.ReadOptions(encoding=encoding),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )

    table = read({})
    dates = {field.name: pa.string() for field in table.schema if pa.types.is_temporal(field.type)}
    return read(dates) if dates else table
