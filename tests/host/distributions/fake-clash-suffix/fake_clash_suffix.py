"""Claims a suffix of the format parquet, under a name of its own."""

from fake_parts import FakeFormat

from mad_prefect_core import PLUGIN_API, hookimpl

requires_plugin_api = (1, PLUGIN_API)


@hookimpl
def mad_prefect_formats():
    return [FakeFormat("picture-query", ".pq", ".picq")]
