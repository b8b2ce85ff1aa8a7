"""Values of every DuckDB type, as SQL, and what becomes of them in a format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import duckdb

from mad_prefect_core.contracts import FormatLike
from mad_prefect_core.errors import UnsupportedValueError
from mad_prefect_core.session import schema_of
from mad_prefect_core.testing.formats.bench import Bench
from mad_prefect_core.type_names import names_in

__all__ = ["KINDS", "VALUES", "Outcome", "announces", "outcome_of", "type_in", "values_of"]

KINDS: dict[str, list[str]] = {
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
    "HUGEINT of 39 digits": [
        "170141183460469231731687303715884105727",
        "'-170141183460469231731687303715884105728'::HUGEINT",
        "340282366920938463463374607431768211455::UHUGEINT",
    ],
    "INTEGER": ["(-128)::TINYINT", "255::UTINYINT", "-9223372036854775808", "18446744073709551615::UBIGINT"],
    "INTERVAL": ["INTERVAL '1 year 2 months 3 days 04:05:06.789'", "INTERVAL '0 days'"],
    "INTERVAL, negative or fine": [
        "INTERVAL '1 month -1 day'", "INTERVAL '-00:00:00.000001'", "INTERVAL '00:00:00.000001'",
    ],
    "JSON": ["""'{"a":[1,null],"b":"x, y"}'::JSON""", "'12345678901234567890123'::JSON"],
    "LIST": ["[1, NULL]", "[]::INTEGER[]", "[['a'], [], NULL, [NULL, '', 'NULL', ' p ', '[x]', 'a,\"b\"']]"],
    "LIST of DOUBLE": ["['nan'::DOUBLE, 'inf'::DOUBLE, -0.0::DOUBLE, NULL]"],
    "LIST of HUGEINT": ["[170141183460469231731687303715884105727]", "{'h': 1::HUGEINT}"],
    "LIST of INTERVAL": ["[INTERVAL '1 day']", "[INTERVAL '-1 day']"],
    "LIST of JSON": ["""['{"a":"x, y"}'::JSON, NULL, '[1]'::JSON]""", "[]::JSON[]"],
    "MAP": ["MAP {'a': 1, '': NULL, 'x=y, \"': 3}", "MAP {1: 'a', 2: NULL, 3: 'NULL', 4: ''}", "MAP {}::MAP(INT, INT)"],
    "MAP of BLOB": [r"MAP {'\xFF'::BLOB: ['\xFE'::BLOB, NULL]}"],
    "MAP of DOUBLE": ["MAP {'nan'::DOUBLE: 'inf'::DOUBLE}"],
    "MAP with nested keys": ["MAP {{'a': 1}: ['x']}"],
    "NULL": ["NULL"],
    "STRUCT": ["{'a b': 1, 'q\"q': 'it''s', 'x.y': DATE '2020-01-01', 'select': NULL::INTEGER}", "{'a': ''}"],
    "STRUCT without members": ["{}", "[{}]"] if duckdb.__version__ >= "2" else [],  # DuckDB 1.5 has none
    "STRUCT, nested": [
        r"[{'a': [{'b': ['\xFF'::BLOB]}, NULL], 'm': MAP {'k': {'d': 'nan'::DOUBLE}}}, NULL, {'a': NULL, 'm': NULL}]",
        "{'t': TIMESTAMPTZ '2024-02-29 12:34:56.123456+05:30', 'd': 1.5::DECIMAL(38, 10), 'e': 'x'::ENUM('x')}",
    ],
    "TIME": ["TIME '23:59:59.999999'", "TIME '24:00:00'", "'23:59:59.999999999'::TIME_NS"],
    "TIME WITH TIME ZONE": ["'23:59:59.999999+00'::TIMETZ"],
    "TIME WITH TIME ZONE, not at UTC": ["'01:02:03-12:45'::TIMETZ", "'01:02:03+05:30'::TIMETZ"],
    "TIMESTAMP": [
        "TIMESTAMP '2024-02-29 12:34:56.123456'",
        "TIMESTAMP '0001-01-01 00:00:00'",
        "TIMESTAMP 'infinity'",
        "'0044-03-15 (BC) 01:02:03'::TIMESTAMP",
        "'2024-02-29 12:34:56'::TIMESTAMP_S",
        "'0001-01-01 00:00:00'::TIMESTAMP_S",
        "'2024-02-29 12:34:56.123'::TIMESTAMP_MS",
        "'0001-01-01 00:00:00'::TIMESTAMP_MS",
        "'2024-02-29 12:34:56.123456789'::TIMESTAMP_NS",
    ],
    "TIMESTAMP WITH TIME ZONE": [
        "TIMESTAMPTZ '2024-02-29 12:34:56.123456+05:30'",
        "TIMESTAMPTZ '0001-01-01 00:00:00+00'",
        "TIMESTAMPTZ 'infinity'",
    ],
    "UNION": [
        "union_value(i := 1)::UNION(i INTEGER, s VARCHAR)",
        "union_value(s := '1')::UNION(i INTEGER, s VARCHAR)",
        "union_value(d := 1.5::DOUBLE)",
    ],
    "UUID": ["'01234567-89ab-cdef-0123-456789abcdef'::UUID"],
    "VARCHAR": [
        "''", "'NULL'", "'null'", "'  pad '", "'2024-01-01'", "'nan'", "'1.50'", "'true'", r"'\N'", "'#c'", "'{'",
        r"""e'a\'b"c,\n\r\t\\x é😀'""", "chr(0) || 'x'",
    ],
    "VARIANT": ["1::VARIANT", "[1::VARIANT]", "{'a': ['101'::BIT]}::VARIANT"],
}  # fmt: skip
"""By what they are called. What a format can't keep it must refuse."""

