"""No query changes the process for other queries: settings, logs, profiles, extensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import asset
from mad_prefect_core.errors import QueryError
from mad_prefect_core.queries import select_from
from mad_prefect_core.session import DuckSession
from mad_prefect_core.sql_functions import EVALUATING, PURE, PURE_TABLES, READING_TABLES


def run(query: str) -> Any:
    """The rows of a user's query, as an asset runs it."""
    with DuckSession() as session:
        rows = session.sql("SELECT range AS id, 'k' || range % 2 AS kind FROM range($1)", [4])
        return select_from(session, {"data": rows}, query).fetchall()


POSITIONS = {
    "FROM": "FROM {call}",
    "upper case": "FROM {CALL}",
    "a quoted name": 'FROM "{name}"({arguments})',
    "a schema": "FROM main.{call}",
    "a catalog": "FROM system.main.{call}",
    "a comment before the bracket": "FROM {name} /* ( */ ({arguments})",
    "a subquery": "SELECT * FROM (SELECT * FROM (FROM {call}))",
    "a subquery in WHERE": "WHERE EXISTS (FROM {call})",
    "a CTE": "WITH x AS (FROM {call}) FROM x",
    "a CTE in a subquery": "FROM (WITH x AS MATERIALIZED (FROM {call}) FROM x)",
    "a lateral join": "SELECT 1 FROM data d, LATERAL (SELECT d.id, * FROM {call})",
    "UNION": "SELECT 1 FROM data UNION ALL SELECT 1 FROM {call}",
    "DESCRIBE": "FROM (DESCRIBE FROM {call})",
    "SUMMARIZE": "FROM (SUMMARIZE FROM {call})",
    "LIMIT": "FROM data LIMIT (SELECT count(*) FROM {call})",
    "PIVOT with IN": "PIVOT (SELECT 1 AS kind FROM {call}) ON kind IN (1) USING count(*)",
    "PIVOT": "PIVOT (SELECT 1 AS kind FROM {call}) ON kind USING count(*)",
    "PIVOT, with a comment": "PIVOT (SELECT 1 AS kind FROM {name} -- (\n ({arguments})) ON kind USING count(*)",
    "PIVOT, quoted": 'PIVOT (SELECT 1 AS kind FROM "{name}"({arguments})) ON kind USING count(*)',
    "query()": "FROM query('FROM {quoted}')",
    "query() in PIVOT": "PIVOT (SELECT 1 AS kind FROM query('FROM {quoted}')) ON kind USING count(*)",
    "a serialized statement": "FROM json_execute_serialized_sql(json_serialize_sql('FROM {quoted}'))",
}


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("name", ["enable_logging", "enable_profiling", "checkpoint"])
def test_a_query_never_logs_what_other_queries_say_or_writes_profiles(tmp_path: Path, name: str, position: str) -> None:
    target = tmp_path / "stolen"
    arguments = {
        "enable_logging": f"storage='file', storage_path='{target}'",
        "enable_profiling": f"save_location='{target}'",
        "checkpoint": "",
    }[name]
    call = f"{name}({arguments})"
    query = POSITIONS[position].format(
        call=call, CALL=f"{name.upper()}({arguments})", name=name, arguments=arguments, quoted=call.replace("'", "''")
    )
    with pytest.raises(QueryError, match=r"calls (enable_\w+|checkpoint|query|json_execute_serialized_sql)\(\)"):
        run(query)
    run("WHERE id = 1")
    assert not target.exists()


async def test_an_asset_refuses_a_query_that_has_effects(base: Path, tmp_path: Path) -> None:
    @asset("orders.parquet", name="test.effects")
    def orders() -> Any:
        return [{"id": 1}]

    query = f"FROM enable_logging(storage='file', storage_path='{tmp_path / 'log'}')"
    with pytest.raises(QueryError, match=r"calls enable_logging\(\).*asset 'test.effects'"):
        await orders.query(query)
    with pytest.raises(QueryError, match=r"calls enable_logging\(\)"):
        await (await orders()).query(query)
    with pytest.raises(QueryError, match=r"calls enable_logging\(\)"):
        await (await orders.history())[0].query(query)


def _unlisted() -> list[str]:
    """Every table function of this DuckDB that is not known to be harmless, and every volatile function."""
    with DuckSession() as session:
        rows = session.sql(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE internal AND function_type <> 'pragma' "
            "AND (function_type IN ('table', 'table_macro') OR stability = 'VOLATILE')"
        ).fetchall()
    return sorted({name for (name,) in rows} - PURE - EVALUATING - PURE_TABLES - READING_TABLES)


def test_every_function_of_duckdb_that_may_have_effects_is_refused() -> None:
    unlisted = _unlisted()
    assert {"enable_logging", "disable_logging", "write_log", "nextval", "arrow_scan", "query"} <= set(unlisted)
    for name in unlisted:
        for query in (f"FROM {name}()", f"SELECT {name}()", f'SELECT d."{name}"() FROM data d'):
            with pytest.raises(QueryError, match=rf"calls {name}\(\)"):
                run(query)


@pytest.mark.parametrize("statement", ["INSERT INTO data VALUES (1)", "DELETE FROM data", "UPDATE data SET id = 1"])
def test_a_query_never_writes_by_a_statement_within_with(statement: str) -> None:
    with pytest.raises(QueryError, match="which writes"):
        run(f"WITH x AS ({statement} RETURNING *) FROM x")


@pytest.mark.parametrize(
    "query",
    [
        "FROM 'https://127.0.0.1:1/x.parquet'",
        "FROM read_parquet('s3://bucket/x')",
        "FROM 'x.xlsx'",
        "SELECT ST_Point(1, 2)",
        "FROM 'delta://x'",
    ],
)
def test_a_query_never_downloads_or_loads_an_extension(query: str) -> None:
    extensions = "SELECT list(extension_name ORDER BY extension_name) FROM duckdb_extensions() WHERE loaded"
    before = run(extensions)
    with pytest.raises(QueryError):
        run(query)
    assert run(extensions) == before
    settings = "SELECT value FROM duckdb_settings() WHERE name IN ('autoinstall_known_extensions', "
    settings += "'autoload_known_extensions')"
    assert {value.lower() for (value,) in run(settings)} <= {"false", "0"}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id AS query, kind AS checkpoint WHERE query > 1 AND checkpoint <> 'enable_logging()'",
        "PIVOT data ON kind USING count(*)",
        "SELECT 'query(1)' AS x",
        "SELECT list_transform([1], lambda x: x + 1), random(), now()",
        "FROM query_table('data')",
        "SELECT [x + 1 for x in [1, 2] if x > 1]",
        "FROM (DESCRIBE data)",
        "UNPIVOT data ON id",
    ],
)
def test_ordinary_queries_go_on_working(query: str) -> None:
    assert run(query)


@pytest.mark.parametrize("query", ["SELECT '\ud800'", "SELECT 1 \0", "SELECT 1 AS \udfff", "PIVOT data ON '\0'"])
def test_a_text_that_could_be_read_in_two_ways_is_refused_by_an_error_of_ours(query: str) -> None:
    with pytest.raises(QueryError, match="holds a NUL or half a character"):
        run(query)
