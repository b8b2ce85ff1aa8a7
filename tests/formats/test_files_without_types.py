"""`infer_schema` and `rows_to_arrow`: what a format gets from them whose files hold values and no types, on files that
are a JSON text of all rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pytest

from mad_prefect_core.errors import CorruptFileError, SchemaError, UnsupportedDataError
from mad_prefect_core.sdk import (
    ArrowFormat,
    FormatCapabilities,
    OpenFile,
    Options,
    ReadOptions,
    WriteContext,
    infer_schema,
    rows_to_arrow,
)
from mad_prefect_core.session import DuckSession, cast_to, schema_of
from mad_prefect_core.testing.formats.bench import Bench


class Notes(ArrowFormat[ReadOptions, Options]):
    """A JSON text."""

    name = "notes"
    suffixes = (".notes",)
    capabilities = FormatCapabilities(schema_on_read=True, in_file={"DATE": "VARCHAR", "MAP": "VARCHAR"})

    def __init__(self) -> None:
        self.schemas: list[pa.Schema | None] = []

    def file_schema(self, file: OpenFile[ReadOptions]) -> pa.Schema:
        self.schemas.append(file.schema)
        return infer_schema(json.load(file.data))

    def batches(self, file: OpenFile[ReadOptions], columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        self.schemas.append(file.schema)
        return rows_to_arrow(json.load(file.data), file.schema, columns)

    def write_batches(self, batches: pa.RecordBatchReader, file: BinaryIO, context: WriteContext[Options]) -> None:
        file.write(json.dumps(batches.read_all().to_pylist()).encode())


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def bench(notes: Notes, session: DuckSession, tmp_path: Path) -> Bench:
    return Bench(notes, session, tmp_path)


def written(bench: Bench, rows: Any) -> Path:
    path = bench.new_path()
    path.write_text(json.dumps(rows))
    return path


def test_columns_have_the_types_that_rows_of_an_asset_would_have(bench: Bench) -> None:
    rows = [{"n": 1, "x": 1, "t": "2020-01-01", "s": {"a": [1]}}, {"n": None, "x": 0.5, "b": True, "s": {}}]
    found = bench.scan(written(bench, rows))

    kinds = {"n": "BIGINT", "x": "DOUBLE", "t": "VARCHAR", "s": "STRUCT(a BIGINT[])", "b": "BOOLEAN"}
    assert schema_of(found) == kinds
    assert found.fetchall() == [(1, 1.0, "2020-01-01", {"a": [1]}, None), (None, 0.5, None, {"a": None}, True)]


def test_what_late_rows_need_decides_on_the_types_of_all(bench: Bench) -> None:
    rows = [{"n": 1}] * 25_000 + [{"n": 2**70, "late": "x"}]
    found = bench.scan(written(bench, rows))
    assert found.aggregate("count(*), max(n), count(late)").fetchall() == [(25_001, 2**70, 1)]


def test_only_some_rows_are_in_memory_at_once() -> None:
    alive = most = 0

    class Row(str):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal alive, most
        for _ in range(60_000):
            alive += 1
            most = max(most, alive)
            yield {"text": Row("x")}

    schema = infer_schema(rows())
    assert sum(map(len, rows_to_arrow(rows(), schema))) == 60_000
    assert most <= 30_000


def test_the_file_that_batches_gets_has_its_schema(bench: Bench, notes: Notes) -> None:
    bench.scan(written(bench, [{"n": 1}])).fetchall()
    assert notes.schemas == [None, pa.schema([("n", pa.int64())])]


def test_only_the_columns_that_are_asked_for_are_made() -> None:
    rows = [{"a": 1, "b": "x"}]
    [batch] = rows_to_arrow(rows, infer_schema(rows), ["b"])
    assert batch.to_pylist() == [{"b": "x"}]


def test_a_column_of_two_types_is_an_error_that_names_file_and_column(bench: Bench) -> None:
    path = written(bench, [{"v": 1}, {"v": "x"}])
    with pytest.raises(SchemaError, match=r"int \('1'\) and str \('x'\)") as caught:
        bench.scan(path)
    assert (caught.value.column, caught.value.path) == ("v", str(path))
    assert "program that writes the file" in str(caught.value.hint)


def test_a_row_that_is_no_dict_is_an_error(bench: Bench) -> None:
    with pytest.raises(UnsupportedDataError, match="A row of the file is a list, not a dict"):
        bench.scan(written(bench, [{"v": 1}, [1]]))


def test_a_column_that_came_while_the_file_was_read_is_not_left_out() -> None:
    schema = infer_schema([{"v": 1}])
    with pytest.raises(CorruptFileError, match="replaced while it was read: it has a new column 'w'"):
        list(rows_to_arrow([{"v": 1, "w": 2}], schema))


def test_a_file_without_rows_has_the_recorded_columns(bench: Bench) -> None:
    path, schema = bench.export("SELECT 1 AS a, DATE '2020-01-01' AS b WHERE false")
    found = bench.scan(path, schema=schema)
    assert (schema_of(found), found.fetchall()) == (schema, [])
    with pytest.raises(UnsupportedDataError, match="no columns, which is no table"):
        bench.scan(path)


def test_files_with_and_without_rows_are_united(bench: Bench) -> None:
    paths = [written(bench, rows) for rows in ([], [{"a": 1}], [])]
    assert bench.scan(*paths, schema={"a": "INTEGER", "b": "DATE"}).fetchall() == [(1, None)]


def test_a_dict_without_a_key_is_cast_to_a_struct_without_a_member(session: DuckSession) -> None:
    dicts = session.sql('SELECT CAST(MAP {} AS MAP(VARCHAR, "NULL")) AS v')
    assert cast_to(session, dicts, {"v": "STRUCT"}).fetchall() == [({},)]
