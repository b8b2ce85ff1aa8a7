"""A program as users of mad-prefect 2.x have them: it imports nothing but `mad_prefect` and what came with that.

It says what it found as one line of JSON, to be the same on each storage.
"""

import asyncio
import json
import sys
from datetime import timedelta

import duckdb
import pyarrow as pa

from mad_prefect.data_assets import asset
from mad_prefect.data_assets.data_artifact import DataArtifact
from mad_prefect.data_assets.data_asset import DataAsset
from mad_prefect.data_assets.options import ReadJsonOptions
from mad_prefect.duckdb import register_mad_protocol
from mad_prefect.filesystems import FsspecFileSystem, get_fs

calls: list[str] = []


@asset(
    path="bronze/orders/year={year}/orders.parquet",
    artifacts_dir="raw/orders/year={year}",
    name="bronze.orders.{year}",
    snapshot_artifacts=True,
    cache_expiration=timedelta(days=1),
    read_json_options=ReadJsonOptions(columns={"id": "VARCHAR", "amount": "DOUBLE"}),
)
async def orders(year: int):
    calls.append(f"orders {year}")
    for page in range(2):
        yield [{"id": f"{year}-{page}-{n}", "amount": 1.5 * n} for n in range(3)]


@asset("silver/totals.csv", name="silver.totals")
async def totals():
    calls.append("totals")
    of_2024 = await orders.with_arguments(2024)()
    await orders.with_arguments(2025)()
    assert isinstance(of_2024, DataArtifact)
    await register_mad_protocol()
    return duckdb.query(
        "SELECT year, count(*) AS orders, sum(amount) AS amount"
        " FROM read_parquet('mad://bronze/orders/**/*.parquet', hive_partitioning = true) GROUP BY year ORDER BY year"
    )


@asset("silver/[one] file.json")
def by_frame():
    calls.append("by_frame")
    return pa.table({"city": ["Köln", "Århus"], "n": [1, 2]})


async def look_at_files():
    fs = await get_fs()
    assert isinstance(fs, FsspecFileSystem)
    await fs.write_data("notes/first.json", [{"note": "a"}])
    await fs.write_data("notes/table.parquet", [{"note": "b", "n": 2}])
    await fs.write_path("notes/raw.bin", b"\x00\x01")
    there = sorted(fs.glob("notes/*"))
    read = await fs.read_data("notes/first.json"), await fs.read_data("notes/table.parquet")
    await fs.move_path("notes/raw.bin", "old/moved.bin")
    moved = (await fs.read_path("old/moved.bin")).hex(), fs.exists("notes/raw.bin")
    await fs.delete_path("old", recursive=True)
    await fs.delete_path("notes/first.json")
    return {
        "there": there,
        "read": read,
        "moved": moved,
        "left": [fs.exists("old/moved.bin"), sorted(fs.glob("notes/*"))],
        "results": sorted(fs.glob("bronze/**/*.parquet")),
        "pages": len(fs.glob("raw/orders/year=2024/**/fragment=*.json")),
    }


async def program():
    first = await totals.query("SELECT * ORDER BY year")
    artifact = await orders.with_arguments(2025)()
    twice = await orders.with_arguments(2025).query("SELECT count(*), min(id)")
    file = await DataArtifact("bronze/orders/year=2024/orders.parquet").query("SELECT max(id), any_value(year)")
    await by_frame()
    await by_frame()
    frame = await by_frame.query("WHERE n = 2")
    with duckdb.connect() as connection:
        await register_mad_protocol(connection)
        connection.sql("COPY (SELECT 7 AS x) TO 'mad://exports/seven.parquet'")
        several = connection.sql(
            "SELECT year, count(*) FROM read_parquet('mad://bronze/orders/*/orders.parquet') GROUP BY year ORDER BY 1"
        ).fetchall()
        seven = connection.sql("FROM 'mad://exports/seven.parquet'").fetchall()
        as_json = connection.sql("SELECT city FROM read_json('mad://silver/*file.json') ORDER BY n").fetchall()
    assert isinstance(orders, DataAsset)
    return {
        "calls": calls,
        "totals": first.fetchall(),
        "exists": await artifact.exists(),
        "twice": twice.fetchall(),
        "file": file.fetchall(),
        "several": several,
        "frame": frame.fetchall(),
        "seven": seven,
        "json": as_json,
        "files": await look_at_files(),
    }


if __name__ == "__main__":
    json.dump(asyncio.run(program()), sys.stdout)
