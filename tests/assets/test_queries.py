"""SQL over assets: clauses, statements, parameters, joins; and the relations that come of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from mad_prefect_core import DataArtifact, DataArtifactQuery, DataAsset, Relation, asset
from mad_prefect_core.errors import QueryError, ResultGoneError


@pytest.fixture
def orders(base: Path) -> DataAsset[..., Any]:
    @asset("orders.parquet", name="test.orders")
    def orders() -> Any:
        return [{"id": i, "customer": i % 3, "total": i * 1.5} for i in range(10)]

    return orders


QUERIES: dict[str, tuple[str, Any, list[Any]]] = {
    "a WHERE clause": ("WHERE id < 2", None, [(0, 0, 0.0), (1, 1, 1.5)]),
    "a lower-case clause": ("where id = 1", None, [(1, 1, 1.5)]),
    "ORDER BY and LIMIT": ("ORDER BY id DESC LIMIT 1", None, [(9, 0, 13.5)]),
    "a SELECT after FROM": ("SELECT sum(total) GROUP BY ALL", None, [(67.5,)]),
    "a whole SELECT": ("SELECT count(*) FROM data", None, [(10,)]),
    "a trailing semicolon": ("SELECT count(*) FROM data;", None, [(10,)]),
    "a comment at the end": ("SELECT count(*) FROM data -- all of them", None, [(10,)]),
    "WITH": ("WITH few AS (FROM data WHERE id < 3) SELECT max(id) FROM few", None, [(2,)]),
    "FROM first": ("FROM data SELECT max(id)", None, [(9,)]),
    "a subquery": ("SELECT id FROM (SELECT * FROM data) WHERE id = (SELECT max(id) FROM data)", None, [(9,)]),
    "a self join": ("SELECT count(*) FROM data a JOIN data b USING (customer)", None, [(34,)]),
    "a positional ?": ("WHERE id = ?", [3], [(3, 0, 4.5)]),
    "a positional $1": ("WHERE id IN ($1, $2) ORDER BY id", [3, 4], [(3, 0, 4.5), (4, 1, 6.0)]),
    "named parameters": ("SELECT id FROM data WHERE id = $wanted", {"wanted": 5}, [(5,)]),
    "a parameter with SQL in it": (
        "SELECT $1 FROM data LIMIT 1",
        ["'; DROP TABLE data; --"],
        [("'; DROP TABLE data; --",)],
    ),
    "nothing": ("", None, [(i, i % 3, i * 1.5) for i in range(10)]),
}


@pytest.mark.parametrize("kind", QUERIES)
async def test_queries_may_be_clauses_or_whole_statements_with_bound_values(
    orders: DataAsset[..., Any], kind: str
) -> None:
    query, parameters, rows = QUERIES[kind]
    assert (await orders.query(query, parameters)).fetchall() == rows


@pytest.mark.parametrize(
    "bad",
    [
        "WHERE",
        "SELEC * FROM data",
        "WHERE id = ",
        "WHERE nope = 1",
        "SELECT * FROM nowhere_to_be_found",
        "SELECT 1; SELECT 2",
        "DROP TABLE data",
        "WHERE 1=1) UNION ALL (SELECT 1, 2, 3",
        "COPY data TO 'x.csv'",
        "INSERT INTO data VALUES (1, 2, 3)",
        "WHERE id = ?",
    ],
)
async def test_sql_that_does_not_parse_or_bind_is_an_error_that_names_the_asset(
    orders: DataAsset[..., Any], stored: Callable[[], dict[str, bytes]], bad: str
) -> None:
    await orders()
    before = stored()["orders.parquet"]
    with pytest.raises(QueryError) as caught:
        (await orders.query(bad)).fetchall()
    assert caught.value.asset == "test.orders"
    assert caught.value.phase == "query"
    assert stored()["orders.parquet"] == before


async def test_what_fails_while_a_query_runs_is_a_query_error_too(orders: DataAsset[..., Any]) -> None:
    with pytest.raises(QueryError):
        (await orders.query("SELECT CAST('x' || id AS INTEGER) FROM data")).fetchall()


async def test_other_assets_are_joined_by_name(orders: DataAsset[..., Any]) -> None:
    @asset("customers.csv", name="shop.customers")
    def customers() -> Any:
        return [{"customer": n, "name": f"c{n}"} for n in range(3)]

    expected = [("c0", 4), ("c1", 3), ("c2", 3)]
    for table in ("customers", "CUSTOMERS", '"shop.customers"', '"Shop.Customers"'):
        sql = f"SELECT name, count(*) FROM data JOIN {table} USING (customer) GROUP BY ALL ORDER BY ALL"
        assert (await orders.query(sql)).fetchall() == expected


async def test_what_a_query_names_but_is_not_given_is_an_error_not_a_value_of_the_reader_s(
    orders: DataAsset[..., Any],
) -> None:
    with pytest.raises(QueryError):
        (await orders.query("SELECT $files")).fetchall()
    with pytest.raises(QueryError):
        (await orders.query("SELECT ?")).fetchall()


async def test_an_asset_with_a_quote_in_its_name_is_joined_by_it(orders: DataAsset[..., Any]) -> None:
    @asset("sizes.csv", name='shirts 15" collar')
    def sizes() -> Any:
        return [{"customer": 1}]

    sql = 'SELECT count(*) FROM data JOIN "Shirts 15"" Collar" USING (customer)'
    assert (await orders.query(sql)).fetchall() == [(3,)]
    del sizes


async def test_a_relation_among_tables_that_is_gone_says_so(orders: DataAsset[..., Any], base: Path) -> None:
    old = await orders.query()
    for file in base.rglob("*.run"):
        file.unlink()
    with pytest.raises(ResultGoneError):
        (await orders.query("SELECT * FROM old", tables={"old": old})).fetchall()


async def test_tables_brings_anything_into_a_query(orders: DataAsset[..., Any], base: Path) -> None:
    orders = orders.cache_first()
    (base / "names.json").write_text('[{"customer": 0, "name": "zero"}]')
    tables = {
        "asset_": orders,
        "artifact": DataArtifact("names.json"),
        "frame": pl.DataFrame({"customer": [0], "name": ["zero"]}),
        "arrow": pa.table({"customer": [0], "name": ["zero"]}),
        "relation": await orders.query("WHERE id = 0"),
        "select": pa.table({"customer": [0]}),
    }
    for name in tables:
        sql = f'SELECT count(*) FROM data JOIN "{name}" t ON t.customer = data.customer WHERE data.id = 0'
        rows = (await orders.query(sql, tables=tables)).fetchall()
        assert rows == [(4,)] if name == "asset_" else [(1,)], name


async def test_two_assets_of_one_name_are_never_guessed_at(orders: DataAsset[..., Any]) -> None:
    @asset("one.json", name="one.twin")
    def twin() -> Any:
        return [{"a": 1}]

    first = twin

    @asset("two.json", name="two.twin")
    def twin() -> Any:
        return [{"a": 2}]

    with pytest.raises(QueryError, match=r"one\.twin, two\.twin"):
        await orders.query("SELECT * FROM twin, data")
    assert (await orders.query('SELECT DISTINCT a FROM "one.twin", data')).fetchall() == [(1,)]
    assert first is not twin


async def test_an_unbound_asset_is_queried_as_it_was_last_stored(base: Path) -> None:
    @asset("x.parquet")
    def x(n: int) -> Any:
        return [{"n": n}]

    with pytest.raises(Exception, match="needs n"):
        await x.query()
    await x(1)
    await x(2)
    assert (await x.query()).fetchall() == [(2,)]


async def test_a_query_over_several_artifacts_unites_them_by_name(base: Path) -> None:
    one = DataArtifact("one.json", [{"a": 1, "b": "x"}])
    two = DataArtifact("two.parquet", [{"b": "y", "a": 2, "c": 0.5}])
    three = DataArtifact("three.csv", missing_ok=True)
    assert await one.persist()
    assert await two.persist()
    relation = await DataArtifactQuery([one, two, three]).query("ORDER BY a")
    assert relation is not None
    assert (relation.columns, relation.fetchall()) == (["a", "b", "c"], [(1, "x", None), (2, "y", 0.5)])
    assert await DataArtifactQuery([three]).query() is None


# -- relations that a query returned -----------------------------------------------------------------------------


async def test_a_relation_is_used_in_sql_on_the_default_connection(orders: DataAsset[..., Any]) -> None:
    rel = await orders.query("WHERE id < 4")  # noqa: F841  SQL names it
    other = await orders.query("SELECT customer, max(id) AS top FROM data GROUP BY ALL")  # noqa: F841
    assert duckdb.sql("SELECT count(*) FROM rel").fetchall() == [(4,)]
    assert duckdb.sql("SELECT count(*) FROM rel r JOIN rel s USING (id)").fetchall() == [(4,)]
    assert duckdb.sql("SELECT sum(top) FROM rel JOIN other USING (customer)").fetchall() == [(33,)]
    con = duckdb.connect()
    assert con.sql("SELECT count(*) FROM rel").fetchall() == [(4,)]
    con.execute("CREATE TABLE kept AS FROM rel")
    assert con.sql("SELECT count(*) FROM kept").fetchall() == [(4,)]


async def test_a_relation_has_the_methods_of_duckdbs(orders: DataAsset[..., Any]) -> None:
    rel = await orders.query()
    assert isinstance(rel.filter("id < 2"), Relation)
    assert rel.filter("id < 2").project("id").order("id DESC").fetchall() == [(1,), (0,)]
    assert rel.aggregate("max(id)").fetchone() == (9,)
    assert len(rel) == 10
    assert rel.limit(1).df().to_dict("records") == [{"id": 0, "customer": 0, "total": 0.0}]
    assert rel.to_arrow_table().num_rows == 10
    assert rel.pl().height == 10
    assert pa.table(rel).num_rows == 10
    assert pl.DataFrame(rel).height == 10
    assert rel.join(rel.set_alias("b"), "id").columns[0] == "id"
    assert rel.union(rel).count("*").fetchall() == [(20,)]
    assert rel.fetchone() == (0, 0, 0.0)
    assert [row[0] for row in rel.fetchmany(2)] == [1, 2]
    assert "id" in repr(rel)
    assert bool(rel.filter("false"))


async def test_a_relation_is_used_from_other_threads(orders: DataAsset[..., Any]) -> None:
    rel = await orders.query()

    def use(n: int) -> Any:
        return rel.filter(f"id = {n % 10}").fetchall(), duckdb.connect().sql("SELECT count(*) FROM rel").fetchall()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(use, range(40)))
    assert found == [([(n % 10, n % 10 % 3, n % 10 * 1.5)], [(10,)]) for n in range(40)]


async def test_a_relation_outlives_its_session_loop_and_an_open_reader(orders: DataAsset[..., Any]) -> None:
    rel = await orders.query()
    reader = rel.to_arrow_reader(2)
    reader.read_next_batch()
    assert rel.fetchall() == [(i, i % 3, i * 1.5) for i in range(10)]
    assert sum(batch.num_rows for batch in reader) == 8
    box: list[Any] = []
    thread = threading.Thread(target=lambda: box.append(rel.fetchall()))
    thread.start()
    thread.join(10)
    assert len(box[0]) == 10


@pytest.mark.parametrize("suffix", ["json", "parquet", "csv"])
async def test_s20_a_relation_taken_before_newer_runs_gives_old_rows_or_says_that_they_are_gone(
    base: Path, suffix: str
) -> None:
    now = 0

    @asset(f"x.{suffix}")
    def x() -> Any:
        return [{"n": now}] * (now + 1)

    relations = []
    for now in range(5):
        relations.append(await x.query())
        for then, relation in enumerate(relations):
            try:
                assert relation.fetchall() == [(then,)] * (then + 1)
            except ResultGoneError as error:
                assert then < now - 1, "the run before the last keeps its files"
                assert error.path is not None  # noqa: PT017  both outcomes are right


async def test_a_relation_can_be_returned_from_another_asset(orders: DataAsset[..., Any]) -> None:
    @asset("top.json")
    async def top() -> Any:
        return await orders.query("ORDER BY id DESC LIMIT 2")

    assert (await top.query("SELECT id FROM data ORDER BY id")).fetchall() == [(8,), (9,)]


async def test_plain_duckdb_reads_mad_urls_inside_an_asset(orders: DataAsset[..., Any]) -> None:
    await orders()

    @asset("count.json")
    def count() -> Any:
        return duckdb.sql("SELECT count(*) AS n FROM 'mad://orders.parquet'")

    assert (await count.query()).fetchall() == [(10,)]


async def test_s40_a_users_tables_and_closed_default_connection_have_no_effect(orders: DataAsset[..., Any]) -> None:
    for name in ("data", "_d", "artifact_query", "mad_0", "mad_1", "source"):
        duckdb.sql(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT 'wrong' AS id")
    data = pa.table({"id": ["wrong"]})
    try:
        assert (await orders.query("SELECT count(*), min(id) FROM data")).fetchall() == [(10, 0)]
        with pytest.raises(QueryError):
            await orders.query("SELECT * FROM _d")
    finally:
        for name in ("data", "_d", "artifact_query", "mad_0", "mad_1", "source"):
            duckdb.sql(f"DROP VIEW {name}")
    duckdb.default_connection().close()
    assert (await orders.query("SELECT count(*), min(id) FROM data")).fetchall() == [(10, 0)]
    assert len(data) == 1
