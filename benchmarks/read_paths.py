"""The ways in which DuckDB can read from S3 and write to it: seconds and HTTP requests of each, side by side.

    python -m benchmarks.read_paths

prints the tables of docs/reference/read-paths.md. Each way reads objects that it has never read before, over
connections that are open. A way that this machine can't go is left out, and named.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb

from benchmarks.generate import relation_sql
from benchmarks.slow_s3 import LATENCY, SlowServer, slow_s3
from mad_prefect_core.sdk import ObjectStore
from mad_prefect_core.session import DuckSession
from mad_prefect_core.shared_files import for_duckdb
from mad_prefect_core.stores import staged_file
from mad_prefect_s3 import S3Options, S3Storage

__all__ = ["main"]

_STORAGE = S3Storage()
_VERSIONS = ("duckdb", "s3fs", "obstore", "fsspec", "aiobotocore", "moto")

_FILES = {"large.parquet": 1_000_000, "small.parquet": 10_000, "large.csv": 200_000, "large.json": 200_000}
"""Rows of each."""

_ALL = "SELECT sum(hash(data)) FROM data"
_WORKS = {
    "Parquet, one row": ("large.parquet", "SELECT * FROM data WHERE id = 654321"),
    "Parquet, one column": ("large.parquet", "SELECT sum(quarter) FROM data"),
    "Parquet, all": ("large.parquet", _ALL),
    "small Parquet, all": ("small.parquet", _ALL),
    "CSV, all": ("large.csv", _ALL),
    "JSON, all": ("large.json", _ALL),
    "Parquet, written": ("large.parquet", ""),
}
"""A file and a query of it, none where it is written."""


class Way:
    """One way between DuckDB and a bucket: this one is ours."""

    name = "pinned (ours)"
    protocol = "s3"

    def __init__(self, server: SlowServer) -> None:
        self.server = server
        self.session = DuckSession()
        self.fs = self.connect()

    def connect(self) -> Any:
        """A client of its own."""
        return _STORAGE.open("s3://", S3Options(**self.server.options)).fs

    def url(self, path: str) -> str:
        """What DuckDB reads a path by."""
        return ObjectStore(self.fs).duckdb_files(self.session, [path])[0]

    def write(self, query: str, path: str) -> None:
        """Bring the Parquet file of a query to a path."""
        staged = staged_file(path)
        self.session.execute(f"COPY ({query}) TO '{staged}' (FORMAT parquet)")
        ObjectStore(self.fs).publish(staged, path)


class Httpfs(Way):
    """DuckDB's own extension."""

    name = "httpfs"

    def connect(self) -> Any:
        self.session.execute("LOAD httpfs")
        options = self.server.options
        said = f"KEY_ID '{options['key']}', SECRET '{options['secret']}', REGION '{options['region']}'"
        server = options["endpoint_url"].removeprefix("http://")
        said += f", ENDPOINT '{server}', USE_SSL false, URL_STYLE 'path'"
        self.session.execute(f"CREATE OR REPLACE TEMPORARY SECRET bench (TYPE s3, {said})")

    def url(self, path: str) -> str:
        return f"s3://{path}"

    def write(self, query: str, path: str) -> None:
        self.session.execute(f"COPY ({query}) TO 's3://{path}' (FORMAT parquet)")


class S3fs(Way):
    """s3fs as it is, but for a position that several threads can share, without which DuckDB 2.0 reads garbage."""

    name = "s3fs"
    protocol = "bench-s3fs"

    def connect(self) -> Any:
        fs = self.plain()
        self.session.connection.register_filesystem(for_duckdb(fs, self.protocol))
        return fs

    def plain(self) -> Any:
        import s3fs

        return s3fs.S3FileSystem(
            **{name: self.server.options[name] for name in ("key", "secret", "endpoint_url")}, skip_instance_cache=True
        )

    def url(self, path: str) -> str:
        return f"{self.protocol}://{path}"

    def write(self, query: str, path: str) -> None:
        self.session.execute(f"COPY ({query}) TO '{self.url(path)}' (FORMAT parquet)")


class Obstore(S3fs):
    """obstore through its own fsspec face."""

    name = "obstore"
    protocol = "bench-obstore"

    def plain(self) -> Any:
        from obstore.fsspec import FsspecStore

        options = self.server.options
        return FsspecStore(
            "s3",
            endpoint=options["endpoint_url"],
            access_key_id=options["key"],
            secret_access_key=options["secret"],
            region=options["region"],
            client_options={"allow_http": True},
            skip_instance_cache=True,
        )


