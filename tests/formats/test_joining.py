"""Files made of other files' bytes: whatever reads them finds all rows, in order, and nothing else."""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path
from typing import Any, cast

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_prefect_json import JsonFormat, WriteJsonOptions
from mad_prefect_parquet import ParquetFormat, WriteParquetOptions, thrift
from mad_prefect_parquet.joiner import ParquetJoiner

VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.string(): st.text(max_size=5),
    pa.binary(): st.binary(max_size=5),
    pa.bool_(): st.booleans(),
    pa.timestamp("us", tz="UTC"): st.integers(0, 10**15),
    pa.decimal128(9, 2): st.decimals(-(10**6), 10**6, places=2),
    pa.list_(pa.string()): st.lists(st.none() | st.text(max_size=3), max_size=3),
    pa.struct([("a", pa.int32()), ("b", pa.list_(pa.int8()))]): st.fixed_dictionaries(
        {"a": st.none() | st.integers(0, 9), "b": st.none() | st.lists(st.integers(0, 9), max_size=2)}
    ),
}


@st.composite
def tables(draw: st.DrawFn) -> list[pa.Table]:
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    schema = pa.schema([(f"c{number}", kind) for number, kind in enumerate(kinds)])

    def table(rows: int) -> pa.Table:
        columns = [draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)) for kind in kinds]
        return pa.table([pa.array(c, k) for c, k in zip(columns, kinds, strict=True)], schema)

    return [table(rows) for rows in draw(st.lists(st.integers(1, 12), min_size=1, max_size=5))]


def joined(path: Path, files: list[Path], row_group_size: int) -> bool:
    joiner = ParquetJoiner(path, row_group_size)
    whole = False
    try:
        whole = all(joiner.add(cast("Any", partial(open, file, "rb"))) for file in files)
    finally:
        if not whole:
            joiner.abort()
    if whole:
        joiner.close()
    return whole


