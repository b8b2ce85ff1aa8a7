"""Real files that nobody here wrote."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).parents[3] / "shared" / "corpus"


def files(pattern):
    return [pytest.param(path.relative_to(ROOT), id=path.name) for path in sorted(ROOT.glob(pattern))]


@pytest.mark.parametrize("file", files("csv/*.csv"))
def test_csv_spectrum_gives_the_rows_of_the_json_beside_it(file, corpus, formats, scan):
    expected = json.loads((corpus / file).with_suffix(".json").read_text())
    found = scan(formats["csv"], corpus / file, all_varchar=True)
    rows = [{name: value or "" for name, value in zip(found.columns, row, strict=True)} for row in found.fetchall()]
    assert rows == expected


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_same_people_are_in_csv_and_parquet(number, corpus, formats, scan):
    # Values of other columns are spoilt or moved in the CSV files: "7b", "$9.28", a salary as a title.
    people = {}
    for name in ("csv", "parquet"):
        found = scan(formats[name], corpus / f"userdata/userdata{number}.{name}").project("last_name, ip_address")
        people[name] = [[value or "" for value in row] for row in found.fetchall()]
    assert len(people["csv"]) == 1000
    assert people["csv"] == people["parquet"]


@pytest.mark.parametrize("file", files("userdata/*.json"))
def test_json_of_others_is_read_whole(file, corpus, formats, scan):
    content = (corpus / file).read_text()
    try:
        parsed = json.loads(content)
        rows = parsed if isinstance(parsed, list) else [parsed]
    except ValueError:
        rows = [json.loads(line) for line in content.splitlines() if line.strip()]
    assert len(scan(formats["json"], corpus / file).fetchall()) == len(rows)


@pytest.mark.parametrize("file", files("parquet/*.parquet"))
def test_parquet_of_others_is_read_as_duckdb_reads_it(file, corpus, formats, scan):
    path = corpus / file
    try:
        query = "SELECT count(*) FROM read_parquet(?, union_by_name = true)"
        natively = duckdb.connect().execute(query, [str(path)]).fetchall()
    except duckdb.Error as error:  # a codec or a shape that this DuckDB does not know
        with pytest.raises(type(error)):
            scan(formats["parquet"], path).fetchall()
        return
    assert scan(formats["parquet"], path).aggregate("count(*)").fetchall() == natively


@pytest.mark.parametrize("file", files("parquet-bad/*.parquet"))
def test_broken_parquet_is_a_duckdb_error_or_rows_but_neither_crash_nor_hang(file, corpus, formats, scan):
    with contextlib.suppress(duckdb.Error):
        assert scan(formats["parquet"], corpus / file).fetchall()