class Download(Way):
    """The whole object to a local file, in parallel parts, which DuckDB then reads."""

    name = "download"

    def url(self, path: str) -> str:
        local = staged_file(path)
        stat = ObjectStore(self.fs).stat(path)
        assert stat is not None
        local.write_bytes(self.fs.fetch(path, stat.token, 0, stat.size))
        return str(local)


_WAYS: tuple[type[Way], ...] = (Way, Httpfs, S3fs, Obstore, Download)


@dataclass
class Measured:
    """What one piece of work took, on one way."""

    seconds: list[float] = field(default_factory=list)
    requests: int = 0
    answer: Any = None


def _connected(server: SlowServer) -> tuple[list[Way], dict[str, str]]:
    """The ways that there are, and by name why others are not."""
    ways, missing = [], {}
    for kind in _WAYS:
        try:
            ways.append(kind(server))
        except duckdb.Error as error:
            missing[kind.name] = str(error)
    return ways, missing


def _fill(server: SlowServer, repeat: int) -> None:
    """Each file once for each measurement, since a way knows what it has read before."""
    fs = _STORAGE.open("s3://", S3Options(**server.options, attempts=1)).fs  # another client than is measured
    for name, rows in _FILES.items():
        staged = staged_file(name)
        duckdb.execute(f"COPY ({relation_sql(rows)}) TO '{staged}' (FORMAT {name.rpartition('.')[2]})")
        ObjectStore(fs).publish(staged, f"{server.bucket}/{name}")
    for work, (file, _) in _WORKS.items():
        for number in range(repeat):
            ObjectStore(fs).link(f"{server.bucket}/{file}", f"{server.bucket}/{_copy(work, number)}")


def _copy(work: str, number: int) -> str:
    return f"{work}/{number}/{_WORKS[work][0]}"


def _measure(server: SlowServer, ways: list[Way], repeat: int) -> Iterator[tuple[str, dict[str, Measured]]]:
    for way in ways:
        duckdb_reads(way, f"{server.bucket}/small.parquet", _ALL)  # its connections are open then
    for work, (file, query) in _WORKS.items():
        found = {way.name: Measured() for way in ways}
        for number in range(repeat):
            for way in ways:
                path = f"{server.bucket}/{_copy(work, number)}"
                server.counted()
                start = time.perf_counter()
                if query:
                    answer = duckdb_reads(way, path, query)
                else:
                    answer = way.write(relation_sql(_FILES[file]), f"{path}.{way.protocol}")
                measured = found[way.name]
                measured.seconds.append(time.perf_counter() - start)
                measured.requests = server.counted()
                measured.answer = answer
        answers = [measured.answer for measured in found.values()]
        assert all(answer == answers[0] for answer in answers), f"{work}: the ways disagree: {answers}"
        yield work, found


def duckdb_reads(way: Way, path: str, query: str) -> Any:
    """The rows of a query of one file."""
    reader = {"parquet": "read_parquet", "csv": "read_csv", "json": "read_json"}[path.rpartition(".")[2]]
    view = way.session.view(way.session.sql(f"FROM {reader}($1)", [[way.url(path)]]), "data")
    try:
        return way.session.sql(query).fetchall()
    finally:
        way.session.forget(view)


def main() -> None:
    """Measure all ways, and print two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="measurements of each; the median counts")
    repeat = parser.parse_args().repeat
    with slow_s3() as server:
        _fill(server, repeat)
        ways, missing = _connected(server)
        found = []
        for work, measured in _measure(server, ways, repeat):
            print(work, {name: round(statistics.median(m.seconds), 3) for name, m in measured.items()}, file=sys.stderr)
            found.append((work, measured))
    _show("seconds, as a ratio to ours", ways, found, _ratio)
    _show("HTTP requests", ways, found, lambda measured, ours: str(measured.requests))
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _VERSIONS)
    print(f"\n{LATENCY * 1000:g} ms a request. {versions}.")
    for name, why in missing.items():
        print(f"Not measured: {name}. {why}")


def _ratio(measured: Measured, ours: Measured) -> str:
    seconds, base = statistics.median(measured.seconds), statistics.median(ours.seconds)
    return f"{seconds:.2f} s" if measured is ours else f"{seconds / base:.1f} ×"


def _show(
    title: str,
    ways: list[Way],
    found: list[tuple[str, dict[str, Measured]]],
    cell: Callable[[Measured, Measured], str],
) -> None:
    print(f"\n| {title} | {' | '.join(way.name for way in ways)} |\n|---|{'---|' * len(ways)}")
    for work, measured in found:
        cells = [cell(measured[way.name], measured[Way.name]) for way in ways]
        print(f"| {work} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
