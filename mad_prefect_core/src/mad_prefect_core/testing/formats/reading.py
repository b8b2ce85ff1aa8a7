"""Files as they are read: several, of hostile names, broken, at once."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

import pytest

from mad_prefect_core.batch import RowBatch
from mad_prefect_core.errors import UnsupportedValueError
from mad_prefect_core.session import DuckSession, quote, schema_of
from mad_prefect_core.testing.base import complaint, needs, raises
from mad_prefect_core.testing.formats.bench import READ_ERRORS, Bench, FormatBase
from mad_prefect_core.testing.formats.kinds import announces
from mad_prefect_core.testing.handles import open_handles
from mad_prefect_core.writing import writer_of

__all__ = ["ReadingContract"]

_ROWS = 2_000
_MANY = f"SELECT i AS a, 'text of row ' || i AS b FROM range({_ROWS}) AS r(i)"  # noqa: S608  a number of our own


_UNITE = "Read by `union_by_name`, and give what a file lacks as NULL."
_QUOTE = "Quote names, and keep their case and spaces."
_AGAIN = "Give DuckDB what can be scanned again, such as an object with `__arrow_c_stream__`, and no open reader."
_CORRUPT = "Raise `CorruptFileError`, `OSError` or `duckdb.Error`."


class ReadingContract(FormatBase, contract=True):
    """Files as they are read."""

    def test_files_are_united_by_column_name(self, bench: Bench) -> None:
        """Files with other columns, or in another order, are united by name, and what one lacks is NULL."""
        one, _ = bench.export("SELECT 1 AS a, 'x' AS b", f"one{bench.suffix}")
        two, _ = bench.export("SELECT 'y' AS b, 2.5::DOUBLE AS c", f"two{bench.suffix}")
        found = bench.scan(one, two)
        assert found.columns == ["a", "b", "c"], complaint("Files are not united by name", _UNITE, found.columns)
        rows = found.fetchall()
        assert rows == [(1, "x", None), (None, "y", 2.5)], complaint("Files are not united by name", _UNITE, rows)

    def test_files_are_read_in_the_order_given(self, bench: Bench) -> None:
        """The rows of several files come file after file."""
        files = [bench.export(f"SELECT {n} AS n", f"{n}{bench.suffix}")[0] for n in (2, 0, 1)]
        found = bench.scan(*files, schema={"n": "INTEGER"}).fetchall()
        assert found == [(2,), (0,), (1,)], complaint(
            "Files are read in another order", "Keep that of the list.", found
        )

    def test_hundreds_of_files_are_read(self, bench: Bench) -> None:
        """Four hundred files are one relation, with recorded types and without, in ordinary memory."""
        kinds = [bench.export(f"SELECT {n} AS n, 1.5::DOUBLE AS only{n}", f"kind{n}") for n in (0, 1)]
        files = [shutil.copyfile(kinds[n % 2][0], bench.folder / f"{n}{bench.suffix}") for n in range(400)]
        counted = bench.scan(*files).aggregate("count(*), sum(n), count(only1)").fetchall()
        assert counted == [(400, 200, 200)], complaint("Of 400 files rows are lost", "Read every file.", counted)
        found = bench.scan(*files[::2], schema=kinds[0][1]).aggregate("count(*), sum(n), sum(only0)")
        counted = found.fetchall()
        assert counted == [(200, 0, 300.0)], complaint("Of 200 files rows are lost", "Read every file.", counted)

    @needs("schema_on_read")
    def test_a_schema_fills_columns_that_files_lack_with_null(self, bench: Bench) -> None:
        """Read with recorded types, files may lack some of the columns."""
        one, _ = bench.export("SELECT 1 AS a", "one")
        two, _ = bench.export("SELECT 'x' AS b", "two")
        try:
            found: object = bench.scan(one, two, schema={"c": "DATE", "b": "VARCHAR", "a": "BIGINT"}).fetchall()
        except READ_ERRORS as error:
            found = error
        assert found == [(None, None, 1), (None, "x", None)], complaint(
            "Files that lack a column can't be read by a schema", "Do not declare `schema_on_read`.", [found]
        )

    def test_a_recorded_schema_says_which_columns_there_are(self, bench: Bench) -> None:
        """Read with recorded types, a file gives exactly the recorded columns, in their order and of their types."""
        path, _ = bench.export("SELECT 1::BIGINT AS a, 'x' AS b")
        schema = {"a": "DOUBLE", "b": "VARCHAR"}
        found = bench.scan(path, schema=schema)
        seen = schema_of(found), found.fetchall()
        assert seen == (schema, [(1.0, "x")]), complaint("A recorded schema is not kept to", "Cast by it.", seen)

    def test_folders_make_no_columns(self, bench: Bench) -> None:
        """`key=value` folders are no columns to a reader: the core adds them, for all formats alike."""
        (bench.folder / "year=2024").mkdir()
        path, schema = bench.export("SELECT 1 AS a", f"year=2024/file{bench.suffix}")
        for told in (None, schema):
            found = bench.scan(path, schema=told).fetchall()
            assert found == [(1,)], complaint("Folders make columns", "Switch that off in the reader.", found)

    def test_a_folder_does_not_replace_a_column_of_its_name(self, bench: Bench) -> None:
        """A column of the file stays, though a folder has a key of its name."""
        (bench.folder / "year=2024").mkdir()
        path, schema = bench.export("SELECT 1999 AS year", f"year=2024/file{bench.suffix}")
        found = bench.scan(path, schema=schema).fetchall()
        assert found == [(1999,)], complaint("A folder replaces a column", "Switch that off in the reader.", found)

    def test_columns_of_any_name_come_back(self, bench: Bench) -> None:
        """A column may have any name: with quotes, line ends, braces, or that of a keyword."""
        query = "SELECT " + ", ".join(f"{number} AS {quote(name)}" for number, name in enumerate(self.column_names))
        path, schema = bench.export(query)
        found = bench.scan(path, schema=schema)
        wrong = [
            f"{one!r} comes back as {other!r}"
            for one, other in zip_longest(self.column_names, found.columns)
            if one != other
        ]
        assert not wrong, complaint("Names of columns are changed", _QUOTE, wrong)
        assert found.fetchall() == [tuple(range(len(self.column_names)))], "Columns have the values of others"

    def test_columns_of_any_name_come_back_where_their_values_need_another_form(self, bench: Bench) -> None:
        """So may a column of bytes, which some formats write in another form."""
        for form in ("chr({})::BLOB", "[chr({})::BLOB]"):
            values = (f"{form.format(65 + n)} AS {quote(name)}" for n, name in enumerate(self.column_names))
            query = f"SELECT {', '.join(values)}"
            try:
                path, schema = bench.export(query)
            except UnsupportedValueError:
                if announces(bench.format, bench.session.sql(query).types[0]):
                    continue
                raise
            found = bench.scan(path, schema=schema)
            wrong = [name for name, kind in schema.items() if schema_of(found).get(name) != kind]
            assert not wrong, complaint("Columns of bytes lose their names or types", _QUOTE, map(repr, wrong))
            expected = [chr(65 + n).encode() for n in range(len(self.column_names))]
            rows = [tuple([value] if form[0] == "[" else value for value in expected)]
            assert found.fetchall() == rows, "Columns of bytes have other values"

    def test_a_file_of_any_name_is_read_alone(self, bench: Bench) -> None:
        """A path with quotes, globs or spaces is that one file, not a pattern and not SQL."""
        wrong = []
        for name in self.file_names:
            for folder in (name, "a", "b", "x", "ab", "no"):
                (bench.folder / folder).mkdir(exist_ok=True)
            for other in ("a", "b", "x", "ab", "no"):
                bench.export("SELECT 0 AS v", f"{other}/{other}{bench.suffix}")
            path, schema = bench.export("SELECT 1 AS v", f"{name}/{name}{bench.suffix}")
            for told in (schema, None):
                try:
                    found: object = bench.scan(path, schema=told).fetchall()
                except READ_ERRORS as error:
                    found = error
                if found != [(1,)]:
                    wrong.append(f"{name!r}: {found}")
        assert not wrong, complaint("The path of a file is taken for a pattern or SQL", "Bind paths as given.", wrong)

    def test_a_relation_can_be_read_again(self, bench: Bench) -> None:
        """A relation gives all rows each time that it is read, and where it is joined with itself."""
        path, schema = bench.export("SELECT i FROM range(1000) AS r(i)")
        found = bench.scan(path, schema=schema)
        view = bench.session.view(found)
        for query in ("SELECT 2 * sum(i) FROM {0}", "SELECT 2 * sum(i) FROM {0}", "SELECT sum(i + j) FROM {0} {1}"):
            joined = f"JOIN (SELECT i, i AS j FROM {view}) USING (i)"  # noqa: S608  a name that is quoted
            try:
                rows: object = bench.session.sql(query.format(view, joined)).fetchall()
            except READ_ERRORS as error:
                rows = error
            assert rows == [(999_000,)], complaint("A relation can be read only once", _AGAIN, [rows])

    def test_readers_at_once_see_what_each_sees_alone(self, bench: Bench) -> None:
        """Readers on several threads, each with a session of its own, each read every row."""
        path, schema = bench.export("SELECT i, 'row ' || i AS t FROM range(20_000) AS r(i)")

        def read(_: int) -> list[tuple[int, int, int]]:
            with DuckSession() as session:
                found = bench.scan(path, schema=schema, session=session)
                return found.aggregate("count(*), sum(i), sum(length(t))").fetchall()

        expected = read(0)
        assert expected[0][:2] == (20_000, 199_990_000), "A reader by itself gets other rows than were written"
        with ThreadPoolExecutor(4) as pool:
            try:
                found: list[object] = [*pool.map(read, range(12))]
            except READ_ERRORS as error:
                found = [error]
        assert found == [expected] * 12, complaint(
            "Readers at once get other rows than one alone", "Share no connection and no position.", found
        )

    def test_a_file_that_was_replaced_is_read_as_it_is_now(self, bench: Bench) -> None:
        """A file that was read and is then replaced at its path, by one of the same size, is read as the new one, on
        the same session and on another."""
        wrong = []
        path = bench.folder / f"file{bench.suffix}"
        for number in range(4):
            new, schema = bench.export(f"SELECT {number} AS n, 'text {number}' AS t")
            at = 1_700_000_000 + 10 * number
            os.utime(new, (at, at))  # DuckDB itself takes a file of the same name and time for the same
            os.replace(new, path)
            for told in (schema, None):
                for session in (None, DuckSession()):
                    found = bench.scan(path, schema=told, session=session).fetchall()
                    if session is not None:
                        session.close()
                    if found != [(number, f"text {number}")]:
                        wrong.append(f"version {number} is read as {found}")
        assert not wrong, complaint(
            "A file that was replaced is read as before", "Keep nothing by a file's name; open it at each scan.", wrong
        )

    def test_what_is_opened_is_closed(self, bench: Bench) -> None:
        """No file stays open once a relation is gone: one that was read whole, in part, not at all, or that failed."""
        path, schema = bench.export("SELECT i, md5(i::VARCHAR) AS t FROM range(50_000) AS r(i)")
        cut = bench.new_path(f"cut{bench.suffix}")
        cut.write_bytes(path.read_bytes()[:-8])

        def read(session: DuckSession) -> None:
            for file in (path, cut):
                with contextlib.suppress(*READ_ERRORS):
                    bench.scan(file, schema=schema, session=session)
                    bench.scan(file, session=session).limit(1).fetchall()
                    bench.scan(file, schema=schema, session=session).fetchall()

        with DuckSession() as session:
            read(session)
        writer = writer_of(bench.format, bench.new_path(), bench.writing())
        writer.write(RowBatch([{"a": 1}]))
        writer.abort()
        if (handles := open_handles()) is None:
            pytest.skip("this system does not tell which files a process has open")
        left = [name for name in handles if name.startswith(str(bench.folder.resolve()))]
        assert not left, complaint("Files are left open", "Close what is opened, also where reading breaks off.", left)

    def test_a_file_of_another_kind_is_an_error(self, bench: Bench) -> None:
        """A file that is not of this format is an error, not rows."""
        path = bench.folder / f"file{bench.suffix}"
        path.write_bytes(b"\x93\x00\n\x93\x00{'a'\n")
        with raises(READ_ERRORS, "A file of another kind is read as rows, or as none", "Raise `CorruptFileError`."):
            bench.scan(path, schema={"a": "BIGINT", "b": "DATE"}).fetchall()

    def test_a_missing_file_is_an_error(self, bench: Bench) -> None:
        """A file that is not there is an error, not an empty result."""
        with raises(READ_ERRORS, "A file that is not there is read as no rows", "Raise FileNotFoundError."):
            bench.scan(bench.folder / f"none{bench.suffix}", schema={"a": "BIGINT"}).fetchall()

    def test_a_file_without_a_byte_has_no_rows_or_is_an_error(self, bench: Bench) -> None:
        """A file of no bytes at all gives no rows that nobody wrote."""
        path = bench.folder / f"file{bench.suffix}"
        path.touch()
        found = _rows_of(bench, path)
        assert not found, complaint("A file of no bytes has rows", "Raise `CorruptFileError`.", found or ())

    def test_a_truncated_file_gives_no_row_that_nobody_wrote(self, bench: Bench) -> None:
        """Of a file that was cut off, a reader gives an error, or rows from its beginning, the last at most damaged."""
        path, _ = bench.export(_MANY)
        whole = path.read_bytes()
        expected = [(i, f"text of row {i}") for i in range(_ROWS)]
        for length in _cuts(len(whole)):
            cut = bench.new_path()
            cut.write_bytes(whole[:length])
            if found := _rows_of(bench, cut):
                sound = len(found) if bench.format.capabilities.schema_in_file else len(found) - 1
                assert found[:sound] == expected[:sound], complaint(
                    f"The first {length} of {len(whole)} bytes of a file are read as rows that nobody wrote",
                    "Raise `CorruptFileError` where a file ends too early.",
                    [found[:3]],
                )

    @needs("arrow")
    def test_a_truncated_file_never_has_fewer_rows(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of a file that was cut off, whichever of its batches that is in, a reader in Python gives an error or every
        row."""
        for rows_of_batch in (_ROWS, 300):
            monkeypatch.setattr(bench.format, "batch_rows", lambda _, rows=rows_of_batch: rows)
            path, _ = bench.export(_MANY)
            whole = path.read_bytes()
            wrong = []
            for length in _cuts(len(whole)):
                cut = bench.new_path()
                cut.write_bytes(whole[:length])
                found = _rows_of(bench, cut)
                if found is not None and len(found) != _ROWS:
                    wrong.append(
                        f"the first {length} of {len(whole)} bytes: {len(found)} of {_ROWS} rows, and no error"
                    )
            assert not wrong, complaint(
                "Rows are lost where a file is cut off",
                "Have `batches` raise where a file ends too early: write an end, a length or a count, and look for it.",
                wrong,
            )

    def test_a_damaged_part_of_a_file_is_not_skipped(self, bench: Bench) -> None:
        """Of a file with damage in its midst a reader gives an error, or as many rows as there are: it never goes on
        behind a stripe, block or batch that it could not read."""
        rows = 40_000
        path, schema = bench.export("SELECT i AS a, md5(i::VARCHAR) AS b FROM range(40_000) AS r(i)")
        whole = path.read_bytes()
        chance = random.Random(1)
        # Where a file does not tell its rows, damage may make two rows of one line, or one of two.
        least = rows if bench.format.capabilities.schema_in_file else rows - 20
        wrong = []
        for number in range(1, 16):
            at = len(whole) * number // 16
            damaged = bench.new_path()
            damaged.write_bytes(whole[:at] + chance.randbytes(64) + whole[at + 64 :])
            try:
                found = bench.scan(damaged, schema=schema).aggregate("count(*)").fetchall()[0][0]
                read = len(bench.scan(damaged, schema=schema).fetchall())
            except READ_ERRORS:
                continue
            if min(found, read) < least:
                wrong.append(f"64 wrong bytes at {at} of {len(whole)}: {min(found, read)} of {rows} rows, and no error")
        assert not wrong, complaint("Rows are lost to damage without an error", "Raise `CorruptFileError`.", wrong)

    def test_a_damaged_file_is_an_error_or_rows_and_never_a_crash(self, bench: Bench) -> None:
        """A file with a few wrong bytes is an error or rows; neither the process nor the session is lost."""
        path, _ = bench.export(_MANY)
        whole = path.read_bytes()
        chance = random.Random(0)
        for _ in range(60):
            damaged = bytearray(whole)
            for _ in range(3):
                damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
            other = bench.new_path()
            other.write_bytes(damaged)
            try:
                _rows_of(bench, other)
            except Exception as error:
                pytest.fail(
                    complaint("A damaged file is another error than a reader may raise", _CORRUPT, [repr(error)])
                )
        assert len(_rows_of(bench, path) or ()) == _ROWS, "After damaged files a sound one can't be read any more"


def _cuts(length: int) -> list[int]:
    """Where to cut a file off: all over it, and near its end."""
    return [length * n // 20 for n in range(1, 20)] + [length - n for n in (1, 2, 3, 4, 8, 12, 16, 32) if n < length]


def _rows_of(bench: Bench, path: Path) -> list[tuple[object, ...]] | None:
    """All rows of a file, None where it can't be read. Any other error than a reader may raise is one of the test."""
    try:
        return bench.scan(path, schema={"a": "BIGINT", "b": "VARCHAR"}).fetchall()
    except READ_ERRORS:
        return None
