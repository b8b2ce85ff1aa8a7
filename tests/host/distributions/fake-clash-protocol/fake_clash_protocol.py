"""Claims a protocol of the storage local."""

from fake_parts import FakeStorage

from mad_prefect_core import PLUGIN_API, hookimpl

requires_plugin_api = (1, PLUGIN_API)


@hookimpl
def mad_prefect_storages():
    return [FakeStorage("neighbour", "local", "neighbour")]
