"""What each Arrow type is stored as: kept, converted exactly, or refused by name. One table for frames, tables and
streams.

| Arrow type | stored as |
|---|---|
| null, bool, integers, floats, binary of any kind | the same |
| text of any kind | the same; refused where it is not UTF-8 |
| halffloat | float |
| decimals of up to 38 digits | the same, as decimal128, with a scale from 0 |
| other decimals | refused |
| date32, date64 | date32; refused where a date64 has a time of day |
| time32, time64 | the same, from 00:00 to 24:00 |
| timestamp, duration | the same, within what DuckDB holds; durations in ns as us |
| month_day_nano_interval | the same; refused where it has parts of a microsecond |
| lists of any kind | list, large_list, or fixed_size_list of one item and more |
| struct, union | the same; unions sparse, their type codes counted from 0 |
| map | the same; refused where a key is null, or twice there |
| dictionary | of text the same; others as their values |
| run-end encoded | as its values |
| arrow.uuid, arrow.json, arrow.bool8 | UUID, JSON, BOOLEAN |
| other extension types, other types | refused |

What the type alone decides costs nothing for each value. Values are looked at only where they can be such as DuckDB
would change, lose, or fail of: some of them end all of a process's queries.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import pyarrow as pa

from mad_prefect_core.batch import compute as pc
from mad_prefect_core.batch.names import check_names
from mad_prefect_core.batch.numbers import MAX_DIGITS
from mad_prefect_core.batch.values import Path, column_name
from mad_prefect_core.errors import MadPrefectError, UnsupportedDataError, UnsupportedValueError

__all__ = ["Stored", "TypeTable", "convert_table"]

_NAME, _INT64_MAX = b"ARROW:extension:name", 2**63 - 1
_FIRST_MICROSECOND = -9_223_372_022_400_000_000  # of DuckDB's TIMESTAMP: 290309-12-22 (BC)
_FIRST_NANOSECOND = -9_223_286_400_000_000_000  # of DuckDB's TIMESTAMP_NS: 1677-09-22
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_EXTENSION_ADVICE = {
    "pandas.period": "Make it timestamps with .dt.to_timestamp(), or text with .astype(str).",
    "pandas.interval": "Make its bounds columns of their own, with .array.left and .array.right.",
    "geoarrow.": "Make it text with ST_AsText, or bytes with ST_AsWKB and the coordinate system in a column beside it.",
    "arrow.fixed_shape_tensor": "Make it lists, for example with pa.array(column.to_numpy_ndarray().tolist()).",
    "": "Cast it to its storage type, if that says all that it means, or make it text.",
}


class Stored(NamedTuple):
    """What arrays of a type are stored as."""

    type: pa.DataType
    convert: Callable[[pa.Array], pa.Array] | None = None
    """Checks an array's values, and lays it out as `type`: the array itself where nothing is to be done. None where
    every array of the type is stored as it is."""


class TypeTable:
    """The table, for one source.

    Args:
        text_is_valid: Whether its producer makes sure that text is UTF-8.
        json_is_valid: Whether it makes sure that `arrow.json` is JSON.
    """

    def __init__(self, *, text_is_valid: bool = False, json_is_valid: bool = False) -> None:
        self._text_is_valid = text_is_valid
        self._json_is_valid = json_is_valid

    def stored(self, field: pa.Field, path: Path) -> Stored:
        """What a column, or a member of one, is stored as. Raises `UnsupportedDataError`, `UnsupportedValueError` or
        `SchemaError`, naming the place."""
        kind = field.type
        if isinstance(kind, pa.BaseExtensionType):
            return self._extension(kind, kind.extension_name, path)
        if field.metadata and (name := field.metadata.get(_NAME)):  # of a type that is not registered with pyarrow
            return self._extension(kind, name.decode(errors="replace"), path)
        store = _TABLE.get(kind.id)
        if store is None:
            raise UnsupportedDataError(
                f"The column is {kind}, which DuckDB does not read",
                column=column_name(path),
                hint="Cast it to a type that docs/explanation/types.md has.",
            )
        return store(self, kind, path)

    def _extension(self, kind: Any, name: str, path: Path) -> Stored:
        storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        if name == "arrow.uuid" and pa.types.is_fixed_size_binary(storage) and storage.byte_width == 16:
            return Stored(kind) if storage is not kind else Stored(pa.uuid(), lambda array: array.cast(pa.uuid()))
        if name == "arrow.bool8" and pa.types.is_int8(storage):
            return Stored(pa.bool_(), lambda array: _storage(array).cast(pa.bool_()))
        if name == "arrow.json" and _is_text(storage):
            return self._json(kind, storage, path)
        advice = next(advice for prefix, advice in _EXTENSION_ADVICE.items() if name.startswith(prefix))
        raise UnsupportedDataError(
            f"The column is of the extension type {name}, of which only the storage, {storage}, would be kept",
            column=column_name(path),
            hint=advice,
        )

    def _json(self, kind: pa.DataType, storage: pa.DataType, path: Path) -> Stored:
        target = pa.json_(pa.string())
        text = self._text(storage, path).convert

        def convert(array: pa.Array) -> pa.Array:
            values = _storage(array)
            if text is not None:
                values = text(values)
            if not self._json_is_valid:
                _check_json(values, path)
            return array if kind.equals(target) else pa.ExtensionArray.from_storage(target, values.cast(pa.string()))

        return Stored(target, convert)

    def _kept(self, kind: pa.DataType, path: Path) -> Stored:
        return Stored(kind)

    def _text(self, kind: pa.DataType, path: Path) -> Stored:
        if self._text_is_valid:
            return Stored(kind)

        def convert(array: pa.Array) -> pa.Array:
            if not _is_ascii(array):
                try:
                    array.validate(full=True)
                except pa.ArrowInvalid as error:
                    raise UnsupportedValueError(
                        f"A text is not UTF-8: {error}",
                        column=column_name(path),
                        hint="Return the bytes as binary, or decode them from the encoding that they have.",
                    ) from error
            return array

        return Stored(kind, convert)

    def _half(self, kind: pa.DataType, path: Path) -> Stored:
        return _cast(pa.float32(), path, "")

    def _decimal(self, kind: Any, path: Path) -> Stored:
        precision = max(kind.precision, kind.scale)
        if precision > MAX_DIGITS:
            raise UnsupportedValueError(
                f"The column is {kind}, and DuckDB's decimals have {MAX_DIGITS} digits at most",
                column=column_name(path),
                hint="Cast it to decimal128(38, …), or to text.",
            )
        if kind.scale < 0:
            raise UnsupportedValueError(
                f"The column is {kind}, and DuckDB's decimals have no negative scale",
                column=column_name(path),
                hint=f"Cast it to decimal128({min(kind.precision - kind.scale, MAX_DIGITS)}, 0), or to text.",
            )
        if precision == kind.precision and not pa.types.is_decimal256(kind):
            return Stored(kind, _valid(path))
        return _cast(pa.decimal128(precision, kind.scale), path, "Cast it to decimal128, or to text.")

    def _date32(self, kind: pa.DataType, path: Path) -> Stored:
        return Stored(kind, _within(pa.int32(), -(2**31) + 1, 2**31 - 1, kind, path))

    def _date64(self, kind: pa.DataType, path: Path) -> Stored:
        return _cast(pa.date32(), path, "Cast it to timestamp('ms').")

    def _time(self, kind: Any, path: Path) -> Stored:
        day = 86_400 * _PER_SECOND[kind.unit]
        whole = pa.int32() if kind.bit_width == 32 else pa.int64()
        return Stored(kind, _within(whole, 0, day, kind, path))

    def _timestamp(self, kind: Any, path: Path) -> Stored:
        if kind.unit == "ns":
            low, high = _FIRST_NANOSECOND, _INT64_MAX - 1
        else:
            finer = 1_000_000 // _PER_SECOND[kind.unit]
            low, high = -(-_FIRST_MICROSECOND // finer), (_INT64_MAX - 1) // finer
        # DuckDB's two infinities; those of instants in seconds it can't read.
        infinite = kind.tz is None or kind.unit in ("us", "ns")
        return Stored(kind, _within(pa.int64(), low, high, kind, path, infinite=infinite))

    def _duration(self, kind: Any, path: Path) -> Stored:
        if kind.unit == "ns":  # DuckDB would cut them off
            return _cast(pa.duration("us"), path, "Round it, or cast it to integers.")
        most = _INT64_MAX // (1_000_000 // _PER_SECOND[kind.unit])
        return Stored(kind, _within(pa.int64(), -most, most, kind, path))

    def _interval(self, kind: pa.DataType, path: Path) -> Stored:
        def convert(array: pa.Array) -> pa.Array:
            if any(value is not None and value.nanoseconds % 1_000 for value in array.to_pylist()):
                raise UnsupportedValueError(
                    "An interval has parts of a microsecond, which DuckDB's INTERVAL has not",
                    column=column_name(path),
                    hint="Round it, or make its parts columns of their own.",
                )
            return array

        return Stored(kind, convert)

    def _list(self, kind: Any, path: Path) -> Stored:
        inner = self.stored(kind.value_field, (*path, "[]"))
        field = kind.value_field.with_type(inner.type).remove_metadata()
        size = kind.list_size if pa.types.is_fixed_size_list(kind) else 0
        large = pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind)
        target = pa.list_(field, size) if size else pa.large_list(field) if large else pa.list_(field)
        if inner.convert is None and target.equals(kind):
            return Stored(kind)

        def convert(array: pa.Array) -> pa.Array:
            flat = _flat(array)
            values = flat if inner.convert is None else inner.convert(flat)
            return array if values is flat and target.equals(kind) else _list_of(array, values, target)

        return Stored(target, convert)

    def _struct(self, kind: pa.StructType, path: Path) -> Stored:
        check_names([member.name for member in kind], path)
        members = [self.stored(member, (*path, member.name)) for member in kind]
        fields = [pa.field(field.name, member.type) for field, member in zip(kind, members, strict=True)]
        target = _unless_same(kind, pa.struct(fields))
        if target is kind and all(member.convert is None for member in members):
            return Stored(kind)

        def convert(array: pa.Array) -> pa.Array:
            found = [_member(array, index) for index in range(len(members))]
            converted = [_converted(member, values) for member, values in zip(members, found, strict=True)]
            if target is kind and all(map(_is, converted, found)):
                return array
            missing = array.is_null() if array.null_count else None
            return pa.StructArray.from_arrays(converted, fields=list(target), mask=missing)

        return Stored(target, convert)

    def _map(self, kind: Any, path: Path) -> Stored:
        key = self.stored(kind.key_field, (*path, "key"))
        if pa.types.is_null(key.type):  # of maps that never had a key, as of dicts
            key = Stored(pa.string(), lambda array: array.cast(pa.string()))
        item = self.stored(kind.item_field, (*path, "value"))
        same = key.type.equals(kind.key_type) and item.type.equals(kind.item_type)
        target = kind if same else pa.map_(key.type, item.type)

        def convert(array: pa.Array) -> pa.Array:
            first = array.offsets[0].as_py()
            size = array.offsets[-1].as_py() - first
            keys, items = array.keys.slice(first, size), array.items.slice(first, size)
            if keys.null_count:
                raise UnsupportedValueError(
                    "A map has a key that is null, which DuckDB's maps can't", column=column_name(path)
                )
            new_keys, new_items = _converted(key, keys), _converted(item, items)
            offsets = pc.subtract(array.offsets, first)
            _check_keys(pa.ListArray.from_arrays(offsets, new_keys), path)
            if target is kind and new_keys is keys and new_items is items:
                return array
            missing = array.is_null() if array.null_count else None
            return pa.MapArray.from_arrays(offsets, new_keys, new_items, type=target, mask=missing)

        return Stored(target, convert)

    def _union(self, kind: Any, path: Path) -> Stored:
        fields = [kind.field(index) for index in range(kind.num_fields)]
        check_names([field.name for field in fields], path)
        members = [self.stored(field, (*path, field.name)) for field in fields]
        codes = {code: index for index, code in enumerate(kind.type_codes)}
        target = _unless_same(
            kind, pa.sparse_union([pa.field(f.name, m.type) for f, m in zip(fields, members, strict=True)])
        )
        if target is kind and all(member.convert is None for member in members):
            return Stored(kind)

        def convert(array: pa.Array) -> pa.Array:
            # `type_codes` and `offsets` of a slice are those of the whole.
            _, given, *offsets = array.buffers()[:3]
            found = [codes[code] for code in _numbers(given, pa.int8(), array)]
            places = _numbers(offsets[0], pa.int32(), array) if kind.mode == "dense" else range(len(array))
            values = []
            for index, member in enumerate(members):
                rows = [place if code == index else None for code, place in zip(found, places, strict=True)]
                values.append(_converted(member, array.field(index).take(pa.array(rows, pa.int64()))))
            return pa.UnionArray.from_sparse(pa.array(found, pa.int8()), values, [field.name for field in fields])

        return Stored(target, convert)

    def _dictionary(self, kind: Any, path: Path) -> Stored:
        inner = self.stored(pa.field("", kind.value_type), path)
        if _is_text(kind.value_type):

            def check(array: pa.Array) -> pa.Array:
                _check_indices(array.indices, len(array.dictionary), path)
                _converted(inner, array.dictionary)
                return array

            return Stored(kind, check)

        def convert(array: pa.Array) -> pa.Array:
            _check_indices(array.indices, len(array.dictionary), path)
            return _converted(inner, array.dictionary).take(array.indices)

        return Stored(inner.type, convert)

    def _runs(self, kind: Any, path: Path) -> Stored:
        inner = self.stored(pa.field("", kind.value_type), path)

        def convert(array: pa.Array) -> pa.Array:
            numbers = pa.array(range(len(array.values)), pa.int64())
            places = pa.RunEndEncodedArray.from_arrays(array.run_ends, numbers)[array.offset :][: len(array)]
            return _converted(inner, array.values).take(pc.run_end_decode(places))

        return Stored(inner.type, convert)


_TABLE: dict[int, Callable[[TypeTable, Any, Path], Stored]] = {
    pa.lib.Type_NA: TypeTable._kept,
    pa.lib.Type_BOOL: TypeTable._kept,
    pa.lib.Type_INT8: TypeTable._kept,
    pa.lib.Type_INT16: TypeTable._kept,
    pa.lib.Type_INT32: TypeTable._kept,
    pa.lib.Type_INT64: TypeTable._kept,
    pa.lib.Type_UINT8: TypeTable._kept,
    pa.lib.Type_UINT16: TypeTable._kept,
    pa.lib.Type_UINT32: TypeTable._kept,
    pa.lib.Type_UINT64: TypeTable._kept,
    pa.lib.Type_HALF_FLOAT: TypeTable._half,
    pa.lib.Type_FLOAT: TypeTable._kept,
    pa.lib.Type_DOUBLE: TypeTable._kept,
    pa.lib.Type_DECIMAL32: TypeTable._decimal,
    pa.lib.Type_DECIMAL64: TypeTable._decimal,
    pa.lib.Type_DECIMAL128: TypeTable._decimal,
    pa.lib.Type_DECIMAL256: TypeTable._decimal,
    pa.lib.Type_STRING: TypeTable._text,
    pa.lib.Type_LARGE_STRING: TypeTable._text,
    pa.lib.Type_STRING_VIEW: TypeTable._text,
    pa.lib.Type_BINARY: TypeTable._kept,
    pa.lib.Type_LARGE_BINARY: TypeTable._kept,
    pa.lib.Type_BINARY_VIEW: TypeTable._kept,
    pa.lib.Type_FIXED_SIZE_BINARY: TypeTable._kept,
    pa.lib.Type_DATE32: TypeTable._date32,
    pa.lib.Type_DATE64: TypeTable._date64,
    pa.lib.Type_TIME32: TypeTable._time,
    pa.lib.Type_TIME64: TypeTable._time,
    pa.lib.Type_TIMESTAMP: TypeTable._timestamp,
    pa.lib.Type_DURATION: TypeTable._duration,
    pa.lib.Type_INTERVAL_MONTH_DAY_NANO: TypeTable._interval,
    pa.lib.Type_LIST: TypeTable._list,
    pa.lib.Type_LARGE_LIST: TypeTable._list,
    pa.lib.Type_LIST_VIEW: TypeTable._list,
    pa.lib.Type_LARGE_LIST_VIEW: TypeTable._list,
    pa.lib.Type_FIXED_SIZE_LIST: TypeTable._list,
    pa.lib.Type_STRUCT: TypeTable._struct,
    pa.lib.Type_MAP: TypeTable._map,
    pa.lib.Type_SPARSE_UNION: TypeTable._union,
    pa.lib.Type_DENSE_UNION: TypeTable._union,
    pa.lib.Type_DICTIONARY: TypeTable._dictionary,
    pa.lib.Type_RUN_END_ENCODED: TypeTable._runs,
}


def convert_table(table: pa.Table, stored: Sequence[Stored], schema: pa.Schema) -> pa.Table:
    """A table as it is stored; itself where that is no different. Raises `UnsupportedValueError` naming the column."""
    given = table.columns
    columns = [_column(field.name, *part) for field, *part in zip(schema, given, stored, strict=True)]
    return table if all(map(_is, columns, given)) else pa.Table.from_arrays(columns, schema=schema)


def _column(name: str, column: pa.ChunkedArray, stored: Stored) -> pa.ChunkedArray:
    if stored.convert is None:
        return column
    chunks = column.chunks
    try:
        converted = [stored.convert(chunk) for chunk in chunks]
    except MadPrefectError:
        raise
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise UnsupportedValueError(f"The {column.type} can't be read: {error}", column=name) from error
    return column if all(map(_is, converted, chunks)) else pa.chunked_array(converted, stored.type)


def _converted(stored: Stored, array: pa.Array) -> pa.Array:
    return array if stored.convert is None else stored.convert(array)


def _member(struct: pa.StructArray, index: int) -> pa.Array:
    """The values of a member, none where the struct is missing."""
    kind = struct.type.field(index).type
    if not struct.null_count or pa.types.is_union(kind) or pa.types.is_run_end_encoded(kind):
        return struct.field(index)  # those two can't be missing, and pyarrow would end the process
    return pc.struct_field(struct, [index])


def _is(one: object, other: object) -> bool:
    return one is other


def _unless_same(kind: pa.DataType, target: pa.DataType) -> pa.DataType:
    return kind if target.equals(kind) else target


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _storage(array: pa.Array) -> pa.Array:
    return array.storage if isinstance(array, pa.ExtensionArray) else array


# -- values ----------------------------------------------------------------------------------------------------------


def _cast(target: pa.DataType, path: Path, hint: str) -> Stored:
    """Of a type whose values are stored as `target`, those that it holds exactly."""

    def convert(array: pa.Array) -> pa.Array:
        try:
            return array.cast(target)
        except pa.ArrowInvalid as error:
            raise UnsupportedValueError(
                f"The column is {array.type}, and DuckDB has {target} at best: {error}",
                column=column_name(path),
                hint=hint,
            ) from error

    return Stored(target, convert)


def _valid(path: Path) -> Callable[[pa.Array], pa.Array]:
    """Checks an array as Arrow's own rules say."""

    def convert(array: pa.Array) -> pa.Array:
        try:
            array.validate(full=True)
        except pa.ArrowInvalid as error:
            raise UnsupportedValueError(
                f"The column has values that {array.type} can't have: {error}", column=column_name(path)
            ) from error
        return array

    return convert


