"""Avro of others and for others: real files, independent readers, schemas given by the user, damage."""

from __future__ import annotations

import datetime as dt
import io
import json
import uuid
from decimal import Context, Decimal
from pathlib import Path

import avro.datafile
import avro.io
import duckdb
import fastavro
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mad_prefect_avro import AvroFormat, reader
from mad_prefect_avro.container import read_blocks
from mad_prefect_avro.encode import encode, join
from mad_prefect_avro.schema import parse
from mad_prefect_core.batch import RowBatch
from mad_prefect_core.contracts import WriteContext
from mad_prefect_core.errors import (
    ConfigurationError,
    CorruptFileError,
    SchemaError,
    UnsupportedDataError,
    UnsupportedValueError,
)
from mad_prefect_core.session import schema_of

FORMAT = AvroFormat()
ROOT = Path(__file__).parents[3] / "shared" / "corpus"
FILES = sorted(ROOT.glob("avro/*.avro"))
CODECS = FORMAT.capabilities.compression


def rows_of(relation):
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def by_fastavro(path):
    with Path(path).open("rb") as file:
        rows = list(fastavro.reader(file))
    return [row if isinstance(row, dict) else {"value": row} for row in rows]


def record(*fields, name="r"):
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t, **rest} for n, t, rest in fields]}


def written(path, schema, rows, **options):
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), rows, **options)
    return path


NANOSECONDS = {"timestamp_logical_types.avro"}  # plain numbers to fastavro


@pytest.mark.parametrize("path", [p for p in FILES if p.name not in NANOSECONDS | {"fastavro-recursive.avro"}], ids=str)
@pytest.mark.parametrize("decoder", ["fastest", "fastavro"])
def test_files_of_others_are_read_as_fastavro_reads_them(decoder, path, corpus, scan, monkeypatch):
    if decoder == "fastavro":
        monkeypatch.setattr(reader, "fastest", lambda node: reader.decode_by_fastavro)
    assert rows_of(scan(FORMAT, path)) == by_fastavro(path)


def test_instants_and_local_times_of_all_units_are_read(corpus, scan):
    found = scan(FORMAT, corpus / "avro/timestamp_logical_types.avro")
    numbers = found.project(
        "epoch_ms(ts_millis), epoch_us(ts_micros), epoch_ns(local_ts_nanos), epoch_us(local_ts_micros)"
    )
    plain = [
        (int(r["ts_millis"].timestamp() * 1000), round(r["ts_micros"].timestamp() * 10**6), r["local_ts_nanos"],
         (r["local_ts_micros"] - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1))
        for r in by_fastavro(corpus / "avro/timestamp_logical_types.avro")
    ]  # fmt: skip
    assert numbers.fetchall() == plain


@pytest.mark.parametrize("path", [p for p in FILES if (ROOT / "parquet" / f"{p.stem}.parquet").exists()], ids=str)
def test_a_file_with_a_parquet_twin_has_its_values(path, corpus, scan, session):
    twin = (
        duckdb.connect()
        .execute("SET TimeZone = 'UTC'")
        .sql("FROM read_parquet($1)", params=[str(corpus / "parquet" / f"{path.stem}.parquet")])
    )
    found = scan(FORMAT, path)
    names = [name for name in twin.columns if name in found.columns]
    assert names
    kinds = {n: str(k) for n, k in zip(found.columns, found.types, strict=True)}
    others = {n: str(k) for n, k in zip(twin.columns, twin.types, strict=True)}
    # An instant of one is a local time of the other, and the twin has maps as Parquet's writers of old had them.
    compared = [n for n in names if kinds[n] == others[n] or not kinds[n].startswith(("TIMESTAMP", "STRUCT", "MAP"))]
    columns = ", ".join(f'"{name}"' for name in compared)
    if compared:
        ours, theirs = found.project(columns).fetchall(), twin.project(columns).fetchall()
        # Of one file the twin has some of the rows.
        assert ours == theirs or (path.stem == "alltypes_plain.snappy" and theirs and set(theirs) < set(ours))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_same_people_are_in_avro_and_parquet(number, corpus, scan):
    from mad_prefect_parquet import ParquetFormat

    query = "last_name, ip_address"
    avro_rows = scan(FORMAT, corpus / f"userdata/userdata{number}.avro").project(query).fetchall()
    assert len(avro_rows) in (998, 1000)
    parquet_rows = scan(ParquetFormat(), corpus / f"userdata/userdata{number}.parquet").project(query).fetchall()
    assert set(avro_rows) <= set(parquet_rows)


