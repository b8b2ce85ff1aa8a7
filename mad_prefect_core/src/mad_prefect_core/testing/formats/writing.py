"""Batches through the writer, relations through the export."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import BinaryIO, cast

import duckdb
import pyarrow as pa
import pytest

from mad_prefect_core.batch import ColumnBatch, RowBatch
from mad_prefect_core.contracts import Batch, JoiningFormat
from mad_prefect_core.session import schema_of
from mad_prefect_core.testing.base import complaint, costly, needs
from mad_prefect_core.testing.formats.bench import READ_ERRORS, Bench, FormatBase
from mad_prefect_core.writing import writer_of

__all__ = ["WritingContract"]

_MAGIC = {"gz": b"\x1f\x8b", "zst": b"\x28\xb5\x2f\xfd", "bz2": b"BZh", "xz": b"\xfd7zXZ"}


_PARTS = "`mad_prefect_core.writing.PartsWriter` writes batches of any columns."


class WritingContract(FormatBase, contract=True):
    """Files as they are written."""

    def test_batches_may_bring_drop_and_widen_columns(self, bench: Bench) -> None:
        """Every row of every batch is in the file, though batches bring, lack, reorder and widen columns."""
        path = bench.write(
            RowBatch([{"a": 1, "b": "x"}]),
            RowBatch([{"c": 1.5, "a": 2**63}]),
            ColumnBatch(pa.table({"b": ["y", None], "d": [b"\xff", None]})),
        )
        schema = {"a": "DECIMAL(20,0)", "b": "VARCHAR", "c": "DOUBLE", "d": "BLOB"}
        found = bench.scan(path, schema=schema).fetchall()
        assert found == [
            (Decimal(1), "x", None, None),
            (Decimal(2**63), None, 1.5, None),
            (None, "y", None, b"\xff"),
            (None, None, None, None),
        ], complaint("Values are lost where batches bring, lack or widen columns", _PARTS, found)

    def test_an_empty_batch_ends_nothing(self, bench: Bench) -> None:
        """Batches without rows, first, last or between, lose no row of the others."""
        empty = pa.table({"a": pa.array([], pa.int64())})
        path = bench.write(
            ColumnBatch(empty),
            RowBatch([{"a": 1}]),
            ColumnBatch(empty),
            ColumnBatch(pa.table({"a": [2]})),
            ColumnBatch(empty),
        )
        found = bench.scan(path, schema={"a": "BIGINT"}).fetchall()
        assert found == [(1,), (2,)], complaint("Rows are lost to an empty batch", "It is not the end.", found)

    def test_no_rows_keep_their_columns(self, bench: Bench) -> None:
        """Data without rows is a file that is read as the same columns and no rows."""
        path, schema = bench.export("SELECT 1 AS a, DATE '2020-01-01' AS b WHERE false")
        found = bench.scan(path, schema=schema)
        seen = schema_of(found), found.fetchall()
        assert seen == (schema, []), complaint("A file without rows loses its columns", "Read it by the schema.", seen)
        path = bench.write(ColumnBatch(pa.table({"a": pa.array([], pa.int64())})))
        found = bench.scan(path, schema={"a": "BIGINT"})
        seen = schema_of(found), found.fetchall()
        assert seen == ({"a": "BIGINT"}, []), complaint("A batch without rows loses its columns", _PARTS, seen)

    def test_a_column_without_values_comes_back(self, bench: Bench) -> None:
        """A column that holds nothing in one batch, or in all, spoils neither itself nor the others."""
        path = bench.write(RowBatch([{"a": 1, "b": None, "c": None}]), RowBatch([{"a": 2, "b": "x", "c": None}]))
        schema = {"a": "BIGINT", "b": "VARCHAR", "c": "JSON"}
        found = bench.scan(path, schema=schema).fetchall()
        assert found == [(1, None, None), (2, "x", None)], complaint("A column without values is lost", _PARTS, found)

    def test_rows_keep_their_order(self, bench: Bench) -> None:
        """The rows of a file are read in the order in which they were written, also where there are many."""
        path, schema = bench.export("SELECT i, 'row ' || i AS t FROM range(150_000) AS r(i)")
        found = bench.session.view(bench.scan(path, schema=schema))
        wrong = f"SELECT count(*) FROM (SELECT i, row_number() OVER () - 1 AS n FROM {found}) WHERE i <> n"  # noqa: S608
        [(count, moved)] = bench.session.sql(f"SELECT count(*), ({wrong}) FROM {found}").fetchall()  # noqa: S608
        assert (count, moved) == (150_000, 0), complaint(
            f"Of 150,000 rows {count:,} are read, {moved:,} of them in another place", "Keep the order of rows."
        )

    def test_batches_keep_their_order(self, bench: Bench) -> None:
        """The rows of many batches are read in the order in which the batches were written."""
        batches = [RowBatch([{"i": 10 * n + i} for i in range(10)]) for n in range(40)]
        path = bench.write(*batches)
        found = bench.scan(path, schema={"i": "BIGINT"}).fetchall()
        assert found == [(i,) for i in range(400)], complaint(
            "Batches are read in another order", "Keep that of their writing.", [found]
        )

    def test_long_values_fit(self, bench: Bench) -> None:
        """A text of ten million characters comes back whole."""
        path, schema = bench.export(f"SELECT repeat('x', {self.long_text}) AS long")
        try:
            found: object = bench.scan(path, schema=schema).project("length(long)").fetchall()
        except READ_ERRORS as error:
            found = error
        assert found == [(self.long_text,)], complaint("A long text is cut or refused", "Raise the limit.", [found])

    def test_every_suffix_is_written_in_its_compression_and_read(self, bench: Bench) -> None:
        """A suffix says how a file is compressed and spelt, also while a storage has it under another name."""
        batches: list[Batch] = [RowBatch([{"a": 1, "b": "x\ty"}]), ColumnBatch(pa.table({"a": [2], "b": [","]}))]
        for suffix in bench.format.suffixes:
            path = bench.write(*batches, suffix=suffix)
            magic = _MAGIC.get(suffix.rpartition(".")[2], b"")
            assert path.read_bytes().startswith(magic), f"A file for {suffix} is not compressed as its suffix says"
            renamed = path.with_name(f"file{suffix}")
            renamed.write_bytes(path.read_bytes())
            for file in (path, renamed):
                for schema in ({"a": "BIGINT", "b": "VARCHAR"}, None):
                    found = bench.scan(file, suffix=suffix, schema=schema).fetchall()
                    assert found == [(1, "x\ty"), (2, ",")], complaint(
                        f"A file of suffix {suffix} is read wrongly", "Go by `suffix`, not by the path.", found
                    )

    def test_an_aborted_writer_leaves_no_file(self, bench: Bench) -> None:
        """A writer that gives up leaves nothing behind, neither the file nor parts of it."""
        writer = writer_of(bench.format, bench.folder / "file", bench.writing())
        writer.write(RowBatch([{"a": 1}]))
        writer.write(ColumnBatch(pa.table({"a": [2]})))
        writer.abort()
        left = [path.name for path in bench.folder.iterdir()]
        assert not left, complaint("A writer that gave up has left files", "Delete them in abort().", left)

    def test_a_finished_file_is_one_file(self, bench: Bench) -> None:
        """Nothing is left beside a finished file, whether it had one batch or several."""
        bench.write(RowBatch([{"a": 1}]), name="one")
        bench.write(RowBatch([{"a": 1}]), ColumnBatch(pa.table({"b": [2]})), name="several")
        left = {path.name for path in bench.folder.iterdir()} - {"one", "several"}
        assert not left, complaint("Files are left beside a finished one", "Delete parts in close().", left)

    @needs("joiner")
    def test_joined_files_are_one_with_all_rows_in_order(self, bench: Bench) -> None:
        """Files that are joined by their bytes are one file with all their rows, in order; where they can't be joined,
        nothing is left of the try."""
        assert isinstance(bench.format, JoiningFormat)
        options = bench.format.write_options()
        query = "SELECT i, 'row ' || i AS t, IF(i % 3 = 0, NULL, i / 4) AS x FROM range({}, {}) AS r(i)"
        exported = [bench.export(query.format(start, start + 100_000)) for start in range(0, 300_000, 100_000)]
        files, schema = [path for path, _ in exported], exported[0][1]
        before = set(bench.folder.iterdir())
        whole = bench.new_path()
        joiner = bench.format.joiner(whole, options, suffix=bench.suffix)
        if joiner is None:
            return
        if not all(joiner.add(cast("Callable[[], BinaryIO]", partial(open, path, "rb"))) for path in files):
            joiner.abort()
            assert set(bench.folder.iterdir()) == before
            return
        joiner.close()
        assert set(bench.folder.iterdir()) == before | {whole}
        found = bench.session.view(bench.scan(whole, schema=schema))
        wanted = bench.session.view(bench.session.sql(query.format(0, 300_000)))
        for one, other in ((found, wanted), (wanted, found)):
            numbered = "SELECT row_number() OVER () AS n, * FROM"
            rows = bench.session.sql(f"{numbered} {one} EXCEPT {numbered} {other} LIMIT 3").fetchall()
            assert not rows, complaint("Joined files have other rows, or in another order", "Join them in order.", rows)

    @costly
    def test_memory_is_bounded_by_a_batch(
        self, bench: Bench, measured: Callable[[str, str | int | float], None]
    ) -> None:
        """Writing and reading more data takes no more memory: what counts is the size of a batch."""
        if duckdb.__version__ < "2":
            pytest.skip("DuckDB before 2.0 itself keeps much of what it reads in memory")
        memory = pytest.importorskip(
            "mad_prefect_core.testing.formats.memory",
            reason="this system does not tell how much memory a process had at most",
            exc_type=ImportError,
        )
        for step in ("writing", "reading"):
            few, many, how = memory.peaks_of(bench.format, step, bench.folder)
            assert many - few < self.memory_growth[how], complaint(
                f"Memory grows by {many - few} MB while {how} {memory.ADDED} MB more",
                "Hold one batch at a time, not the whole file.",
                [f"{few} MB for a quarter of the data", f"{many} MB for all of it"],
            )
            measured(f"peak memory while {step} {memory.ADDED * 4 // 3} MB, MB", many)