def _within(
    whole: pa.DataType, low: int, high: int, kind: pa.DataType, path: Path, *, infinite: bool = False
) -> Callable[[pa.Array], pa.Array]:
    """Checks that the whole numbers in which an array counts are between two, or stand for one of the infinities."""

    def convert(array: pa.Array) -> pa.Array:
        values = array.view(whole)
        least, most = pc.min_max(values).as_py().values()
        if least is None or (low <= least and most <= high):
            return array
        if infinite:
            finite = pc.invert(pc.is_in(values, pa.array([_INT64_MAX, -_INT64_MAX])))
            least, most = pc.min_max(values.filter(finite)).as_py().values()
        if least is not None and not (low <= least and most <= high):
            raise UnsupportedValueError(
                f"A value of the {kind} is beyond what DuckDB holds: {least if least < low else most}",
                column=column_name(path),
                hint="Leave it out, or cast the column to integers.",
            )
        return array

    return convert


def _is_ascii(array: pa.Array) -> bool:
    """Whether all bytes of a text array are plain to see, at a fraction of what a whole check costs."""
    if pa.types.is_string_view(array.type) or not len(array):
        return not len(array)
    _, ends, data = array.buffers()
    number = pa.int64() if pa.types.is_large_string(array.type) else pa.int32()
    offsets = pa.Array.from_buffers(number, len(array) + 1, [None, ends], offset=array.offset)
    first, last = offsets[0].as_py(), offsets[-1].as_py()
    if data is None or not 0 <= first <= last <= data.size:
        return bool(first == last == 0)
    values = pa.Array.from_buffers(pa.int8(), last - first, [None, data], offset=first)
    least = pc.min_max(values)["min"].as_py()
    return least is None or least >= 0


