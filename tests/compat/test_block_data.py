"""`write_data` and `read_data` of the block: what goes in comes out, or is refused by name."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mad_prefect.filesystems import FsspecFileSystem
from mad_prefect_core.errors import (
    CorruptFileError,
    MadPrefectError,
    MissingFileError,
    OptionError,
    UnknownFormatError,
    UnsupportedDataError,
    UnsupportedValueError,
)

Through = Callable[[str, Any], Any]

TABLES = ("csv", "csv.gz", "csv.zst", "tsv", "parquet", "avro")
LOOKS_LIKE_OTHERS = (
    "01234", "1", "-1", "1.0", "1e5", "0x1A", "12345678901234567890", "true", "T", "2020-01-01", "01/02/2020",
    "10:00", "2020-01-01 10:00:00", "2020-01-01T10:00:00Z", "null", "NULL", "NA", "nan", "inf", "", " ", " x ",
    "a,b", "a\tb", 'q"q', "l1\nl2", "l1\r\nl2", "#c", ";", "é", "=1+1", "1_000",
)  # fmt: skip


@pytest.fixture
def block(tmp_path: Path) -> FsspecFileSystem:
    return FsspecFileSystem(basepath=f"file://{tmp_path}/base")


@pytest.fixture
def through(block: FsspecFileSystem) -> Through:
    def write_and_read(path: str, data: Any) -> Any:
        block.write_data(path, data)
        return block.read_data(path)

    return write_and_read


@pytest.mark.parametrize("text", LOOKS_LIKE_OTHERS)
@pytest.mark.parametrize("suffix", [*TABLES, "jsonl", "json"])
def test_text_that_looks_like_something_else_comes_back_as_text(through: Through, suffix: str, text: str) -> None:
    for rows in ([{"a": text}], [{"a": text}, {"a": None}], [{"n": 1, "a": text}], [{"a": text}, {"a": "x"}]):
        assert through(f"x.{suffix}", rows) == rows


@pytest.mark.parametrize(
    "value",
    [1, 2**63 + 1, 10**37, -(2**63), 1.5, 1e300, math.inf, -math.inf,
     True, dt.date(2020, 1, 2), dt.time(1, 2, 3), dt.datetime(2020, 1, 2, 3, 4, 5),
     dt.datetime(2020, 1, 2, 3, 4, 5, 6, dt.UTC), None],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [*TABLES, "jsonl", "json"])
def test_values_keep_their_types(through: Through, suffix: str, value: object) -> None:
    for rows in ([{"a": value}], [{"a": None}, {"a": value}], [{"a": value}, {"a": None}], [{"a": value, "b": "x"}]):
        assert through(f"x.{suffix}", rows) == rows


@pytest.mark.parametrize("suffix", ["parquet", "avro", "json", "jsonl"])
@pytest.mark.parametrize(
    "value", [Decimal("1.10"), Decimal("12345678901234567.89"), UUID(int=5), b"\x00a", [1, None], {"a": {"b": None}}]
)
def test_what_csv_has_no_type_for_keeps_it_elsewhere(through: Through, suffix: str, value: object) -> None:
    rows = [{"a": value}]
    assert through(f"x.{suffix}", rows) == rows


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (UUID(int=5), str(UUID(int=5))),
        (b"\x00a", "\\x00a"),
        (Decimal("12345678901234567.89"), "12345678901234567.89"),
        ([1, None], "[1,null]"),
        ({"d": dt.date(2020, 1, 2)}, '{"d":"2020-01-02"}'),
    ],
)
def test_csv_keeps_every_digit_of_what_it_has_no_type_for(through: Through, value: object, text: str) -> None:
    assert through("x.csv", [{"a": value}]) == [{"a": text}]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "text": st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
                "code": st.none() | st.from_regex(r"[0-9:./TZ-]{1,12}", fullmatch=True),
                "n": st.none() | st.integers(-(2**63), 2**63 - 1),
                "ok": st.none() | st.booleans(),
                "day": st.none() | st.dates(),
            }
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_row_and_no_value_of_a_csv_is_lost(through: Through, rows: list[dict[str, Any]]) -> None:
    assert through("x.csv", rows) == rows


@pytest.mark.parametrize("suffix", TABLES)
def test_the_file_is_of_the_format_that_its_suffix_names(block: FsspecFileSystem, tmp_path: Path, suffix: str) -> None:
    block.write_data(f"x.{suffix}", [{"a": 1}])
    begins = {"parquet": b"PAR1", "avro": b"Obj\x01", "csv.gz": b"\x1f\x8b", "csv.zst": b"\x28\xb5\x2f\xfd"}
    assert block.read_path(f"x.{suffix}").startswith(begins.get(suffix, b"a"))


def test_json_lines_have_a_line_for_each_row(block: FsspecFileSystem) -> None:
    block.write_data("x.jsonl", [{"a": 1}, {"a": 2}])
    assert block.read_path("x.jsonl") == b'{"a": 1}\n{"a": 2}\n'
    block.write_data("x.ndjson.gz", (row for row in [{"a": 1}]))
    assert gzip.decompress(block.read_path("x.ndjson.gz")) == b'{"a": 1}\n'
    assert block.read_data("x.ndjson.gz") == [{"a": 1}]


def test_json_is_written_as_in_2x(block: FsspecFileSystem) -> None:
    for name in ("x.json", "x.state", "x"):
        block.write_data(name, {"a": [1]})
        assert block.read_path(name) == json.dumps({"a": [1]}, indent=4).encode()
        block.write_data(name, {"a": [1]}, indent=False)
        assert block.read_path(name) == b'{"a": [1]}'
        assert block.read_data(name) == {"a": [1]}


def test_files_that_2x_wrote_under_other_suffixes_are_read(block: FsspecFileSystem) -> None:
    block.write_path("x.json.gz", b'{"a": 1}')
    assert block.read_data("x.json.gz") == {"a": 1}
    block.write_path("x.jsonl", b'[\n  {"a": 1}\n]')
    assert block.read_data("x.jsonl") == [{"a": 1}]
    block.write_path("result.json", b'{"a": 1}\n{"a": 2}\n')  # as an asset writes it
    assert block.read_data("result.json") == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("suffix", ["orc", "xlsx", "feather", "xml"])
def test_json_is_never_written_under_the_name_of_another_format(block: FsspecFileSystem, suffix: str) -> None:
    with pytest.raises(UnknownFormatError, match=suffix):
        block.write_data(f"x.{suffix}", [{"a": 1}])
    assert not block.exists(f"x.{suffix}")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "avro", "jsonl"])
def test_rows_come_from_whatever_an_asset_may_return(through: Through, suffix: str) -> None:
    rows = [{"a": 1}, {"a": 2}]
    for data in (rows, tuple(rows), (row for row in rows), pd.DataFrame(rows), pa.Table.from_pylist(rows)):
        assert through(f"x.{suffix}", data) == rows
    assert through(f"x.{suffix}", []) == []


def test_a_dict_of_columns_is_a_table(through: Through) -> None:
    for column in ([1, 2], (1, 2), pd.Series([1, 2]), pd.Series([1, 2]).to_numpy()):
        assert through("x.csv", {"a": column}) == [{"a": 1}, {"a": 2}]
    assert through("x.parquet", {"a": []}) == []
    with pytest.raises(UnsupportedDataError, match="'a' has 1, 'b' has 2"):
        through("x.csv", {"a": [1], "b": [1, 2]})


def test_quotes_around_every_value_of_another_program_say_nothing(block: FsspecFileSystem) -> None:
    block.write_path("x.csv", b'"id","name"\r\n"1","x"\r\n"2",""\r\n')
    assert block.read_data("x.csv") == [{"id": 1, "name": "x"}, {"id": 2, "name": ""}]


def test_types_hold_for_the_whole_file(block: FsspecFileSystem) -> None:
    block.write_path("x.csv", b"a\n" + b"1\n" * 30_000 + b"007\n")
    assert block.read_data("x.csv")[-1] == {"a": "007"}


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_text_is_read_in_the_encoding_that_is_said(block: FsspecFileSystem, encoding: str) -> None:
    block.write_path("x.csv", "ä,b\nü,1\n".encode(encoding))
    assert block.read_data("x.csv", encoding=encoding) == [{"ä": "ü", "b": 1}]
    block.write_path("x.csv.gz", gzip.compress("ä\nü\n".encode(encoding)))
    assert block.read_data("x.csv.gz", encoding) == [{"ä": "ü"}]
    with pytest.raises(CorruptFileError, match="not text in utf-8") as raised:
        block.read_data("x.csv")
    assert raised.value.path == "x.csv"
    with pytest.raises(OptionError, match="'nope' is not known"):
        block.read_data("x.csv", encoding="nope")


@pytest.mark.parametrize("name", ["x.parquet", "x.avro", "x.json", "x.csv.gz"])
def test_a_broken_file_is_an_error_that_names_it(block: FsspecFileSystem, name: str) -> None:
    block.write_path(name, b"\x1f\x8b{")
    with pytest.raises(CorruptFileError) as raised:
        block.read_data(name)
    assert raised.value.path == name


def test_a_file_that_is_not_there_is_an_error_of_ours_and_of_2x(block: FsspecFileSystem) -> None:
    for call in (block.read_data, block.read_path, block.open):
        with pytest.raises(MissingFileError, match=r"none\.csv"):
            call("none.csv")
        with pytest.raises(ValueError, match="does not exist"):
            call("none.csv")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "avro"])
@pytest.mark.parametrize(
    "data", [[{"a": 1}, {"a": "x"}], [{"a": {1, 2}}], [{"a": 10**40}], [1, 2], "x", [{"a": 1, "A": 2}]]
)
def test_what_a_table_can_not_hold_is_refused_by_name_and_nothing_is_written(
    block: FsspecFileSystem, suffix: str, data: Any
) -> None:
    with pytest.raises(MadPrefectError) as raised:
        block.write_data(f"x.{suffix}", data)
    assert raised.value.path == f"x.{suffix}"
    assert not block.exists(f"x.{suffix}")


def test_nanoseconds_are_not_cut_off(block: FsspecFileSystem) -> None:
    times = pa.array([1], pa.timestamp("ns"))
    block.write_data("x.parquet", pa.table({"t": times}))
    with pytest.raises(UnsupportedValueError, match="nanoseconds") as raised:
        block.read_data("x.parquet")
    assert raised.value.column == "t"


def test_a_float_that_is_no_number_is_one_again(through: Through) -> None:
    (row,) = through("x.csv", [{"a": math.nan}])
    assert math.isnan(row["a"])


async def test_data_is_written_and_read_on_an_event_loop(block: FsspecFileSystem) -> None:
    await block.write_data("x.csv", [{"zip": "01234"}])
    assert await block.read_data("x.csv") == [{"zip": "01234"}]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "avro"])
async def test_a_value_of_a_stream_that_is_refused_is_told_by_its_column(base: Path, suffix: str) -> None:
    fs = FsspecFileSystem(basepath=f"file://{base}")
    table = pa.table({"m": pa.MapArray.from_arrays([0, 2], ["k", "k"], [1, 2])})
    pq.write_table(table, base / "given.parquet")
    for data in (table, table.to_reader(), duckdb.connect().read_parquet(str(base / "given.parquet"))):
        with pytest.raises(UnsupportedValueError, match="more than once") as caught:
            await fs.write_data(f"maps.{suffix}", data)
        assert caught.value.column == "m"
        assert not (base / f"maps.{suffix}").exists()
