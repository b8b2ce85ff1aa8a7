"""W10: one file of Avro, CSV or JSON, written and read, against the fastest library known for each."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from benchmarks.bench import Bench
from benchmarks.cases import Case, Targets
from benchmarks.generate import frames, mixed_batches

SIZE = {"batches": 20, "rows": 20_000}
AVRO_QUICK = {"batches": 10, "rows": 6_000}
"""The others take little time, and a small part of that would tell little."""


@dataclass(frozen=True)
class Kind:
    """A format, a kind of data, and how the fastest library writes and reads it."""

    name: str
    suffix: str
    data: Callable[[Bench], Iterator[Any]]
    write: Callable[[str, Iterator[Any]], None]
    read: Callable[[str], pa.Table]
    libraries: tuple[str, ...]
    """The modules that these import: before the clock starts, as our plugins are."""
    old: bool = True
    """Whether mad-prefect 2.3.0 has the format."""

    def load(self) -> None:
        """Import what the library alone needs."""
        for name in self.libraries:
            importlib.import_module(name)

    def path(self, bench: Bench) -> str:
        """The one file."""
        return bench.path(f"data.{self.suffix}")

    def ours_writes(self, bench: Bench) -> Any:
        """An artifact is persisted: the same code for us and for mad-prefect 2.3.0."""
        artifact = bench.artifact(f"data.{self.suffix}", bench.generated(self.data(bench)))
        with bench.clock():
            asyncio.run(artifact.persist())
        return self.totals(bench)

    def floor_writes(self, bench: Bench) -> Any:
        """The library alone."""
        self.load()
        with bench.clock():
            self.write(self.path(bench), bench.generated(self.data(bench)))
        return self.totals(bench)

    def prepare(self, bench: Bench) -> None:
        """The library writes the file that all read."""
        self.write(self.path(bench), self.data(bench))

    def ours_reads(self, bench: Bench) -> Any:
        """An artifact over the file is queried: the same code for us and for mad-prefect 2.3.0."""
        artifact = bench.artifact(f"data.{self.suffix}")

        async def read() -> Any:
            await artifact.exists()  # mad-prefect 2.3.0 queries no file that it has not looked for
            relation = await artifact.query()
            return relation.to_arrow_table()

        if not self.old:
            self.load()  # our reader of Avro imports the same at its first use; W7 measures imports
        with bench.clock():
            table = asyncio.run(read())
        return counted(table)

    def floor_reads(self, bench: Bench) -> Any:
        """The library alone."""
        self.load()
        with bench.clock():
            table = self.read(self.path(bench))
        return counted(table)

    def totals(self, bench: Bench) -> Any:
        """What tells that every row is there."""
        return counted(self.read(self.path(bench)))


def counted(table: pa.Table) -> list[int]:
    """How many rows, and the sum of their numbers."""
    rows = duckdb.execute('SELECT count(*), sum(id)::BIGINT FROM "table"').fetchall()
    return list(rows[0])


def mixed(bench: Bench) -> Iterator[list[dict[str, Any]]]:
    """Rows of every common kind of value."""
    return mixed_batches(**bench.size)


def without_decimals(bench: Bench) -> Iterator[list[dict[str, Any]]]:
    """The same without the column that fastavro spends most of its time on."""
    for batch in mixed_batches(**bench.size):
        for row in batch:
            del row["price"]
        yield batch


def columns(bench: Bench) -> Iterator[pa.Table]:
    """Columns, of types that text has."""
    return frames("pyarrow", **bench.size)


_AVRO_FIELDS: dict[str, Any] = {
    "id": "long",
    "ratio": "double",
    "text": "string",
    "key": {"type": "string", "logicalType": "uuid"},
    "at": {"type": "long", "logicalType": "local-timestamp-micros"},
    "nested": {
        "type": "record",
        "name": "nested",
        "fields": [{"name": "a", "type": ["null", "long"]}, {"name": "b", "type": ["null", "string"]}],
    },
    "list": {"type": "array", "items": ["null", "long"]},
    "gap": "long",
    "price": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
    "flag": "boolean",
}


def write_avro(path: str, batches: Iterator[list[dict[str, Any]]]) -> None:
    """fastavro, with the codec that is our default."""
    from fastavro import writer

    first = next(batches)
    fields = [{"name": name, "type": ["null", _AVRO_FIELDS[name]]} for name in first[0]]
    schema = {"type": "record", "name": "row", "fields": fields}
    with Path(path).open("wb") as file:
        writer(file, schema, (row for batch in (first, *batches) for row in batch), codec="deflate")


def read_avro(path: str) -> pa.Table:
    """polars, which gives UUIDs as text."""
    import polars as pl

    return pl.read_avro(path).to_arrow()


def write_csv(path: str, tables: Iterator[pa.Table]) -> None:
    """pyarrow."""
    from pyarrow import csv

    first = next(tables)
    with csv.CSVWriter(path, first.schema) as writer:
        for table in (first, *tables):
            writer.write_table(table)


def read_csv(path: str) -> pa.Table:
    """pyarrow."""
    from pyarrow import csv

    return csv.read_csv(path)


def write_json(path: str, batches: Iterator[list[dict[str, Any]]]) -> None:
    """msgspec, newline-delimited."""
    import msgspec

    encoder = msgspec.json.Encoder()
    with Path(path).open("wb") as file:
        for batch in batches:
            file.write(encoder.encode_lines(batch))


def read_json(path: str) -> pa.Table:
    """pyarrow, which gives UUIDs and decimals as text."""
    from pyarrow import json

    return json.read_json(path)


def cases(
    kind: Kind, targets: tuple[Targets, Targets] = (Targets(), Targets()), quick: Mapping[str, int] = SIZE
) -> list[Case]:
    """Writing and reading a kind of file."""
    writes = {"ours": kind.ours_writes, "old": kind.ours_writes, "floor": kind.floor_writes}
    reads = {"ours": kind.ours_reads, "old": kind.ours_reads, "floor": kind.floor_reads}
    if not kind.old:
        del writes["old"], reads["old"]
    prepare = dict.fromkeys(reads, kind.prepare)
    return [
        Case("W10", f"{kind.name}, write", writes, SIZE, quick, targets[0]),
        Case("W10", f"{kind.name}, read", reads, SIZE, quick, targets[1], prepare=prepare),
    ]


AVRO_TARGETS = Targets(floor=1.1), Targets(floor=1.3)
CASES = [
    *cases(
        Kind(
            "Avro",
            "avro",
            without_decimals,
            write_avro,
            read_avro,
            ("fastavro", "polars", "pyarrow.dataset"),
            old=False,
        ),
        AVRO_TARGETS,
        AVRO_QUICK,
    ),
    *cases(
        Kind(
            "Avro with decimals",
            "avro",
            mixed,
            write_avro,
            read_avro,
            ("fastavro", "polars", "pyarrow.dataset"),
            old=False,
        ),
        AVRO_TARGETS,
        AVRO_QUICK,
    ),
    *cases(Kind("CSV", "csv", columns, write_csv, read_csv, ("pyarrow.csv",))),
    *cases(Kind("JSON", "json", mixed, write_json, read_json, ("msgspec", "pyarrow.json"))),
]
