"""`key=value` folders: their values come back as they are written, whatever the files' format."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_prefect_core import DataArtifact, DataArtifactQuery, asset
from mad_prefect_core.errors import PathError
from mad_prefect_core.paths import hive_keys, safe_part
from mad_prefect_csv import ReadCSVOptions
from mad_prefect_json import ReadJsonOptions
from mad_prefect_parquet import ReadParquetOptions

FORMATS = ["json", "parquet", "csv", "avro"]

NULL = "__HIVE_DEFAULT_PARTITION__"

VALUES = {
    "integers": (["1", "2"], [1, 2]),
    "negative integers": (["-1", "2"], [-1, 2]),
    "dates": (["2020-01-31", "2020-02-01"], [dt.date(2020, 1, 31), dt.date(2020, 2, 1)]),
    "moments": (["2020-01-31 12%3A00%3A00"], [dt.datetime(2020, 1, 31, 12)]),
    "versions": (["1.10", "1.2"], ["1.10", "1.2"]),
    "leading zeros": (["01234", "94107"], ["01234", "94107"]),
    "exponents": (["1e5", "2e5"], ["1e5", "2e5"]),
    "signs": (["+1", "2"], ["+1", "2"]),
    "spaces": ([" 1", "2"], [" 1", "2"]),
    "hexadecimal": (["0x1A"], ["0x1A"]),
    "ambiguous dates": (["10-1-1", "01%2F02%2F20"], ["10-1-1", "01/02/20"]),
    "a date beside text": (["2020-01-31", "latest"], ["2020-01-31", "latest"]),
    "booleans": (["true", "false"], ["true", "false"]),
    "more than 64 bits": (["99999999999999999999"], ["99999999999999999999"]),
    "NULL of Hive": ([NULL, "x"], [None, "x"]),
    "NULL of Hive beside integers": (["7", NULL], [7, None]),
    "NULL of Hive alone": ([NULL], [None]),
    "the word null": (["NULL", "1"], ["NULL", "1"]),
    "empty": (["", "1"], ["", "1"]),
    "encoded": (["a%20b%2F%3D%25%C3%A9"], ["a b/=%é"]),
    "equals signs": (["a=b"], ["a=b"]),
    "half encoded": (["50%", "%ZZ", "a+b"], ["50%", "%ZZ", "a+b"]),
}


async def write(format: str, folder: str) -> DataArtifact:
    path = f"{folder}/x.{format}"
    await DataArtifact(path, [{"v": 1}]).persist()
    return DataArtifact(path)


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("format", FORMATS)
async def test_a_value_of_a_folder_is_read_alike_in_every_format(base: Path, format: str, kind: str) -> None:
    written, expected = VALUES[kind]
    relation = await DataArtifactQuery([await write(format, f"raw/k={value}") for value in written]).query()
    assert relation is not None
    assert relation.columns == ["v", "k"]
    assert [row[1] for row in relation.fetchall()] == expected


async def test_files_of_several_formats_have_one_type_for_a_key(base: Path) -> None:
    artifacts = [await write(format, f"raw/k={number}") for number, format in enumerate(FORMATS)]
    found = await DataArtifactQuery([*artifacts, await write("csv", "raw/k=x")]).query()
    assert [row[1] for row in found.fetchall()] == ["0", "1", "2", "3", "x"]


@pytest.mark.parametrize("format", FORMATS)
async def test_a_key_that_some_files_lack_is_null_there(base: Path, format: str) -> None:
    artifacts = [await write(format, folder) for folder in ("raw/k=1", "raw", "raw/k=3/l=a")]
    found = await DataArtifactQuery(artifacts).query("SELECT v, k, l FROM data")
    assert found.fetchall() == [(1, 1, None), (1, None, None), (1, 3, "a")]


@pytest.mark.parametrize("format", FORMATS)
async def test_a_column_of_the_data_is_never_replaced_by_a_folder(base: Path, format: str) -> None:
    await DataArtifact(f"V=2024/x.{format}", [{"v": 1999}]).persist()
    await DataArtifact(f"V=2025/y.{format}", [{"w": 1}]).persist()
    artifacts = [DataArtifact(f"V=2024/x.{format}"), DataArtifact(f"V=2025/y.{format}")]
    assert (await artifacts[0].query()).fetchall() == [(1999,)]
    assert (await DataArtifactQuery(artifacts).query("SELECT v, w FROM data")).fetchall() == [(1999, None), (None, 1)]


@pytest.mark.parametrize("format", FORMATS)
async def test_a_key_spelt_in_two_cases_is_one_column(base: Path, format: str) -> None:
    artifacts = [await write(format, "raw/Year=2024"), await write(format, "raw/year=2025")]
    found = await DataArtifactQuery(artifacts).query()
    assert (found.columns, found.fetchall()) == (["v", "Year"], [(1, 2024), (1, 2025)])


async def test_two_values_of_one_key_in_a_path_are_refused_by_name(base: Path) -> None:
    artifact = await write("csv", "raw/k=1/K=2")
    with pytest.raises(PathError, match=r"(?s)'K'.*hive_partitioning=False"):
        await artifact.query()
    same = await write("csv", "raw/k=1/k=1")
    assert (await same.query()).fetchall() == [(1, 1)]
    unread = DataArtifact(artifact.path, read_options=ReadCSVOptions(hive_partitioning=False))
    assert (await unread.query()).fetchall() == [(1,)]


async def test_a_value_that_is_no_text_is_refused_by_name(base: Path) -> None:
    artifact = await write("parquet", "raw/k=%E9")
    with pytest.raises(PathError, match=r"(?s)%E9.*hive_partitioning=False"):
        await artifact.query()


@pytest.mark.parametrize("format", FORMATS)
async def test_keys_are_no_columns_where_the_user_switched_them_off(base: Path, format: str) -> None:
    await write(format, "raw/k=1")
    off = [kind(hive_partitioning=False) for kind in (ReadCSVOptions, ReadJsonOptions, ReadParquetOptions)]
    if format != "avro":
        assert (await DataArtifact(f"raw/k=1/x.{format}", read_options=off).query()).columns == ["v"]


async def test_files_that_an_asset_yields_bring_the_keys_of_their_folders(base: Path) -> None:
    files = [await write("csv", "theirs/zip=01234"), await write("avro", "theirs/zip=94107")]

    @asset("x.parquet", artifacts_dir="raw/day=2020-01-31")
    def x() -> Any:
        yield from files
        yield [{"v": 2}]

    found = await x.query("SELECT v, zip, day FROM data")
    day = dt.date(2020, 1, 31)
    assert found.fetchall() == [(1, "01234", day), (1, "94107", day), (2, None, day)]


ARGUMENTS = ["a=b", "50%", "100%25", "%3D", "a b/c", "=", "%", "1=1%2F", "a%2Fb", "é=ü", NULL[:-1]]


@pytest.mark.parametrize("fragments", FORMATS)
@pytest.mark.parametrize("value", ARGUMENTS)
async def test_an_argument_in_a_folder_of_fragments_comes_back_as_itself(
    base: Path, fragments: str, value: str
) -> None:
    @asset("x.parquet", artifacts_dir="raw/region={region}", artifact_filetype=fragments)
    def x(region: str) -> Any:
        return [{"a": 1}]

    assert (await x.with_arguments(value).query()).fetchall() == [(1, value)]


@pytest.mark.parametrize("value", ARGUMENTS)
async def test_an_argument_in_the_path_of_a_result_comes_back_as_itself(base: Path, value: str) -> None:
    @asset("out/region={region}/{region}/x.parquet")
    def x(region: str) -> Any:
        return [{"a": 1}]

    artifact = await x(value)
    found = await DataArtifact(artifact.path).query("SELECT a, region FROM data")
    assert found.fetchall() == [(1, value)]
    in_sql = f"SELECT region FROM read_parquet('{base}/out/**/*.parquet', hive_partitioning = true)"
    with duckdb.connect() as connection:
        assert connection.sql(in_sql).fetchall() == [(value,)]


async def test_an_argument_with_an_equals_sign_adds_no_column_to_a_read_by_path(base: Path) -> None:
    @asset("{name}/x.json")
    def x(name: str) -> Any:
        return [{"n": 1}]

    artifact = await x("a=b")
    assert (await DataArtifact(artifact.path).query()).columns == ["n"]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
def test_any_value_that_a_path_takes_is_read_back(value: str) -> None:
    try:
        part = safe_part(value)
    except PathError:
        return
    if value != NULL:
        assert hive_keys(f"k={part}/x.csv") == {"k": value}
    assert hive_keys(f"{part}/x.csv") == {}


@pytest.mark.parametrize("format", FORMATS)
async def test_keys_of_many_folders_are_read_file_by_file(base: Path, format: str) -> None:
    template = base / f"x.{format}"
    await DataArtifact(template.name, [{"v": 1}]).persist()
    folders = [f"raw/k={n}/l=%2F{n}" if n != 7 else "raw/k=7" for n in range(20)]
    for folder in folders:
        (base / folder).mkdir(parents=True)
        (base / folder / template.name).write_bytes(template.read_bytes())
    artifacts = [DataArtifact(f"{folder}/{template.name}") for folder in reversed(folders)]
    found = await DataArtifactQuery(artifacts).query()
    assert found.columns == ["v", "k", "l"]
    assert found.fetchall() == [(1, n, None if n == 7 else f"/{n}") for n in reversed(range(20))]


@pytest.mark.parametrize("format", FORMATS)
async def test_a_column_named_as_the_readers_own_number_is_kept(base: Path, format: str) -> None:
    await DataArtifact(f"x.{format}", [{"file_index": 77}]).persist()
    for n in range(20):
        (base / f"raw/k={n}").mkdir(parents=True)
        (base / f"raw/k={n}/x.{format}").write_bytes((base / f"x.{format}").read_bytes())
    found = await DataArtifactQuery([DataArtifact(f"raw/k={n}/x.{format}") for n in range(20)]).query()
    assert found.fetchall() == [(77, n) for n in range(20)]


@pytest.mark.parametrize("dialects", [["v,w\n1,a\n"], ["v,w\n1,a\n", "v;w\n1;a\n", "", 'v,w\r\n1,"a"\n', "w,v\na,1\n"]])
async def test_keys_of_many_folders_are_those_of_files_of_every_dialect(base: Path, dialects: list[str]) -> None:
    texts = [dialects[n % len(dialects)] for n in range(30)]
    for n, text in enumerate(texts):
        (base / f"raw/k={n}").mkdir(parents=True)
        (base / f"raw/k={n}/x.csv").write_text(text, newline="")
    found = await DataArtifactQuery([DataArtifact(f"raw/k={n}/x.csv") for n in range(30)]).query(
        "SELECT v, w, k FROM data"
    )
    assert found.fetchall() == [(1, "a", n) for n, text in enumerate(texts) if text]


async def test_keys_of_many_folders_are_those_of_json_with_long_numbers(base: Path) -> None:
    for n in range(20):
        (base / f"raw/k={n}").mkdir(parents=True)
        (base / f"raw/k={n}/x.json").write_text('{"v": 1.00000000000000000001}')
    found = await DataArtifactQuery([DataArtifact(f"raw/k={n}/x.json") for n in range(20)]).query(
        "SELECT v, k FROM data"
    )
    assert [(str(v), k) for v, k in found.fetchall()] == [("1.00000000000000000001", n) for n in range(20)]


@pytest.mark.parametrize("format", FORMATS)
async def test_a_file_given_twice_has_its_rows_twice(base: Path, format: str) -> None:
    one, other = await write(format, "raw"), await write(format, "raw")
    assert (await DataArtifactQuery([one, other]).query()).fetchall() == [(1,), (1,)]
