"""The core of mad-prefect: plugin host, contracts, and the data asset engine. It knows no format and no storage."""

from mad_prefect_core.hookspecs import PLUGIN_API, hookimpl

__all__ = ["PLUGIN_API", "hookimpl"]
