"""No method of a relation runs SQL that changes the process for other queries."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mad_prefect_core.errors import QueryError
from mad_prefect_core.queries import refuse_effects
from mad_prefect_core.relations import _READERS, Relation
from mad_prefect_core.untrusted import Limits, run_untrusted

_WRITERS = {"to_csv", "write_csv", "to_parquet", "write_parquet"}
"""Their texts are names of files and options, which DuckDB binds."""
_EXPRESSIONS: list[Any] = [duckdb.SQLExpression, lambda text: [duckdb.SQLExpression(text)], str.encode]


@pytest.fixture
def rows() -> Relation:
    return Relation(lambda session: session.sql("SELECT range AS id, 'k' || range % 2 AS kind FROM range(4)"))


def _calls(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each method of a relation, with the value for each of its parameters in turn, and what works for the others."""
    for name, method in inspect.getmembers(duckdb.DuckDBPyRelation, callable):
        if name.startswith("_") or name in _WRITERS | _READERS:
            continue
        try:
            parameters = list(inspect.signature(method).parameters.values())[1:]
        except ValueError:  # DuckDB 1.5 is not written in Python
            continue
        for parameter in parameters:
            if parameter.name == "virtual_table_name":  # a name, which is quoted
                continue
            needed = {each.name: "id" for each in parameters if each.default is each.empty}
            if parameter.kind is parameter.VAR_POSITIONAL:
                yield name, {"*": [value]}
            elif parameter.kind is parameter.VAR_KEYWORD:
                yield name, {"x": value}
            else:
                yield name, needed | {parameter.name: value}


def test_no_method_runs_sql_that_logs_what_other_queries_say(rows: Relation, tmp_path: Path) -> None:
    call = f"(SELECT count(*) FROM enable_logging(storage='file', storage_path='{tmp_path / 'log'}'))"
    tried = set()
    for name, arguments in _calls(call):
        if name in ("create", "create_view", "insert_into", "to_table", "to_view"):  # on DuckDB's default connection
            continue
        if name in ("execute", "fetchall", "fetchmany", "fetchone"):  # which code for 2.x gives back to DuckDB 2.0
            continue
        with pytest.raises(QueryError, match=r"calls enable_logging\(\)|does not parse"):
            getattr(rows, name)(*arguments.pop("*", ()), **arguments)
        tried.add(name)
    assert {"filter", "project", "aggregate", "order", "join", "query", "select", "sum", "row_number"} <= tried
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("wrap", _EXPRESSIONS)
@pytest.mark.parametrize("method", ["filter", "select", "sort", "aggregate", "with_columns"])
def test_no_expression_does(rows: Relation, wrap: Any, method: str) -> None:
    value = wrap("write_log('x')")
    with pytest.raises(QueryError, match=r"calls write_log\(\)"):
        getattr(rows, method)(x=value) if method == "with_columns" else getattr(rows, method)(value)


def test_no_function_that_makes_a_condition_does(rows: Relation) -> None:
    with pytest.raises(QueryError, match=r"calls write_log\(\)"):
        rows.join(rows, lambda left, right: duckdb.SQLExpression("write_log('x') IS NULL")).fetchall()


@pytest.mark.parametrize("name", ["write_log", "WRITE_LOG", '"write_log"', "main.write_log", "write_log "])
def test_apply_calls_no_such_function_by_its_name(rows: Relation, name: str) -> None:
    with pytest.raises(QueryError, match=r"calls write_log\(\)"):
        rows.apply(name, "kind")
    with pytest.raises(QueryError, match=r"calls write_log\(\)"):
        rows.apply(function_aggr="kind", function_name=name)


def test_no_aggregate_of_a_group_does(rows: Relation) -> None:
    for grouped in (rows.group_by("kind"), rows.filter("id > 1").group_by("kind")):
        with pytest.raises(QueryError, match=r"calls write_log\(\)"):
            grouped.agg("max(write_log(kind))")
    with pytest.raises(QueryError, match=r"calls write_log\(\)"):
        rows.group_by(duckdb.SQLExpression("write_log(kind)"))


def test_a_generator_of_values_is_looked_at_before_it_is_used(rows: Relation) -> None:
    with pytest.raises(QueryError, match=r"calls write_log\(\)"):
        rows.pivot("kind", (duckdb.SQLExpression(text) for text in ["write_log('k0')"]), "count(*)")
    pivoted = rows.pivot("kind", (text for text in ["k0", "k1"]), "count(*)")
    assert sorted(pivoted.fetchall()) == sorted(pivoted.limit(9).fetchall())


@pytest.mark.parametrize(
    "statement",
    [
        "SET GLOBAL memory_limit = '1GB'",
        "CREATE TABLE kept AS FROM v",
        "COPY (FROM v) TO '{target}'",
        "INSTALL spatial",
        "ATTACH '{target}' AS other",
        "SELECT 1; SELECT 2",
        "WITH x AS (INSERT INTO v VALUES (1, 'x') RETURNING *) FROM x",
    ],
)
def test_query_runs_nothing_but_one_statement_that_reads(rows: Relation, statement: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    with pytest.raises(QueryError):
        rows.query("v", statement.format(target=target))
    assert not target.exists()


def test_ordinary_methods_go_on_working(rows: Relation) -> None:
    assert rows.query("v", "SELECT sum(id) FROM v").fetchall() == [(6,)]
    assert rows.query("v", "SELECT sum(a.id) FROM v a JOIN v b USING (id)").fetchall() == [(6,)]
    assert rows.query("my view", 'FROM "my view" WHERE id IN (1, 2)').query("w", "FROM w").count("*").fetchall() == [
        (2,)
    ]
    assert len(rows.filter("kind <> 'a (query)' AND id IN (1) OR (id > 2)").fetchall()) == 2
    assert rows.project("id AS query, kind AS checkpoint").filter("query = 1").fetchall() == [(1, "k1")]
    assert rows.row_number("OVER (ORDER BY id)", "id").fetchall()[0] == (0, 1)
    assert rows.map(lambda frame: frame.assign(kind="query (1)")).fetchall()[0] == (0, "query (1)")
    assert rows.query("v", 'SELECT id AS "Query (raw)" FROM v')["Query (raw)"].fetchall()[1] == (1,)
    assert rows.apply("max", "id").fetchall() == [(3,)]
    assert len(rows.join(rows.set_alias("b"), lambda left, right: left["id"] == right["id"]).fetchall()) == 4
    if hasattr(rows, "group_by"):
        assert sorted(rows.group_by("kind").agg("sum(id) AS s").filter("s > 0").fetchall()) == [("k0", 2), ("k1", 4)]


def test_a_long_text_is_looked_at_at_once(rows: Relation) -> None:
    for text in ("\u00e9" * 100_000, "a \u00e9 " * 100_000, "a" + " " * 100_000, '"' * 100_000, "a\u200b" * 100_000):
        refuse_effects([text])
    with pytest.raises(QueryError):
        run_untrusted("PIVOT data ON " + "\u00e9" * 15_000, None, Limits(), {"data": rows.on})
