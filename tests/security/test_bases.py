"""A query sees the base it was made for, whatever other threads and settings do (S50; promise 12b)."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import datetime as dt
import os
import random
import subprocess
import sys
import threading
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mad_prefect_core import Settings, asset, use_settings
from mad_prefect_core.duckdb_files import register_mad
from mad_prefect_core.errors import PathError
from mad_prefect_core.relation_bases import RelationBases

ROWS = 400_000


class Base:
    """A base whose rows all say its name."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.folder = folder / name
        self.settings = Settings(filesystem_url=f"file://{self.folder}")
        self.folder.mkdir(parents=True)
        with duckdb.connect() as connection:
            for part in range(3):
                connection.execute(
                    f"COPY (SELECT '{name}' AS who, range AS n, {part} AS part FROM range({ROWS})) "
                    f"TO '{self.folder}/big{part}.parquet' (ROW_GROUP_SIZE 20000)"
                )
            connection.execute(f"COPY (SELECT '{name}' AS who, range AS n FROM range(10)) TO '{self.folder}/x.csv'")
            connection.execute(
                f"COPY (SELECT '{name}' AS who, range AS n, range % 2 AS k FROM range(10)) TO '{self.folder}/h' "
                "(FORMAT parquet, PARTITION_BY k)"
            )


@pytest.fixture
def bases(tmp_path: Path) -> tuple[Base, Base]:
    return Base(tmp_path, "one"), Base(tmp_path, "two")


@asset("orders.parquet", cache_expiration=dt.timedelta(days=1))
def customers_of_a_base() -> Any:
    return [{"n": n} for n in range(3)]


def ask(query: str, params: Any = None) -> Any:
    """A relation of an asset's query."""
    return asyncio.run(customers_of_a_base.query(query, params))


X = "SELECT DISTINCT who FROM 'mad://x.csv'"
QUERIES = [
    X,
    "SELECT DISTINCT who FROM read_csv(['mad://x.csv', 'mad://x.csv'])",
    "SELECT DISTINCT who FROM read_csv('mad:' || '//x' || '.csv')",
    "SELECT DISTINCT who FROM read_parquet('mad://big*.parquet')",
    "SELECT DISTINCT who FROM read_parquet('mad://h/**/*.parquet', hive_partitioning = true) WHERE k = 1",
    "SELECT DISTINCT a.who FROM 'mad://x.csv' a JOIN 'mad://big0.parquet' b ON a.who = b.who AND a.n = b.n",
]


def default() -> duckdb.DuckDBPyConnection:
    """DuckDB's default connection refuses a second thread; a cursor is of the same database."""
    return duckdb.default_connection().cursor()


def plain() -> set[Any]:
    return set(default().sql(random.choice(QUERIES)).fetchall())


def bound() -> set[Any]:
    return set(default().sql("SELECT DISTINCT who FROM read_csv($1)", params=["mad://x.csv"]).fetchall())


def of_an_asset() -> set[Any]:
    return set(ask(random.choice(QUERIES)).fetchall())


def of_an_asset_bound() -> set[Any]:
    return set(ask("SELECT DISTINCT who FROM read_csv($path)", {"path": "mad://x.csv"}).fetchall())


LATER: list[Callable[[], Callable[[], Any]]] = []


def later(make: Callable[[], Callable[[], Any]]) -> Callable[[], Callable[[], Any]]:
    LATER.append(make)
    return make


@later
def relation_of_an_asset() -> Callable[[], Any]:
    return ask(X).fetchall


@later
def derived_relation_of_an_asset() -> Callable[[], Any]:
    return ask("SELECT who FROM 'mad://x.csv'").distinct().fetchall


@later
def relation_that_gets_its_path_later() -> Callable[[], Any]:
    return ask("SELECT 'x' AS who").query("v", X).fetchall


@later
def plain_relation() -> Callable[[], Any]:
    return default().sql(random.choice(QUERIES)).fetchall


@later
def plain_derived_relation() -> Callable[[], Any]:
    return default().sql("SELECT who FROM 'mad://x.csv'").filter("who != ''").distinct().fetchall


@later
def plain_relation_of_a_file() -> Callable[[], Any]:
    return default().read_parquet("mad://h/*/*.parquet").project("who").distinct().fetchall


@later
def plain_relation_that_goes_to_arrow() -> Callable[[], Any]:
    relation = default().sql("SELECT DISTINCT who FROM read_csv($1)", params=["mad://x.csv"])
    return lambda: [(who,) for who in relation.to_arrow_table().column(0).to_pylist()]


@later
def plain_reader() -> Callable[[], Any]:
    reader = default().sql("SELECT who FROM 'mad://big*.parquet'").to_arrow_reader(10_000)
    return lambda: rows_of(reader)


@later
def reader_of_an_asset() -> Callable[[], Any]:
    reader = ask("SELECT who FROM 'mad://big*.parquet'").to_arrow_reader(10_000)
    return lambda: rows_of(reader)


