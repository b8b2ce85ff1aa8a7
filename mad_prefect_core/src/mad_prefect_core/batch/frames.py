"""Frames and other columnar data as Arrow: what their own ways to Arrow would change in silence is done here."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from mad_prefect_core.batch.arrays import build_array
from mad_prefect_core.batch.growth import settled
from mad_prefect_core.batch.infer import infer_column
from mad_prefect_core.batch.names import check_names, check_text
from mad_prefect_core.batch.numbers import MAX_DIGITS
from mad_prefect_core.batch.values import Path, column_name
from mad_prefect_core.errors import MadPrefectError, SchemaError, UnsupportedDataError, UnsupportedValueError
from mad_prefect_core.translation import user_code

__all__ = ["arrow_data", "has_valid_text", "index_columns", "of_polars"]

_UNNAMED = re.compile(r"__index_level_\d+__")  # as pyarrow calls the columns of an index without a name


def arrow_data(source: Any) -> pa.Table | pa.RecordBatchReader:
    """Columns from wherever they come. Raises `UnsupportedDataError`, `UnsupportedValueError` or `SchemaError`, naming
    the column; what a stream of somebody else's raises stays as it is."""
    if isinstance(source, pa.RecordBatchReader):
        return source
    if isinstance(source, pa.RecordBatch):
        return _without_row_numbers(pa.Table.from_batches([source]))
    if isinstance(source, pa.Table):
        return _without_row_numbers(source)
    if isinstance(source, pa.Array | pa.ChunkedArray):
        return _of_array(source)
    if _is_a("pandas", "DataFrame", source):
        return _of_pandas(source)
    if (table := of_polars(source)) is not None:
        return table
    for module in ("pandas", "polars"):
        if _is_a(module, "Series", source):
            raise UnsupportedDataError(
                f"A {module} Series has no column names", hint="Return a frame: series.to_frame()."
            )
    if hasattr(source, "__arrow_c_stream__"):
        with user_code():
            return _imported(pa.RecordBatchReader.from_stream, source)
    with user_code():
        return _of_array(_imported(pa.array, source))


def has_valid_text(source: Any) -> bool:
    """Whether whoever made these data makes sure that their text is UTF-8."""
    return _is_a("polars", "DataFrame", source) or _is_a("polars", "Series", source)


