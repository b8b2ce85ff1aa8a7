"""Each DuckDB type of a relation is stored with all that it means, or refused by the name of the column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from mad_prefect_core import asset
from mad_prefect_core.batch import RelationBatch
from mad_prefect_core.errors import DataError, UnsupportedDataError, UnsupportedValueError

ID = "'12345678-1234-5678-1234-567812345678'::UUID"
BEYOND = "170141183460469231731687303715884105727::HUGEINT"


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.mark.parametrize(
    "value",
    [
        f"[{ID}, NULL]",
        f"{{'a': [{ID}]}}",
        f"MAP {{{ID}: '1'::JSON}}",
        f"array_value({ID}, {ID})",
        "[['{\"a\": 1}'::JSON]]",
        f"{{'a b': {{'c\"d': {ID}}}}}",
        "NULL::UUID[]",
        "{'a': NULL::UUID}",
        "TIME_NS '12:00:00.000000001'",
        "UNION_VALUE(a := 1)",
        "[]",
    ],
)
def test_types_in_others_are_those_of_the_relation(value: str, connection: duckdb.DuckDBPyConnection) -> None:
    relation = connection.sql(f"SELECT {value} AS v UNION ALL SELECT NULL")
    batch = RelationBatch(relation)
    table = batch.arrow().read_all()
    with duckdb.connect() as other:
        found = other.register("found", table).sql("FROM found")
        assert found.types == relation.types
        assert found.fetchall() == relation.fetchall()
    assert batch.count == 2


@pytest.mark.parametrize("value", [f"[{BEYOND}]", f"{{'a': {BEYOND}}}", BEYOND])
def test_a_huge_integer_in_a_container_is_exact_or_refused(value: str, connection: duckdb.DuckDBPyConnection) -> None:
    fits = connection.sql(f"SELECT {value.replace(BEYOND, '7::HUGEINT')} AS v")
    assert "7" in str(RelationBatch(fits).arrow().read_all().to_pylist())
    with pytest.raises(UnsupportedValueError, match="38 digits") as caught:
        RelationBatch(connection.sql(f"SELECT 1 AS fine, {value} AS v")).arrow().read_all()
    assert caught.value.column == "v"


@pytest.mark.parametrize(
    ("value", "column", "advice"),
    [
        ("'POINT(1 2)'::GEOMETRY", "v", "ST_AsText"),
        ("{'g': 'POINT(1 2)'::GEOMETRY}", "v.g", "ST_AsText"),
        ("ROW(1, 2)", "v", "Name its members"),
        ("[ROW(1, 2)]", "v[]", "Name its members"),
        (f"UNION_VALUE(a := {ID})", "v", "VARCHAR"),
        ("'01'::BIT", "v", "VARCHAR"),
        ("['12:00+02'::TIMETZ]", "v[]", "VARCHAR"),
        ("1::VARIANT", "v", "JSON"),
        ("1::BIGNUM", "v", "VARCHAR"),
    ],
)
def test_a_type_that_duckdb_does_not_hand_over_is_refused_with_advice(
    value: str, column: str, advice: str, connection: duckdb.DuckDBPyConnection
) -> None:
    try:
        relation = connection.sql(f"SELECT 1 AS fine, {value} AS v")
    except duckdb.Error as error:  # an older DuckDB does not have the type
        pytest.skip(str(error))
    if "ROW" in value and "TUPLE" not in str(relation.types[1]):
        pytest.skip("an older DuckDB has structs without names instead")
    with pytest.raises(UnsupportedDataError) as caught:
        RelationBatch(relation)
    assert caught.value.column == column
    assert advice in str(caught.value.hint)


@pytest.mark.parametrize(("fragments", "result"), [("parquet", "parquet"), ("parquet", "json"), ("json", "csv")])
async def test_a_relation_over_text_that_is_not_utf8_is_refused(
    fragments: str, result: str, connection: duckdb.DuckDBPyConnection, base: Path
) -> None:
    offsets = pa.py_buffer(np.array([0, 2], np.int32))
    bad = pa.table({"t": pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff\xfe")])})

    @asset(f"texts.{result}", artifact_filetype=fragments)
    def texts() -> Any:
        return connection.register("bad", bad).sql("FROM bad")

    with pytest.raises(DataError):
        await texts()
    assert not (base / f"texts.{result}").exists()


@pytest.mark.parametrize("sql", ["{}::JSON", "[{{'x': {}::JSON}}]", "MAP {{'k': {}::JSON}}"])
@pytest.mark.parametrize("value", ["'{\"a\": 0.12345678901234567890}'", "'[1.0000000000000000001]'"])
def test_digits_of_a_json_value_are_never_rounded_by_json_files(base: Path, sql: str, value: str) -> None:
    @asset("x.json")
    def x() -> Any:
        return duckdb.connect().sql(f"SELECT {sql.format(value)} AS v")

    with pytest.raises(UnsupportedValueError, match="more digits") as caught:
        x.call_sync()
    assert caught.value.column == "v"


def test_a_json_value_whose_numbers_fit_is_written_to_json(base: Path) -> None:
    value = (
        '{"a":"0.12345678901234567890 \\" 1.00000000000000000001","b":[0.30000000000000004,123456789012345678901234]}'
    )

    @asset("x.json")
    def x() -> Any:
        return duckdb.connect().sql("SELECT $1::JSON AS v", params=[value])

    relation = x.query_sync()
    assert relation is not None
    assert relation.fetchall() == [(value,)]