def _check_json(texts: pa.Array, path: Path) -> None:
    for text in texts.to_pylist():
        try:
            if text is not None:
                json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise UnsupportedValueError(
                f"A value of the JSON column is not JSON: {error}",
                column=column_name(path),
                hint="Cast the column to text, or make the values JSON.",
            ) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check_indices(indices: pa.Array, size: int, path: Path) -> None:
    least, most = pc.min_max(indices).as_py().values()
    if least is not None and (least < 0 or most >= size):
        raise UnsupportedValueError(
            f"The dictionary has {size} values, and an index of {least if least < 0 else most}",
            column=column_name(path),
        )


def _numbers(buffer: pa.Buffer, kind: pa.DataType, like: pa.Array) -> list[int]:
    found: list[int] = pa.Array.from_buffers(kind, len(like), [None, buffer], offset=like.offset).to_pylist()
    return found


def _check_keys(lists: pa.ListArray, path: Path) -> None:
    """Raise if a map has a key twice. Each list has those of one map."""
    keys, most = lists.values, pc.max(pc.list_value_length(lists)).as_py()
    if most is None or most < 2:
        return
    rows = pc.list_parent_indices(lists)
    numbers, size = _numbered(keys)
    places = pc.add(pc.multiply(rows.cast(pa.int64()), size), numbers)
    if pc.count_distinct(places).as_py() == len(places):
        return
    counts = pc.value_counts(places)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))[0].as_py()
    key = keys[pc.index(places, twice).as_py()].as_py()
    raise UnsupportedValueError(
        f"A map has the key {key!r} more than once, which DuckDB's maps can't",
        column=column_name(path),
        hint="Keep one value of each key, or return lists of structs.",
    )


