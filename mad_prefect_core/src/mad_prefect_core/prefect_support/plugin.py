"""The core's own plugin: a saved Prefect block as the base of all relative paths."""

from __future__ import annotations

from typing import Any

from mad_prefect_core import hookimpl
from mad_prefect_core.settings import Settings

requires_plugin_api = (1, 1)


@hookimpl(trylast=True)
def mad_prefect_base(settings: Settings) -> tuple[str, dict[str, Any]] | None:
    """The base path and storage options of the block that `FILESYSTEM_BLOCK_NAME` names."""
    if not settings.filesystem_block_name:
        return None
    # Prefect takes a second to import, and most processes have no block.
    from mad_prefect_core.prefect_support.blocks import load_block  # noqa: PLC0415

    block = load_block(settings.filesystem_block_name)
    return block.basepath, block.storage_options.get_secret_value()
