"""Subclasses of 2.x's classes: what they override is called, or refused where the class is made. Never neither."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mad_prefect.data_assets import asset
from mad_prefect.data_assets.asset_template_formatter import AssetTemplateFormatter
from mad_prefect.data_assets.configurators import FluentDataAssetConfigurator
from mad_prefect.data_assets.data_artifact import DataArtifact
from mad_prefect.data_assets.data_artifact_collector import DataArtifactCollector
from mad_prefect.data_assets.data_artifact_query import DataArtifactQuery
from mad_prefect.data_assets.data_asset import DataAsset
from mad_prefect.data_assets.data_asset_callable import DataAssetCallable
from mad_prefect.data_assets.data_asset_options import DataAssetOptions
from mad_prefect.envblock import EnvBlock
from mad_prefect.filesystems import FsspecFileSystem
from mad_prefect_core.errors import OverrideError
from mad_prefect_core.prefect_support.blocks import base_of

NAMES_OF_2X: dict[type, tuple[str, ...]] = {
    AssetTemplateFormatter: (
        "format_kwargs", "format", "_safe_format", "_prepare_format_kwargs", "_collect_nested_asset_arguments",
        "_has_unresolved_fields",
    ),
    DataArtifact: (
        "filetype", "persist", "_open", "_persist_json", "_persist_parquet", "_persist_csv",
        "_yield_entities_to_persist", "query", "exists", "_truthy",
    ),
    DataArtifactCollector: ("collect", "_build_artifact_path"),
    DataArtifactQuery: (
        "query", "_create_query_json", "_process_columns", "_create_query_parquet", "_create_query_csv",
        "_format_options_dict",
    ),
    DataAsset: ("__call__", "query", "id", "_sanitize_name", "with_arguments", "with_options", "cache_first"),
    DataAssetCallable: (
        "args", "keywords", "fn", "get_bound_arguments", "__call__", "_generate_asset_iteration_guid",
        "get_result_artifact_filetypes", "_create_result_artifacts", "_get_last_materialized", "_cached_result",
        "_get_artifact_base_path", "_format_with_called_args", "_check_asset_resolution", "_sync_formatted_asset",
    ),
    FluentDataAssetConfigurator: (),
    FsspecFileSystem: (
        "_fs", "_fs_url", "_resolve_path", "glob", "mkdirs", "exists", "read_path", "write_path", "move_path",
        "delete_path", "get_directory", "put_directory", "write_data", "read_data", "open",
    ),
    EnvBlock: (
        "_instance", "prefix", "retrieve_default_value", "unwrap_types", "apply_field_type", "resolve_prefix",
        "from_env", "load",
    ),
}  # fmt: skip


def _names() -> Iterator[tuple[type, str]]:
    return ((kind, name) for kind, names in NAMES_OF_2X.items() for name in names)


@pytest.mark.parametrize(("kind", "name"), [pytest.param(k, n, id=f"{k.__name__}.{n}") for k, n in _names()])
def test_what_a_subclass_overrides_is_there_to_be_called_or_is_refused(kind: type, name: str) -> None:
    """The tests below show that what is accepted is called."""
    members = {name: lambda *_: None, "__module__": __name__, "_block_type_name": "Of Tests"}
    if any(name in vars(base) for base in kind.__mro__) and name not in ("_fs", "_fs_url", "_instance"):
        type(f"Sub{kind.__name__}", (kind,), members)
        return
    with pytest.raises(OverrideError, match=name) as refused:
        type(f"Sub{kind.__name__}", (kind,), members)
    assert refused.value.hint


# -- the block ---------------------------------------------------------------------------------------------------


class Encrypting(FsspecFileSystem):
    _block_type_name = "Encrypting"
    key_name: str = "none"

    async def read_path(self, path: str) -> bytes:
        return base64.b64decode(await super().read_path(path))

    async def write_path(self, path: str, content: bytes) -> str:
        return await super().write_path(path, base64.b64encode(content))


class PlainlyEncrypting(FsspecFileSystem):
    _block_type_name = "Plainly Encrypting"

    def read_path(self, path: str) -> bytes:  # type: ignore[override]
        return base64.b64decode(super().read_path(path, _sync=True))

    def write_path(self, path: str, content: bytes) -> str:  # type: ignore[override]
        return super().write_path(path, base64.b64encode(content), _sync=True)


class OfATenant(FsspecFileSystem):
    _block_type_name = "Of A Tenant"
    tenant: str

    def _resolve_path(self, path: str) -> str:
        inner = super()._resolve_path(path).removeprefix(self._fs_url).lstrip("/").removeprefix(f"{self.tenant}/")
        return f"{self._fs_url}/{self.tenant}/{inner}"


@pytest.mark.parametrize("kind", [Encrypting, PlainlyEncrypting])
@pytest.mark.parametrize("name", ["x.json", "x.csv", "x.parquet", "x.jsonl"])
def test_an_encrypting_block_never_stores_plain_text(kind: type, name: str, tmp_path: Path) -> None:
    block = kind(basepath=f"file://{tmp_path}")
    rows = [{"secret": "do not show"}]

    async def on_a_loop() -> Any:
        await block.write_data(f"loop_{name}", rows)
        await block.awrite_path("bytes", b"do not show")
        assert await block.aread_path("bytes") == b"do not show"
        return await block.read_data(f"loop_{name}")

    assert asyncio.run(on_a_loop()) == rows
    block.write_data(name, rows)
    assert block.read_data(name) == rows
    for file in (name, f"loop_{name}", "bytes"):
        assert b"show" not in (tmp_path / file).read_bytes()


def test_a_block_has_fields_of_its_own(tmp_path: Path) -> None:
    block = Encrypting(basepath=f"file://{tmp_path}", key_name="mine")
    assert block.key_name == "mine"
    assert block.storage_options.get_secret_value() == {}
    assert Encrypting(basepath=f"file://{tmp_path}", auto_mkdir=True)._fs.auto_mkdir is True


def test_a_block_says_where_its_files_are(tmp_path: Path) -> None:
    block = OfATenant(basepath=f"file://{tmp_path}", tenant="acme")
    block.write_data("x.json", 1)
    assert (tmp_path / "acme/x.json").exists()
    assert block.read_data("x.json") == 1
    assert block.exists("x.json")
    assert block.glob("*.json") == ["acme/x.json"]
    block.move_path("x.json", "y.json")
    block.delete_path("y.json")
    assert list((tmp_path / "acme").iterdir()) == []


def test_assets_do_not_go_past_a_block_that_encrypts(tmp_path: Path) -> None:
    with pytest.raises(OverrideError, match="Encrypting overrides read_path, write_path, which assets do not call"):
        base_of(Encrypting(basepath=f"file://{tmp_path}"))
    assert base_of(FsspecFileSystem(basepath=f"file://{tmp_path}")) == (f"file://{tmp_path}", {})


# -- artifacts ---------------------------------------------------------------------------------------------------


async def test_an_artifact_that_persists_itself_is_asked_to() -> None:
    persisted = []

    class Counting(DataArtifact):
        async def persist(self) -> bool:  # type: ignore[override]
            persisted.append(self.path)
            return await super().persist()

    @asset("counted.parquet")
    async def counted():  # type: ignore[no-untyped-def]
        yield Counting("raw/one.json", [{"a": 1}])
        yield Counting("raw/none.json", [])

    relation = await counted.query()
    assert relation is not None
    assert relation.fetchall() == [(1,)]
    assert persisted == ["raw/one.json", "raw/none.json"]


async def test_an_artifact_that_writes_its_file_elsewise_is_read_as_it_wrote_it() -> None:
    class Own(DataArtifact):
        async def persist(self) -> bool:  # type: ignore[override]
            await DataArtifact(self.path, [{"own": 1}]).persist()
            return True

    @asset("own.parquet")
    async def own():  # type: ignore[no-untyped-def]
        yield Own("raw/own.json", object())

    relation = await own.query()
    assert relation is not None
    assert (relation.columns, relation.fetchall()) == (["own"], [(1,)])


async def test_an_artifact_that_wrote_nothing_is_an_error() -> None:
    class Forgetful(DataArtifact):
        async def persist(self) -> bool:  # type: ignore[override]
            return True

    @asset("forgetful.parquet")
    async def forgetful():  # type: ignore[no-untyped-def]
        yield Forgetful("raw/forgetful.json", [{"a": 1}])

    with pytest.raises(FileNotFoundError, match=r"Forgetful\.persist returned True and wrote no file"):
        await forgetful()


async def test_rows_of_an_artifact_with_its_own_query_are_those_of_that(base: Path) -> None:
    class Elsewhere(DataArtifact):
        async def query(self, query_str: Any = None, params: Any = None) -> Any:  # type: ignore[override]
            return duckdb.connect().sql("SELECT 1 AS a")

    (base / "list.json").write_bytes(b"[]")
    relation = await asset("elsewhere.parquet")(lambda: [Elsewhere("list.json")]).query()
    assert relation is not None
    assert relation.fetchall() == [(1,)]


async def test_the_filetype_of_an_artifact_may_be_its_own() -> None:
    class Csv(DataArtifact):
        filetype = "csv"  # type: ignore[assignment]

    artifact = Csv("raw/x.data", [{"a": 1}])
    await artifact.persist()
    assert artifact.suffix == ".csv"
    relation = await artifact.query()
    assert relation is not None
    assert relation.fetchall() == [(1,)]
    changed = DataArtifact("raw/y.json", [{"a": 1}])
    changed.filetype = "parquet"
    assert (changed.filetype, changed.suffix) == ("parquet", ".parquet")


# -- assets ------------------------------------------------------------------------------------------------------


class Logged(DataAsset[Any, Any]):
    def __init__(self, fn: Any, table: str) -> None:
        super().__init__(fn, f"{table}.parquet", table, DataAssetOptions())
        self.log: list[str] = []

    async def query(self, query_str: str | None = None, params: object | None = None) -> Any:  # type: ignore[override]
        self.log.append(f"query {query_str}")
        return await super().query(query_str, params)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        self.log.append("call")
        return await super().__call__(*args, **kwargs)


def test_an_asset_with_query_and_call_of_its_own_is_queried_by_them() -> None:
    def rows() -> list[dict[str, int]]:
        return [{"a": 1}]

    logged = Logged(rows, "logged")
    assert logged.query_sync("WHERE a = 1").fetchall() == [(1,)]
    assert logged.log == ["query WHERE a = 1", "call"]
    with pytest.raises(TypeError, match="tables"):
        logged.query_sync("", tables={"x": [{"b": 1}]})


async def test_a_derived_asset_stays_of_its_class_with_what_it_has() -> None:
    def rows(n: int) -> list[dict[str, int]]:
        return [{"a": n}]

    logged = Logged(rows, "derived_{n}")
    one, other = logged.with_arguments(1), logged.with_options(name="other")
    assert (type(one), type(other)) == (Logged, Logged)
    assert (one.path, one.name, other.name) == ("derived_1.parquet", "derived_1", "other")
    assert one.log is logged.log
    await one()
    assert logged.log == ["call"]


async def test_another_rule_for_names_is_followed() -> None:
    class Upper(DataAsset[Any, Any]):
        def _sanitize_name(self, name: str) -> str:
            return super()._sanitize_name(name).upper()

    upper = Upper(lambda: [{"a": 1}], "upper.parquet", "upper", DataAssetOptions())
    assert (await upper()).run.asset_name == "UPPER"