def rows_of(reader: Any) -> list[Any]:
    batches = list(reader)
    assert sum(batch.num_rows for batch in batches) == 3 * ROWS
    return [(who,) for batch in batches for who in set(batch.column(0).to_pylist())]


def attack(bases: tuple[Base, Base], queries: int, threads: int) -> list[str]:
    for base in bases:
        with use_settings(base.settings):
            asyncio.run(customers_of_a_base())
            register_mad()
    kinds = [plain, bound, of_an_asset, of_an_asset_bound, *LATER]
    turns = iter(range(queries))
    problems: list[str] = []

    def work(number: int) -> None:
        for turn in turns:
            mine, other = bases if (turn + number) % 2 else bases[::-1]
            kind = kinds[turn % len(kinds)]
            try:
                with use_settings(mine.settings):
                    found = kind()
                if callable(found):
                    with use_settings(other.settings):
                        found = set(found())
                if found != {(mine.name,)}:
                    problems.append(f"{kind.__name__}: {found} rather than {mine.name}")
            except Exception:
                problems.append(f"{kind.__name__}: {traceback.format_exc()[-1500:]}")

    turns = iter(list(turns))
    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return problems


WAYS: dict[str, Callable[[duckdb.DuckDBPyConnection], Any]] = {
    "sql": lambda connection: connection.sql("SELECT * FROM 'mad://x.csv'"),
    "query": lambda connection: connection.query("SELECT * FROM 'mad://x.csv'"),
    "params": lambda connection: connection.sql("SELECT * FROM read_csv($1)", params=["mad://x.csv"]),
    "read_csv": lambda connection: connection.read_csv("mad://x.csv"),
    "read_parquet": lambda connection: connection.read_parquet("mad://h/*/*.parquet"),
    "table": lambda connection: connection.table("mad://x.csv"),
    "view": lambda connection: connection.view("mad://x.csv"),
    "table_function": lambda connection: connection.table_function("read_csv", ["mad://x.csv"]),
}


