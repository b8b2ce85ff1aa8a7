"""SQL that somebody else wrote reads the data it is given, within limits, and nothing else."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_prefect_core import DataArtifactQuery, Limits, asset, redaction, untrusted
from mad_prefect_core.errors import OptionError, QueryError
from mad_prefect_core.queries import parse_query
from mad_prefect_core.relations import Relation
from mad_prefect_core.session import DuckSession
from mad_prefect_core.sql_functions import BOUNDED, PURE, PURE_TABLES
from mad_prefect_core.untrusted import run_untrusted


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that begins as the name of a function does would be masked in what is told of that."""
    monkeypatch.setattr(redaction, "_known", OrderedDict())


SECRET = "the-canary-of-another-tenant"


def _rows(session: DuckSession) -> duckdb.DuckDBPyRelation:
    return session.sql("SELECT range AS id, 'k' || range % 2 AS kind FROM range($1)", [4])


def run(query: str, limits: Limits | None = None, parameters: Any = None) -> Relation:
    """A query as an asset runs it, without a file."""
    return run_untrusted(query, parameters, limits or Limits(), {"data": _rows})


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that no query here may read."""
    file = tmp_path / "canary.csv"
    file.write_text(f"a,b\n{SECRET},1\n")
    return file


# -- what it may do --------------------------------------------------------------------------------------------------

GOOD = {
    "WHERE id = 1": 1,
    "SELECT kind, sum(id), avg(id), string_agg(kind, ',') GROUP BY ALL": 2,
    "SELECT upper(kind) || '!' AS x, id::VARCHAR, coalesce(NULL, id) FROM data": 4,
    "WITH few AS (FROM data WHERE id < 2), one AS (FROM few LIMIT 1) FROM one": 1,
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 5) FROM t": 5,
    "SELECT * FROM data a JOIN data b USING (id) LEFT JOIN (FROM data) c ON c.id = a.id": 4,
    "SELECT id, row_number() OVER (PARTITION BY kind ORDER BY id) QUALIFY 1 = lag(id) OVER (ORDER BY id)": 1,
    "PIVOT data ON kind IN ('k0', 'k1') USING count(*)": 4,
    "UNPIVOT data ON id": 4,
    "SELECT COLUMNS(lambda name: name LIKE 'i%') FROM data": 4,
    "SELECT COLUMNS('i.*') FROM data": 4,
    "SELECT unnest([1, 2]), id = ANY([1]), id = ANY(SELECT 1)": 8,
    "SELECT kind, grouping(kind), count(*) GROUP BY CUBE (kind)": 3,
    "SELECT kind, id, count(*) GROUP BY ROLLUP (kind, id)": 7,
    "SELECT [1, 2][1], kind[1:1], (1, 2), NOT true, -id, kind SIMILAR TO 'k.', kind GLOB 'k*', id IS NULL, *": 4,
    "SELECT array(SELECT 1), try(1), count(*) OVER w, #1 WINDOW w AS (ORDER BY id)": 4,
    "SELECT data.* EXCLUDE (id) REPLACE (upper(data.kind) AS kind) FROM data POSITIONAL JOIN data d": 4,
    "SELECT sum(id) FILTER (WHERE id > 1), arg_max(kind, id), median(id), quantile_cont(id, 0.5)": 1,
    "SELECT * FROM range(3), LATERAL (SELECT 1)": 3,
    "SELECT '{\"a\": 1}'::JSON -> 'a', json_extract('[1]', '$[0]'), {'a': 1}.a, MAP {'a': 1}['a']": 4,
    "SELECT replace(kind, 'k', 'kk'), lpad(kind, 5, '-'), repeat(kind, 3), regexp_replace(kind, 'k', 'x', 'g')": 4,
    "SELECT levenshtein(kind, 'k'), array_to_string([kind, 'x'], '-'), jaro_winkler_similarity(kind, 'k')": 4,
    "SELECT date_trunc('month', DATE '2026-01-05'), extract(year FROM now()), INTERVAL 1 DAY, current_date": 4,
    "SELECT DISTINCT ON (kind) * ORDER BY ALL LIMIT 1": 1,
    "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3": 2,
    "SELECT id IN (SELECT id FROM data), EXISTS (FROM data), CASE WHEN id > 1 THEN 'a' END, id BETWEEN 1 AND 2": 4,
    "VALUES (1), (2)": 2,
    "FROM data /* read_text('x') */ WHERE kind <> 'read_text(''x'')' -- FROM duckdb_secrets()": 4,
}


@pytest.mark.parametrize("query", GOOD)
def test_what_analysts_write_works(query: str) -> None:
    assert len(run(query).fetchall()) == GOOD[query]


def test_values_and_types_are_those_of_the_trusted_query() -> None:
    query = "SELECT sum(id) AS a, uuid() IS NULL AS b, '101'::BIT AS c, 1::UHUGEINT AS d, '12:00:01+02'::TIMETZ AS e, "
    query += (
        "{'x': [1]} AS f, 'b'::ENUM('a', 'b') AS g, INTERVAL 1 MONTH AS h, '{}'::JSON AS i, 1.5::DECIMAL(9, 2) AS j"
    )
    with DuckSession() as session:
        relation = session.sql(f"WITH data AS (FROM range(4) t(id)) {query} FROM data")
        found = run(query)
        assert (found.columns, [str(kind) for kind in found.types]) == (
            relation.columns,
            [str(kind) for kind in relation.types],
        )
        assert found.fetchall() == relation.fetchall()


def test_values_are_bound() -> None:
    assert run("WHERE id = $1", parameters=[3]).fetchall() == [(3, "k1")]
    assert run("SELECT $a LIMIT 1", parameters={"a": "'; FROM read_text('x') --"}).fetchall() == [
        ("'; FROM read_text('x') --",)
    ]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "json", "avro"])
@pytest.mark.parametrize("name", ["orders", "or'd [a]*"])
async def test_each_format_is_read_behind_the_walls(base: Path, suffix: str, name: str) -> None:
    @asset(f"{name}.{suffix}", name=f"test.{suffix}", snapshot_artifacts=True)
    def orders() -> Any:
        yield [{"id": 1, "kind": "a"}]
        yield [{"id": 2, "kind": "b"}]

    query = "SELECT sum(id) AS total, count(DISTINCT kind)"
    assert (await orders.query(query, untrusted=True)).fetchall() == [(3, 2)]
    result = await orders()
    assert (await result.query(query, untrusted=True)).fetchall() == [(3, 2)]
    assert (await DataArtifactQuery([result]).query(query, untrusted=True)).fetchall() == [(3, 2)]
    assert (await (await orders.history())[0].query(query, untrusted=True)).fetchall() == [(3, 2)]


async def test_assets_are_joined_by_name_only_where_listed_and_tables_are_handed_in(base: Path) -> None:
    @asset("a.parquet", name="test.listed_a")
    def listed_a() -> Any:
        return [{"id": 1}]

    @asset("b.parquet", name="test.unlisted_b")
    def unlisted_b() -> Any:
        raise AssertionError("an untrusted query ran an asset that it may not name")

    assert (await listed_a.query("FROM listed_a", untrusted=True, assets=["listed_a"])).fetchall() == [(1,)]
    assert (await listed_a.query("FROM t", untrusted=True, tables={"t": listed_a})).fetchall() == [(1,)]
    for query in ("FROM unlisted_b", 'FROM "test.unlisted_b"', "SELECT * FROM data, unlisted_b"):
        with pytest.raises(QueryError, match="may not read the table"):
            await listed_a.query(query, untrusted=True, assets=["listed_a"])
    with pytest.raises(QueryError, match=r"may not read the table 'listed_a'.*assets"):
        await listed_a.query("FROM listed_a", untrusted=True)


async def test_a_setting_makes_every_query_of_the_process_untrusted(
    base: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset("a.parquet", name="test.setting")
    def numbers() -> Any:
        return [{"id": i} for i in range(3)]

    query = f"SELECT content FROM read_text('{canary}')"
    assert SECRET in (await numbers.query(query)).fetchall()[0][0]
    monkeypatch.setenv("MAD_PREFECT_UNTRUSTED_SQL", "true")
    for untrusted_too in (False, True):
        with pytest.raises(QueryError, match=r"may not call read_text\(\)"):
            await numbers.query(query, untrusted=untrusted_too)
    assert len((await numbers.query()).fetchall()) == 3


# -- the first wall --------------------------------------------------------------------------------------------------

_TABLE_POSITIONS = [
    "FROM {}",
    "SELECT * FROM data, {} x",
    "WHERE EXISTS (FROM {})",
    "WITH x AS (FROM {}) FROM x",
    "WITH RECURSIVE x AS (WITH y AS (FROM {}) SELECT 1 AS n UNION ALL SELECT n + 1 FROM x WHERE n < 3) FROM x",
    "FROM data d, LATERAL (FROM {})",
    "SELECT 1 UNION ALL SELECT 1 FROM {}",
    "SELECT (SELECT count(*) FROM {}) FROM data",
    "SELECT * REPLACE ((SELECT count(*) FROM {}) AS id) FROM data",
    "SELECT COLUMNS(lambda c: c IN (SELECT 'id' FROM {})) FROM data",
    "FROM data ORDER BY (SELECT 1 FROM {})",
    "FROM data LIMIT (SELECT 1 FROM {})",
    "PIVOT (SELECT 1 AS a FROM {}) ON a IN (1) USING count(*)",
    "PIVOT (SELECT 1 AS a FROM {}) ON a USING count(*)",
    "SELECT sum(id) OVER (ORDER BY (SELECT 1 FROM {})) FROM data",
    "FROM (DESCRIBE FROM {})",
    "FROM query('FROM {}')",
    "SELECT count(*) FILTER (WHERE EXISTS (FROM {})) FROM data",
    "SELECT id GROUP BY GROUPING SETS ((id), ((SELECT 1 FROM {})))",
    "VALUES ((SELECT 1 FROM {}))",
    "FROM range((SELECT 1 FROM {}))",
]


def _names(where: str) -> set[str]:
    with DuckSession() as session:
        rows = session.sql(f"SELECT DISTINCT function_name FROM duckdb_functions() WHERE {where}").fetchall()
    return {name for (name,) in rows}


def test_every_table_function_outside_the_list_is_refused_wherever_it_stands() -> None:
    others = _names("function_type IN ('table', 'table_macro')") - PURE_TABLES
    assert {"read_text", "glob", "duckdb_secrets", "which_secret", "sniff_csv", "parquet_metadata"} <= others
    for name in sorted(others):
        for position in _TABLE_POSITIONS if name in ("read_text", "duckdb_secrets") else _TABLE_POSITIONS[:3]:
            with pytest.raises(QueryError):
                untrusted._checked(position.format(f"{name}()"), "data", frozenset({"data"}))
        for call in (f'"{name}"()', f"system.main.{name.upper()} /**/ ()"):
            with pytest.raises(QueryError, match=f"(?i)(may not call|calls) {name}"):
                untrusted._checked(f"FROM {call}", "data", frozenset({"data"}))


def test_every_scalar_function_outside_the_list_is_refused() -> None:
    others = {name.lower() for name in _names("function_type NOT IN ('table', 'table_macro', 'pragma')")} - PURE
    others = {name for name in others if name.isidentifier() and not name.startswith(("collate_", "icu_collate_"))}
    assert {"current_setting", "getvariable", "write_log", "nextval", "setseed", "json_serialize_plan"} <= others
    for name in sorted(others):
        for call in (f'"{name}"(id)', f"abs(id.{name}()) OVER ()"):
            with pytest.raises(QueryError, match=f"(may not call|calls) {name}"):
                untrusted._checked(f"SELECT {call} FROM data", "data", frozenset({"data"}))


def test_the_list_has_nothing_that_duckdb_says_depends_on_more_than_its_arguments() -> None:
    volatile = _names("function_type = 'scalar' AND stability = 'VOLATILE'") & PURE
    assert volatile == {"random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid"}
    # DuckDB 2.0.1 says so, too, of all that tells an instant in the session's time zone, which is nobody's secret.
    zoned = _names("contains(parameter_types::VARCHAR, 'WITH TIME ZONE') OR function_name = 'make_timestamptz'")
    within = _names("function_type = 'scalar' AND stability = 'CONSISTENT_WITHIN_QUERY'") & PURE - zoned
    assert within == {"now", "today", "get_current_time", "get_current_timestamp"}


REFUSED = [
    "FROM '{canary}'",
    'FROM "{canary}"',
    "FROM 's3://bucket/key.parquet'",
    "FROM 'https://example.com/x.csv'",
    "FROM 'mad://x.parquet'",
    "FROM duckdb_settings",
    "FROM pg_settings",
    "FROM sqlite_master",
    "FROM information_schema.tables",
    "FROM pg_catalog.pg_class",
    "FROM main.data",
    "FROM mad_0",
    "FROM data AT (VERSION => 1)",
    "WITH duckdb_settings AS (FROM duckdb_settings) FROM duckdb_settings",
    "SELECT (WITH duckdb_settings AS (SELECT 1 AS a) SELECT a FROM duckdb_settings), * FROM duckdb_settings",
    "WITH a AS (FROM duckdb_settings), duckdb_settings AS (SELECT 1) FROM a",
    "WITH duc\u212adb_settings AS (SELECT 1) FROM duckdb_settings",
    "WITH d\u200buckdb_settings AS (SELECT 1) FROM duckdb_settings",
    "FROM query_table('duckdb_settings')",
    "FROM (SHOW TABLES)",
    "FROM (DESCRIBE duckdb_settings)",
    "FROM (SUMMARIZE '{canary}')",
    "WITH x AS (INSERT INTO data VALUES (9, 'x') RETURNING *) FROM x",
    "SELECT current_setting('memory_limit')",
    "SELECT list_transform([1], lambda x: x)",
    "SELECT [x FOR x IN [1]]",
    "SELECT system.main.repeat('x', 1000000000)",
    "COPY data TO '{canary}'",
    "COPY (SELECT 1) TO '{canary}'",
    "ATTACH '{canary}' AS x",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET memory_limit = '10GB'",
    "PRAGMA version",
    "EXPORT DATABASE 'x'",
    "IMPORT DATABASE 'x'",
    "CALL pragma_version()",
    "CREATE TABLE x AS SELECT 1",
    "CREATE SECRET (TYPE s3)",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXPLAIN FROM data",
    "EXPLAIN ANALYZE FROM data",
    "USE memory",
    "DETACH memory",
    "VACUUM FULL",
    "CHECKPOINT memory",
    "SELECT 1; SELECT 2",
    "SELECT 1) , (SELECT 2",
    "SELECT 1) TO '{canary}' --",
    "SELECT 1 -- \n; SELECT 2",
]


@pytest.mark.parametrize("query", REFUSED)
def test_nothing_but_one_select_over_the_tables_given_runs(query: str, canary: Path) -> None:
    before = canary.read_bytes()
    with pytest.raises(QueryError) as raised:
        run(query.format(canary=canary)).fetchall()
    assert SECRET not in str(raised.value)
    assert canary.read_bytes() == before


_PIECES = st.sampled_from(
    sorted(PURE)
    + sorted(_names("function_type IN ('table', 'table_macro')"))
    + ["data", "few", "id", "kind", "duckdb_settings", "'x'", "1", "*", "(", ")", ",", "SELECT", "FROM", "WHERE"]
    + [
        "WITH few AS",
        "UNION ALL",
        "OVER ()",
        "COLUMNS(*)",
        "LATERAL",
        "GROUP BY ALL",
        "[1]",
        "->",
        "::JSON",
        "'/etc/passwd'",
    ]
)


@given(st.lists(_PIECES, max_size=12).map(" ".join))
def test_whatever_is_made_of_functions_and_words_only_rows_or_a_query_error_come_back(query: str) -> None:
    limits = Limits(rows=1000, seconds=5, memory="200MB")
    if not query:
        return
    try:
        rows = run(query, limits).fetchall()
    except QueryError:
        return
    assert "root:" not in str(rows)
    assert not _calls(query) - PURE - PURE_TABLES


def _calls(query: str) -> set[str]:
    with DuckSession() as session:
        tree = untrusted.query_tree(session, f"FROM (\n{parse_query(query).text}\n)")
    return {name for name in untrusted.functions_of(tree) if name.isidentifier()} - {"list_filter"}


# -- the second wall -------------------------------------------------------------------------------------------------


@pytest.fixture
def first_wall_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def unchecked(query: str, main: str, tables: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
        return query, frozenset()

    monkeypatch.setattr(untrusted, "_checked", unchecked)


@pytest.mark.usefixtures("first_wall_down")
@pytest.mark.parametrize(
    "query",
    [
        "FROM read_text('{canary}')",
        "FROM read_blob('/proc/self/environ')",
        "FROM read_csv('{canary}')",
        "FROM '{canary}'",
        "FROM glob('{folder}/*')",
        "FROM read_parquet('{folder}/*.parquet')",
        "FROM sniff_csv('{canary}')",
        "FROM read_duckdb('{canary}')",
        "FROM query('FROM read_text(''{canary}'')')",
        "FROM enable_logging(storage = 'file', storage_path = '{folder}/log')",
    ],
)
def test_the_database_of_an_untrusted_query_opens_no_other_file(query: str, canary: Path) -> None:
    with pytest.raises(QueryError) as raised:
        run(query.format(canary=canary, folder=canary.parent)).fetchall()
    assert SECRET not in str(raised.value)
    assert os.listdir(canary.parent) == [canary.name]


@pytest.mark.usefixtures("first_wall_down")
async def test_even_a_file_beside_the_data_stays_closed(base: Path) -> None:
    @asset("a.parquet", name="test.beside")
    def numbers() -> Any:
        return [{"id": 1}]

    await numbers()
    (base / "other.parquet").write_bytes((base / "a.parquet").read_bytes())
    assert (await numbers.query("SELECT * FROM data", untrusted=True)).fetchall() == [(1,)]
    with pytest.raises(QueryError, match=r"(?i)permission"):
        await numbers.query(f"FROM '{base / 'other.parquet'}'", untrusted=True)


# -- limits ----------------------------------------------------------------------------------------------------------

BOMBS = {
    "rows": ("FROM range(1000000000000)", Limits(rows=100), "limit of rows: 100"),
    "an endless count": ("SELECT count(*) FROM range(1000000000000)", Limits(seconds=0.5), "limit of seconds: 0.5"),
    "a cross join": (
        "SELECT sum(a.range * b.range % (c.range + 1)) FROM range(9999999) a, range(9999999) b, range(9999999) c",
        Limits(seconds=0.5),
        "limit of seconds",
    ),
    "an endless recursion": (
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        Limits(seconds=0.5),
        "limit of seconds",
    ),
    "a growing recursion": (
        "WITH RECURSIVE t AS (SELECT 'xxxx' AS s UNION ALL SELECT s || s FROM t) SELECT count(*) FROM t",
        Limits(memory="50MB"),
        "limit of (memory|seconds)",
    ),
    "a list of everything": ("SELECT list(range) FROM range(10000000000)", Limits(memory="50MB"), "limit of memory"),
    "a spill": (
        "SELECT count(*) FROM (SELECT range, hash(range) h FROM range(1000000000) ORDER BY h)",
        Limits(memory="50MB", disk="10MB", seconds=3),
        "limit of (memory|seconds)",
    ),
    "a large result": ("SELECT repeat('x', 50000) FROM range(90000)", Limits(memory="50MB"), "limit of memory"),
    "repeat": ("SELECT repeat('x', 1000000000)", Limits(), "repeat would make too much"),
    "repeat, by data": ("SELECT repeat('x', 1000000000 + id) FROM data", Limits(), "repeat would make too much"),
    "lpad": ("SELECT lpad('x', 1000000000, 'y')", Limits(), "lpad would make too much"),
    "replace": (
        "SELECT replace(repeat('x', 90000), 'x', repeat('y', 90000))",
        Limits(),
        "replace would make too much",
    ),
    "regexp_replace": (
        r"SELECT regexp_replace(repeat('x', 90000), '.', repeat('\0', 40000), 'g')",
        Limits(),
        "regexp_replace would make too much",
    ),
    "levenshtein": ("SELECT levenshtein(repeat('x', 90000), repeat('y', 90000))", Limits(), "levenshtein would"),
    "a list by length": ("SELECT len(range(1000000000))", Limits(), r"may not call range\(\)"),
    "a format string": ("SELECT printf('%1000000000d', 1)", Limits(), r"may not call printf\(\)"),
    "doubling": (
        "WITH "
        + ", ".join(f"a{n + 1} AS (SELECT s || s AS s FROM a{n})" for n in range(40)).replace(
            "a1 AS (SELECT s || s AS s FROM a0)", "a1 AS (SELECT kind AS s FROM data)"
        )
        + " SELECT length(s) FROM a40",
        Limits(),
        "grow with each of its steps",
    ),
    "doubling columns": (
        "WITH a0 AS (FROM data), " + ", ".join(f"a{n + 1} AS (SELECT *, * FROM a{n})" for n in range(40)) + " FROM a40",
        Limits(),
        "grow with each of its steps",
    ),
    "brackets for the parser": ("SELECT " + "(" * 5000, Limits(), "opening brackets"),
    "a deep tree": ("SELECT " + "1 + " * 900 + "1", Limits(), "nested too deeply"),
    "a name of thousands of parts": (f"SELECT {'a.' * 9000}b", Limits(), "parts in one name"),
    "thousands of columns": (f"SELECT 1{',1' * 9000}", Limits(), "columns in one SELECT"),
    "thousands of columns of VALUES": (f"VALUES (1{',1' * 9000})", Limits(), "columns in one SELECT or VALUES"),
    "a word of thousands of letters before PIVOT": (f"PIVOT data ON {'é' * 15_000}", Limits(), "can't be checked"),
    "a long text": ("SELECT '" + "x" * 30000 + "'", Limits(), "characters"),
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_query_that_would_take_everything_ends_by_a_limit(bomb: str) -> None:
    query, limits, message = BOMBS[bomb]
    with pytest.raises(QueryError, match=message):
        run(query, untrusted.limits_of(query, limits))


@pytest.mark.parametrize("bad", [{"rows": 0}, {"seconds": 0}, {"memory": "much"}, {"disk": "10"}])
def test_limits_that_are_none_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        Limits(**bad)
    with pytest.raises(OptionError, match="untrusted is 'no'"):
        untrusted.limits_of("FROM data", "no")  # type: ignore[arg-type]


def test_every_bounded_function_is_duckdbs_own_wherever_its_result_is_small() -> None:
    calls: dict[str, Callable[[str], str]] = {
        name: lambda arguments, name=name: f"{name}({arguments})"  # type: ignore[misc]
        for name in BOUNDED
    }
    arguments = {
        "array_to_string": "['a', 'b'], '-'",
        "lpad": "'a', 3, 'b'",
        "rpad": "'a', 3, 'b'",
        "repeat": "'a', 3",
        "replace": "'aba', 'a', 'xyz'",
        "regexp_replace": "'aba', 'a', 'x', 'g'",
    }
    query = "SELECT " + ", ".join(call(arguments.get(name, "'abc', 'abd'")) for name, call in calls.items())
    with DuckSession() as session:
        assert run(f"{query} FROM data LIMIT 1").fetchall() == session.sql(query).fetchall()


def test_the_rows_that_came_back_are_read_again_without_running_the_query() -> None:
    relation = run("SELECT random() AS r FROM data")
    assert relation.fetchall() == relation.fetchall() == relation.filter("r >= 0").fetchall()


def test_errors_name_the_asset_s_file_by_its_key_and_no_folder(base: Path, canary: Path) -> None:
    with pytest.raises(QueryError) as raised:
        run("SELECT kind::INTEGER FROM data")
    assert str(base) not in str(raised.value)
    assert raised.value.__cause__ is None
