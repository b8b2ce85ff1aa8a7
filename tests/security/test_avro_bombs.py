"""What a small Avro file claims costs no more than the file has: it is rows, or an error that names the file."""

from __future__ import annotations

import bz2
import contextlib
import io
import json
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mad_prefect_avro import codecs
from mad_prefect_avro.container import number
from mad_prefect_avro.reader import AvroDataset, Source
from mad_prefect_avro.schema import MAX_DIGITS
from mad_prefect_core import DataArtifact
from mad_prefect_core.errors import CorruptFileError, DataError, MadPrefectError, SchemaError, UnsupportedDataError

_SYNC = bytes(range(16))
_NAMED = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "null"}]}


def text(value: bytes) -> bytes:
    return number(len(value)) + value


def avro(schema: Any, *blocks: tuple[int, bytes], codec: str = "null") -> bytes:
    """A file whose blocks claim to have so many rows in these bytes, as they are stored."""
    meta = {b"avro.schema": schema if isinstance(schema, bytes) else json.dumps(schema).encode()}
    meta[b"avro.codec"] = codec.encode()
    header = b"Obj\1" + number(len(meta)) + b"".join(text(key) + text(value) for key, value in meta.items()) + b"\0"
    return header + _SYNC + b"".join(number(rows) + text(data) + _SYNC for rows, data in blocks)


def record(*kinds: Any) -> Any:
    return {"type": "record", "name": "Root", "fields": [{"name": f"f{i}", "type": t} for i, t in enumerate(kinds)]}


def read(data: bytes) -> list[pa.RecordBatch]:
    """All batches, each of which is what is held at once."""
    source = Source.of("x.avro", lambda: io.BytesIO(data))
    return list(AvroDataset([source], source.node).batches(source.node.schema.names, None))


def refused(data: bytes) -> str:
    with pytest.raises(DataError) as raised:
        read(data)
    assert raised.value.path == "x.avro"
    return str(raised.value)


def test_millions_of_rows_of_nulls_are_read_a_few_at_a_time() -> None:
    batches = read(avro(_NAMED, (5_000_000, b"")))
    assert sum(batch.num_rows for batch in batches) == 5_000_000
    assert max(batch.num_rows for batch in batches) <= 1 << 20


def test_nulls_beside_a_value_are_made_a_few_at_a_time() -> None:
    batches = read(avro(record("boolean", *["null"] * 999), (2_000, bytes(2_000))))
    assert sum(batch.num_rows for batch in batches) == 2_000
    assert max(batch.num_rows for batch in batches) <= 1100


def test_a_byte_does_not_stand_for_thousands_of_nulls() -> None:
    schema = record("boolean", *["null"] * 9_999)
    assert "values that have no bytes" in refused(
        avro(schema, (1_000_000, zlib.compress(bytes(1_000_000), wbits=-15)), codec="deflate")
    )


@pytest.mark.parametrize("rows", [2**40, 2**62])
def test_rows_that_have_no_bytes_do_not_go_on_for_ever(rows: int) -> None:
    source = Source.of("x.avro", lambda: io.BytesIO(avro(_NAMED, (rows, b""))))
    with pytest.raises(CorruptFileError, match="values that have no bytes"):
        next(source.blocks())


@pytest.mark.parametrize(
    "kind",
    ["boolean", "long", "double", "string", ["null", "long"], {"type": "array", "items": "int"}, ["int", "string"]],
)
@pytest.mark.parametrize("rows", [1000, 2**31, 2**62])
def test_more_rows_than_bytes_are_refused_before_any_is_made(kind: Any, rows: int) -> None:
    assert "rows in 10 bytes" in refused(avro(record(kind), (rows, bytes(10))))


@pytest.mark.parametrize(
    "nothing",
    [
        "null",
        {"type": "fixed", "name": "F", "size": 0},
        {**_NAMED, "name": "Inner"},
        {**record("int", *["null"] * 17), "name": "Inner"},
    ],
)
def test_a_list_of_values_without_bytes_is_refused(nothing: Any) -> None:
    data = avro(record({"type": "array", "items": nothing}), (1, number(2**60) + b"\0"))
    assert "list of values without bytes" in refused(data)


@pytest.mark.parametrize("count", [2**31, 2**60, -(2**60), -(2**63)])
@pytest.mark.parametrize("kind", ["array", "map"])
def test_a_list_or_map_that_claims_more_items_than_it_has_is_refused(kind: str, count: int) -> None:
    schema = record({"type": kind, "items": "int", "values": "int"})
    assert "can't be read" in refused(avro(schema, (1, number(count) + b"\1" * 20)))