def test_a_type_that_contains_itself_is_one_clear_error(corpus, scan):
    with pytest.raises(UnsupportedDataError, match="'LongList' contains itself") as caught:
        scan(FORMAT, corpus / "avro/fastavro-recursive.avro")
    assert (caught.value.column, "fastavro-recursive" in caught.value.path) == ("next", True)


EVERYTHING = """
    SELECT i::BIGINT AS id, 'é ' || i AS text, i * 0.5 AS amount, (i * 1.25)::DECIMAL(9, 2) AS money,
    i % 2 = 0 AS flag, DATE '2020-02-29' + i::INTEGER AS day, [i, NULL] AS numbers, {'a': i, 'b': ['x']} AS nested,
    CASE WHEN i % 3 > 0 THEN encode('b' || i) END AS raw, (['x', 'y'])[1 + i % 2]::ENUM('x', 'y') AS kind,
    '01234567-89ab-cdef-0123-456789abcdef'::UUID AS uid, TIMESTAMPTZ '2024-02-29 12:00:00.000001+00' AS at
    FROM range(100) AS r(i)
"""


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_written_is_read_by_fastavro_polars_and_apache_avro(codec, export, scan, tmp_path):
    schema = export(FORMAT, EVERYTHING, tmp_path / "x.avro", compression=codec, block_size=500)
    expected = rows_of(scan(FORMAT, tmp_path / "x.avro", schema=schema))
    assert by_fastavro(tmp_path / "x.avro") == expected
    if codec in ("null", "deflate", "bzip2"):
        with (tmp_path / "x.avro").open("rb") as file:
            for row, other in zip(expected, avro.datafile.DataFileReader(file, avro.io.DatumReader()), strict=True):
                assert other == {**row, "uid": other["uid"]}
                assert str(other["uid"]) == str(row["uid"])
    if codec in ("null", "deflate", "snappy"):
        export(FORMAT, f"SELECT * EXCLUDE (kind) FROM ({EVERYTHING})", tmp_path / "p.avro", compression=codec)
        frame = pl.read_avro(tmp_path / "p.avro", columns=["id", "text", "amount", "flag", "day", "numbers", "raw"])
        assert frame.to_dicts() == [{n: row[n] for n in frame.columns} for row in expected]


TYPES = record(
    ("u", ["null", "int", "string", {"type": "enum", "name": "E", "symbols": ["A", "B"]}], {}),
    ("m", {"type": "map", "values": ["null", "long"]}, {}),
    ("f", {"type": "fixed", "name": "F", "size": 3}, {}),
    ("wide", {"type": "bytes", "logicalType": "decimal", "precision": 70, "scale": 3}, {}),
    ("t", {"type": "int", "logicalType": "time-millis"}, {}),
    ("d", {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}, {}),
    ("one", ["string"], {}),
    ("uid", {"type": "string", "logicalType": "uuid"}, {}),
    ("mid", ["int", "null", "string"], {}),
)


def test_types_that_few_writers_use_are_read(scan, tmp_path):
    row = {"u": ("E", "B"), "m": {"k": None, "l": 2**40}, "f": b"abc", "wide": Decimal(f"1{'0' * 60}.125"),
           "t": dt.time(1, 2, 3, 4000), "d": bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]), "one": "x",
           "uid": uuid.UUID(int=7), "mid": "y"}  # fmt: skip
    found = scan(FORMAT, written(tmp_path / "x.avro", TYPES, [row, {**row, "u": 1, "mid": None}, {**row, "u": None}]))
    assert found.project("u").fetchall() == [("B",), (1,), (None,)]
    assert found.project("union_tag(u)::VARCHAR").fetchall()[:2] == [("E",), ("int",)]
    assert found.project("mid").fetchall() == [("y",), (None,), ("y",)]
    first = rows_of(found)[0]
    assert {**first, "d": None} == {**row, "u": "B", "wide": f"1{'0' * 60}.125", "d": None}
    assert found.project("d::VARCHAR").fetchall()[0] == ("1 month 2 days 00:00:00.003",)


