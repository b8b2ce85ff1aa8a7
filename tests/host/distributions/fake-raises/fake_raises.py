"""Raises in a hook."""

from mad_prefect_core import PLUGIN_API, hookimpl

requires_plugin_api = (1, PLUGIN_API)


@hookimpl
def mad_prefect_formats():
    raise ValueError("the catalogue is damaged")
