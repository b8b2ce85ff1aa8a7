"""Claims the name of the format csv, with a suffix of its own."""

from fake_parts import FakeFormat

from mad_prefect_core import PLUGIN_API, hookimpl

requires_plugin_api = (1, PLUGIN_API)


@hookimpl
def mad_prefect_formats():
    return [FakeFormat("CSV", ".commas")]
