"""A query sees the base it was made for, whatever other threads and settings do (S50; promise 12b)."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mad_prefect_core import Settings, asset, use_settings
from mad_prefect_core.duckdb_files import register_mad

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
def orders() -> Any:
    return [{"n": n} for n in range(3)]


def ask(query: str, params: Any = None) -> Any:
    """A relation of an asset's query."""
    return asyncio.run(orders.query(query, params))


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
            asyncio.run(orders())
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


def main() -> None:
    """For `python -O`."""
    folder = Path(sys.argv[1])
    problems = attack((Base(folder, "one"), Base(folder, "two")), queries=400, threads=8)
    print("\n".join(problems))
    sys.exit(bool(problems))


def test_no_thread_sees_them_where_python_checks_no_assertions(tmp_path: Path) -> None:
    found = subprocess.run([sys.executable, "-O", __file__, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert (found.returncode, found.stdout.strip()) == (0, "")


def test_no_thread_sees_rows_of_a_base_that_is_not_its_own(bases: tuple[Base, Base]) -> None:
    assert attack(bases, queries=400, threads=8) == []


if __name__ == "__main__":
    main()
