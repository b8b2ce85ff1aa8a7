"""Returns what is no format."""

from mad_prefect_core import PLUGIN_API, hookimpl

requires_plugin_api = (1, PLUGIN_API)


@hookimpl
def mad_prefect_formats():
    return [{"name": "junk", "suffixes": [".junk"]}]
