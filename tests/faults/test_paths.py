"""Paths are literal and stay below the base (S35, S37, S39, S41; promise 9)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import DataArtifact, DataArtifactQuery, asset
from mad_prefect_core.errors import PathError, QueryError, UnknownFormatError, UnknownStorageError
from mad_prefect_csv import ReadCSVOptions
from mad_prefect_json import ReadJsonOptions

CLIMBING = ["../x.json", "a/../../x.json", "/../x.json", "./../x.json", "a/b/../../../x.json", "mad://../x.json"]


@pytest.mark.parametrize("path", CLIMBING)
async def test_s35_a_path_that_climbs_is_refused_before_anything_runs(base: Path, path: str) -> None:
    (base.parent / "x.json").write_text('{"secret": 1}')
    ran = []

    def fn() -> Any:
        ran.append(1)
        return [{"a": 1}]

    with pytest.raises(PathError):
        await asset(path)(fn)()
    with pytest.raises(PathError):
        await DataArtifact(path).query()
    with pytest.raises(PathError):
        await DataArtifact(path, [{"a": 1}]).persist()
    assert not ran
    assert list(base.iterdir()) == []
    assert (base.parent / "x.json").read_text() == '{"secret": 1}'


async def test_s35_a_leading_slash_means_the_base(base: Path) -> None:
    @asset("/a/x.json")
    def x() -> Any:
        return [{"a": 1}]

    await x()
    assert (base / "a/x.json").is_file()


HOSTILE = [
    "it's",
    'a"b',
    "[ab]",
    "a*b",
    "wh?t",
    "{a,b}",
    "a;b",
    "a b",
    "a--b",
    "$1",
    "a%2Fb",
    "größe",
    "#1",
    "a&b",
    "~",
    "-x",
    "'); DROP TABLE x; --",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_s37_s39_any_character_in_a_path_is_just_a_character(base: Path, name: str) -> None:
    decoys = {"[ab]": "a", "a*b": "axb", "wh?t": "what", "{a,b}": "a"}
    if name in decoys:
        (base / decoys[name]).mkdir()
        for suffix in ("json", "parquet", "csv"):
            await DataArtifact(f"{decoys[name]}/{decoys[name]}.{suffix}", [{"n": "wrong"}]).persist()

    @asset("{name}/{name}.json|parquet|csv", artifacts_dir="raw/{name}", name="{name}")
    def x(name: str) -> Any:
        yield [{"n": 1}]
        yield [{"n": 2}]

    bound = x.with_arguments(name)
    assert (await bound.query()).fetchall() == [(1,), (2,)]
    for suffix in ("json", "parquet", "csv"):
        path = bound.path.removesuffix(".json|parquet|csv") + f".{suffix}"
        assert (base / path).is_file()
        assert (await DataArtifact(path).query("WHERE n = 1")).fetchall() == [(1,)]


async def test_s37_a_value_with_an_equals_sign_adds_no_column(base: Path) -> None:
    @asset("{name}.json", artifacts_dir="raw/{name}")
    def x(name: str) -> Any:
        return [{"n": 1}]

    relation = await x.with_arguments("a=b").query()
    assert relation is not None
    assert relation.columns == ["n"]


async def test_s37_braces_in_a_templates_literal_are_written_doubled(base: Path) -> None:
    @asset("a{{b}}/x.json")
    def x() -> Any:
        return [{"a": 1}]

    await x()
    assert (base / "a{b}/x.json").is_file()


@pytest.mark.parametrize(
    "options",
    [
        ReadCSVOptions(nullstr="'); COPY (SELECT 1) TO 'pwned.csv'; --"),
        ReadJsonOptions(dateformat="'); COPY (SELECT 1) TO 'pwned.csv'; --"),
        ReadCSVOptions(columns={"v\"; COPY (SELECT 1) TO 'pwned.csv'; --": "VARCHAR"}),
    ],
    ids=["csv", "json", "name"],
)
async def test_s39_an_option_is_a_value_and_never_sql(base: Path, options: Any) -> None:
    await DataArtifact("x.csv", [{"v": "a"}]).persist()
    await DataArtifact("x.json", [{"v": "a"}]).persist()
    for path in ("x.csv", "x.json"):
        try:
            relation = await DataArtifact(path, read_options=options).query()
            assert relation is not None
            relation.fetchall()
        except Exception as error:
            assert "Parser Error" not in str(error)  # noqa: PT017
    assert not list(base.parent.rglob("pwned.csv"))


async def test_s39_a_type_with_sql_in_it_does_nothing(base: Path) -> None:
    evil = ReadJsonOptions(columns={"v": "VARCHAR); COPY (SELECT 1) TO 'pwned.csv'; --"})

    @asset("x.json", read_json_options=evil)
    def x() -> Any:
        return [{"v": "a"}]

    with pytest.raises(Exception, match=r".+"):
        await x.query()
    assert not list(base.parent.rglob("pwned.csv"))


async def test_s41_two_names_that_look_alike_when_cleaned_stay_apart(base: Path) -> None:
    made = {}
    for number, name in enumerate(["a b", "a_b", "a/b", "a?b"]):

        @asset(f"{number}.json", name=name, artifacts_dir="shared")
        def x(n: int = number) -> Any:
            return [{"n": n}]

        made[number] = x
    for _ in range(2):
        for x in made.values():
            await x()
    for number, x in made.items():
        assert (await x.cache_first().query()).fetchall() == [(number,)]


async def test_s41_assets_that_share_a_folder_of_fragments_never_mix(base: Path) -> None:
    def make(n: int) -> Any:
        @asset(f"{n}.parquet", name=f"n{n}", artifacts_dir="shared")
        async def x() -> Any:
            for i in range(5):
                await asyncio.sleep(0)
                yield [{"n": n, "i": i}]

        return x

    made = [make(n) for n in range(6)]
    for _ in range(2):
        await asyncio.gather(*(x() for x in made))
    for n, x in enumerate(made):
        assert (await x.cache_first().query()).fetchall() == [(n, i) for i in range(5)]


async def test_a_missing_file_is_none_and_an_unknown_suffix_or_storage_says_what_there_is(base: Path) -> None:
    assert await DataArtifact("nowhere.json").query() is None
    assert not await DataArtifact("nowhere.json").exists()
    assert await DataArtifactQuery([]).query() is None
    with pytest.raises(UnknownFormatError, match=r"parquet"):
        DataArtifact("x.parqet")
    with pytest.raises(UnknownFormatError):
        DataArtifact("x")
    with pytest.raises(UnknownStorageError, match="ftpx"):
        await DataArtifact("ftpx://host/x.json").query()
    await DataArtifact("y.json", [{"a": 1}]).persist()
    with pytest.raises(QueryError):
        await DataArtifact("y.json").query("WHERE")


async def test_names_too_long_for_a_file_are_refused_by_name(base: Path) -> None:
    @asset("{value}.json")
    def x(value: str) -> Any:
        return [{"a": 1}]

    with pytest.raises(PathError, match="bytes"):
        await x("ü" * 200)


@pytest.mark.parametrize("upper", ["X.JSON", "x.Parquet", "X.CSV", "x.json.GZ", "x.csv.gz", "x.tsv"])
async def test_suffixes_in_any_case_and_compressed_ones_are_formats(base: Path, upper: str) -> None:
    @asset(upper)
    def x() -> Any:
        return [{"a": 1, "b": "x"}]

    assert (await x.query()).fetchall() == [(1, "x")]
    assert (await DataArtifact(upper).query()).fetchall() == [(1, "x")]
    if upper.lower().endswith(".gz"):
        assert (base / upper).read_bytes()[:2] == b"\x1f\x8b"