@pytest.mark.parametrize("kind", ["string", "bytes"])
@pytest.mark.parametrize("size", [1 << 31, 1 << 62, -5])
def test_text_longer_than_the_file_is_refused(kind: str, size: int) -> None:
    refused(avro(record(kind), (1, number(size) + b"abc")))


def test_a_number_that_does_not_end_is_refused() -> None:
    refused(avro(record("long"), (1, b"\xff" * 1000)))


@pytest.mark.parametrize(
    ("codec", "compress"),
    [
        ("deflate", lambda data: zlib.compress(data, wbits=-15)),
        ("bzip2", bz2.compress),
        ("bzip2", lambda data: bz2.compress(data[: len(data) // 2]) + bz2.compress(data[len(data) // 2 :])),
        ("xz", lzma.compress),
        ("zstandard", lambda data: bytes(pa.Codec("zstd").compress(data, asbytes=True))),
        ("snappy", lambda data: codecs.compress("snappy", data, None)),
    ],
)
def test_a_block_is_decompressed_only_as_far_as_its_limit(
    codec: str, compress: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    block = compress(bytes(100_000))
    assert sum(batch.num_rows for batch in read(avro(record("boolean"), (100_000, block), codec=codec))) == 100_000
    monkeypatch.setattr(codecs, "MOST_CONTENT", 99_999)
    assert "content" in refused(avro(record("boolean"), (100_000, block), codec=codec))


def test_a_snappy_block_that_claims_more_than_it_can_stand_for_is_refused() -> None:
    claim = bytes([0xFF, 0xFF, 0xFF, 0x7F, 0]) + bytes(4)
    assert "content" in refused(avro(record("boolean"), (1, claim), codec="snappy"))


def doubling(levels: int) -> Any:
    schema: Any = {"type": "record", "name": "R0", "fields": [{"name": "a", "type": "int"}]}
    for level in range(1, levels):
        fields = [{"name": "a", "type": schema}, {"name": "b", "type": f"R{level - 1}"}]
        schema = {"type": "record", "name": f"R{level}", "fields": fields}
    return schema


@pytest.mark.parametrize("levels", [20, 60])
def test_types_that_name_each_other_twice_are_refused_before_they_are_laid_out(levels: int) -> None:
    assert "more than 50000 places" in refused(avro(doubling(levels)))


def nested(depth: int) -> bytes:
    return b'{"type":"array","items":' * depth + b'"int"' + b"}" * depth


@pytest.mark.parametrize("schema", [record(json.loads(nested(300))), nested(3_000), nested(200_000), b"[" * 200_000])
def test_a_schema_nested_too_deep_is_refused(schema: Any) -> None:
    assert "nested" in refused(avro(schema))


def test_types_that_name_the_one_before_are_refused_where_they_nest_too_deep() -> None:
    kinds = [{"type": "record", "name": "R0", "fields": [{"name": "a", "type": "int"}]}]
    kinds += [
        {"type": "record", "name": f"R{i}", "fields": [{"name": "a", "type": f"R{i - 1}"}]} for i in range(1, 3000)
    ]
    assert "nested 250 deep" in refused(avro(record(*kinds)))


def test_a_type_that_contains_itself_is_refused() -> None:
    inner = {"type": "array", "items": "Root"}
    with pytest.raises(UnsupportedDataError, match="contains itself"):
        read(avro(record(inner)))


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "fixed", "name": "F", "size": 1 << 40},
        {"type": "fixed", "name": "F", "size": -1},
        {"type": "fixed", "name": "F", "size": "9"},
        {"type": "enum", "name": "E", "symbols": [1, 2]},
        {"type": "bytes", "logicalType": ["decimal"]},
        {"type": "array"},
        [],
        [{"type": "fixed", "name": f"F{i}", "size": 1} for i in range(300)],
        7,
        None,
    ],
    ids=lambda kind: repr(kind)[:40],
)
def test_a_schema_that_is_none_is_refused_by_name(kind: Any) -> None:
    refused(avro(record(kind), (1, bytes(10))))


def test_null_in_a_large_fixed_column_takes_no_room() -> None:
    kind = ["null", {"type": "fixed", "name": "F", "size": 1 << 30}]
    assert sum(batch.num_rows for batch in read(avro(record(kind), (1000, bytes(1000))))) == 1000


def test_a_decimal_of_a_billion_digits_is_bytes() -> None:
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 1_000_000_000, "scale": 2}
    [batch] = read(avro(record(kind), (1, text(b"\1"))))
    assert batch.to_pylist() == [{"f0": b"\1"}]


