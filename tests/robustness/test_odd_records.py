"""Odd records, names and templates are errors that say where, never a bare error of Python's."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mad_prefect_core import DataAsset, asset
from mad_prefect_core.cli.main import run
from mad_prefect_core.errors import MadPrefectError, ManifestError, PathError, StorageError, TemplateError


@pytest.fixture
def x(base: Path) -> DataAsset[..., Any]:
    @asset("gold/x.csv", name="x", snapshot_artifacts=True)
    def x() -> Any:
        return [{"n": 1}]

    for _ in range(3):
        x.call_sync()
    return x


def records(base: Path) -> dict[str, Path]:
    return {
        "manifest": next(base.rglob("manifest.json")),
        "history": next(base.rglob("history.json")),
        "metadata": sorted(base.rglob("metadata.json"))[0],
        "lease": next(base.rglob("_leases/*.json")),
    }


DEEP = {
    "array": b"[" * 10_000 + b"]" * 10_000,
    "object": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "data": b'{"data": ' * 10_000,
}


@pytest.mark.parametrize("kind", ["manifest", "history", "metadata", "lease"])
@pytest.mark.parametrize("deep", DEEP)
async def test_a_record_that_is_nested_ten_thousand_deep_costs_no_more_than_a_torn_one(
    base: Path, x: DataAsset[..., Any], kind: str, deep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAD_PREFECT_LEASE_SECONDS", "1")
    records(base)[kind].write_bytes(DEEP[deep])
    await x.history()
    assert run(["sweep"]) == 0
    assert (await x.query()).fetchall() == [(1,)]


@pytest.mark.parametrize("kind", ["manifest", "history", "metadata", "lease"])
async def test_a_folder_in_the_place_of_a_record_is_an_error_that_names_asset_and_path(
    base: Path, x: DataAsset[..., Any], kind: str
) -> None:
    path = records(base)[kind]
    path.unlink()
    path.mkdir()
    uses: dict[str, Any] = {
        "manifest": lambda: x.cache_first()(),
        "history": x.history,
        "metadata": lambda: x.at(path.parent.name.removeprefix("asset_run_id=")),
        "lease": x,
    }
    with pytest.raises(ManifestError, match="folder") as raised:
        await uses[kind]()
    assert str(path.relative_to(base)) in str(raised.value)
    assert raised.value.asset == "x"
    for words in (["assets"], ["history", "x"], ["sweep"]):
        run(words)
    assert path.is_dir()


async def test_a_folder_in_the_place_of_the_secret_key_is_an_error_that_names_asset_and_path(base: Path) -> None:
    (base / "_asset_metadata/_secret_key").mkdir(parents=True)

    @asset("x.csv", name="x")
    def x(token: SecretStr) -> Any:
        return [{"n": 1}]

    with pytest.raises(StorageError, match="_secret_key") as raised:
        await x(SecretStr("hunter2"))
    assert raised.value.asset == "x"


@pytest.mark.parametrize("value", ["a}b", "}", "{", "a{b", "{0}", "{x}", "}}", "{:>9}"])
async def test_a_brace_in_a_value_is_a_character_like_any_other(base: Path, value: str) -> None:
    @asset("gold/{v}.json|csv", name="x_{v}", artifacts_dir="raw/{v}")
    def x(v: str) -> Any:
        return [{"v": v}]

    assert (await x.with_arguments(value).query()).fetchall() == [(value,)]
    assert (base / f"gold/{value}.csv").exists()


@pytest.mark.parametrize("template", ["a}b", "}", "raw/{", "{v"])
@pytest.mark.parametrize("where", ["path", "artifacts_dir", "name"])
async def test_a_single_brace_in_a_template_is_an_error_that_shows_it(base: Path, template: str, where: str) -> None:
    options = {"path": "x.csv"} | {where: template + (".csv" if where == "path" else "")}

    async def call() -> None:
        @asset(**options)  # type: ignore[arg-type]
        def x(v: str = "") -> Any:
            return [{"n": 1}]

        await x()

    with pytest.raises(TemplateError, match="brace") as raised:
        await call()
    assert template in str(raised.value)


LONE = "a\ud800b"


async def test_a_lone_surrogate_in_a_path_or_a_value_of_one_is_an_error_that_names_the_asset(base: Path) -> None:
    @asset("gold/{v}.csv", name="x")
    def x(v: str) -> Any:
        return [{"n": 1}]

    for made in (
        lambda: x(LONE),
        lambda: x.with_options(path=f"{LONE}.csv")("a"),
        lambda: x.with_arguments(LONE).query(),
    ):
        with pytest.raises(PathError, match="no text"):
            await made()
    with pytest.raises(PathError, match="no text") as raised:
        await x.with_options(artifacts_dir=LONE)("a")
    assert raised.value.asset == "x"


async def test_a_lone_surrogate_in_a_name_or_an_argument_harms_nothing(base: Path) -> None:
    @asset("x.csv", name=f"x{LONE}")
    def x(v: str) -> Any:
        return [{"n": len(v)}]

    assert (await x.with_arguments(LONE).query()).fetchall() == [(3,)]
    assert [version.run.rows for version in await x.with_arguments(LONE).history()] == [1]


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet", "avro"])
async def test_a_lone_surrogate_in_a_column_or_value_is_an_error_that_names_asset_and_path(
    base: Path, suffix: str
) -> None:
    for row in ({LONE: 1}, {"a": LONE}, {"a": {LONE: 1}}):

        @asset(f"x.{suffix}", name="x")
        def x(row: Any = row) -> Any:
            return [row]

        with pytest.raises(MadPrefectError) as raised:
            await x()
        assert (raised.value.asset, raised.value.path) == ("x", f"x.{suffix}")


async def test_a_lone_surrogate_in_the_error_of_a_function_is_recorded(base: Path) -> None:
    @asset("x.csv", name="x")
    def x() -> Any:
        raise ValueError(LONE)

    with pytest.raises(ValueError, match=LONE):
        await x()
    [version] = await x.history()
    assert version.run.error is not None
    assert r"a\ud800b" in version.run.error


async def test_a_lone_surrogate_in_the_name_of_a_pin_is_an_error(base: Path, x: DataAsset[..., Any]) -> None:
    with pytest.raises(MadPrefectError):
        await x.pin(LONE)
    assert await x.history()


async def test_names_on_the_disk_that_are_no_assets_are_passed_over(base: Path, x: DataAsset[..., Any]) -> None:
    records = base / "_asset_metadata"
    os.mkdir(os.fsencode(records) + b"/asset_name=\xff")
    os.makedirs(os.fsencode(records) + b"/asset_name=y/asset_id=\xff\x01")
    (records / "asset_name=a file").write_text("")
    (records / ("asset_name=" + "z" * 244) / "asset_id=1").mkdir(parents=True)
    folder = next(records.glob("asset_name=x/asset_id=*"))
    os.makedirs(os.fsencode(folder) + b"/asset_run_id=\xff")
    (folder / ("asset_run_id=" + "z" * 242)).mkdir()
    shutil.copytree(next(folder.glob("asset_run_id=*[0-9a-f]")), folder / f"asset_run_id={'0' * 32}")
    assert len(await x.history()) == 3, "a record that was copied to another place is none"
    for words in (["assets"], ["history", "x"], ["sweep"], ["prune", "x", "--keep-last", "1"]):
        assert run(words) == 0


async def test_a_moment_that_is_in_no_year_of_utc_costs_no_listing(base: Path, x: DataAsset[..., Any]) -> None:
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00"):
        for kind in ("metadata", "manifest", "history"):
            path = records(base)[kind]
            data = json.loads(path.read_text())
            inner = {
                "metadata": lambda d: d["data"],
                "manifest": lambda d: d["last_run"],
                "history": lambda d: d["runs"][0],
            }
            inner[kind](data)["materialized"] = moment
            path.write_text(json.dumps(data))
        await x.history()
        assert run(["assets"]) == 0
        await x()