VALUES = [value for values in KINDS.values() for value in values]


@dataclass(frozen=True)
class Outcome:
    """What became of one value: neither means that it came back as it was."""

    value: str
    refused: UnsupportedValueError | None = None
    changed: str | None = None
    """What is wrong with how it came back, or with how it was refused."""


def outcome_of(bench: Bench, value: str) -> Outcome:
    """Takes a value through `write` and `read`, beside a NULL."""
    rows = f"SELECT * FROM (VALUES (1, {value}), (2, NULL), (3, {value})) AS r(id, v)"  # noqa: S608  values of our own
    bench.session.execute(f"CREATE OR REPLACE TEMP TABLE original AS {rows}")
    try:
        path, schema = bench.export("FROM original")
    except UnsupportedValueError as error:
        wrong = None if error.column == "v" else f"refused without naming its column: {error}"
        return Outcome(value, error, wrong)
    except Exception as error:
        return Outcome(value, changed=f"neither written nor refused by UnsupportedValueError: {error!r}")
    try:
        found = bench.scan(path, schema=schema)
        return Outcome(value, changed=_difference(bench, found, schema))
    except Exception as error:
        return Outcome(value, changed=f"not read: {error!r}")


def _difference(bench: Bench, found: Any, schema: dict[str, str]) -> str | None:
    if schema_of(found) != schema:
        return f"{schema['v']} came back as {schema_of(found)}"
    # As text: DuckDB holds 24 hours and a day, or 0.0 and -0.0, for equal.
    query = "SELECT id, v::VARCHAR, v IS NULL FROM {} ORDER BY id"
    view = bench.session.view(found)
    try:
        rows = bench.session.sql(query.format(view)).fetchall()
    finally:
        bench.session.forget(view)
    expected = bench.session.sql(query.format("original")).fetchall()
    return None if rows == expected else f"{expected} came back as {rows}"


def announces(format: FormatLike[Any, Any], kind: Any) -> bool:
    """Whether the format says that it refuses a DuckDB type, one in it, or some of their values."""
    refused = {type_in(key) for key in format.capabilities.refuses}
    return not refused.isdisjoint(names_in(kind))


def type_in(text: str) -> str:
    """The type at the beginning of what a format declares, without its parameters: `MAP` for `MAP with nested keys`,
    `DECIMAL` for `DECIMAL(38,0)`, and "" where there is none."""
    found = re.match(r"[A-Z][A-Z0-9_]*(?: [A-Z][A-Z0-9_]*)*(?![a-z])", text)
    return found[0] if found else ""


def values_of(bench: Bench, name: str) -> list[str]:
    """The values here that are of a type or have one within, by the type's name."""
    return [value for value in VALUES if name in names_in(bench.session.sql(f"SELECT {value} AS v").types[0])]
