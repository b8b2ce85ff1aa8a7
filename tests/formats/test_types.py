"""Every DuckDB type through every format: kept, or refused by name."""

from __future__ import annotations

import duckdb
import pytest

from mad_prefect_core.errors import UnsupportedValueError
from mad_prefect_core.session import schema_of

KEPT = {
    "ARRAY": ["[1, NULL, 3]::INTEGER[3]", "['a', '']::VARCHAR[2]"],
    "BIGNUM": ["'-123456789012345678901234567890123456789012345678901'::BIGNUM"],
    "BIT": ["'0'::BIT", f"'{'0' * 70}1'::BIT"],
    "BLOB": [r"'\x00\xFF\x0Aabc'::BLOB", "''::BLOB", r"'\x5Cx41\x22'::BLOB"],
    "BOOLEAN": ["true", "false"],
    "DATE": ["DATE '2024-02-29'", "DATE '0001-01-01'", "'infinity'::DATE", "'0044-03-15 (BC)'::DATE"],
    "DECIMAL": [
        "(-999.9)::DECIMAL(4, 1)",
        "0.0001::DECIMAL(4, 4)",
        "'123456789012345.678'::DECIMAL(18, 3)",
        "'1234567890123456789012345678.0123456789'::DECIMAL(38, 10)",
        "'0.00000000000000000000000000000000000001'::DECIMAL(38, 38)",
    ],
    "DOUBLE": ["0.1::DOUBLE", "'nan'::DOUBLE", "'-inf'::DOUBLE", "'-0.0'::DOUBLE", "5e-324", "1.7976931348623157e308"],
    "ENUM": ["'a b'::ENUM('a b', '', 'NULL')", "''::ENUM('a b', '', 'NULL')", "'NULL'::ENUM('a b', '', 'NULL')"],
    "FLOAT": ["1.1::FLOAT", "'nan'::FLOAT", "'inf'::FLOAT", "1e-45::FLOAT"],
    "HUGEINT": ["'-99999999999999999999999999999999999999'::HUGEINT", "10::HUGEINT"],
    "INTEGER": ["(-128)::TINYINT", "255::UTINYINT", "-9223372036854775808", "18446744073709551615::UBIGINT"],
    "INTERVAL": ["INTERVAL '1 year 2 months 3 days 04:05:06.789'", "INTERVAL '0 days'"],
    "JSON": ["""'{"a":[1,null],"b":"x, y"}'::JSON""", "'12345678901234567890123'::JSON"],
    "LIST": ["[1, NULL]", "[]::INTEGER[]", "[['a'], [], NULL, [NULL, '', 'NULL', ' p ', '[x]', 'a,\"b\"']]"],
    "LIST of DOUBLE": ["['nan'::DOUBLE, 'inf'::DOUBLE, -0.0::DOUBLE, NULL]"],
    "LIST of JSON": ["""['{"a":"x, y"}'::JSON, NULL, '[1]'::JSON]""", "[]::JSON[]"],
    "MAP": ["MAP {'a': 1, '': NULL, 'x=y, \"': 3}", "MAP {1: 'a', 2: NULL, 3: 'NULL', 4: ''}", "MAP {}::MAP(INT, INT)"],
    "MAP of BLOB": [r"MAP {'\xFF'::BLOB: ['\xFE'::BLOB, NULL]}"],
    "MAP of DOUBLE": ["MAP {'nan'::DOUBLE: 'inf'::DOUBLE}"],
    "NULL": ["NULL"],
    "STRUCT": ["{'a b': 1, 'q\"q': 'it''s', 'x.y': DATE '2020-01-01', 'select': NULL}", "{'a': ''}"],
    "STRUCT, nested": [
        r"[{'a': [{'b': ['\xFF'::BLOB]}, NULL], 'm': MAP {'k': {'d': 'nan'::DOUBLE}}}, NULL, {'a': NULL, 'm': NULL}]",
        "{'t': TIMESTAMPTZ '2024-02-29 12:34:56.123456+05:30', 'd': 1.5::DECIMAL(38, 10), 'e': 'x'::ENUM('x')}",
    ],
    "TIME": ["TIME '23:59:59.999999'", "TIME '24:00:00'", "'23:59:59.999999999'::TIME_NS"],
    "TIME WITH TIME ZONE": ["'23:59:59.999999+00'::TIMETZ"],
    "TIMESTAMP": [
        "TIMESTAMP '2024-02-29 12:34:56.123456'",
        "TIMESTAMP '0001-01-01 00:00:00'",
        "TIMESTAMP 'infinity'",
        "'0044-03-15 (BC) 01:02:03'::TIMESTAMP",
        "'2024-02-29 12:34:56'::TIMESTAMP_S",
        "'2024-02-29 12:34:56.123'::TIMESTAMP_MS",
        "'2024-02-29 12:34:56.123456789'::TIMESTAMP_NS",
    ],
    "TIMESTAMP WITH TIME ZONE": ["TIMESTAMPTZ '2024-02-29 12:34:56.123456+05:30'", "TIMESTAMPTZ 'infinity'"],
    "UUID": ["'01234567-89ab-cdef-0123-456789abcdef'::UUID"],
    "VARCHAR": [
        "''", "'NULL'", "'null'", "'  pad '", "'2024-01-01'", "'nan'", "'1.50'", "'true'", r"'\N'", "'#c'", "'{'",
        r"""e'a\'b"c,\n\r\t\\x é😀'""", "chr(0) || 'x'",
    ],
}  # fmt: skip

