"""What users of 2.x hand in, name and ask for: views by name, empty frames, options of types, URLs in queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mad_prefect_core import DataArtifact, DataArtifactQuery, Relation, asset
from mad_prefect_core.contracts import ReadOptions
from mad_prefect_core.errors import OptionError, SchemaError, UnsupportedDataError
from mad_prefect_csv import ReadCSVOptions
from mad_prefect_json import ReadJsonOptions


async def _artifact(path: str, data: Any) -> DataArtifact:
    artifact = DataArtifact(path, data)
    assert await artifact.persist()
    return artifact


@pytest.fixture
async def orders(base: Path) -> Relation:
    relation = await (await _artifact("orders.parquet", [{"a": i} for i in range(3)])).query()
    assert relation is not None
    return relation


@pytest.fixture
def mine() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB's default connection, left as it was."""
    yield duckdb.default_connection()
    duckdb.default_connection().unregister("my orders")
    duckdb.execute('DROP TABLE IF EXISTS "my orders"')


@pytest.mark.parametrize("make", ["create_view", "to_view", "create", "to_table"])
async def test_a_relation_gets_its_name_where_the_users_sql_runs(
    orders: Relation, mine: duckdb.DuckDBPyConnection, make: str
) -> None:
    getattr(orders.filter("a > 0"), make)("my orders")
    assert duckdb.sql('FROM "my orders" ORDER BY a').fetchall() == [(1,), (2,)]
    assert duckdb.sql('FROM "my orders" ORDER BY a').fetchall() == [(1,), (2,)]
    left = duckdb.sql("FROM duckdb_views() WHERE view_name LIKE 'mad%' AND NOT internal").fetchall()
    assert left == []


async def test_a_view_replaces_one_of_its_name_unless_told_not_to(
    orders: Relation, mine: duckdb.DuckDBPyConnection
) -> None:
    assert orders.create_view("my orders").fetchall() == [(0,), (1,), (2,)]
    orders.limit(1).create_view("my orders")
    assert duckdb.sql('FROM "my orders"').fetchall() == [(0,)]
    with pytest.raises(duckdb.CatalogException, match="already exists"):
        orders.create_view("My Orders", replace=False)


async def test_a_table_of_a_schema_is_made_and_not_made_twice(
    orders: Relation, mine: duckdb.DuckDBPyConnection
) -> None:
    orders.create('main."my orders"')
    assert duckdb.sql('SELECT count(*) FROM "my orders"').fetchall() == [(3,)]
    with pytest.raises(duckdb.CatalogException):
        orders.create("my orders")


EMPTY: dict[str, Callable[[], Any]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": lambda: pa.table({}),
    "a stream": lambda: pa.table({}).to_reader(),
}


@pytest.mark.parametrize("kind", EMPTY)
async def test_a_frame_without_columns_and_rows_is_no_data(base: Path, kind: str) -> None:
    @asset("x.parquet")
    def some() -> Any:
        yield EMPTY[kind]()
        yield pd.DataFrame({"a": [1]})

    assert (await some.query()).fetchall() == [(1,)]
    assert not await DataArtifact("none.json", EMPTY[kind]()).persist()


@pytest.mark.parametrize(
    "frame", [pd.DataFrame(index=range(2)), pd.DataFrame(index=["x", "y"]), pa.table({"a": [1, 2]}).select([])]
)
async def test_rows_without_columns_are_refused(base: Path, frame: Any) -> None:
    with pytest.raises(SchemaError, match="none has a column"):
        await DataArtifact("x.json", frame).persist()


@pytest.mark.parametrize("data", [pd.Series([1, 2]), pl.Series("a", [1]), pa.chunked_array([[1]])])
async def test_one_column_alone_is_refused_with_what_to_return(base: Path, data: Any) -> None:
    with pytest.raises(UnsupportedDataError, match="Return a frame") as caught:
        await DataArtifact("x.parquet", data).persist()
    assert type(data).__name__ in str(caught.value)


