"""Assets on object stores work as on local disk. Each name says what a user would lose."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa

from mad_prefect_core import asset


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": number, "name": f"n{number}"} for number in numbers]


def test_a_run_lands_at_the_very_keys_that_the_user_named(based: Any) -> None:
    @asset("bronze/orders.parquet|csv")
    def orders() -> Any:
        yield rows(1, 2)
        yield rows(3)

    assert orders.query_sync("SELECT id ORDER BY id").fetchall() == [(1,), (2,), (3,)]
    assert based.get("lake/bronze/orders.parquet")[:4] == b"PAR1"
    assert based.get("lake/bronze/orders.csv").splitlines()[0] == b"id,name"


def test_a_second_run_replaces_the_first_and_a_cached_call_runs_nothing(based: Any) -> None:
    calls = []

    @asset("gold/n.json", cache_expiration=dt.timedelta(hours=1))
    def numbers() -> Any:
        calls.append(1)
        return rows(len(calls))

    assert numbers.query_sync("SELECT id").fetchall() == [(1,)]
    assert numbers.query_sync("SELECT id").fetchall() == [(1,)]
    assert numbers.with_options(cache_expiration=dt.timedelta(0)).query_sync("SELECT id").fetchall() == [(2,)]
    assert numbers.query_sync("SELECT id").fetchall() == [(2,)]
    assert len(calls) == 2


def test_what_another_program_did_to_the_result_is_no_cache_hit(based: Any) -> None:
    @asset("x.json", cache_expiration=dt.timedelta(hours=1))
    def numbers() -> Any:
        return rows(1)

    numbers.query_sync()
    based.put("lake/x.json", b'{"id": 7}')

    assert numbers.query_sync("SELECT id").fetchall() == [(1,)]
    assert b"7" not in based.get("lake/x.json")


def test_a_million_rows_are_written_and_queried(based: Any) -> None:
    @asset("million.parquet")
    def million() -> Any:
        for quarter in range(4):
            ids = range(quarter * 250_000, (quarter + 1) * 250_000)
            yield pa.table({"id": pa.array(ids), "kind": pa.array([quarter] * 250_000)})

    counts = million.query_sync("SELECT count(*), count(DISTINCT id), sum(id), min(kind), max(kind)")
    assert counts.fetchall() == [(1_000_000, 1_000_000, 499_999_500_000, 0, 3)]
    assert million.cache_first().query_sync("WHERE id = 654321").fetchall() == [(654_321, 2)]


def test_several_storages_serve_one_process_at_once(based: Any, server: Any, new_bucket: Any, tmp_path: Path) -> None:
    other = new_bucket(server)

    @asset("a.parquet")
    def here() -> Any:
        return rows(1)

    @asset(f"{other.url}/b.csv")
    async def there() -> Any:
        return await here.query("SELECT id + 1 AS id")

    @asset(f"file://{tmp_path}/c.json")
    async def local() -> Any:
        return await there.query("SELECT id + 1 AS id")

    assert local.query_sync(
        "SELECT data.id, b.id, a.id FROM data, b, a", tables={"b": there, "a": here}
    ).fetchall() == [(3, 2, 1)]
    assert other.get("b.csv") == b"id\n2\n"
    assert (tmp_path / "c.json").is_file()
    assert "lake/a.parquet" in based.listed()
