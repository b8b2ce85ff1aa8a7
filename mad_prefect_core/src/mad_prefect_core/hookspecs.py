"""The hooks. A plugin is a module (or any object) with functions of these names, marked with `hookimpl`.

It is found by an entry point in the group `mad_prefect`, and says which plugin APIs it was built for::

    # pyproject.toml
    [project.entry-points.mad_prefect]
    toml = "mad_prefect_toml.plugin"

    # mad_prefect_toml/plugin.py
    from mad_prefect_core import hookimpl
    from mad_prefect_toml.format import TomlFormat

    requires_plugin_api = (1, 1)  # first and last PLUGIN_API that this plugin works with

    @hookimpl
    def mad_prefect_formats():
        return [TomlFormat()]

Hooks return data and register nothing. Each is called by itself: one that raises costs only its own plugin.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import pluggy

from mad_prefect_core.contracts import FormatLike, StorageLike

__all__ = ["ENTRY_POINT_GROUP", "PLUGIN_API", "PROJECT", "HookSpecs", "hookimpl"]

PROJECT = "mad_prefect"
ENTRY_POINT_GROUP = "mad_prefect"
PLUGIN_API = 1
"""The version of the contract between the core and plugins. It grows when a plugin could notice."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""The mark of a function that implements the hook of its name."""


class HookSpecs:
    """All hooks that there are."""

    @hookspec
    def mad_prefect_formats(self) -> Iterable[FormatLike[Any, Any]]:
        """File formats that this plugin brings.

        A format is one object that satisfies `mad_prefect_core.contracts.Format`. Its name and suffixes must not be
        claimed by another installed plugin.
        """
        yield from ()

    @hookspec
    def mad_prefect_storages(self) -> Iterable[StorageLike[Any]]:
        """Storages that this plugin brings.

        A storage is one object as `mad_prefect_core.contracts.Storage` says. Its protocols must not be
        claimed by another installed plugin. Import a cloud SDK inside its methods, not with the module: listing
        plugins must cost nothing.
        """
        yield from ()

    @hookspec
    def mad_prefect_storage_for(self, protocol: str) -> StorageLike[Any] | None:
        """The storage of a protocol that no plugin claims.

        Asked once for each protocol, in lower case: it may be several, chained as fsspec does it, such as
        `simplecache::sftp`. Return None to leave it to others. The first answer counts. Raise `UnknownStorageError` to
        say what to install. A protocol that `mad_prefect_storages` of any plugin has, or that one of our own plugins
        would bring if it were installed, is not asked for.
        """
        return None

    @hookspec
    def mad_prefect_batches(self, data: object) -> Iterator[object] | AsyncIterator[object] | None:
        """Teach the core a new kind of returned or yielded object.

        Asked only for objects that the core does not know. Return an iterator of what the core does know (lists of
        dicts, anything that speaks Arrow …), each a batch; or None to leave the object to others. The first answer
        counts.
        """
        return None

    @hookspec
    def mad_prefect_base(self, settings: Any) -> tuple[str, dict[str, Any]] | None:
        """Where relative asset paths live: a URL and its storage options.

        Asked before `FILESYSTEM_URL` is used; the first answer counts. The core's own Prefect plugin answers it
        with the block that `FILESYSTEM_BLOCK_NAME` names.
        """
        return None

    @hookspec
    def mad_prefect_run_finished(self, run: Any) -> None:
        """Told of every finished run, also a failed one, with its `DataAssetRun`. What it raises is logged."""

    @hookspec
    def mad_prefect_cache_hit(self, run: Any) -> None:
        """Told when a call was answered from the cache, with the `DataAssetRun` that had made the result. What it
        raises is logged."""
