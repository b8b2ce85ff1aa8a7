"""What `asset.query()` gives, beside relations of other connections: DuckDB's default one, as in 2.x, and any more."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mad_prefect_core import Relation, asset
from mad_prefect_core.errors import QueryError


@pytest.fixture
def prices(base: Path) -> Relation:
    @asset("prices.parquet", name="prices")
    def prices() -> Any:
        return [{"k": "a", "v": 1}, {"k": "b", "v": 2}]

    return prices.query_sync("ORDER BY v")


@pytest.fixture
def default() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB's default connection, as it was found afterwards."""
    connection = duckdb.default_connection()
    yield connection
    connection.execute("DROP TABLE IF EXISTS stock")
    connection.execute("DROP MACRO IF EXISTS doubled")
    connection.execute("RESET VARIABLE chosen")


@pytest.mark.parametrize("of", ["the default connection", "another connection"])
def test_relations_of_any_connection_combine_with_ours(prices: Relation, of: str) -> None:
    connection = duckdb.default_connection() if of == "the default connection" else duckdb.connect()
    more = connection.sql("SELECT 'a' AS k, 7::BIGINT AS v")
    assert prices.union(more).order("v").fetchall() == [("a", 1), ("b", 2), ("a", 7)]
    assert prices.set_alias("l").join(more.set_alias("r"), "l.k = r.k").fetchall() == [("a", 1, "a", 7)]
    assert prices.join(more.project("k, v AS w"), "k").fetchall() == [("a", 1, 7)]
    assert prices.except_(more).order("v").fetchall() == [("a", 1), ("b", 2)]


def test_a_relation_of_another_connection_is_read_anew_by_each_scan_and_keeps_its_types(base: Path) -> None:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t AS SELECT gen_random_uuid() AS id, '{\"n\": 1}'::JSON AS j, 1::HUGEINT AS h")
    rows = connection.sql("FROM t")

    @asset("empty.parquet", name="one")
    def one() -> Any:
        return [{"n": 1}]

    joined = one.query_sync("SELECT id, j, h, typeof(id), typeof(j) FROM t, data", tables={"t": rows})
    [(key, *values)] = joined.fetchall()
    assert isinstance(key, uuid.UUID)
    assert values == ['{"n": 1}', 1, "UUID", "JSON"]
    connection.execute("INSERT INTO t SELECT gen_random_uuid(), NULL, 2")
    assert len(joined.fetchall()) == 2


def test_rows_go_into_a_table_of_the_default_connection(prices: Relation, default: duckdb.DuckDBPyConnection) -> None:
    default.execute("CREATE TABLE stock (k VARCHAR, v BIGINT)")
    prices.insert_into("stock")
    default.execute("INSERT INTO stock FROM prices")
    assert default.sql("FROM stock ORDER BY v").fetchall() == [("a", 1), ("a", 1), ("b", 2), ("b", 2)]


def test_what_only_the_default_connection_has_is_refused_in_a_query(
    prices: Relation, default: duckdb.DuckDBPyConnection
) -> None:
    default.execute("CREATE TABLE stock AS SELECT 1 AS n")
    default.execute("CREATE MACRO doubled(x) AS 2 * x")
    default.execute("SET VARIABLE chosen = 2")
    for query in ("FROM stock", "FROM memory.main.stock", "SELECT doubled(v) FROM data"):
        with pytest.raises(QueryError, match=r"stock|doubled"):
            prices.query("data", query)
    with pytest.raises(QueryError, match="getvariable"):
        prices.query("data", "SELECT getvariable('chosen') FROM data")
    assert default.sql("SELECT doubled(v) AS w FROM prices WHERE v = getvariable('chosen')").fetchall() == [(4,)]


def test_fetching_all_after_some_gives_the_rest(prices: Relation) -> None:
    assert prices.fetchone() == ("a", 1)
    assert prices.fetchall() == [("b", 2)]
    assert prices.fetchall() == []
    assert prices.execute().fetchmany(5) == [("a", 1), ("b", 2)]


def test_relations_of_duckdb_itself_give_one_row_after_the_other_as_code_for_2x_asks_them() -> None:
    importlib.import_module("mad_prefect.duckdb")
    rows: Any = duckdb.sql("FROM range(5)")
    assert rows.fetchone() == (0,)
    assert rows.fetchmany(2) == [(1,), (2,)]
    assert rows.fetchall() == [(3,), (4,)]
    assert rows.execute().fetchone() == (0,)
    assert duckdb.sql("FROM range(2)").fetchall() == [(0,), (1,)]