def _numbered(keys: pa.Array) -> tuple[pa.Array, int]:
    """A number for each key, the same for equal ones, and how many there are."""
    keys = _storage(keys)
    if pa.types.is_floating(keys.type):
        keys = pc.add(keys, pa.scalar(0, keys.type))  # which makes one zero of two
    if pa.types.is_nested(keys.type):
        keys = pa.array(map(repr, keys.to_pylist()), pa.string())
    coded = keys if pa.types.is_dictionary(keys.type) else keys.dictionary_encode()
    if isinstance(coded.dictionary, pa.StringArray) and coded is keys:  # a dictionary of others may repeat its values
        coded = coded.cast(coded.type.value_type).dictionary_encode()
    return coded.indices.cast(pa.int64()), max(len(coded.dictionary), 1)


def _flat(lists: pa.Array) -> pa.Array:
    """The items of all lists that are not missing."""
    if not (pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)):
        return lists.flatten()
    first, last = lists.offsets[0].as_py(), lists.offsets[-1].as_py()
    held = pc.sum(pc.list_value_length(lists)).as_py() or 0
    # Where no missing list hides items, nothing is copied, nor does pyarrow refuse extension types.
    return lists.values.slice(first, held) if held == last - first else lists.flatten()


def _list_of(like: pa.Array, values: pa.Array, target: Any) -> pa.Array:
    """Lists as long as those of another array, and missing where those are, of other values."""
    missing = like.is_null() if like.null_count else None
    if pa.types.is_fixed_size_list(target):
        full = pa.FixedSizeListArray.from_arrays(values, type=target)
        if missing is None:
            return full
        present = pc.invert(missing)
        places = pc.subtract(pc.cumulative_sum(present.cast(pa.int64())), 1)
        return full.take(pc.if_else(present, places, None))
    make = pa.LargeListArray if pa.types.is_large_list(target) else pa.ListArray
    number = pa.int64() if make is pa.LargeListArray else pa.int32()
    lengths = pc.fill_null(pc.list_value_length(like), 0).cast(number)
    ends = pc.cumulative_sum(lengths)
    offsets = pa.concat_arrays([pa.array([0], number), ends])
    return make.from_arrays(offsets, values, type=target, mask=missing)