@pytest.fixture
def connection(bases: tuple[Base, Base]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Registered under the first base."""
    with duckdb.connect() as connection, use_settings(bases[0].settings):
        register_mad(connection)
        yield connection


def who(relation: Any) -> set[str]:
    return {row[0] for row in relation.project("who").fetchall()}


@pytest.mark.skipif(duckdb.__version__ < "2", reason="DuckDB 1.5 does not say which relation is bound")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", [1, -1])
def test_a_relation_of_duckdb_has_the_rows_of_the_base_it_was_made_under(
    bases: tuple[Base, Base], connection: duckdb.DuckDBPyConnection, way: str, order: int
) -> None:
    mine, other = bases[::order]
    with use_settings(mine.settings):
        relation = WAYS[way](connection)
    with use_settings(other.settings):
        assert who(relation) == who(relation.filter("n > 1").limit(3)) == {mine.name}
        assert len(relation.project("who").distinct()) == 1
        theirs = WAYS[way](connection)
        assert who(theirs) == {other.name}
        assert who(relation) == {mine.name}
        with pytest.raises(duckdb.Error, match="several bases"):
            relation.project("who").union(theirs.project("who")).fetchall()
    with use_settings(mine.settings):
        assert who(theirs) == {other.name}


def test_a_forgotten_relation_is_an_error_rather_than_other_rows() -> None:
    class Sql:
        text = "FROM 'mad://x.csv'"

    class Made:
        _step, _inputs = Sql(), ()

    def fetch(self: Made) -> str:
        return known.base(sys._getframe(), "other")

    def _reading_source(text: str) -> str:
        return known.base(sys._getframe(), "mine")

    known = RelationBases()
    scope = {"__name__": "duckdb._relation", "known": known, "sys": sys}
    fetch, _reading_source = (
        types.FunctionType(plain.__code__, scope | {"known": known}, closure=plain.__closure__)
        for plain in (fetch, _reading_source)
    )
    made = Made()
    assert _reading_source(Sql.text) == fetch(made) == "mine"
    again = Made()
    _reading_source(Sql.text)
    for number in range(5000):
        _reading_source(f"FROM 'mad://{number}.csv'")
    assert fetch(made) == "mine"
    with pytest.raises(PathError, match="not known any more"):
        fetch(again)


def test_a_thread_that_begins_in_duckdb_knows_its_base(
    bases: tuple[Base, Base], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", ended.append)
    with use_settings(bases[0].settings), duckdb.connect() as connection:
        register_mad(connection)
        call = map(connection.cursor().sql, ["COPY (FROM 'mad://x.csv') TO 'mad://y.csv'"])  # no frame of Python
        _thread.start_new_thread(contextvars.copy_context().run, (ended.extend, call))
        while not ended:
            threading.Event().wait(0.01)
    assert not hasattr(ended[0], "exc_value")
    assert (bases[0].folder / "y.csv").exists()


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("to", ["'mad://out/x.parquet'", "'mad://out' (FORMAT csv, PARTITION_BY k, OVERWRITE)"])
def test_what_is_copied_goes_to_the_base_in_force(
    bases: tuple[Base, Base], connection: duckdb.DuckDBPyConnection, order: int, to: str
) -> None:
    mine, other = bases[::order]
    with use_settings(mine.settings):
        for _ in range(2):
            connection.execute(f"COPY (SELECT '{mine.name}' AS who, range % 3 AS k FROM range(10)) TO {to}")
    assert any((mine.folder / "out").rglob("*.*"))
    assert not (other.folder / "out").exists()


def test_a_script_copies_without_a_function_around_it(tmp_path: Path) -> None:
    script = (
        "import duckdb\nfrom mad_prefect_core.duckdb_files import register_mad\nregister_mad()\n"
        "duckdb.execute(\"COPY (SELECT 1) TO 'mad://x.csv'\")"
    )
    subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "FILESYSTEM_URL": f"file://{tmp_path}"}, check=True
    )
    assert (tmp_path / "x.csv").is_file()


def test_threads_that_copy_to_one_name_below_two_bases_never_mix(
    bases: tuple[Base, Base], connection: duckdb.DuckDBPyConnection
) -> None:
    refused: list[str] = []

    def work(base: Base) -> None:
        with use_settings(base.settings), connection.cursor() as own:
            for number in range(30):
                try:
                    own.execute(f"COPY (SELECT '{base.name}' AS who FROM range(3000)) TO 'mad://o/{number}.csv'")
                except duckdb.Error as error:
                    refused.append(str(error))

    threads = [threading.Thread(target=work, args=(base,)) for base in bases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("being written below another base" in text for text in refused)
    for base in bases:
        for file in (base.folder / "o").glob("*.csv"):
            assert set(file.read_text().split()) <= {"who", base.name}


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO 'mad://new.csv' (USE_TMP_FILE false)",
        "IMPORT DATABASE 'mad://exported'",
        "ATTACH 'mad://exported/a.duckdb' AS a (READ_ONLY)",
    ],
)
def test_a_statement_whose_base_can_not_be_known_touches_no_other_base(
    bases: tuple[Base, Base], connection: duckdb.DuckDBPyConnection, statement: str
) -> None:
    (bases[0].folder / "exported").mkdir()
    (bases[0].folder / "exported/schema.sql").write_text("CREATE TABLE stolen AS SELECT 1;")
    (bases[0].folder / "exported/load.sql").write_text("")
    with use_settings(bases[1].settings):
        try:
            connection.execute(statement)
        except duckdb.Error:
            pass  # as it should, but for a COPY that DuckDB happens to write in the thread that asked
        else:
            assert (bases[1].folder / "new.csv").exists()
    assert connection.execute("FROM duckdb_tables()").fetchall() == []
    assert not (bases[0].folder / "new.csv").exists()


def test_a_users_filename_column_has_the_path_that_he_named(
    bases: tuple[Base, Base], connection: duckdb.DuckDBPyConnection
) -> None:
    query = "SELECT DISTINCT filename FROM read_csv('mad://x.csv', filename = true)"
    assert connection.sql(query).fetchall() == [("mad://x.csv",)]
    for base in bases:
        with use_settings(base.settings):
            asyncio.run(customers_of_a_base())
            assert ask(query).fetchall() == [("mad://x.csv",)]


def test_a_name_listed_below_one_base_is_not_read_under_another(
    bases: tuple[Base, Base], connection: duckdb.DuckDBPyConnection
) -> None:
    with use_settings(bases[1].settings):
        ((seen,),) = connection.sql("SELECT file FROM glob('mad://x.csv')").fetchall()
        assert connection.sql(f"SELECT DISTINCT who FROM '{seen}'").fetchall() == [("two",)]
    for statement in (f"FROM '{seen}'", f"COPY (SELECT 1) TO '{seen}'", "FROM 'mad://@" + "0" * 32 + "/x.csv'"):
        with pytest.raises(duckdb.Error):
            connection.execute(statement)


def main() -> None:
    """For `python -O`."""
    folder = Path(sys.argv[1])
    problems = attack((Base(folder, "one"), Base(folder, "two")), queries=400, threads=8)
    print("\n".join(problems))
    sys.exit(bool(problems))


def test_no_thread_sees_them_where_python_checks_no_assertions(tmp_path: Path) -> None:
    found = subprocess.run([sys.executable, "-O", __file__, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert (found.returncode, found.stdout.strip()) == (0, "")


def test_s50_no_thread_sees_rows_of_a_base_that_is_not_its_own(bases: tuple[Base, Base]) -> None:
    assert attack(bases, queries=400, threads=8) == []


if __name__ == "__main__":
    main()
