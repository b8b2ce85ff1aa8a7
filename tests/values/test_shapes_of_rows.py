"""What a list or tuple holds is told from its items: rows come out as rows, and no column is made up."""

from __future__ import annotations

import asyncio
import collections
import csv
import dataclasses
import io
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.artifacts.files import DeclaredTypes
from mad_prefect_core.batch import iter_batches
from mad_prefect_core.errors import DataError, SchemaError, UnsupportedDataError
from mad_prefect_csv import ReadCSVOptions
from mad_prefect_json import ReadJsonOptions

Rows = list[dict[str, Any]]

Pair = collections.namedtuple("Pair", ["id", "n"])


@dataclasses.dataclass
class Row:
    id: int
    n: int


class Record:
    """As asyncpg has them: keys, and values by key or position; iterated, it gives values."""

    def __init__(self, **values: Any) -> None:
        self._values = values

    def keys(self) -> Iterator[str]:
        return iter(self._values)

    def __getitem__(self, key: str | int) -> Any:
        return self._values[key] if isinstance(key, str) else list(self._values.values())[key]

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values.values())


class ListRow(list[Any]):
    """As psycopg2's DictRow: a list with keys."""

    def keys(self) -> list[str]:
        return ["id", "n"]

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self.keys().index(key) if isinstance(key, str) else key)


def rows_of(data: Any, names: tuple[str, ...] = ()) -> Rows:
    declared = DeclaredTypes(dict.fromkeys(names, "BIGINT"), names=names)

    async def read() -> Rows:
        return [row async for batch in iter_batches(data, declared) for row in batch.rows()]

    return asyncio.run(read())


def queried(sql: str = "SELECT 1 AS id, 10 AS n UNION ALL SELECT 2, 20", by_name: bool = False) -> sqlite3.Cursor:
    connection = sqlite3.connect(":memory:")
    if by_name:
        connection.row_factory = sqlite3.Row
    return connection.execute(sql)


def in_sqlalchemy(sql: str) -> Any:
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        return connection.execute(sqlalchemy.text(sql)).fetchall()


TWO: Rows = [{"id": 1, "n": 10}, {"id": 2, "n": 20}]

ARE_ROWS: dict[str, Callable[[], Any]] = {
    "dicts": lambda: TWO,
    "tuple of dicts": lambda: tuple(TWO),
    "named tuples": lambda: [Pair(1, 10), Pair(2, 20)],
    "tuple of named tuples": lambda: (Pair(1, 10), Pair(2, 20)),
    "itertuples": lambda: list(pd.DataFrame(TWO).itertuples(index=False)),
    "dataclasses and dicts": lambda: [Row(1, 10), {"id": 2, "n": 20}],
    "sqlite rows": lambda: queried(by_name=True).fetchall(),
    "sqlite rows, one by one": lambda: (row for row in queried(by_name=True)),
    "a cursor of rows": lambda: queried(by_name=True),
    "SQLAlchemy rows": lambda: in_sqlalchemy("SELECT 1 AS id, 10 AS n UNION ALL SELECT 2, 20"),
    "asyncpg records": lambda: [Record(id=1, n=10), Record(id=2, n=20)],
    "lists with keys": lambda: [ListRow([1, 10]), ListRow([2, 20])],
    "pages in a list": lambda: [TWO[:1], [], None, TWO[1:]],
    "pages in a tuple": lambda: (TWO[:1], TWO[1:]),
    "pages of pages": lambda: [[TWO[:1]], [TWO[1:]]],
    "None before": lambda: [None, *TWO],
    "None between": lambda: [TWO[0], None, Row(2, 20)],
    "None beside a frame": lambda: [None, pa.Table.from_pylist(TWO)],
    "rows beside a frame": lambda: [TWO[0], pa.Table.from_pylist(TWO[1:])],
    "iterator": lambda: iter(TWO),
    "map": lambda: map(dict, TWO),
    "filter": lambda: filter(None, TWO),
    "dict values": lambda: dict(enumerate(TWO)).values(),
    "deque": lambda: collections.deque(TWO),
    "numpy records": lambda: np.array([(1, 10), (2, 20)], [("id", "i8"), ("n", "i4")]),
    "list of numpy records": lambda: list(np.array([(1, 10), (2, 20)], [("id", "i8"), ("n", "i4")])),
    "numpy array of dicts": lambda: np.array(TWO),
}


@pytest.mark.parametrize("kind", ARE_ROWS)
def test_rows_of_every_kind_have_the_columns_of_their_names(kind: str) -> None:
    assert rows_of(ARE_ROWS[kind]()) == TWO


