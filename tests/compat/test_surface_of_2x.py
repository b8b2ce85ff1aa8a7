"""What 2.x's users import, assign and call, from 2.0 on."""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
import inspect
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest
from pydantic import SecretStr

from mad_prefect import filesystems
from mad_prefect.data_assets import asset
from mad_prefect.data_assets.asset_metadata import get_asset_metadata
from mad_prefect.data_assets.asset_template_formatter import AssetTemplateFormatter
from mad_prefect.data_assets.data_asset import DataAsset
from mad_prefect.data_assets.data_asset_options import DataAssetOptions
from mad_prefect.envblock import EnvBlock
from mad_prefect.filesystems import FsspecFileSystem, get_fs
from mad_prefect.json.mad_json_encoder import MADJSONEncoder
from mad_prefect_core import settings as core_settings
from mad_prefect_core.errors import OptionError, OverrideError


@pytest.fixture(autouse=True)
def nothing_stays_assigned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_settings, "_assigned", {})
    monkeypatch.setattr("mad_prefect_core.prefect_support.blocks._assigned", None)


def _rows() -> list[dict[str, int]]:
    return [{"a": 1}]


# -- constants ---------------------------------------------------------------------------------------------------


def test_an_assigned_base_is_where_everything_goes(tmp_path: Path) -> None:
    filesystems.FILESYSTEM_URL = f"file://{tmp_path}/assigned"
    assert f"file://{tmp_path}/assigned" == filesystems.FILESYSTEM_URL
    asset("x.parquet")(_rows).call_sync()
    assert (tmp_path / "assigned/x.parquet").exists()
    assert asyncio.run(get_fs()).basepath == f"file://{tmp_path}/assigned"


def test_an_assigned_base_wins_over_the_block_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESYSTEM_BLOCK_NAME", "no-such-block")
    assert filesystems.FILESYSTEM_BLOCK_NAME == "no-such-block"
    filesystems.FILESYSTEM_URL = f"file://{tmp_path}/assigned"
    filesystems.FILESYSTEM_BLOCK_NAME = None
    asset("x.parquet")(_rows).call_sync()
    assert (tmp_path / "assigned/x.parquet").exists()


def test_an_assigned_block_is_the_base_of_assets(tmp_path: Path) -> None:
    filesystems._get_fs_result = FsspecFileSystem(basepath=f"file://{tmp_path}/block")
    asset("x.parquet")(_rows).call_sync()
    assert (tmp_path / "block/x.parquet").exists()
    assert asyncio.run(get_fs()) is filesystems._get_fs_result
    filesystems._get_fs_result = None
    assert asyncio.run(get_fs()).basepath != f"file://{tmp_path}/block"


@pytest.mark.parametrize("module", ["", ".asset_decorator", ".asset_metadata", ".data_asset_run"])
def test_an_assigned_folder_of_records_is_where_they_go(module: str, tmp_path: Path) -> None:
    filesystems.FILESYSTEM_URL = f"file://{tmp_path}"
    importlib.import_module(f"mad_prefect.data_assets{module}").ASSET_METADATA_LOCATION = "_records"
    asset("x.parquet")(_rows).call_sync()
    assert (tmp_path / "_records").is_dir()
    assert not (tmp_path / "_asset_metadata").exists()


# -- assets ------------------------------------------------------------------------------------------------------


def test_assets_are_made_as_in_every_2x() -> None:
    day = dt.timedelta(days=1)
    newest = DataAsset(_rows, "x.parquet", "n", DataAssetOptions(artifacts_dir="raw"))
    named = DataAsset(_rows, "x.parquet", artifacts_dir="raw", name="n", cache_expiration=day)
    placed = DataAsset(_rows, "x.parquet", "raw", "n", True, "parquet", None, day)
    for made in (newest, named, placed):
        assert (made.name, made.artifacts_dir) == ("n", "raw")
    assert placed.options == DataAssetOptions(
        artifacts_dir="raw", snapshot_artifacts=True, artifact_filetype="parquet", cache_expiration=day
    )
    assert named.options.cache_expiration == day
    with pytest.raises(OptionError, match="both"):
        DataAsset(_rows, "x.parquet", "n", DataAssetOptions(), artifacts_dir="raw")


def test_a_name_that_a_factory_set_is_the_assets() -> None:
    def made() -> None: ...

    made.__name__, made.__module__ = "orders_of_acme", "tests.dw"
    assert asset("x.parquet")(made).name == "tests.dw.orders_of_acme"


def test_a_name_that_a_factory_sets_later_changes_no_id() -> None:
    def made() -> None: ...

    orders = asset("x.parquet")(made)
    made.__name__ = "orders_of_acme"
    assert orders.id == orders.cache_first().id


