"""Whatever an item is that a function gives, all the batches in it are stored, not just the first."""

from __future__ import annotations

import csv
import io
import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from pydantic import RootModel

from mad_prefect_core import asset

MANY = 25_000  # more than an iterator's items in one batch
PAGES: Any = [[{"n": 1}], [{"n": 2}], [{"n": 3}]]


class Pages(RootModel[list[list[dict[str, int]]]]):
    pass


def response() -> httpx.Response:
    return httpx.Response(200, content=json.dumps(PAGES), request=httpx.Request("GET", "http://example.test"))


ITEMS: dict[str, tuple[Callable[[], Any], int]] = {
    "an iterator of pages": (lambda: iter(PAGES), 3),
    "a map to pages": (lambda: map(list, PAGES), 3),
    "a deque of pages": (lambda: deque(PAGES), 3),
    "views of a dict": (lambda: dict(enumerate(PAGES)).values(), 3),
    "a long map to rows": (lambda: map(lambda n: {"n": n}, range(MANY)), MANY),  # noqa: C417  no generator is meant
    "a long file of CSV": (lambda: csv.DictReader(io.StringIO("n\n" + "1\n" * MANY)), MANY),
    "an iterator of tables": (lambda: iter([pa.table({"n": [1]}), pa.table({"n": [2]})]), 2),
    "a response of pages": (response, 3),
    "a model of pages": (lambda: Pages(PAGES), 3),
}


@pytest.mark.parametrize("fragments", [None, "json"])
@pytest.mark.parametrize("yielded", [False, True])
@pytest.mark.parametrize("kind", list(ITEMS))
def test_no_batch_of_an_item_is_lost(base: Path, kind: str, yielded: bool, fragments: str | None) -> None:
    make, rows = ITEMS[kind]

    def returns() -> Any:
        return make()

    def yields() -> Any:
        yield make()
        yield make()

    stored = asset("x.parquet", artifact_filetype=fragments)(yields if yielded else returns).query_sync()
    assert stored.aggregate("count(*)").fetchall() == [(rows * 2 if yielded else rows,)]  # type: ignore[union-attr]


async def test_numbers_in_tables_of_an_iterator_are_held_to_one_type(base: Path) -> None:
    """As those of a generator: 2**53+1 beside a fraction is no double."""

    @asset("x.parquet")
    def x() -> Any:
        return iter([pa.table({"n": [2**53 + 1]}), pa.table({"n": [0.5]})])

    @asset("y.parquet")
    def y() -> Any:
        yield from [pa.table({"n": [2**53 + 1]}), pa.table({"n": [0.5]})]

    answers = []
    for one in (x, y):
        try:
            answers.append((await one.query()).fetchall())
        except ValueError as error:
            answers.append([(type(error).__name__,)])
    assert answers[0] == answers[1]
