"""The assets. The twelve months and the small tables are landed as they come; the delay table joins them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from mad_prefect_core import DataArtifactQuery, Relation, asset
from nyc_flights import source

__all__ = ["MONTHS", "airlines", "airports", "delays", "flights", "planes", "weather"]

MONTHS = range(1, 13)
KEEP = timedelta(days=365)  # 2013 is over: what was landed once stays right


@asset("bronze/flights/month={month}.parquet|csv", cache_expiration=KEEP)
async def flights(month: int) -> AsyncIterator[list[dict[str, Any]]]:
    """The flights of a month, in pages. Each page is on disk as a fragment before the next one is asked for."""
    for page in source.flight_pages(month):
        yield page


@asset("bronze/airlines.parquet|csv", cache_expiration=KEEP)
def airlines() -> list[dict[str, Any]]:
    return source.table("airlines")


@asset("bronze/airports.parquet|csv", cache_expiration=KEEP)
def airports() -> list[dict[str, Any]]:
    return source.table("airports")


@asset("bronze/planes.parquet|csv", cache_expiration=KEEP)
def planes() -> list[dict[str, Any]]:
    return source.table("planes")


@asset("bronze/weather.parquet|csv", cache_expiration=KEEP)
def weather() -> list[dict[str, Any]]:
    return source.table("weather")


@asset("gold/delays.parquet|csv", cache_expiration=KEEP)
async def delays() -> Relation | None:
    """Departure delays by airline and airport.

    `data` is the asset that is queried, `flights` is the table given by hand, and the other names in the query are
    assets: they are found by name.
    """
    months = [await flights(month=month) for month in MONTHS]
    year = await DataArtifactQuery(months).query()
    return await airlines.query(
        """
        SELECT
            data.name                                             AS carrier,
            flights.origin                                        AS origin,
            airports.name                                         AS airport,
            count(*)                                              AS flights,
            count(*) FILTER (dep_time IS NULL)                    AS cancelled,
            round(avg(dep_delay), 1)                              AS mean_delay,
            round(100 * avg((dep_delay > 15)::INT), 1)            AS late_percent,
            round(avg(dep_delay) FILTER (precip > 0), 1)          AS mean_delay_in_rain,
            round(avg(flights.year - planes.year), 1)             AS mean_plane_age,
        FROM flights
        JOIN data USING (carrier)
        JOIN airports ON airports.faa = flights.origin
        LEFT JOIN planes USING (tailnum)
        LEFT JOIN weather ON weather.origin = flights.origin AND weather.time_hour = flights.time_hour
        GROUP BY ALL
        ORDER BY carrier, origin
        """,
        tables={"flights": year},
    )
