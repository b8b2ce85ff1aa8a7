"""A relation goes to Parquet on its own connection, with what Arrow would have made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.errors import UnsupportedDataError, UnsupportedValueError


@pytest.fixture
def connection() -> Any:
    with duckdb.connect() as connection:
        yield connection


async def _kept(relation: Any) -> Any:
    artifact = DataArtifact("x.parquet", relation)
    await artifact.persist()
    return await artifact.query()


async def test_a_relation_of_the_users_own_connection_is_kept_in_order(base: Path, connection: Any) -> None:
    connection.execute('CREATE TABLE t AS SELECT range AS n, \'a \' || range AS "say ""hi""" FROM range(300000)')
    kept = await _kept(connection.sql("FROM t"))
    assert kept.columns == ["n", 'say "hi"']
    assert kept.fetchall() == connection.sql("FROM t").fetchall()


async def test_a_relation_over_parameters_and_frames_is_kept(base: Path, connection: Any) -> None:
    frame = pd.DataFrame({"n": [1, 2, 3]})
    connection.register("frame", frame)
    assert (await _kept(connection.sql("FROM frame WHERE n > $1", params=[1]))).fetchall() == [(2,), (3,)]


async def test_a_relation_runs_once(base: Path, connection: Any) -> None:
    connection.execute("CREATE SEQUENCE s")
    assert (await _kept(connection.sql("SELECT nextval('s') AS n FROM range(3)"))).fetchall() == [(1,), (2,), (3,)]


async def test_a_relation_is_read_before_the_function_goes_on(base: Path, connection: Any) -> None:
    @asset("x.parquet")
    def x() -> Any:
        def several() -> Any:
            for number in range(3):
                connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT {number} AS n")
                yield connection.sql("FROM t")

        yield several()

    assert (await x.query()).fetchall() == [(0,), (1,), (2,)]


async def test_a_connection_that_may_not_write_files_gives_its_rows(base: Path, connection: Any) -> None:
    connection.execute("SET enable_external_access = false")
    assert (await _kept(connection.sql("SELECT 7 AS n"))).fetchall() == [(7,)]


@pytest.mark.parametrize(
    ("sql", "kind", "value"),
    [
        ("170141183460469231731687303715884105727::HUGEINT % 1000", "DECIMAL(38,0)", 727),
        ("'6f1c2c39-8a43-4b55-9a0c-0f6a4e3f0c11'::UUID", "UUID", "6f1c2c39-8a43-4b55-9a0c-0f6a4e3f0c11"),
        ("'b'::ENUM('a', 'b')", "VARCHAR", "b"),
        ("[1, 2]::INTEGER[2]", "INTEGER[2]", (1, 2)),
        ("TIMESTAMPTZ '2024-01-01 00:00:00+05'", "TIMESTAMP WITH TIME ZONE", None),
    ],
)
async def test_types_are_kept(base: Path, connection: Any, sql: str, kind: str, value: Any) -> None:
    connection.execute("SET TimeZone = 'America/New_York'")
    relation = connection.sql(f"SELECT {sql} AS v")
    kept = await _kept(relation)
    assert [str(kind) for kind in kept.types] == [kind]
    found = kept.fetchall()[0][0]
    assert found == relation.fetchall()[0][0] if value is None else str(found) == str(value)


async def test_what_the_relations_sql_raises_is_told(base: Path, connection: Any) -> None:
    relation = connection.sql("SELECT CAST(IF(range = 5, 'five', range::VARCHAR) AS INTEGER) AS n FROM range(9)")
    with pytest.raises(UnsupportedValueError, match=r"The relation can't be read: .*five"):
        await _kept(relation)
    assert not list(base.rglob("*.parquet*"))


async def test_a_value_that_parquet_cannot_hold_is_told_by_its_column(base: Path, connection: Any) -> None:
    with pytest.raises(UnsupportedValueError, match="INTERVAL") as raised:
        await _kept(connection.sql("SELECT 1 AS a, INTERVAL '-1 second' AS \"how long\""))
    assert raised.value.column == "how long"


async def test_a_type_that_is_not_handed_over_is_refused(base: Path, connection: Any) -> None:
    with pytest.raises(UnsupportedDataError) as raised:
        await _kept(connection.sql("SELECT '101'::BIT AS bits"))
    assert raised.value.column == "bits"


async def test_the_relation_of_another_asset_is_kept(base: Path) -> None:
    @asset("one.parquet")
    def one() -> Any:
        return duckdb.sql("SELECT 1 AS n, 'a' AS t")

    @asset("two.parquet")
    async def two() -> Any:
        return await one.query("SELECT n + 1 AS n, t")

    assert (await two.query()).fetchall() == [(2, "a")]