def test_only_what_a_query_needs_is_decoded_and_a_scan_can_be_repeated(scan, export, tmp_path, monkeypatch):
    seen = []
    real = reader.decode_by_polars
    monkeypatch.setattr(
        reader,
        "fastest",
        lambda node: lambda whole, node, blocks: seen.append(node.schema.names) or real(whole, node, blocks),
    )
    export(FORMAT, "SELECT i AS a, i AS b, i AS c FROM range(10) AS r(i)", tmp_path / "x.avro")
    relation = scan(FORMAT, tmp_path / "x.avro")
    assert relation.filter("b > 7").project("a").fetchall() == [(8,), (9,)]
    assert sorted(set().union(*seen)) == ["a", "b"]
    assert relation.aggregate("sum(c), count(*)").fetchall() == [(45, 10)]


def test_files_with_other_columns_types_and_codecs_are_united_by_name(scan, tmp_path):
    one = written(tmp_path / "1.avro", record(("a", "int", {}), ("b", "string", {})), [{"a": 1, "b": "x"}])
    two = written(
        tmp_path / "2.avro", record(("c", "double", {}), ("a", "long", {})), [{"a": 2**40, "c": 0.5}], codec="xz"
    )
    found = scan(FORMAT, one, two)
    assert schema_of(found) == {"a": "BIGINT", "b": "VARCHAR", "c": "DOUBLE"}
    assert found.fetchall() == [(1, "x", None), (2**40, None, 0.5)]


def test_a_schema_to_read_by_brings_aliases_defaults_and_promotions(scan, tmp_path):
    path = written(tmp_path / "x.avro", record(("old", "int", {}), ("gone", "string", {})), [{"old": 1, "gone": "x"}])
    schema = record(("new", "long", {"aliases": ["old"]}), ("more", "string", {"default": "d"}))
    found = scan(FORMAT, path, avro_schema=json.dumps(schema))
    assert (schema_of(found), found.fetchall()) == ({"new": "BIGINT", "more": "VARCHAR"}, [(1, "d")])


def test_numbers_of_one_unit_are_not_read_as_another(scan, tmp_path):
    def stamp(unit):
        return record(("at", {"type": "long", "logicalType": f"timestamp-{unit}"}, {}))

    path = written(tmp_path / "x.avro", stamp("millis"), [{"at": 1}])
    with pytest.raises(SchemaError, match="timestamp-millis where the schema to read by has a timestamp-micros"):
        scan(FORMAT, path, avro_schema=stamp("micros"))


def test_a_users_schema_is_written_as_it_is(export, tmp_path):
    schema = {
        "type": "record", "name": "Order", "namespace": "shop", "doc": "An order.",
        "fields": [
            {"name": "number", "type": "int", "aliases": ["id"], "doc": "Its number."},
            {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "OLD"]}},
            {"name": "note", "type": "string", "default": "none"},
        ],
    }  # fmt: skip
    (tmp_path / "order.avsc").write_text(json.dumps(schema))
    export(FORMAT, "SELECT 7::BIGINT AS id, 'NEW' AS state", tmp_path / "x", avro_schema=tmp_path / "order.avsc")
    with (tmp_path / "x").open("rb") as file:
        found = fastavro.reader(file)
        assert json.loads(found.metadata["avro.schema"]) == schema
        assert list(found) == [{"number": 7, "state": "NEW", "note": "none"}]