def test_a_dict_reader_is_rows_of_text() -> None:
    assert rows_of(csv.DictReader(io.StringIO("id,n\n1,10\n"))) == [{"id": "1", "n": "10"}]


WITHOUT_NAMES: dict[str, Callable[[], Any]] = {
    "cursor.fetchall()": lambda: queried().fetchall(),
    "cursor.fetchone()": lambda: queried().fetchone(),
    "cursor": queried,
    "rows of a cursor, one by one": lambda: (row for row in queried()),
    "zip": lambda: zip([1, 2], [10, 20], strict=True),
    "list of zip": lambda: list(zip([1, 2], [10, 20], strict=True)),
    "enumerate": lambda: list(enumerate([10, 20])),
    "items of a dict": lambda: {1: 10, 2: 20}.items(),
    "list of the items of a dict": lambda: list({1: 10, 2: 20}.items()),
    "itertuples without a name": lambda: list(pd.DataFrame(TWO).itertuples(index=False, name=None)),
    "texts": lambda: [("a", "b"), ("c", "d")],
    "lists": lambda: [[1, 10], [2, 20]],
    "tuple of lists": lambda: ([1, 10], [2, 20]),
    "tuple of tuples": lambda: ((1, 10), (2, 20)),
    "tuples of None": lambda: [(None, None)],
    "tuple after a dict": lambda: [TWO[0], (2, 20)],
    "empty text and None": lambda: [("", None)],
    "numpy array of two dimensions": lambda: np.array([[1, 10], [2, 20]]),
    "tuples with a list in them": lambda: [(1, [10])],
    "Decimals": lambda: [(Decimal(1), Decimal(2))],
    "csv.reader": lambda: list(csv.reader(io.StringIO("1,10\n2,20\n"))),
}


@pytest.mark.parametrize("kind", WITHOUT_NAMES)
def test_rows_without_names_are_refused_and_the_ways_to_name_them_told(kind: str) -> None:
    with pytest.raises(UnsupportedDataError) as caught:
        rows_of(WITHOUT_NAMES[kind]())
    assert "columns" in str(caught.value) or "not rows together" in str(caught.value)


WITH_NAMES = {
    name: make
    for name, make in WITHOUT_NAMES.items()
    if name not in ("texts", "tuples of None", "empty text and None", "tuples with a list in them", "csv.reader",
                    "cursor.fetchone()", "enumerate", "Decimals")
}  # fmt: skip


@pytest.mark.parametrize("kind", WITH_NAMES)
def test_rows_without_names_have_those_that_the_read_options_give(kind: str) -> None:
    assert rows_of(WITH_NAMES[kind](), ("id", "n")) == TWO


def test_a_row_may_hold_dicts_lists_and_none_where_its_columns_are_named() -> None:
    rows = [(1, {"a": 2}), (None, None), (3, {"a": None})]
    assert rows_of(rows, ("id", "n")) == [
        {"id": 1, "n": {"a": 2}},
        {"id": None, "n": None},
        {"id": 3, "n": {"a": None}},
    ]
    assert rows_of((1, [2, 3]), ("id", "n")) == [{"id": 1, "n": [2, 3]}]


@pytest.mark.parametrize("row", [(1,), (1, 2, 3), [1]])
def test_a_row_of_another_length_than_the_names_is_refused(row: Any) -> None:
    with pytest.raises(SchemaError, match="2 columns: id, n"):
        rows_of([(1, 10), row], ("id", "n"))


MIXTURES: dict[str, Callable[[], Any]] = {
    "rows, meta": lambda: (TWO, {"next": 2}),
    "yield rows, meta": lambda: iter([(TWO, {"next": 2})]),
    "rows, count": lambda: (TWO, 2),
    "rows, token": lambda: (TWO, "token"),
    "rows, None": lambda: (TWO, None),
    "no rows, meta": lambda: ([], {"next": 2}),
    "row, status": lambda: ({"id": 1}, 200),
    "row, None": lambda: ({"id": 1}, None),
    "frame, meta": lambda: (pa.Table.from_pylist(TWO), {"next": 2}),
    "frame, status": lambda: (pa.Table.from_pylist(TWO), 200),
    "list of rows and meta": lambda: [TWO, {"next": 2}],
    "rows and a value": lambda: [*TWO, 3],
    "rows and a text": lambda: ["header", *TWO],
    "rows and an error": lambda: [TWO, ValueError("x")],
    "a value and a frame": lambda: [1, pa.Table.from_pylist(TWO)],
    "value and a list": lambda: [1, [2]],
    "pairs of rows and meta": lambda: [(TWO[0], {"next": 2}, 3)],
}