async def _types(path: str, fragments: str, options: ReadOptions, batches: list[Any]) -> dict[str, str]:
    @asset(path, artifact_filetype=fragments, read_options=options)
    def some() -> Any:
        yield from batches

    relation = await some.query()
    assert relation is not None
    return dict(zip(relation.columns, map(str, relation.types), strict=True))


@pytest.mark.parametrize("option", ["columns", "types", "dtypes", "column_types"])
async def test_every_name_of_the_option_for_types_counts_whatever_the_case(base: Path, option: str) -> None:
    options = ReadCSVOptions(**{option: {"AMOUNT": "DECIMAL(9, 2)", "gone": "DATE"}})
    found = await _types("x.parquet", "csv", options, [[{"Amount": 1, "n": 1}], [{"Amount": "2.50", "n": 2}]])
    assert found == {"Amount": "DECIMAL(9,2)", "n": "BIGINT"}


async def test_all_varchar_leaves_every_column_text_but_those_whose_type_is_named(base: Path) -> None:
    options = ReadCSVOptions(all_varchar=True, types={"n": "INTEGER"})
    found = await _types("x.parquet", "csv", options, [[{"id": "7", "day": "2024-01-01", "n": 1}], [{"id": 8, "n": 2}]])
    assert found == {"id": "VARCHAR", "day": "VARCHAR", "n": "INTEGER"}


async def test_strings_of_digits_become_integers_if_asked_for(base: Path) -> None:
    rows = [[{"id": "7", "zip": "01234"}]]
    options = ReadJsonOptions(convert_strings_to_integers=True)
    assert await _types("x.parquet", "json", options, rows) == {"id": "BIGINT", "zip": "VARCHAR"}
    assert await _types("y.parquet", "json", ReadJsonOptions(), rows) == {"id": "VARCHAR", "zip": "VARCHAR"}


@pytest.mark.parametrize("options", [ReadCSVOptions(columns={"a": "BOGUS"}), ReadCSVOptions(types={"a": "BOGUS"})])
async def test_a_type_that_duckdb_does_not_know_is_an_error_of_the_option(base: Path, options: ReadCSVOptions) -> None:
    @asset("x.parquet", artifact_filetype="csv", read_options=options)
    def some() -> Any:
        return [{"a": 1}]

    (base / "there.csv").write_text("a\n1\n")
    for run in (some, DataArtifact("there.csv", read_options=options).query):
        with pytest.raises(OptionError, match="BOGUS") as caught:
            await run()
        assert caught.value.column == "a"


async def test_a_query_reads_mad_urls(base: Path) -> None:
    await _artifact("m1.parquet", [{"a": 1, "b": "one"}])
    here = await _artifact("here.parquet", [{"a": 1}, {"a": 2}])
    joined = await here.query("JOIN read_parquet('mad://m1.parquet') o USING (a)")
    assert joined is not None
    assert joined.fetchall() == [(1, "one")]


async def test_clauses_may_call_the_data_what_2x_called_it(base: Path) -> None:
    @asset("x.parquet")
    def some() -> Any:
        return [{"a": 1}, {"a": 2}]

    assert (await some.query("SELECT artifact_query.a FROM artifact_query WHERE a > 1")).fetchall() == [(2,)]
    assert (await some.query("WHERE artifact_query.a > 1")).fetchall() == [(2,)]
    both = "SELECT count(*) FROM data JOIN Artifact_Query USING (a)"
    assert (await some.query(both)).fetchall() == [(2,)]
    own = await some.query("SELECT a FROM artifact_query", tables={"Artifact_Query": pa.table({"a": [9]})})
    assert own is not None
    assert own.fetchall() == [(9,)]


def test_a_query_over_artifacts_keeps_its_options_as_given(base: Path) -> None:
    json, csv = ReadJsonOptions(), ReadCSVOptions()
    query = DataArtifactQuery([], json, csv)
    assert query.read_json_options is json
    assert query.read_csv_options is csv
    assert DataArtifactQuery().read_csv_options is None