@pytest.mark.parametrize(
    ("query", "column"),
    [
        ("SELECT 2**40::BIGINT AS a", "a"),
        ("SELECT 1.5 AS a", "a"),
        ("SELECT NULL::INTEGER AS a", "a"),
        ("SELECT '07' AS a", "a"),
        ("SELECT 1 AS a, 2 AS b", "b"),
        ("SELECT 1 AS b", "a"),
    ],
)
def test_a_value_that_a_users_schema_would_change_is_refused_by_column(query, column, export, tmp_path):
    with pytest.raises(UnsupportedValueError) as caught:
        export(FORMAT, query, tmp_path / "x", avro_schema=record(("a", "int", {})))
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("kind", "logical", "value"),
    [
        ("int", "time-millis", "TIME '01:02:03.004'"),
        ("long", "time-micros", "TIME '01:02:03.000004'"),
        ("long", "timestamp-millis", "TIMESTAMPTZ '2024-02-29 12:00:00.123+00'"),
        ("long", "timestamp-micros", "TIMESTAMPTZ '2024-02-29 12:00:00.123456+00'"),
        ("long", "local-timestamp-millis", "TIMESTAMP '2024-02-29 12:00:00.123'"),
    ],
)
def test_times_are_written_in_the_unit_of_a_users_schema(kind, logical, value, export, scan, tmp_path):
    schema = record(("a", {"type": kind, "logicalType": logical}, {}))
    export(FORMAT, f"SELECT {value} AS a", tmp_path / "x", avro_schema=schema)
    expected = duckdb.sql(f"SELECT {value} AS a").fetchall()
    assert [tuple(row.values()) for row in by_fastavro(tmp_path / "x")] == expected
    assert scan(FORMAT, tmp_path / "x").fetchall() == expected


def test_a_uuid_is_written_as_the_bytes_of_a_users_schema(export, scan, tmp_path):
    kind = {"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"}
    export(FORMAT, f"SELECT '{uuid.UUID(int=7)}'::UUID AS a", tmp_path / "x", avro_schema=record(("a", kind, {})))
    assert by_fastavro(tmp_path / "x") == [{"a": uuid.UUID(int=7).bytes}]
    assert scan(FORMAT, tmp_path / "x").fetchall() == [(uuid.UUID(int=7),)]


def test_a_time_finer_than_its_unit_in_a_users_schema_is_refused_by_column(export, tmp_path):
    schema = record(("a", {"type": "long", "logicalType": "timestamp-millis"}, {}))
    with pytest.raises(UnsupportedValueError, match="would lose data") as caught:
        export(FORMAT, "SELECT TIMESTAMPTZ '2024-02-29 12:00:00.000001+00' AS a", tmp_path / "x", avro_schema=schema)
    assert caught.value.column == "a"


@pytest.mark.parametrize("null", ["first", "last", "none"])
def test_a_column_goes_to_its_own_type_of_a_users_union(null, export, tmp_path):
    union = {"first": ["null", "int", "string"], "last": ["int", "string", "null"], "none": ["int", "string"]}[null]
    for value in ("7", "'x'"):
        export(FORMAT, f"SELECT {value} AS a", tmp_path / "x", avro_schema=record(("a", union, {})))
        assert by_fastavro(tmp_path / "x") == [{"a": 7 if value == "7" else "x"}]
    if null != "none":
        export(FORMAT, "FROM (VALUES (7), (NULL)) AS t(a)", tmp_path / "x", avro_schema=record(("a", union, {})))
        assert by_fastavro(tmp_path / "x") == [{"a": 7}, {"a": None}]


def test_null_within_a_column_where_a_users_schema_has_none_is_refused_by_column(export, tmp_path):
    schema = record(("a", {"type": "array", "items": "int"}, {}))
    with pytest.raises(UnsupportedValueError, match="has no null") as caught:
        export(FORMAT, "SELECT [1, NULL] AS a", tmp_path / "x", avro_schema=schema)
    assert caught.value.column == "a"


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_cut_off_anywhere_is_an_error_that_names_it_or_its_whole_blocks(codec, export, scan, tmp_path):
    export(FORMAT, "SELECT i, 'x' || i AS t FROM range(50) AS r(i)", tmp_path / "x", compression=codec, block_size=100)
    whole = (tmp_path / "x").read_bytes()
    rows = scan(FORMAT, tmp_path / "x").fetchall()
    cut = tmp_path / "cut.avro"
    said = set()
    for end in range(0, len(whole), 37):
        cut.write_bytes(whole[:end])
        try:
            found = scan(FORMAT, cut).fetchall()
        except (CorruptFileError, duckdb.Error) as error:
            said.add("cut.avro" in str(error))
        else:
            assert found == rows[: len(found)]
    assert said == {True}