def index_columns(schema: pa.Schema) -> list[Any]:
    """What pandas recorded of a frame's index in an Arrow schema: names of columns, or dicts of ranges. None where
    there is no such record, or one that is not pandas'."""
    try:
        about = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        found = about["index_columns"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return []
    return found if isinstance(found, list) else []


def _is_a(module: str, name: str, source: object) -> bool:
    """Whether it is of a class of a module; no object is where nobody has imported that."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(source, kind)


def _imported(read: Callable[[Any], Any], source: Any) -> Any:
    try:
        return read(source)
    # Arrow does not say whose data it can't take: its error is raised again with the name of the class.
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        kind = type(source)
        raise UnsupportedDataError(
            f"A {kind.__module__.partition('.')[0]} {kind.__qualname__} can't be made a table of: {error}",
            hint="Return a frame or a table: named columns, each of one type.",
        ) from error


def _of_array(array: Any) -> pa.Table:
    if not pa.types.is_struct(array.type):
        raise UnsupportedDataError(
            f"An Arrow {type(array).__name__} of {array.type} has no column names",
            hint="Return a frame or a table, or a struct array.",
        )
    check_names([field.name for field in array.type])
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    schema = pa.schema(list(array.type))
    batches = [pa.RecordBatch.from_arrays(chunk.flatten(), schema=_nullable(schema)) for chunk in chunks]
    return pa.Table.from_batches(batches, _nullable(schema))


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in schema])


def _without_row_numbers(table: pa.Table) -> pa.Table:
    """A table without the numbers of rows that pandas stored in it, and without its metadata."""
    labels = index_columns(table.schema)
    if len(labels) == 1 and isinstance(labels[0], str) and _UNNAMED.fullmatch(labels[0]):
        place = table.schema.get_field_index(labels[0])
        if place >= 0 and pa.types.is_integer(table.schema.field(place).type):
            table = table.remove_column(place)
    # Without columns, a table that changes its metadata would lose the number of its rows.
    return table.replace_schema_metadata(None) if table.schema.metadata and table.num_columns else table


# -- pandas ----------------------------------------------------------------------------------------------------------


def _of_pandas(frame: Any) -> pa.Table:
    """Its columns, then its index as far as that is more than the numbers of rows, as `to_parquet` has them."""
    columns = [(_pandas_name(label, frame), series) for label, series in frame.items()]
    names = {name for name, _ in columns}
    for name, series in _index_levels(frame):
        if name in names:
            raise SchemaError(
                f"The frame's index and one of its columns both have the name {name!r}",
                column=name,
                hint="Rename one of them, or drop the index with .reset_index(drop=True).",
            )
        columns.append((name, series))
    check_names([name for name, _ in columns])
    if len(frame) and not len(frame.columns) and not any(frame.index.names):
        raise SchemaError("There are rows, but none has a column", hint="Return a frame with at least one column.")
    arrays = [_of_series(series, name) for name, series in columns]
    return pa.Table.from_arrays(arrays, [name for name, _ in columns])


def _pandas_name(label: Any, frame: Any) -> Any:
    if frame.columns.nlevels > 1:
        raise UnsupportedDataError(
            f"The frame's column {label!r} has a name of several levels",
            hint="Join them: frame.columns = ['_'.join(map(str, label)) for label in frame.columns].",
        )
    return _label(label)


def _label(label: Any) -> Any:
    """The name that a label is: text, or a number, which pandas gives to columns without a name."""
    if isinstance(label, str):
        return str(label)
    is_number = hasattr(label, "__index__") and not isinstance(label, bool)
    if is_number and not type(label).__name__.startswith("bool"):
        return str(int(label))
    raise UnsupportedDataError(
        f"A column name is {type(label).__name__} {label!r}, not text",
        column=str(label),
        hint="Make it text: frame.columns = frame.columns.map(str).",
    )


def _index_levels(frame: Any) -> Iterator[tuple[str, Any]]:
    index = frame.index
    if index.nlevels == 1 and index.name is None and (not len(index) or index.inferred_type == "integer"):
        return  # numbers that pandas has given to the rows
    for number, label in enumerate(index.names):
        name = f"__index_level_{number}__" if label is None else _label(label)
        yield name, index.get_level_values(number).to_series()


def _of_series(series: Any, name: str) -> Any:
    try:
        return _series_array(series, name)
    except MadPrefectError:
        raise
    except (OverflowError, UnicodeError) as error:
        raise UnsupportedValueError(
            f"A value of the {series.dtype} column can't be stored: {error}", column=name
        ) from error
    except Exception as error:
        raise UnsupportedDataError(
            f"The column is {series.dtype}, which Arrow can't hold: {error}",
            column=name,
            hint="Convert it, for example with .astype(str).",
        ) from error


def _series_array(series: Any, name: str) -> Any:
    pandas = sys.modules["pandas"]
    dtype = series.dtype
    if isinstance(dtype, pandas.SparseDtype):
        raise UnsupportedDataError(
            f"The column is {dtype}, and Arrow has no sparse columns",
            column=name,
            hint="Make it dense: frame[name] = frame[name].sparse.to_dense().",
        )
    if isinstance(dtype, pandas.CategoricalDtype) and pandas.api.types.is_object_dtype(dtype.categories.dtype):
        values = _of_objects(dtype.categories.tolist(), dtype.categories.isna(), (name,))
        codes = pa.array(series.cat.codes.to_numpy(), mask=(series.cat.codes < 0).to_numpy())
        return pa.DictionaryArray.from_arrays(codes, values)
    if pandas.api.types.is_object_dtype(dtype) or not _knows_arrow(series):
        return _of_objects(series.tolist(), series.isna(), (name,))
    return pa.array(series, from_pandas=True)


def _knows_arrow(series: Any) -> bool:
    """Whether a column's class is one that pyarrow knows, or has its own way to Arrow; of others pyarrow would take
    what numpy makes of them, which may be less."""
    module = type(series.dtype).__module__.partition(".")[0]
    return module in ("numpy", "pandas") or hasattr(series.array, "__arrow_array__")


def _of_objects(values: list[Any], missing: Any, path: Path) -> pa.Array:
    """Python objects, by the rule of rows: pyarrow's own would make one type of several in silence."""
    if missing.any():
        values = [None if gone else value for value, gone in zip(values, missing, strict=True)]
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {str}:  # what text looks like does not count in columns
        check_text("A text", "".join(filter(None, values)), path)
        return pa.array(values, pa.string())
    inferred = infer_column(values, path)
    if kinds == {int} and pa.types.is_decimal(inferred.type):
        raise UnsupportedValueError(
            "A column of Python integers has one that needs more than 64 bits, and Arrow has no such integers",
            column=column_name(path),
            hint="Make it decimal.Decimal, or text; rows (dicts) may have such integers.",
        )
    kind = settled(pa.schema([("", inferred.type)])).field(0).type
    return build_array(inferred.values, kind)


# -- polars ----------------------------------------------------------------------------------------------------------


def of_polars(data: Any) -> pa.Table | None:
    """The columns of a frame of polars, or of a series of its structs; None for anything else. Names are checked before
    polars is asked for Arrow: a NUL in one ends the process there."""
    if _is_a("polars", "DataFrame", data):
        _check_fields(data.schema.items(), ())
        return _of_frame(data)
    if _is_a("polars", "Series", data):
        _check_members(data.dtype, ())
        if hasattr(data.dtype, "fields"):
            return _of_frame(data.struct.unnest())
    return None


def _of_frame(frame: Any) -> pa.Table:
    """Columns of Python objects, of which polars would hand over addresses, go by the rule of rows."""
    polars = sys.modules["polars"]
    objects = {series.name: series for series in frame.iter_columns() if series.dtype == polars.Object}
    table = _exported(frame.drop(list(objects)))
    if not objects:
        return table
    columns = dict(zip(table.column_names, table.columns, strict=True))
    columns |= {name: _of_objects(series.to_list(), series.is_null(), (name,)) for name, series in objects.items()}
    return pa.table({name: columns[name] for name in frame.columns})


def _check_fields(fields: Iterable[tuple[str, Any]], path: Path) -> None:
    fields = list(fields)
    check_names([name for name, _ in fields], path)
    for name, dtype in fields:
        _check_members(dtype, (*path, name))


def _check_members(dtype: Any, path: Path) -> None:
    while (inner := getattr(dtype, "inner", None)) is not None:
        dtype, path = inner, (*path, "[]")
    if hasattr(dtype, "fields"):
        _check_fields([(field.name, field.dtype) for field in dtype.fields], path)


def _exported(frame: Any) -> pa.Table:
    """Arrow has no integers of 128 bits: they go as decimals, if they have no more than their digits."""
    for name, dtype in frame.schema.items():
        if (wanted := _without_int128(dtype)) == dtype:
            continue
        try:
            frame = frame.with_columns(frame[name].cast(wanted))
        except Exception as error:
            raise UnsupportedValueError(
                f"The column is {dtype}, and has integers of more than 38 digits: {error}", column=name
            ) from error
    return _imported(pa.table, frame)


def _without_int128(dtype: Any) -> Any:
    polars = sys.modules["polars"]
    if str(dtype) in ("Int128", "UInt128"):
        return polars.Decimal(MAX_DIGITS, 0)
    if isinstance(dtype, polars.List):
        return polars.List(_without_int128(dtype.inner))
    if isinstance(dtype, polars.Array):
        return polars.Array(_without_int128(dtype.inner), dtype.size)
    if isinstance(dtype, polars.Struct):
        return polars.Struct({field.name: _without_int128(field.dtype) for field in dtype.fields})
    return dtype
