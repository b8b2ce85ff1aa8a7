"""`ArrowFormat`: what a format of a few lines gets from it, on files that are batches of Arrow with a length before
each."""

from __future__ import annotations

import importlib.metadata
import re
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pytest

from mad_prefect_core import DataArtifact, asset, hookimpl
from mad_prefect_core.errors import CorruptFileError, PluginError, UnsupportedDataError, UnsupportedValueError
from mad_prefect_core.hookspecs import ENTRY_POINT_GROUP, PLUGIN_API
from mad_prefect_core.plugins import PluginHost, use_host
from mad_prefect_core.sdk import (
    ArrowFormat,
    FormatCapabilities,
    OpenFile,
    Options,
    ReadContext,
    ReadOptions,
    WriteContext,
)
from mad_prefect_core.session import DuckSession, schema_of
from mad_prefect_core.testing.formats.bench import Bench
from mad_prefect_core.translation import typed

_LENGTH = struct.Struct("<Q")


class Frames(ArrowFormat[ReadOptions, Options]):
    """Notes what it is asked for."""

    name = "frames"
    suffixes = (".frames",)
    capabilities = FormatCapabilities(
        schema_in_file=True,
        schema_on_read=True,
        in_file={"UUID": "VARCHAR", "ARRAY": "LIST", "HUGEINT": "DECIMAL(38,0)", "ENUM": "text"},
        refuses={"VARIANT": "none of these", "HUGEINT of more than 38 digits": "it has no more"},
    )

    def __init__(self) -> None:
        self.asked: list[Sequence[str] | None] = []
        self.schemas = 0
        self.frames = 0
        self.written = 0

    def file_schema(self, file: OpenFile[ReadOptions]) -> pa.Schema:
        self.schemas += 1
        return next(_frames(file.data)).schema

    def batches(self, file: OpenFile[ReadOptions], columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        self.asked.append(columns)
        for reader in _frames(file.data):
            self.frames += 1
            for batch in reader:
                yield batch if columns is None else batch.select(list(reversed(columns)))

    def write_batches(self, batches: pa.RecordBatchReader, file: BinaryIO, context: WriteContext[Options]) -> None:
        self.written += 1
        _append(file, batches.schema)
        for batch in batches:
            _append(file, batches.schema, batch)
        file.write(_LENGTH.pack(0))

    def batch_rows(self, options: Options) -> int:
        return 1000


def _append(file: BinaryIO, schema: pa.Schema, *batches: pa.RecordBatch) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    data = sink.getvalue().to_pybytes()
    file.write(_LENGTH.pack(len(data)) + data)


def _frames(file: BinaryIO) -> Iterator[pa.RecordBatchReader]:
    while length := _LENGTH.unpack(file.read(_LENGTH.size))[0]:
        yield pa.ipc.open_stream(file.read(length))


class Watched(DuckSession):
    """Knows the files that were opened by it, and those that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.execute("SET TimeZone = 'UTC'")
        self.opened: list[BinaryIO] = []
        self.broken: OSError | None = None

    def opener(self, file: str) -> Any:
        sound = super().opener(file)

        def watched() -> BinaryIO:
            if self.broken is not None:
                raise self.broken
            self.opened.append(sound())
            return self.opened[-1]

        return watched

    @property
    def open(self) -> int:
        return sum(not file.closed for file in self.opened)


@pytest.fixture
def session() -> Iterator[Watched]:
    with Watched() as session:
        yield session


@pytest.fixture
def frames() -> Frames:
    return Frames()


@pytest.fixture
def bench(frames: Frames, session: Watched, tmp_path: Path) -> Bench:
    return Bench(frames, session, tmp_path)


MANY = "SELECT i, i % 7 AS k, 'row ' || i AS text, {'a b': i} AS s FROM range(10_000) AS r(i)"


@pytest.mark.parametrize(
    ("query", "asked", "rows"),
    [
        ("SELECT sum(i) FROM {}", ["i"], [(49_995_000,)]),
        ("SELECT min(text) FROM {} WHERE k = 3 AND i > 9_990", ["i", "k", "text"], [("row 9992",)]),
        ('SELECT i FROM {} WHERE s."a b" = 17', ["i", "s"], [(17,)]),
    ],
)
def test_a_query_reads_no_column_that_it_does_not_need(
    bench: Bench, frames: Frames, query: str, asked: list[str], rows: list[Any]
) -> None:
    path, _ = bench.export(MANY)
    assert bench.session.sql(query.format(bench.session.view(bench.scan(path)))).fetchall() == rows
    assert frames.asked == [asked]


def test_rows_are_counted_without_reading_all_columns(bench: Bench, frames: Frames) -> None:
    path, _ = bench.export(MANY)
    assert bench.scan(path).aggregate("count(*)").fetchall() == [(10_000,)]
    assert frames.asked == [["i"]]


def test_names_of_any_kind_may_be_filtered_by(bench: Bench) -> None:
    path, _ = bench.export("""SELECT 1 AS "a b", 2 AS "x.y", 3 AS "q""q", 4 AS "é", {'y': 5} AS x""")
    found = bench.scan(path).filter("""x.y = 5 AND "x.y" = 2 AND "a b" = 1 AND "q""q" > 2 AND "é" = 4""")
    assert found.fetchall() == [(1, 2, 3, 4, {"y": 5})]


def test_a_query_that_stops_early_reads_little_and_closes_the_file(
    bench: Bench, frames: Frames, session: Watched
) -> None:
    path, _ = bench.export(MANY)
    assert bench.scan(path).limit(1).fetchall() == [(0, 0, "row 0", {"a b": 0})]
    assert frames.frames < 10
    assert session.open == 0


def test_each_scan_opens_a_file_once_and_closes_it(bench: Bench, session: Watched) -> None:
    path, _ = bench.export(MANY)
    found = bench.scan(path)
    before = len(session.opened)
    view = session.view(found)
    session.sql(f"SELECT count(*) FROM {view} AS a JOIN {view} AS b USING (i)").fetchall()
    assert len(session.opened) - before == 2
    with pytest.raises(duckdb.Error):
        found.project("error('stop')").fetchall()
    assert session.open == 0


def test_files_with_equal_columns_are_one_scan(bench: Bench, session: Watched) -> None:
    files = [bench.export(f"SELECT {n} AS n, 'x' AS t")[0] for n in range(20)]
    other, _ = bench.export("SELECT 1.5 AS d")
    found = bench.scan(*files, other)
    assert str(found.explain()).count("ARROW_SCAN") == 2
    assert found.aggregate("sum(n), count(d), count(*)").fetchall() == [(190, 1, 21)]


def test_a_damaged_file_is_told_by_its_name_and_never_has_fewer_rows(bench: Bench, session: Watched) -> None:
    path, schema = bench.export(MANY)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(duckdb.Error, match=f"CorruptFileError.*{path.name}"):
        bench.scan(path, schema=schema).fetchall()
    path.write_bytes(whole[:20])
    with pytest.raises(CorruptFileError, match="A file can't be read as frames") as caught:
        bench.scan(path)
    assert caught.value.path == str(path)
    assert session.open == 0


def test_bytes_that_are_no_arrow_do_not_reach_duckdb(bench: Bench, frames: Frames) -> None:
    path, _ = bench.export("SELECT 'é' AS t")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xff"))
    with pytest.raises(duckdb.Error, match="Invalid UTF8"):
        bench.scan(path).fetchall()


def test_a_fault_of_the_storage_is_none_of_the_file(bench: Bench, session: Watched) -> None:
    path, _ = bench.export(MANY)
    session.broken = TimeoutError("no answer")
    with pytest.raises(TimeoutError):
        bench.scan(path)


def test_a_file_that_is_replaced_between_two_looks_is_an_error(bench: Bench) -> None:
    path, _ = bench.export("SELECT 1 AS a, 2 AS b")
    other, _ = bench.export("SELECT 1.5::DOUBLE AS a, 2 AS b")
    found = bench.scan(path)
    other.rename(path)
    with pytest.raises(duckdb.Error, match="replaced by another"):
        found.fetchall()


def test_columns_that_differ_in_case_alone_are_told_apart(bench: Bench, frames: Frames) -> None:
    path = bench.new_path()
    batch = pa.record_batch([[1], [2], [3], [4]], names=["a", "A", "a", "b"])
    with path.open("wb") as file:
        frames.write_batches(pa.RecordBatchReader.from_batches(batch.schema, [batch]), file, bench.writing())
    found = bench.scan(path)
    assert found.columns == ["a", "A_1", "a_2", "b"]
    assert found.filter("A_1 = 2 AND a_2 = 3").project("b, A_1, a").fetchall() == [(4, 2, 1)]


def test_a_type_that_it_refuses_is_refused_before_anything_is_written(bench: Bench, frames: Frames) -> None:
    with pytest.raises(UnsupportedValueError, match=r"frames can't hold .*: none of these") as caught:
        bench.export("SELECT 1 AS a, [{'x': 1::VARIANT}] AS b")
    assert caught.value.column == "b"
    assert frames.written == 0
    assert list(bench.folder.iterdir()) == []


@pytest.mark.parametrize("form", ["{}", "[{}]", "{{'a': [{}]}}", "MAP {{'k': {}}}", "[{}]::HUGEINT[1]"])
def test_a_value_that_its_type_in_the_file_does_not_keep_is_refused_by_column(bench: Bench, form: str) -> None:
    sound, too_long = (form.format(value) for value in ("1::HUGEINT", "170141183460469231731687303715884105727"))
    path, schema = bench.export(f"SELECT {sound} AS v")
    assert bench.scan(path, schema=schema).fetchall() == bench.session.sql(f"SELECT {sound}").fetchall()
    with pytest.raises(UnsupportedValueError, match=r"not exact as .*DECIMAL\(38,0\)") as caught:
        bench.export(f"SELECT 1 AS a, {too_long} AS v", "refused")
    assert caught.value.column == "v"
    assert not (bench.folder / "refused").exists()


def test_types_within_others_are_stored_as_it_says(bench: Bench) -> None:
    uuid = "'01234567-89ab-cdef-0123-456789abcdef'::UUID"
    query = f"SELECT {{'a b': [{uuid}, NULL]}} AS s, MAP {{{uuid}: [{uuid}]::UUID[1]}} AS m, 'x'::ENUM('x') AS e"
    path, schema = bench.export(query)
    assert schema_of(bench.scan(path)) == {
        "s": 'STRUCT("a b" VARCHAR[])', "m": "MAP(VARCHAR, VARCHAR[])", "e": "VARCHAR"
    }  # fmt: skip
    found = bench.scan(path, schema=schema)
    assert (schema_of(found), found.fetchall()) == (schema, bench.session.sql(query).fetchall())


def test_a_writer_that_fails_leaves_no_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Frames, batches: Any, file: BinaryIO, context: Any) -> None:
        file.write(b"some")
        raise RuntimeError("no more")

    monkeypatch.setattr(Frames, "write_batches", fail)
    with pytest.raises(RuntimeError):
        bench.export("SELECT 1 AS a")
    assert list(bench.folder.iterdir()) == []
    assert bench.session.sql("SELECT 1").fetchall() == [(1,)]


def test_a_format_without_a_method_is_refused_by_its_name() -> None:
    class Unfinished(ArrowFormat[ReadOptions, Options]):
        name = "unfinished"
        suffixes = (".unfinished",)

    with pytest.raises(TypeError, match=r"batches.*file_schema.*write_batches"):
        Unfinished()  # type: ignore[abstract]


class ByDataset(Frames):
    """Parquet by pyarrow, which takes a filesystem."""

    def read(self, file: str, context: ReadContext[ReadOptions]) -> duckdb.DuckDBPyRelation:
        session = context.session
        found = pyarrow.dataset.dataset([file], format="parquet", filesystem=session.arrow_filesystem())
        return session.sql(f"FROM {session.view(found)}")


def test_pyarrow_reads_the_files_of_a_session_and_no_others(tmp_path: Path, session: DuckSession) -> None:
    path = tmp_path / "x.parquet"
    session.execute(f"COPY (SELECT 1 AS a, 'x' AS b) TO '{path}'")
    context = ReadContext(session=session, options=ReadOptions(), suffix=".frames")
    assert ByDataset().read(str(path), context).filter("a = 1").fetchall() == [(1, "x")]
    files = session.arrow_filesystem()
    with pytest.raises(NotImplementedError, match="each is read by its name"):  # it only reads
        files.open_output_stream(str(path))
    with pytest.raises(FileNotFoundError):
        files.open_input_file(str(tmp_path / "none"))


# -- faults of an author ---------------------------------------------------------------------------------------------


def _cast(batch: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.RecordBatch:
    place = batch.schema.get_field_index(name)
    return batch.set_column(place, name, batch.column(place).cast(kind))


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        (lambda batch: _cast(batch, "a", pa.int32()), "column 'a' as int32 where `file_schema` says int64"),
        (lambda batch: _cast(batch, "t", pa.large_string()), "as large_string where `file_schema` says string"),
        (lambda batch: batch.drop_columns(["t"]), "no column 't', which `file_schema` names"),
        (lambda batch: batch.append_column("a", batch.column(0)), "column 'a' 2 times"),
        (lambda batch: pa.table(batch), "gave a Table, and not a RecordBatch"),
    ],
)  # fmt: skip
def test_batches_that_are_not_as_their_schema_says_are_a_fault_of_the_plugin(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any], saying: str
) -> None:
    path, _ = bench.export("SELECT 1::BIGINT AS a, 'x' AS t")

    def batches(self: Frames, file: OpenFile[ReadOptions], columns: Sequence[str] | None) -> Iterator[Any]:
        return (change(batch) for reader in _frames(file.data) for batch in reader)

    monkeypatch.setattr(Frames, "batches", batches)
    with pytest.raises(duckdb.Error, match=re.escape(saying)) as caught:
        bench.scan(path).fetchall()
    fault = typed(caught.value)
    assert isinstance(fault, PluginError)
    assert (fault.plugin, fault.path) == ("frames", str(path))


def test_a_schema_that_is_none_is_a_fault_of_the_plugin(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = bench.export("SELECT 1 AS a")
    monkeypatch.setattr(Frames, "file_schema", lambda *_: {"a": pa.int32()})
    with pytest.raises(PluginError, match="`file_schema` gave a dict, and not a"):
        bench.scan(path)


def test_a_file_without_columns_is_no_table(bench: Bench, frames: Frames) -> None:
    path = bench.new_path()
    batch = pa.RecordBatch.from_struct_array(pa.array([{}], pa.struct([])))
    with path.open("wb") as file:
        frames.write_batches(pa.RecordBatchReader.from_batches(batch.schema, [batch]), file, bench.writing())
    with pytest.raises(UnsupportedDataError, match="no columns, which is no table") as caught:
        bench.scan(path)
    assert (caught.value.plugin, caught.value.path) == ("frames", str(path))


def _typo(*_: Any) -> Any:
    return "text".no_such_name  # type: ignore[attr-defined]


def _typo_in_batches(*_: Any) -> Iterator[Any]:
    yield _typo()


def _name_that_is_not_there(*_: Any) -> Any:
    return no_such_name  # type: ignore[name-defined]  # noqa: F821


PLACE = r"A fault in the plugin 'frames' \(test_arrow_format\.py:\d+\)"


@pytest.fixture
def installed(frames: Frames, base: Path) -> Iterator[None]:
    """A host that has the format too."""
    plugin = ModuleType("frames_plugin")
    hook = hookimpl(lambda: [frames], specname="mad_prefect_formats")
    vars(plugin).update(requires_plugin_api=(PLUGIN_API, PLUGIN_API), mad_prefect_formats=hook)
    sys.modules[plugin.__name__] = plugin
    entry_points = [*importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)]
    entry_points.append(importlib.metadata.EntryPoint("it", plugin.__name__, ENTRY_POINT_GROUP))
    with use_host(PluginHost(entry_points)):
        yield
    del sys.modules[plugin.__name__]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("query", [None, "WHERE a = 1"])
@pytest.mark.parametrize(
    ("method", "wrong", "saying"),
    [
        ("file_schema", _typo, PLACE + ", or a damaged file: AttributeError"),
        ("file_schema", _name_that_is_not_there, PLACE + ": NameError"),
        ("batches", _typo_in_batches, PLACE + ", or a damaged file: AttributeError"),
        ("batches", lambda *_: [int([])], PLACE + ", or a damaged file: TypeError"),  # type: ignore[call-overload]
        ("batches", lambda *_: [*struct.unpack("<Q", b"")], "A file can't be read as frames: struct.error"),
    ],
)
async def test_a_mistake_in_the_code_of_a_reader_is_told_with_the_plugin_the_place_and_the_users_path(
    monkeypatch: pytest.MonkeyPatch, method: str, wrong: Any, saying: str, query: str | None
) -> None:
    @asset("teas.frames")
    def teas() -> list[dict[str, int]]:
        return [{"a": 1}]

    await teas()
    monkeypatch.setattr(Frames, method, wrong)
    with pytest.raises(CorruptFileError, match=f"^{saying}") as caught:
        (await DataArtifact("teas.frames").query(query)).fetchall()  # type: ignore[union-attr]
    assert (caught.value.plugin, caught.value.path) == ("frames", "teas.frames")
    with pytest.raises(CorruptFileError, match=f"^{saying}") as caught:
        await teas()
    assert (caught.value.plugin, caught.value.path, caught.value.phase) == ("frames", "teas.frames", "union")


@pytest.mark.usefixtures("installed")
async def test_a_mistake_in_the_code_of_a_writer_is_told_with_the_plugin_and_the_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @asset("teas.frames")
    def teas() -> list[dict[str, int]]:
        return [{"a": 1}]

    monkeypatch.setattr(Frames, "write_batches", _typo)
    with pytest.raises(UnsupportedValueError, match=f"^{PLACE}, or a value that it can't write: Attr") as caught:
        await teas()
    assert (caught.value.plugin, caught.value.path) == ("frames", "teas.frames")
