"""Files that earlier releases wrote stay readable.

An author runs `write_release(format, folder)` at each release and keeps the small folder that it makes beside the
tests. The contract test reads every release that is there.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import duckdb

from mad_prefect_core.contracts import FormatLike
from mad_prefect_core.session import DuckSession, quote, schema_of
from mad_prefect_core.testing.base import complaint, needs
from mad_prefect_core.testing.formats.bench import Bench, FormatBase
from mad_prefect_core.testing.formats.kinds import KINDS, Outcome, outcome_of

__all__ = ["ReleaseContract", "write_release"]


class ReleaseContract(FormatBase, contract=True):
    """What was written before."""

    @needs("written_before")
    def test_what_earlier_releases_wrote_is_read(self, bench: Bench, written_before: Path) -> None:
        """Files that earlier releases wrote give the values and types that were written then."""
        releases = sorted(written_before.glob("*/expected.json"))
        assert releases, f"{written_before} holds no release"
        for release in releases:
            expected = json.loads(release.read_text("utf-8"))
            columns = expected["columns"]
            schema = {name: kind for name, (kind, _) in columns.items()}
            values = _as_text(bench.session, bench.session.sql(_query({name: v for name, (_, v) in columns.items()})))
            for suffix in expected["suffixes"]:
                found = bench.scan(release.with_name(f"values{suffix}"), suffix=suffix, schema=schema)
                where = f"What release {release.parent.name} wrote to {suffix}"
                assert schema_of(found) == schema, f"{where} has other types now"
                wrong = [
                    f"{name}: {before} is read as {after}"
                    for one, other in zip(values, _as_text(bench.session, found), strict=True)
                    for name, before, after in zip(schema, one, other, strict=True)
                    if before != after
                ]
                assert not wrong, complaint(f"{where} is read in another way now", "Go on reading it.", wrong)


def write_release(format: FormatLike[Any, Any], folder: Path) -> None:
    """Write a file with values of every type that the format keeps, for each suffix, and what they are.

    `folder` is that of one release, and is made. It holds files `values<suffix>` of two rows, the second of NULL
    alone, and `expected.json`: `suffixes`, and `columns` with the DuckDB type of each and its value as SQL.
    """
    folder.mkdir(parents=True)
    with DuckSession.for_writing() as session, tempfile.TemporaryDirectory() as scratch:
        bench = Bench(format, session, Path(scratch))
        kept = {
            f"{kind} {number}": value
            for kind, values in KINDS.items()
            for number, value in enumerate(values)
            if kind != "NULL" and outcome_of(bench, value) == Outcome(value)  # not every DuckDB has a type for it
        }
        for suffix in format.suffixes:
            path, schema = bench.export(_query(kept), suffix=suffix)
            shutil.copyfile(path, folder / f"values{suffix}")
        columns = {name: [schema[name], value] for name, value in kept.items()}
        lines = json.dumps({"suffixes": list(format.suffixes), "columns": columns}, indent=1, ensure_ascii=False)
        (folder / "expected.json").write_text(f"{lines}\n", "utf-8")


def _query(values: dict[str, str]) -> str:
    columns = ", ".join(f"{value} AS {quote(name)}" for name, value in values.items())
    return f"SELECT {columns} UNION ALL SELECT {', '.join(['NULL'] * len(values))}"


def _as_text(session: DuckSession, relation: duckdb.DuckDBPyRelation) -> list[tuple[str | None, ...]]:
    columns = ", ".join(f"CAST({quote(name)} AS VARCHAR)" for name in relation.columns)
    return session.sql(f"SELECT {columns} FROM {session.view(relation)}").fetchall()  # noqa: S608  quoted
