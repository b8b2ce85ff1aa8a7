"""Templates: what fills them in, when, and that a value stays a value."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pytest

from mad_prefect_core import asset
from mad_prefect_core.errors import PathError, TemplateError


@dataclass(frozen=True)
class Shop:
    name: str
    token: str = "hidden"


async def test_parameters_attributes_and_keys_fill_path_name_and_folder(base: Path) -> None:
    @asset(
        "{shop.name}/{day:%Y}/{tags[0]}/{opts[kind]}.parquet", artifacts_dir="raw/{shop.name}", name="orders_{n:03d}"
    )
    def orders(shop: Shop, day: dt.date, tags: list[str], opts: dict[str, str], n: int) -> list[dict[str, int]]:
        return [{"n": n}]

    artifact = await orders(Shop("acme"), dt.date(2020, 5, 1), ["a"], {"kind": "k"}, 7)
    assert artifact.path == "acme/2020/a/k.parquet"
    assert (base / artifact.path).is_file()
    assert any((base / "raw/acme").rglob("fragment=0.*"))
    assert (base / "_asset_metadata/asset_name=orders_007").is_dir()


async def test_parameters_of_assets_among_the_arguments_fill_templates_too(base: Path) -> None:
    @asset("raw/{region}.parquet", name="raw_{region}")
    def raw(region: str) -> list[dict[str, str]]:
        return [{"region": region}]

    @asset("clean/{region}.parquet", name="clean_{source}")
    async def clean(source: object) -> object:
        return await source.query("SELECT upper(region) AS region FROM data")  # type: ignore[attr-defined]

    source = raw.with_arguments("north")
    assert clean.with_arguments(source).path == "clean/north.parquet"
    assert clean.with_arguments(source).name == "clean_raw_north"
    artifact = await clean(source)
    assert artifact.path == "clean/north.parquet"
    assert (await artifact.query()).fetchall() == [("NORTH",)]  # type: ignore[union-attr]


async def test_templates_are_partial_until_the_call_and_strict_then(base: Path) -> None:
    @asset("{a}/{b}.parquet", name="x_{a}_{b}")
    def x(a: str, b: str) -> list[dict[str, str]]:
        return [{"a": a, "b": b}]

    half = x.with_arguments(a="1")
    assert (half.path, half.name) == ("1/{b}.parquet", "x_1_{b}")
    assert half.with_arguments(b="2").path == "1/2.parquet"
    with pytest.raises((TemplateError, TypeError), match="b"):
        await half()
    assert (await half(b="2")).path == "1/2.parquet"


async def test_a_missing_key_is_an_error_that_lists_the_keys_there_are(base: Path) -> None:
    @asset("{year}/{moth}.parquet")
    def x(year, month) -> list[dict[str, int]]:  # type: ignore[no-untyped-def]  # either may be an asset
        return [{"year": year}]

    with pytest.raises(TemplateError, match=r"'moth'.*Available keys: month, year") as caught:
        await x(2020, 1)
    assert caught.value.asset is not None
    assert caught.value.phase == "plan"
    assert list(base.iterdir()) == []


@pytest.mark.parametrize("value", ["{other.token}", "{other}", "{0}", "{}", "{{x}}", "{value}"])
async def test_s38_braces_in_a_value_stay_braces(base: Path, value: str) -> None:
    @asset("{value}/x.json", name="n_{value}", artifacts_dir="dir/{value}")
    def x(value: str, other: Shop) -> list[dict[str, int]]:
        return [{"v": 1}]

    artifact = await x(value, Shop("acme", "s3cret"))
    assert artifact.path == f"{value}/x.json"
    assert (base / value / "x.json").is_file()
    assert "s3cret" not in "".join(str(path) for path in base.rglob("*"))


async def test_s38_templates_do_not_reach_private_attributes(base: Path) -> None:
    @asset("{value.__class__.__name__}.json")
    def x(value: str) -> list[dict[str, int]]:
        return [{"v": 1}]

    with pytest.raises(TemplateError):
        await x("a")


async def test_a_value_that_would_leave_its_segment_is_refused_or_encoded(base: Path) -> None:
    @asset("data/{value}.json")
    def x(value: str) -> list[dict[str, str]]:
        return [{"v": value}]

    assert (await x("a/b")).path == "data/a%2Fb.json"
    assert (await x("a%2Fb")).path != "data/a%2Fb.json"
    for bad in (
        "..",
        "../up",
        "/etc/passwd",
        "%2e%2e",
        "%252e%252e/x",
        "a/../../b",
        "",
        " ",
        "a\nb",
        "a\x00b",
        "s3://x/y",
    ):
        with pytest.raises(PathError):
            await x(bad)
    assert {p.name for p in base.parent.iterdir()} <= {"base", "cwd"}