@pytest.mark.parametrize("kind", MIXTURES)
def test_what_stands_beside_rows_is_refused_and_adds_no_column(kind: str) -> None:
    with pytest.raises(DataError):
        rows_of(MIXTURES[kind]())


def test_values_alone_stay_the_column_json() -> None:
    assert rows_of([1, None, 2]) == [{"json": 1}, {"json": None}, {"json": 2}]
    assert rows_of(np.array([1, 2])) == [{"json": 1}, {"json": 2}]
    assert rows_of(list(np.array([1, 2]))) == [{"json": 1}, {"json": 2}]
    assert rows_of(["a", "b"]) == [{"json": "a"}, {"json": "b"}]
    assert rows_of([[1, 2], [3]], ("json",)) == [{"json": [1, 2]}, {"json": [3]}]


def test_values_alone_are_refused_where_other_columns_are_named() -> None:
    with pytest.raises(UnsupportedDataError, match="A list of values is no rows"):
        rows_of([1, 10], ("id", "n"))


@pytest.mark.parametrize("nothing", [[None], [None, None], [[]], [[], None], (), [[None]], iter([]), [[[]]]])
def test_lists_of_nothing_are_no_rows(nothing: Any) -> None:
    assert rows_of(nothing) == []


@pytest.mark.parametrize("make", [queried, in_sqlalchemy])
def test_two_columns_of_one_name_in_a_query_are_refused(make: Callable[..., Any]) -> None:
    sql = "SELECT 1 AS id, 2 AS id"
    with pytest.raises(SchemaError, match="two columns of one name"):
        rows_of(list(make(sql) if make is in_sqlalchemy else make(sql, by_name=True)))


@pytest.mark.parametrize("value", [{1, 2}, frozenset(), np.array(1), np.int64(1), io.StringIO("x"), "text", 1])
def test_what_is_no_rows_at_all_is_refused(value: Any) -> None:
    with pytest.raises(UnsupportedDataError):
        rows_of(value)


@pytest.mark.parametrize("fragments", [None, "json", "parquet", "csv", "avro"])
def test_tuples_with_names_and_types_are_the_same_from_every_format(base: Path, fragments: str | None) -> None:
    @asset(
        "x.parquet",
        artifact_filetype=fragments,
        read_json_options=ReadJsonOptions(columns={"id": "BIGINT", "n": "BIGINT"}),
    )
    def x() -> Any:
        yield queried().fetchall()
        yield (3, None)
        yield {"id": 4, "n": 40}

    relation = x.query_sync()
    assert relation is not None
    assert (relation.columns, relation.fetchall()) == (["id", "n"], [(1, 10), (2, 20), (3, None), (4, 40)])


def test_names_of_csv_columns_are_those_of_tuples(base: Path) -> None:
    @asset(
        "x.parquet", artifact_filetype="csv", read_csv_options=ReadCSVOptions(columns={"id": "BIGINT", "n": "VARCHAR"})
    )
    def x() -> Any:
        return [(1, "a"), (2, None)]

    relation = x.query_sync()
    assert relation is not None
    assert (relation.columns, relation.fetchall()) == (["id", "n"], [(1, "a"), (2, None)])


def test_a_refused_shape_leaves_the_last_result(base: Path) -> None:
    returned: list[Any] = [TWO]

    @asset("x.parquet")
    def x() -> Any:
        return returned[0]

    x.call_sync()
    returned[0] = (TWO, {"next": 2})
    with pytest.raises(UnsupportedDataError, match="without a status, a count or metadata"):
        x.call_sync()
    relation = asyncio.run(DataArtifact("x.parquet").query())
    assert relation is not None
    assert relation.fetchall() == [(1, 10), (2, 20)]


@pytest.mark.parametrize("filetype", [None, "parquet", "csv"])
@pytest.mark.parametrize(
    "make",
    [iter, collections.deque, lambda tables: dict(enumerate(tables)).values(), lambda tables: map(pa.table, tables)],
)
def test_each_table_of_an_iterator_is_stored(base: Path, filetype: str | None, make: Callable[..., Any]) -> None:
    @asset("x.parquet", artifact_filetype=filetype)
    def x() -> Any:
        return make([pa.table({"n": [1, 2]}), pa.table({"n": [3]})])

    relation = x.query_sync()
    assert relation is not None
    assert relation.fetchall() == [(1,), (2,), (3,)]