def test_columns_whose_names_differ_in_case_alone_are_refused_at_once() -> None:
    names = ["".join(c.upper() if n >> i & 1 else c for i, c in enumerate("abcdefghijklmno")) for n in range(20_000)]
    schema = {"type": "record", "name": "R", "fields": [{"name": name, "type": "int"} for name in names]}
    with pytest.raises(SchemaError, match="'abcdefghijklmno' and 'Abcdefghijklmno'"):
        Source.of("x.avro", lambda: io.BytesIO(avro(schema)))


@pytest.mark.parametrize(
    "header",
    [
        b"Obj\1" + number(2**60),
        b"Obj\1" + number(-(2**60)) + number(2**60),
        b"Obj\1" + number(1) + number(2**60) + b"abc",
        b"Obj\1" + number(1) + number(-1),
        b"Obj\1" + number(2) + (text(b"") + text(b"")) * 400_000,
        b"Obj\1" + b"\xff" * 100,
    ],
    ids=["count", "negative count", "size", "negative size", "entries", "number"],
)
def test_a_header_that_claims_too_much_is_refused(header: bytes) -> None:
    assert "header" in refused(header)


@pytest.fixture(scope="module")
def sound() -> dict[str, bytes]:
    """Small files with all there is, one that each decoder reads."""
    fields: list[tuple[str, Any, Any]] = [
        ("n", "long", -3),
        ("s", ["null", "string"], "äb"),
        ("l", {"type": "array", "items": ["null", "int"]}, [1, None]),
        ("r", ["null", {"type": "record", "name": "In", "fields": [{"name": "x", "type": "double"}]}], {"x": 0.5}),
        ("e", {"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B"),
        ("d", {"type": "bytes", "logicalType": "decimal", "precision": MAX_DIGITS, "scale": 2}, b"\1\2"),
        ("f", {"type": "fixed", "name": "F", "size": 3}, b"xyz"),
        ("t", {"type": "long", "logicalType": "timestamp-micros"}, 5),
        ("b", "boolean", True),
    ]
    others: list[tuple[str, Any, Any]] = [
        ("m", {"type": "map", "values": "int"}, {"k": 1}),
        ("u", ["int", "string", "null"], "x"),
    ]
    found = {}
    for name, kinds in (("polars", fields), ("fastavro", fields + others)):
        schema = {"type": "record", "name": "R", "fields": [{"name": n, "type": t} for n, t, _ in kinds]}
        raw = {**schema, "fields": [{"name": n, "type": t if n != "d" else "bytes"} for n, t, _ in kinds]}
        block = io.BytesIO()
        for _ in range(3):
            fastavro.schemaless_writer(block, fastavro.parse_schema(raw), {n: value for n, _, value in kinds})
        found[name] = avro(schema, (3, block.getvalue()), (3, block.getvalue()))
    return found


@pytest.mark.parametrize("name", ["polars", "fastavro"])
def test_a_file_cut_at_any_byte_is_rows_or_a_typed_error(sound: dict[str, bytes], name: str) -> None:
    assert sum(batch.num_rows for batch in read(sound[name])) == 6
    for end in range(len(sound[name])):
        with contextlib.suppress(CorruptFileError):
            read(sound[name][:end])


@pytest.mark.parametrize("name", ["polars", "fastavro"])
@settings(max_examples=150)
@given(data=st.data())
def test_a_file_with_changed_bytes_is_rows_or_a_typed_error(sound: dict[str, bytes], name: str, data: Any) -> None:
    damaged = bytearray(sound[name])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MadPrefectError):  # a codec or a type of another name is told as what it is
        read(bytes(damaged))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (avro(doubling(40)), "more than 50000 places"),
        (avro(nested(3_000)), "nested 3000 deep"),
        (avro(record("boolean"), (2**40, bytes(10))), "rows in 10 bytes"),
        (avro(_NAMED, (2**62, b"")), "values that have no bytes"),
        (avro(record("long"), (1, b"\xff" * 1000)), "can't be read"),
    ],
    ids=["doubling", "nested", "rows", "no bytes", "number"],
)
async def test_the_error_of_a_query_names_the_file(base: Path, data: bytes, problem: str) -> None:
    (base / "bomb.avro").write_bytes(data)
    artifact = DataArtifact("bomb.avro")

    with pytest.raises(DataError, match=problem) as raised:
        await _rows(artifact)
    assert "bomb.avro" in str(raised.value)


async def _rows(artifact: DataArtifact) -> Any:
    relation = await artifact.query()
    assert relation is not None
    return relation.fetchall()