KEPT_BY = {
    "json": {
        "HUGEINT": ["170141183460469231731687303715884105727", "340282366920938463463374607431768211455::UHUGEINT"],
        "INTERVAL": ["INTERVAL '1 month -1 day'", "INTERVAL '-00:00:00.000001'", "[INTERVAL '-1 day']"],
        "LIST of HUGEINT": ["[170141183460469231731687303715884105727]"],
        "TIME WITH TIME ZONE": ["'01:02:03-12:45'::TIMETZ"],
        "UNION": [
            "union_value(i := 1)::UNION(i INTEGER, s VARCHAR)",
            "union_value(s := '1')::UNION(i INTEGER, s VARCHAR)",
        ],
    },
    "parquet": {
        "JSON": ["'1.50'::JSON", "'null'::JSON", """'{"a": 1}'::JSON"""],
        "MAP with nested keys": ["MAP {{'a': 1}: ['x']}"],
    },
    "csv": {
        "HUGEINT": ["170141183460469231731687303715884105727", "340282366920938463463374607431768211455::UHUGEINT"],
        "INTERVAL": ["INTERVAL '1 month -1 day'", "INTERVAL '-00:00:00.000001'", "[INTERVAL '-1 day']"],
        "JSON": ["'1.50'::JSON", "'null'::JSON", """'{"a": 1}'::JSON"""],
        "LIST of HUGEINT": ["[170141183460469231731687303715884105727]"],
        "MAP with nested keys": ["MAP {{'a': 1}: ['x']}"],
        "TIME WITH TIME ZONE": ["'01:02:03-12:45'::TIMETZ"],
    },
    "avro": {
        "HUGEINT": ["170141183460469231731687303715884105727", "340282366920938463463374607431768211455::UHUGEINT"],
        "ENUM of names": ["'a'::ENUM('a', 'B_2')"],
        "INTERVAL within": ["[INTERVAL '1 day', NULL]", "{'i': INTERVAL '1 month 2 days 00:00:00.003'}"],
        "JSON": ["'1.50'::JSON", "'null'::JSON", """'{"a": 1}'::JSON"""],
        "LIST of HUGEINT": ["[170141183460469231731687303715884105727]", "{'h': [-1::HUGEINT, NULL]}"],
        "MAP with nested keys": ["MAP {{'a': 1}: ['x']}"],
        "TIME WITH TIME ZONE": ["'01:02:03-12:45'::TIMETZ"],
        "UBIGINT within": ["[18446744073709551615::UBIGINT, 0, NULL]"],
    },
}

REFUSED_BY = {
    "json": {
        "MAP {{'a': 1}: ['x']}": "JSON has no keys but text",
        "union_value(d := 1.5::DOUBLE)": "one of its members needs another form in JSON, which a union can't take",
        "[1::VARIANT]": "each value has a type of its own, which JSON does not tell",
    },
    "parquet": {
        "170141183460469231731687303715884105727": "'170141183460469231731687303715884105727'",
        "340282366920938463463374607431768211455::UHUGEINT": "'340282366920938463463374607431768211455'",
        "INTERVAL '1 month -1 day'": "'1 month -1 day'",
        "INTERVAL '00:00:00.000001'": "'00:00:00.000001'",
        "[INTERVAL '1 day']": "its values can be checked only outside of lists, structs and maps",
        "{'h': 1::HUGEINT}": "its values can be checked only outside of lists, structs and maps",
        "'01:02:03+05:30'::TIMETZ": "'01:02:03+05:30'",
        "union_value(i := 1)": "Parquet does not say which member a value is of",
    },
    "csv": {
        "union_value(i := 1)": "text does not say which member a value is of",
        "[1::VARIANT]": "each value has a type of its own, which text does not tell",
    },
    "avro": {
        "INTERVAL '1 month -1 day'": "1 months, -1 days and 0 nanoseconds",
        "INTERVAL '00:00:00.000001'": "0 months, 0 days and 1000 nanoseconds",
        "[INTERVAL '-1 day']": "0 months, -1 days and 0 nanoseconds",
        "union_value(i := 1)": "Avro knows a value's member by its type, not by its name",
        "[1::VARIANT]": "each value has a type of its own",
    },
}