def test_options_show_the_folder_that_arguments_make() -> None:
    @asset("{e}.parquet", artifacts_dir="raw/{e}")
    def templated(e: str) -> None: ...

    made = templated.with_arguments("widgets")
    assert (made.options.artifacts_dir, made.base_options.artifacts_dir) == ("raw/widgets", "raw/{e}")
    assert made._callable.get_bound_arguments().arguments == {"e": "widgets"}
    assert templated.with_arguments("more").options.artifacts_dir == "raw/more"


async def test_a_run_without_rows_gives_none_to_those_who_test_for_it() -> None:
    @asset("none.parquet")
    def none() -> None: ...

    assert await none.query("SELECT *") is None


async def test_the_path_of_an_asset_keeps_its_folders_in_anothers() -> None:
    @asset("{segment}/{region}.parquet", name="{segment}-{region}")
    def child(segment: str, region: str) -> Any:
        return [{"a": 1}]

    @asset("combo/{of.path}", name="combo-{of.name}")
    def parent(of: DataAsset[Any, Any]) -> Any:
        return [{"a": 1}]

    open_ = parent.with_arguments(child.with_arguments(segment="no/rth"))
    assert open_.path == "combo/no%2Frth/{region}.parquet"
    with pytest.raises(KeyError, match="region"):
        await open_()
    artifact = await parent(child.with_arguments("north", "eu"))
    assert artifact.path == "combo/north/eu.parquet"


def test_a_formatter_of_ones_own_fills_in_what_values_name() -> None:
    def function(path: str, suffix: str) -> None: ...

    bound = inspect.signature(function).bind("{suffix}", "final")
    assert AssetTemplateFormatter((), bound).format("{path}") == "final"


async def test_run_records_are_a_relation_of_duckdb_with_times_in_utc() -> None:
    run = (await asset("records.parquet", name="records")(_rows)()).run
    relation = await get_asset_metadata(run.asset_name, run.asset_id)
    assert isinstance(relation, duckdb.DuckDBPyRelation)
    assert (run.materialized.replace(tzinfo=None),) in relation.project("materialized").fetchall()


async def test_decimals_made_of_floats_are_those_floats() -> None:
    @asset("decimals.parquet")
    def decimals() -> Any:
        return [{"a": Decimal.from_float(1.1)}, {"a": None}, {"a": Decimal("2.5")}]

    relation = await decimals.query()
    assert relation is not None
    assert relation.fetchall() == [(1.1,), (None,), (2.5,)]


# -- the rest ----------------------------------------------------------------------------------------------------


def test_the_json_encoder_writes_as_in_2x() -> None:
    values = [Decimal("1.5"), dt.datetime(2020, 1, 2, 3), dt.date(2020, 1, 2), dt.time(1, 2), UUID(int=1)]
    assert json.loads(json.dumps(values, cls=MADJSONEncoder)) == [
        1.5, "2020-01-02 03:00:00.000000", "2020-01-02", "01:02:00", str(UUID(int=1)),
    ]  # fmt: skip
    with pytest.raises(TypeError):
        json.dumps(object(), cls=MADJSONEncoder)


async def test_a_block_of_credentials_is_loaded_by_its_own_load() -> None:
    class Fake(EnvBlock):
        token: SecretStr

        @classmethod
        async def load(cls, name: str) -> Any:  # type: ignore[override]
            return cls(token=SecretStr(name))

    class PlainFake(EnvBlock):
        token: str

        @classmethod
        def load(cls, name: str) -> Any:  # type: ignore[override]
            return cls(token=name)

    assert (await Fake.from_env({"FAKE_CREDENTIAL_BLOCK_NAME": "a"})).token.get_secret_value() == "a"
    assert (await PlainFake.from_env({"PLAINFAKE_CREDENTIAL_BLOCK_NAME": "b"})).token == "b"


async def test_the_static_helpers_of_credentials_are_called() -> None:
    class Own(EnvBlock):
        token: str
        on: bool = True

        @staticmethod
        def apply_field_type(raw_value: str, field_types: list[Any], env_var_name: str) -> Any:
            return EnvBlock.apply_field_type(raw_value.strip(), field_types, env_var_name)

        @staticmethod
        def retrieve_default_value(model_field: Any, env_var_name: str) -> Any:
            return False if env_var_name == "OWN_ON" else EnvBlock.retrieve_default_value(model_field, env_var_name)

    own = await Own.from_env({"OWN_TOKEN": " x "})
    assert (own.token, own.on) == ("x", False)
    assert (await Own.from_env({"OWN_TOKEN": "x", "OWN_ON": "false"})).on is False
    assert EnvBlock.unwrap_types(int | None) == [int]
    with pytest.raises(OverrideError, match="_instance"):
        type("Cached", (EnvBlock,), {"_instance": None})


async def test_a_prefix_may_be_a_field_as_in_2x() -> None:
    with pytest.warns(UserWarning, match="shadows"):

        class WithPrefix(EnvBlock):
            prefix: str | None = "acme"  # type: ignore[misc]
            token: str

    assert (await WithPrefix.from_env({"ACME_TOKEN": "t"})).token == "t"
