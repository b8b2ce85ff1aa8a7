"""What mad-prefect's entry point loads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mad_prefect_core.sdk import FormatLike, hookimpl
from mad_prefect_orc.format import OrcFormat

__all__ = ["mad_prefect_formats", "requires_plugin_api"]

requires_plugin_api = (1, 1)


@hookimpl
def mad_prefect_formats() -> Iterable[FormatLike[Any, Any]]:
    """The format of this plugin."""
    return [OrcFormat()]
