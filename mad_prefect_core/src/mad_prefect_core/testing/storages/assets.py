"""The storage under whole assets, and under `mad://`, in a plugin host that has it."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import duckdb
import pytest

from mad_prefect_core import asset, hookimpl
from mad_prefect_core.contracts import FormatLike, StorageLike
from mad_prefect_core.duckdb_files import register_mad
from mad_prefect_core.errors import StorageError
from mad_prefect_core.hookspecs import ENTRY_POINT_GROUP, PLUGIN_API
from mad_prefect_core.paths import is_written_once
from mad_prefect_core.plugins import PluginHost, get_host, use_host
from mad_prefect_core.settings import Settings
from mad_prefect_core.testing.base import complaint, needs
from mad_prefect_core.testing.plain import PLAIN_FORMATS
from mad_prefect_core.testing.storages.place import Place, StorageBase

__all__ = ["AssetContract"]

_PLUGIN = "mad_prefect_storage_under_test"


class AssetContract(StorageBase, contract=True):
    """End to end. Formats are those that are installed, or the kit's own where there is none."""

    @pytest.fixture
    def host(self, storage: StorageLike[Any], place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginHost]:
        """A plugin host with this storage and what is installed; relative paths are at the author's place."""

        @hookimpl
        def mad_prefect_formats() -> list[FormatLike[Any, Any]]:
            return [] if get_host().formats() else [*PLAIN_FORMATS]

        @hookimpl
        def mad_prefect_storages() -> list[StorageLike[Any]]:
            return [storage]

        @hookimpl(tryfirst=True)
        def mad_prefect_base() -> tuple[str, dict[str, Any]]:
            return place.url, dict(place.given)

        plugin = ModuleType(_PLUGIN)
        hooks = (mad_prefect_formats, mad_prefect_storages, mad_prefect_base)
        vars(plugin).update({hook.__name__: hook for hook in hooks}, requires_plugin_api=(PLUGIN_API, PLUGIN_API))
        monkeypatch.setitem(sys.modules, _PLUGIN, plugin)
        for field in Settings.model_fields.values():
            monkeypatch.delenv(str(field.alias), raising=False)
        rivals = {rival.name for rival in get_host().storages() if {*rival.protocols} & {*storage.protocols}}
        others = {record.module for record in get_host().plugins() if rivals & {*record.storages}}
        installed = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
        entry_points = [entry_point for entry_point in installed if entry_point.value not in others]
        entry_points.append(importlib.metadata.EntryPoint("it", _PLUGIN, ENTRY_POINT_GROUP))
        with use_host(PluginHost(entry_points)) as host:
            yield host

    def test_the_plugin_host_takes_it(self, storage: StorageLike[Any], host: PluginHost) -> None:
        """The plugin host takes the storage, and finds it by each protocol, in any case of letters."""
        [record] = [record for record in host.plugins() if record.name == "it"]
        assert record.error is None, f"The plugin host does not take it: {record.error}"
        for protocol in storage.protocols:
            assert host.storage_for(protocol.upper()) is storage

    @pytest.mark.usefixtures("host")
    def test_what_is_copied_to_mad_is_read_there(self) -> None:
        """A user's own DuckDB connection writes to `mad://` and reads there, folders and wildcards included."""
        with duckdb.connect() as connection:
            register_mad(connection)
            for kind in ("parquet", "csv", "json"):
                for number in range(2):
                    copy = f"COPY (FROM range($number, $number + 1000) t(n)) TO $path (FORMAT {kind})"
                    try:
                        connection.execute(copy, {"number": number, "path": f"mad://new/{kind}/{number}.{kind}"})
                    except duckdb.Error as error:
                        pytest.fail(complaint("DuckDB can't write to mad://", "Have `fs` open files for it.", [error]))
                found = connection.sql(f"FROM read_{kind}($1)", params=[f"mad://new/{kind}/*.{kind}"])
                counted = found.aggregate("sum(n), count(*)").fetchall()
                assert counted == [(2 * 499500 + 1000, 2000)], f"{kind} files written to mad:// have other rows there"

    def test_an_asset_is_stored_cached_and_queried(self, host: PluginHost, place: Place) -> None:
        """An asset in every installed format is stored here, found in the cache, overwritten, and queried."""
        formats = [format.suffixes[0].lstrip(".") for format in host.formats()]
        calls: list[int] = []
        aged = dt.timedelta(hours=1)

        @asset(f"bronze/orders.{'|'.join(formats)}", cache_expiration=aged)
        def orders() -> Iterator[Any]:
            calls.append(len(calls))
            yield [{"id": 10 * calls[-1] + n, "text": "it's"} for n in range(3)]
            yield [{"id": 10 * calls[-1] + 3, "text": None}]

        for _ in range(2):
            relation = orders.query_sync("WHERE id > ? ORDER BY id", [1])
            assert relation is not None
            assert relation.fetchall() == [(2, "it's"), (3, None)], (
                "An asset has other rows than it yielded" if len(calls) == 1 else "An asset is not found in the cache"
            )
        assert calls == [0], "An asset is not found in the cache"
        assert place.listing() >= {f"bronze/orders.{suffix}" for suffix in formats}
        relation = orders.with_options(cache_expiration=None).query_sync("SELECT min(id), count(*)")
        assert relation is not None
        assert relation.fetchall() == [(10, 4)]
        assert calls == [0, 1]

    def test_a_run_that_fails_half_way_leaves_the_last_result(self, host: PluginHost, place: Place) -> None:
        """A run that fails after a batch leaves the result of the one before, and nothing else that readers see."""
        fails = False
        suffixes = [format.suffixes[0] for format in host.formats()][:2]

        @asset(f"orders{'|'.join(suffixes)}".replace("|.", "|"), cache_expiration=dt.timedelta(hours=1))
        def orders() -> Iterator[Any]:
            yield [{"id": 1}, {"id": 2}]
            if fails:
                raise RuntimeError("half way")

        for _ in range(2):
            relation = orders.query_sync()
            assert relation is not None
            assert relation.fetchall() == [(1,), (2,)]
        results = {key: place.bytes_at(key) for key in (f"orders{suffix}" for suffix in suffixes)}
        fails = True
        with pytest.raises(RuntimeError, match="half way"):
            orders.with_options(cache_expiration=None).query_sync()
        wrong = place.unlike(results)
        assert not wrong, complaint(
            "A run that failed has changed the result before it", "Delete no other files.", wrong
        )
        listed = {key for suffix in suffixes for key in place.listing(suffix)}
        seen = {key for key in listed if not is_written_once(key) and not key.startswith("_asset_metadata/")}
        assert seen == results.keys(), "A run that failed has left files that readers see"
        relation = orders.query_sync()
        assert relation is not None
        assert relation.fetchall() == [(1,), (2,)]

    @needs("works_without_options")
    def test_an_asset_names_its_own_storage(self, host: PluginHost, place: Place) -> None:
        """An asset whose path is a URL of this storage is stored there. Options are not part of a path."""

        suffix = host.formats()[0].suffixes[0]

        @asset(f"{place.url.rstrip('/')}/own/orders{suffix}")
        def orders() -> list[dict[str, int]]:
            return [{"id": 1}, {"id": 2}]

        try:
            relation = orders.query_sync("ORDER BY id DESC")
        except StorageError as error:
            pytest.fail(complaint("An asset can't be stored by its own URL", "Have path() keep all of a URL.", [error]))
        assert relation is not None
        assert relation.fetchall() == [(2,), (1,)]
        assert f"own/orders{suffix}" in place.listing(), "An asset with a URL of its own is not stored there"