@given(tables=tables(), codec=st.sampled_from(["snappy", "zstd", "none"]))
def test_every_reader_finds_the_rows_of_all_parquet_files(folder: Path, tables: list[pa.Table], codec: str) -> None:
    for old in folder.iterdir():
        old.unlink()
    files = [folder / f"{number}.parquet" for number in range(len(tables))]
    for file, table in zip(files, tables, strict=True):
        pq.write_table(table, file, compression=codec, row_group_size=5, write_page_index=True)
    whole = folder / "whole.parquet"
    assert joined(whole, files, row_group_size=2)
    wanted = pa.concat_tables(tables)
    assert pq.read_table(whole).equals(wanted)
    assert duckdb.sql(f"FROM '{whole}'").to_arrow_table().cast(wanted.schema).equals(wanted)
    assert pl.read_parquet(whole).equals(pl.concat([pl.read_parquet(file) for file in files]))
    about = pq.read_metadata(whole)
    assert not about.row_group(0).column(0).has_offset_index  # it tells places of pages, which are others now
    assert [about.row_group(number).num_rows for number in range(about.num_row_groups)] == [
        rows for table in tables for rows in (*[5] * (len(table) // 5), len(table) % 5) if rows
    ]


def test_statistics_and_bloom_filters_lead_to_the_right_rows(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, file in enumerate(files):
        # Few different values have DuckDB write dictionaries, and with them Bloom filters.
        query = f"SELECT range + {number * 10_000} AS i, 'k' || (range % 50 + {number * 50}) AS k FROM range(10_000)"
        duckdb.execute(f"COPY ({query}) TO '{file}' (ROW_GROUP_SIZE 2048)")
    whole = tmp_path / "whole.parquet"
    assert joined(whole, files, row_group_size=2048)
    metadata = duckdb.sql(f"FROM parquet_metadata('{whole}')")
    assert metadata.filter("bloom_filter_offset IS NOT NULL").aggregate("count(*)").fetchall() == [(15,)]
    probe = "FROM parquet_bloom_probe($whole, 'k', $key) WHERE NOT bloom_filter_excludes"
    for key, first in (("k7", 7), ("k57", 10_007), ("k149", 20_049)):
        found = duckdb.execute("SELECT count(*), min(i) FROM read_parquet($1) WHERE k = $2", [str(whole), key])
        assert found.fetchall() == [(200, first)]
        groups = duckdb.execute(f"SELECT count(*) {probe}", {"whole": str(whole), "key": key}).fetchall()
        assert groups == [(5,)]  # those of the one file that has it


def test_the_joined_file_of_duckdbs_files_has_their_row_groups_byte_for_byte(tmp_path: Path) -> None:
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for file in files:
        duckdb.execute(f"COPY (SELECT range AS i FROM range(5000)) TO '{file}'")
    whole = tmp_path / "whole.parquet"
    assert joined(whole, files, row_group_size=5000)
    bodies = [data[4 : -8 - struct.unpack("<i", data[-8:-4])[0]] for data in (file.read_bytes() for file in files)]
    assert whole.read_bytes().startswith(b"PAR1" + bodies[0] + bodies[1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT 1 AS a", "SELECT 1 AS b"),
        ("SELECT 1 AS a", "SELECT 1::BIGINT AS a"),
        ("SELECT 1 AS a", "SELECT 1 AS a, 2 AS b"),
        ("SELECT 1::DECIMAL(4,2) AS a", "SELECT 1::DECIMAL(4,1) AS a"),
        ("SELECT {'x': 1} AS a", "SELECT {'y': 1} AS a"),
    ],
)
def test_files_of_other_columns_are_not_joined(tmp_path: Path, one: str, other: str) -> None:
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for query, file in zip((one, other), files, strict=True):
        duckdb.execute(f"COPY ({query}) TO '{file}'")
    assert not joined(tmp_path / "whole", files, row_group_size=1)
    assert not (tmp_path / "whole").exists()


def test_row_groups_that_are_too_small_for_readers_are_not_joined(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.parquet" for number in range(3)]
    for file in files:
        duckdb.execute(f"COPY (SELECT range AS i FROM range(3000)) TO '{file}'")
    assert not joined(tmp_path / "whole", files, row_group_size=6001)
    assert joined(tmp_path / "whole", files, row_group_size=6000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PAR1",
        b"a,b\n1,2\n",
        b"PAR1 this is not a footer \x1d" + (9).to_bytes(4, "little") + b"PAR1",
        b"PAR1" + (2**31).to_bytes(4, "little") + b"PAR1",
        b"PAR1\x00" + (1).to_bytes(4, "little") + b"PAR1",
    ],
)
def test_a_file_that_is_no_parquet_is_left_to_its_reader(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(data)
    assert not joined(tmp_path / "whole", [tmp_path / "a.parquet"], row_group_size=1)
    assert not (tmp_path / "whole").exists()


def test_footers_of_real_files_are_written_as_they_were_read(corpus: Path) -> None:
    found = 0
    for path in sorted(corpus.rglob("*.parquet")):
        data = path.read_bytes()
        if data[-4:] != b"PAR1" or "bad" in path.parent.name:
            continue  # encrypted, or broken on purpose
        footer = data[-8 - struct.unpack("<i", data[-8:-4])[0] : -8]
        structure = thrift.read(footer)
        assert thrift.read(thrift.written(structure)) == structure, path.name
        found += 1
    assert found > 20


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40), st.binary(max_size=40), st.booleans(), st.integers(1, 99)
)
def test_any_structure_is_read_as_it_was_written(numbers: list[int], text: bytes, flag: bool, gap: int) -> None:
    inner = {1: thrift.Member(thrift.I64, 5), 1 + gap: thrift.Member(1 if flag else 2, flag)}
    structure = {
        gap: thrift.Member(thrift.LIST, (thrift.I64, numbers)),
        gap + 1: thrift.Member(thrift.LIST, (thrift.STRUCT, [inner] * len(numbers))),
        gap + 20: thrift.Member(8, text),
    }
    assert thrift.read(thrift.written(structure)) == structure


def test_json_of_a_compressed_suffix_is_not_joined(tmp_path: Path) -> None:
    assert JsonFormat().joiner(tmp_path / "whole", WriteJsonOptions(), suffix=".json.gz") is None


def test_parquet_takes_the_size_of_row_groups_from_its_options(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    duckdb.execute(f"COPY (SELECT range AS i FROM range(3000)) TO '{file}'")
    opened = cast("Any", partial(open, file, "rb"))
    joiner = ParquetFormat().joiner(tmp_path / "whole", WriteParquetOptions(row_group_size=100_000), suffix=".parquet")
    assert joiner.add(opened)
    assert not joiner.add(opened)
    joiner.abort()
