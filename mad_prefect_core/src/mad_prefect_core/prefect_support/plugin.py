"""The core's own plugin: a saved Prefect block as the base of all relative paths."""

from __future__ import annotations

import sys
from typing import Any

from mad_prefect_core import hookimpl
from mad_prefect_core.settings import Settings

requires_plugin_api = (1, 1)

_BLOCKS = "mad_prefect_core.prefect_support.blocks"


@hookimpl(trylast=True)
def mad_prefect_base(settings: Settings) -> tuple[str, dict[str, Any]] | None:
    """The base path and storage options of the block that `FILESYSTEM_BLOCK_NAME` names, or that was assigned."""
    # Prefect takes a second to import, and most processes have no block.
    if _BLOCKS not in sys.modules and not settings.filesystem_block_name:
        return None
    from mad_prefect_core.prefect_support.blocks import assigned_block, base_of, load_block  # noqa: PLC0415

    if (block := assigned_block()) is not None:
        return base_of(block)
    return base_of(load_block(settings.filesystem_block_name)) if settings.filesystem_block_name else None