def test_a_codec_that_nobody_knows_is_an_error_that_lists_those_known(export, scan, tmp_path):
    export(FORMAT, "SELECT 1 AS a", tmp_path / "x", compression="null")
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes().replace(b"\x08null", b"\x08zopf"))
    with pytest.raises(ConfigurationError, match="'zopf' is unknown here"):
        scan(FORMAT, tmp_path / "x")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_decoder_gives_equal_columns(path, corpus):
    if path.name == "fastavro-recursive.avro":
        return
    source = reader.Source.of(str(path), lambda: path.open("rb"))
    node = parse(source.header.schema)
    blocks = list(source.blocks())
    if reader.fastest(node) is reader.decode_by_polars:
        [quick], [slow] = (d(node, node, blocks) for d in (reader.decode_by_polars, reader.decode_by_fastavro))
        assert quick == slow


def test_blocks_are_what_fastavro_finds(export, tmp_path):
    export(FORMAT, "FROM range(1000)", tmp_path / "x", block_size=300)
    data = (tmp_path / "x").read_bytes()
    source = reader.Source.of("x", lambda: io.BytesIO(data))
    file = source.open()
    header = reader.read_header(file, "x")
    assert [b.rows for b in read_blocks(file, header, "x", least=source.node.least, empty=source.node.empty)] == [
        b.num_records for b in fastavro.block_reader(io.BytesIO(data))
    ]


async def test_members_of_rows_have_any_name(base):
    from mad_prefect_core import asset

    row = {"id": 1, "v": {"a b": 1, "é": [{"x.y": 2}]}}

    @asset("x.avro", artifact_filetype="avro")
    def named():
        return [row]

    relation = await named.query()
    assert rows_of(relation) == [row]


@st.composite
def decimals(draw):
    digits = draw(st.integers(1, 38))
    scale = draw(st.integers(0, digits))
    most = 10**digits - 1
    numbers = st.integers(-most, most) | st.sampled_from([0, 1, -1, most, -most, -(2**7), 2**7, 2**15])
    return [
        None if number is None else Decimal(number).scaleb(-scale, Context(prec=38))
        for number in draw(st.lists(st.none() | numbers.filter(lambda number: abs(number) <= most), min_size=1))
    ]


@settings(deadline=None)
@given(values=decimals(), exponent=st.integers(0, 3))
def test_rows_of_decimals_are_written_exactly_wherever_they_stand(values, exponent, session, scan, folder):
    round_one = Decimal((0, (7,), exponent))
    rows = [{"v": value, "s": {"v": value, "l": [value, None]}, "r": round_one} for value in values]
    context = WriteContext(session=session, options=FORMAT.write_options(), suffix=".avro")
    writer = FORMAT.writer(folder / "d.avro", context)
    writer.write(RowBatch(rows))
    writer.write(RowBatch(rows))
    writer.close()
    assert by_fastavro(folder / "d.avro") == rows * 2
    assert rows_of(scan(FORMAT, folder / "d.avro")) == rows * 2


PLAIN = [
    ("null", st.none()),
    ("boolean", st.booleans()),
    ("int", st.integers(-(2**31), 2**31 - 1)),
    ("long", st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-65, -64, 63, 64, 2**14, -(2**34)])),
    ("double", st.floats(allow_nan=False)),
    ("string", st.text(max_size=80)),
    ("bytes", st.binary(max_size=80)),
    ({"type": "long", "logicalType": "local-timestamp-micros"}, st.datetimes()),
]


