"""Every DuckDB type through every format: kept, or refused by name."""

from __future__ import annotations

import duckdb
import pytest

from mad_prefect_core.errors import UnsupportedValueError
from mad_prefect_core.testing.formats.bench import Bench
from mad_prefect_core.testing.formats.kinds import KINDS, VALUES, Outcome, outcome_of

MORE = [
    "'a'::ENUM('a', 'B_2')", "{'h': [-1::HUGEINT, NULL]}", "{'i': INTERVAL '1 month 2 days 00:00:00.003'}",
    "[18446744073709551615::UBIGINT, NULL]",
]  # fmt: skip
"""Beside the values of the kit."""
JSON_AS_TEXT = ["'1.50'::JSON", "'null'::JSON", """'{"a": 1}'::JSON"""]
"""What is in JSON files a value, whose spelling is not kept."""

REFUSED_BY = {
    "json": {
        "MAP {{'a': 1}: ['x']}": "JSON has no keys but text",
        "union_value(d := 1.5::DOUBLE)": "one of its members needs another form in JSON, which a union can't take",
        **dict.fromkeys(KINDS["STRUCT without members"], "a struct without members has no type"),
        **dict.fromkeys(KINDS["VARIANT"], "each value has a type of its own, which JSON does not tell"),
    },
    "parquet": {
        "170141183460469231731687303715884105727": "'170141183460469231731687303715884105727'",
        "'-170141183460469231731687303715884105728'::HUGEINT": "'-170141183460469231731687303715884105728'",
        "340282366920938463463374607431768211455::UHUGEINT": "'340282366920938463463374607431768211455'",
        "INTERVAL '1 month -1 day'": "'1 month -1 day'",
        "INTERVAL '-00:00:00.000001'": "'-00:00:00.000001'",
        "INTERVAL '00:00:00.000001'": "'00:00:00.000001'",
        "'01:02:03-12:45'::TIMETZ": "'01:02:03-12:45'",
        "'01:02:03+05:30'::TIMETZ": "'01:02:03+05:30'",
        "{'a': ['101'::BIT]}::VARIANT": "can't hold the VARIANT \"{'a': [101]}\"",
        "[1::VARIANT]": "DuckDB writes it only outside of lists, structs and maps",
        **dict.fromkeys(
            [*KINDS["LIST of HUGEINT"], *KINDS["LIST of INTERVAL"], *MORE[1:3]],
            "its values can be checked only outside of lists, structs and maps",
        ),
        **dict.fromkeys(KINDS["STRUCT without members"], "Parquet has no structs without members"),
        **dict.fromkeys(KINDS["UNION"], "Parquet does not say which member a value is of"),
    },
    "csv": {
        **dict.fromkeys(KINDS["UNION"], "text does not say which member a value is of"),
        **dict.fromkeys(KINDS["STRUCT without members"], "a struct without members has no type"),
        **dict.fromkeys(KINDS["VARIANT"], "each value has a type of its own, which text does not tell"),
    },
    "avro": {
        "INTERVAL '1 month -1 day'": "1 months, -1 days and 0 nanoseconds",
        "INTERVAL '-00:00:00.000001'": "0 months, 0 days and -1000 nanoseconds",
        "INTERVAL '00:00:00.000001'": "0 months, 0 days and 1000 nanoseconds",
        "[INTERVAL '-1 day']": "0 months, -1 days and 0 nanoseconds",
        **dict.fromkeys(KINDS["UNION"], "Avro knows a value's member by its type, not by its name"),
        **dict.fromkeys(KINDS["STRUCT without members"], "Avro's readers have no structs without members"),
        **dict.fromkeys(KINDS["VARIANT"], "each value has a type of its own"),
    },
}


@pytest.mark.parametrize("name", REFUSED_BY)
def test_every_value_comes_back_but_those_that_are_known_to_be_refused(name, formats, session, tmp_path):
    bench = Bench(formats[name], session, tmp_path)
    values = [*VALUES, *MORE, *(JSON_AS_TEXT if name != "json" else [])]
    lost = [outcome for value in values if (outcome := outcome_of(bench, value)) != Outcome(value)]
    assert {outcome.value for outcome in lost} == REFUSED_BY[name].keys(), lost


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
