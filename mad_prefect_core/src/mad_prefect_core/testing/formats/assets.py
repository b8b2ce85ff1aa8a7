"""The format within whole assets: stored, cached, and queried, in a plugin host that has it."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from mad_prefect_core import asset, hookimpl
from mad_prefect_core.contracts import FormatLike
from mad_prefect_core.hookspecs import ENTRY_POINT_GROUP, PLUGIN_API
from mad_prefect_core.plugins import PluginHost, get_host, use_host
from mad_prefect_core.session import schema_of
from mad_prefect_core.settings import Settings
from mad_prefect_core.testing.base import complaint, needs
from mad_prefect_core.testing.formats.bench import Bench, FormatBase
from mad_prefect_core.testing.formats.kinds import VALUES, outcome_of
from mad_prefect_core.type_names import name_of, names_in

__all__ = ["AssetContract"]

_PLUGIN = "mad_prefect_format_under_test"
_NEVER_IN_ASSETS = {"BIGNUM", "BIT", "ENUM", "HUGEINT", "TIME WITH TIME ZONE", "UHUGEINT", "VARIANT"}
"""Types that the core refuses, or makes others of, before a format has them."""


class AssetContract(FormatBase, contract=True):
    """End to end."""

    @pytest.fixture
    def base_url(self, tmp_path: Path) -> str:
        """Where the assets are: on a storage of an installed plugin."""
        return f"file://{tmp_path}/base"

    @pytest.fixture
    def host(
        self, format: FormatLike[Any, Any], base_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[PluginHost]:
        """A plugin host with this format alone, and the storages that are installed."""

        @hookimpl
        def mad_prefect_formats() -> list[FormatLike[Any, Any]]:
            return [format]

        plugin = ModuleType(_PLUGIN)
        vars(plugin).update(requires_plugin_api=(PLUGIN_API, PLUGIN_API), mad_prefect_formats=mad_prefect_formats)
        monkeypatch.setitem(sys.modules, _PLUGIN, plugin)
        for field in Settings.model_fields.values():
            monkeypatch.delenv(str(field.alias), raising=False)
        others = {record.module for record in get_host().plugins() if record.formats}
        installed = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
        entry_points = [entry_point for entry_point in installed if entry_point.value not in others]
        monkeypatch.setenv("FILESYSTEM_URL", base_url)
        entry_points.append(importlib.metadata.EntryPoint("it", _PLUGIN, ENTRY_POINT_GROUP))
        with use_host(PluginHost(entry_points)) as host:
            yield host

    def test_the_plugin_host_takes_it(self, format: FormatLike[Any, Any], host: PluginHost) -> None:
        """The plugin host takes the format, and finds it by its name and by each suffix, in any case of letters."""
        [record] = [record for record in host.plugins() if record.name == "it"]
        assert record.error is None, f"The plugin host does not take it: {record.error}"
        assert host.format_named(format.name.upper()) is format
        for suffix in format.suffixes:
            assert host.format_of(f"folder.d/file{suffix.upper()}")[0] is format

    @pytest.mark.usefixtures("host")
    def test_an_asset_is_stored_cached_and_queried(self, format: FormatLike[Any, Any]) -> None:
        """An asset in this format is stored, found in the cache and queried: every row, once, with its types."""
        calls = []

        @asset(f"orders{format.suffixes[0]}", artifact_filetype=format.name, cache_expiration=dt.timedelta(hours=1))
        def orders() -> Iterator[Any]:
            calls.append(1)
            yield [{"id": 1, "text": 'it\'s; "so"'}, {"id": 2, "text": None}]
            yield []
            yield pa.table({"id": [3], "amount": [2.5], "raw": [b"\xff"]})

        for _ in range(2):
            relation = orders.query_sync("WHERE id > ? ORDER BY id", [0])
            assert relation is not None
            assert relation.columns == ["id", "text", "amount", "raw"]
            assert relation.fetchall() == [
                (1, "it's; \"so\"", None, None), (2, None, None, None), (3, None, 2.5, b"\xff"),
            ]  # fmt: skip
        assert len(calls) == 1, "An asset is not found in the cache"

    @needs("in_file")
    @pytest.mark.usefixtures("host")
    def test_an_asset_has_the_types_that_a_file_does_not_tell(self, bench: Bench, format: FormatLike[Any, Any]) -> None:
        """A type that it declares in `in_file` comes back from an asset with its value: the run recorded it."""
        declared = set(format.capabilities.in_file) - _NEVER_IN_ASSETS
        values = [value for value in VALUES if _is_among(bench, value, declared)]
        values = [value for value in values if outcome_of(bench, value).refused is None]
        columns = ", ".join(f"{value} AS v{place}" for place, value in enumerate(values)) or "1 AS v"

        @asset(f"kept{format.suffixes[0]}", artifact_filetype=format.name)
        def kept() -> Any:
            return bench.session.sql(f"SELECT {columns}")

        found: Any = kept.query_sync()
        expected = bench.session.sql(f"SELECT {columns}")
        assert schema_of(found) == schema_of(expected)
        text = "COLUMNS(*)::VARCHAR"
        pairs = zip(*found.project(text).fetchall(), *expected.project(text).fetchall(), strict=True)
        wrong = [f"{before} comes back as {after}" for after, before in pairs if before != after]
        assert not wrong, complaint(
            "Values come back changed from an asset", "Keep them, or do not declare them.", wrong
        )

    @pytest.mark.usefixtures("host")
    def test_an_empty_run_is_a_result(self, format: FormatLike[Any, Any]) -> None:
        """A run without rows replaces the one before it, and keeps its columns."""
        tables = [pa.table({"id": [1, 2]}), pa.table({"id": pa.array([], pa.int64())})]

        @asset(f"orders{format.suffixes[0]}", artifact_filetype=format.name)
        def orders() -> pa.Table:
            return tables.pop(0)

        for rows in ([(1,), (2,)], []):
            relation = orders.query_sync()
            assert relation is not None
            assert (relation.columns, relation.fetchall()) == (["id"], rows)


def _is_among(bench: Bench, value: str, declared: set[str]) -> bool:
    kind = bench.session.sql(f"SELECT {value} AS v").types[0]
    return name_of(kind) in declared and _NEVER_IN_ASSETS.isdisjoint(names_in(kind))