@st.composite
def kinds(draw, depth=0, name="n"):
    """A schema, and a strategy of its values. `name` is that of a record, which no other one of the schema has."""
    shape = draw(st.sampled_from(["plain", "array", "record"] if depth < 3 else ["plain"]))
    if shape == "plain":
        schema, values = draw(st.sampled_from(PLAIN))
    elif shape == "array":
        items, values = draw(kinds(depth + 1, f"{name}_i"))
        schema, values = {"type": "array", "items": items}, st.lists(values, max_size=4)
    else:
        members = [draw(kinds(depth + 1, f"{name}_{number}")) for number in range(draw(st.integers(1, 3)))]
        schema = record(*((f"f{number}", kind, {}) for number, (kind, _) in enumerate(members)), name=name)
        values = st.fixed_dictionaries({f"f{number}": value for number, (_, value) in enumerate(members)})
    union = draw(st.sampled_from(["first", "last", "none", ""]))
    if union == "" or schema == "null":
        return schema, values
    if union == "none":
        return [schema], values
    return (["null", schema] if union == "first" else [schema, "null"]), st.none() | values


def _is_bounded(schema):
    try:
        parse(record(("v", schema, {})))
    except UnsupportedDataError:  # lists of values without bytes
        return False
    return True


@settings(deadline=None)
@given(data=st.data())
def test_columns_are_encoded_as_fastavro_encodes_their_values(data):
    schema, values = data.draw(kinds().filter(lambda kind: _is_bounded(kind[0])))
    column = data.draw(st.lists(values, min_size=1))
    node = parse(record(("v", schema, {}))).members[0].node
    array = pa.array([column[0], *column], node.arrow)[1:]
    parsed = fastavro.parse_schema(schema)
    expected = []
    for value in column:
        encoded = io.BytesIO()
        fastavro.schemaless_writer(encoded, parsed, value)
        expected.append(encoded.getvalue())
    assert join(encode(node, array, "v"), len(array)).to_pylist() == expected


@settings(deadline=None)
@given(numbers=st.lists(st.none() | st.integers(-(10**38) + 1, 10**38 - 1)), extra=st.integers(0, 3))
def test_decimals_of_any_number_of_bytes_are_read(numbers, extra, scan, folder):
    def stored(number):
        size = number.bit_length() // 8 + 1 + (extra if number % 3 else 0)  # more bytes than needed are as good
        return number.to_bytes(size, "big", signed=True)

    schema = record(("v", ["null", {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2}], {}))
    rows = [{"v": None if number is None else stored(number)} for number in numbers]
    written(folder / "b.avro", schema, rows)
    exact = Context(prec=38)
    expected = [(None if number is None else Decimal(number).scaleb(-2, exact),) for number in numbers]
    assert scan(FORMAT, folder / "b.avro").fetchall() == expected


def test_a_decimal_of_more_digits_than_its_schema_says_is_an_error(scan, tmp_path):
    schema = record(("v", {"type": "bytes", "logicalType": "decimal", "precision": 3, "scale": 1}, {}))
    written(tmp_path / "x.avro", schema, [{"v": b"\x03\xe8"}])
    with pytest.raises(duckdb.Error, match=r"rows of the Avro file can't be read: .*precision"):
        scan(FORMAT, tmp_path / "x.avro").fetchall()


def test_uuids_of_every_form_are_read_and_other_text_is_refused(scan, tmp_path):
    uid = uuid.UUID("0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f")
    schema = record(("u", ["null", {"type": "string", "logicalType": "uuid"}], {}))
    moved = f"{str(uid).replace('-', '')}----"
    for form in (str(uid), str(uid).upper(), uid.hex, uid.urn, f"{{{uid}}}", moved):
        written(tmp_path / "x.avro", schema, [{"u": str(uid)}, {"u": None}, {"u": form}])
        assert scan(FORMAT, tmp_path / "x.avro").fetchall() == [(uid,), (None,), (uid,)]
    for wrong in (f"{str(uid)[:-1]}g", f"{str(uid)[:-1]}é", str(uid)[:-1], f"{uid}0", ""):
        written(tmp_path / "x.avro", schema, [{"u": str(uid)}, {"u": wrong}])
        with pytest.raises(duckdb.Error, match=r"rows of the Avro file can't be read: ValueError"):
            scan(FORMAT, tmp_path / "x.avro").fetchall()
