"""How DuckDB reads what is stored."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mad_prefect_core.mounts import Location
from mad_prefect_core.session import DuckSession
from mad_prefect_core.testing.base import complaint, costly, raises
from mad_prefect_core.testing.storages.place import Place, StorageBase, at_once

__all__ = ["ReadingContract"]

_KINDS = ("parquet", "csv", "json")
_SUMS = "SELECT count(*), sum(id), sum(v), sum(hash(s) % 1000000), min(s), max(s), sum(length(s)) FROM read_{}($1)"


_ESCAPE = "Give DuckDB names with their glob characters escaped."


class ReadingContract(StorageBase, contract=True):
    """DuckDB."""

    def test_duckdb_reads_exactly_the_files_it_is_given(self, place: Place) -> None:
        """DuckDB reads Parquet, CSV and JSON files, each by itself and several as one."""
        for kind in _KINDS:
            locations = [_copy(place, f"d/{n}.{kind}", f"SELECT {n} AS n, 'ü' AS s") for n in range(3)]
            _copy(place, f"d/3.{kind}", "SELECT 3 AS n, '' AS s")
            assert _rows(kind, locations[1]) == [(1, "ü")], f"DuckDB reads more or less than one {kind} file"
            rows = [(0, "ü"), (1, "ü"), (2, "ü")]
            assert sorted(_rows(kind, *locations)) == rows, f"DuckDB reads more or less than three {kind} files"

    def test_duckdb_takes_every_name_literally(self, place: Place) -> None:
        """DuckDB reads a file of any name, and no other that the name as a pattern would match."""
        # DuckDB takes \ for a separator
        names = [name for name in self.possible(place, self.hostile_names) if "\\" not in name]
        for name in ("x", "ab", "aab", "a", "zzb"):
            place.publish(f"d/{name}.csv", b"n\nanother\n")
        for name in names:
            place.publish(f"d/{name}.csv", b"n\n" + name.encode().hex().encode() + b"h\n")
        wrong = []
        query = "FROM read_csv($1, header = true, all_varchar = true, hive_partitioning = false)"
        with DuckSession() as session:
            for name in names:
                files = place.at(f"d/{name}.csv").duckdb_files(session)
                found = session.sql(query, [files]).fetchall()
                if found != [(f"{name.encode().hex()}h",)]:
                    wrong.append(f"{name!r}: {len(found)} rows")
        assert not wrong, complaint("DuckDB reads other files than the one named", _ESCAPE, wrong)

    def test_duckdb_reads_no_other_file_for_one_that_is_missing(self, place: Place) -> None:
        """Reading a file that is not there is an error, also where its name as a pattern matches others."""
        _copy(place, "d/x.parquet", "SELECT 1 AS n")
        keys = ("d/none.parquet", "d/*.parquet", "d/[x].parquet", "d/?.parquet", "**/x.parquet")
        for key in self.possible(place, keys):
            with raises(
                (duckdb.Error, OSError), f"For {key!r}, which is not there, DuckDB reads another file", _ESCAPE
            ):
                _rows("parquet", place.at(key))

    def test_duckdb_sees_what_was_overwritten(self, place: Place) -> None:
        """A query after a file was overwritten reads the new bytes, also on a session that has read the old ones."""
        with DuckSession() as session:
            for number in range(8):
                for kind in _KINDS:
                    text = "x" * 10 ** (number % 4)
                    location = _copy(place, f"x.{kind}", f"SELECT {number} AS n, '{text}' AS s")
                    assert _rows(kind, location, session=session) == [(number, text)], complaint(
                        f"DuckDB reads a {kind} file as it was before it was overwritten",
                        "Key what is cached by version.",
                    )

    def test_many_threads_read_at_once(self, place: Place) -> None:
        """8 threads that read with sessions of their own all get their rows, and none hangs."""
        locations = {
            (kind, n): _copy(place, f"{n}.{kind}", f"FROM range({n}, {n + 20000}) t(n)")
            for kind in _KINDS
            for n in range(3)
        }

        def read(first: int) -> list[bool]:
            right = []
            for turn in range(6):
                kind, n = list(locations)[(first + turn) % len(locations)]
                with DuckSession() as session:
                    files = locations[kind, n].duckdb_files(session)
                    found = session.sql(f"FROM read_{kind}($1)", [files]).aggregate("sum(n), count(*)").fetchall()
                    right.append(found == [(sum(range(n, n + 20000)), 20000)])
            return right

        try:
            right = at_once([partial(read, first) for first in range(8)], self.patience)
        except OSError as error:
            pytest.fail(
                complaint("Of 8 threads that read at once one was refused", "Share what can be shared.", [error])
            )
        assert right == [[True] * 6] * 8, "Threads that read at once got other rows than are there"

    @costly
    @pytest.mark.large
    def test_large_files_are_read_right_every_time(self, place: Place) -> None:
        """Large files, which DuckDB reads with several threads, give the same rows every time."""
        for kind, rows in {"parquet": 20_000, "csv": 16_000, "json": 10_000}.items():
            columns = "i AS id, hash(i) % 1000000 AS v, md5(i::VARCHAR) AS s, hash(i, 7) / 2.0 AS r"
            query = f"FROM range({rows * self.large_megabytes}) t(i) SELECT {columns}"
            with tempfile.TemporaryDirectory() as folder, DuckSession() as session:
                local = Path(folder) / f"x.{kind}"
                session.execute(f"COPY ({query}) TO $path (FORMAT {kind})", {"path": str(local)})
                expected = session.sql(_SUMS.format(kind), [[str(local)]]).fetchall()
                location = place.at(f"x.{kind}")
                staged = location.stage()
                shutil.move(local, staged)
                location.publish(staged)
            for _ in range(20 if kind == "parquet" else 5):
                with DuckSession() as session:
                    files = location.duckdb_files(session)
                    try:
                        found: object = session.sql(_SUMS.format(kind), [files]).fetchall()
                    except duckdb.Error as error:
                        found = error
                    assert found == expected, complaint(
                        f"A large {kind} file is read wrongly", "See `SharedFile` for how DuckDB reads.", [found]
                    )
            location.delete()


def _copy(place: Place, key: str, query: str) -> Location:
    """A published file of the rows of a query, in the format of its suffix."""
    location = place.at(key)
    staged = location.stage()
    with DuckSession() as session:
        session.execute(f"COPY ({query}) TO $path (FORMAT {key.rpartition('.')[2]})", {"path": str(staged)})
    location.publish(staged)
    return location


def _rows(kind: str, *locations: Location, session: DuckSession | None = None) -> list[tuple[Any, ...]]:
    with contextlib.ExitStack() as stack:
        session = session or stack.enter_context(DuckSession())
        files = [file for location in locations for file in location.duckdb_files(session)]
        return session.sql(f"FROM read_{kind}($1)", [files]).fetchall()