def kept():
    for format in ("json", "parquet", "csv", "avro"):
        for table in (KEPT, KEPT_BY[format]):
            for kind, values in table.items():
                yield pytest.param(format, values, id=f"{format}-{kind}")


@pytest.mark.parametrize(("name", "values"), list(kept()))
def test_every_type_comes_back_with_the_same_value_and_type(name, values, formats, session, export, scan, tmp_path):
    for value in values:
        query = f"SELECT * FROM (VALUES (1, {value}), (2, NULL), (3, {value})) AS rows(id, v)"
        session.execute(f"CREATE OR REPLACE TEMP TABLE original AS {query}")
        path = tmp_path / "file"
        schema = export(formats[name], "FROM original", path)
        found = scan(formats[name], path, schema=schema)
        assert schema_of(found) == schema, value
        # Text as well, since DuckDB holds 24 hours and a day, or 0.0 and -0.0, for equal.
        compared = "SELECT id, v, v::VARCHAR"
        view = session.view(found)
        assert session.sql(f"{compared} FROM {view} EXCEPT ALL {compared} FROM original").fetchall() == [], value
        assert session.sql(f"FROM {view}").fetchall() == session.sql("FROM original").fetchall() or "nan" in value


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [(name, value, reason) for name, table in REFUSED_BY.items() for value, reason in table.items()],
)
def test_a_value_that_would_change_is_refused_by_column(name, value, reason, formats, export, tmp_path):
    with pytest.raises(UnsupportedValueError) as caught:
        export(formats[name], f"SELECT 1 AS id, {value} AS \"the 'column'\"", tmp_path / "file")
    assert caught.value.column == "the 'column'"
    assert reason in str(caught.value)


@pytest.mark.skipif(duckdb.__version__ < "2", reason="DuckDB itself refuses it")
def test_a_struct_without_members_is_refused_by_column(format, export, tmp_path):
    import pyarrow as pa

    with pytest.raises(UnsupportedValueError, match="without members") as caught:
        export(format, pa.table({"empty": pa.array([{}], pa.struct([]))}), tmp_path / "file")
    assert caught.value.column == "empty"


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_instants_before_time_zones_were_whole_minutes_are_read_in_any_time_zone(
    zone, format, session, export, scan, tmp_path
):
    query = "SELECT TIMESTAMPTZ '1800-01-01 00:00:00+00' AS v, [TIMESTAMPTZ '0001-01-01 00:00:00+00'] AS l"
    instants = "epoch_us(v), epoch_us(l[1])"
    expected = session.sql(query).project(instants).fetchall()
    schema = export(format, query, tmp_path / "file")
    session.execute(f"SET TimeZone = '{zone}'")
    try:
        found = scan(format, tmp_path / "file", schema=schema)
        assert found.project(instants).fetchall() == expected
    finally:
        session.execute("SET TimeZone = 'UTC'")


def test_rows_keep_their_order(format, session, export, scan, tmp_path):
    schema = export(format, "SELECT i, 'row ' || i AS t FROM range(300_000) AS r(i)", tmp_path / "file")
    found = session.view(scan(format, tmp_path / "file", schema=schema))
    wrong = session.sql(f"SELECT count(*) FROM (SELECT i, row_number() OVER () - 1 AS n FROM {found}) WHERE i <> n")
    assert wrong.fetchall() == [(0,)]


def test_no_rows_keep_their_columns(format, export, scan, tmp_path):
    schema = export(format, "SELECT 1 AS a, [DATE '2020-01-01'] AS b WHERE false", tmp_path / "file")
    found = scan(format, tmp_path / "file", schema=schema)
    assert (schema_of(found), found.fetchall()) == (schema, [])
