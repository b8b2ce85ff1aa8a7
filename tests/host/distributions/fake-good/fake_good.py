"""A plugin without fault."""

from fake_parts import FakeFormat, FakeStorage

from mad_prefect_core import PLUGIN_API, hookimpl

requires_plugin_api = (1, PLUGIN_API)


@hookimpl
def mad_prefect_formats():
    return [FakeFormat("notes", ".notes", ".notes.gz"), FakeFormat("gzip", ".gz")]


@hookimpl
def mad_prefect_storages():
    yield FakeStorage("shelf", "shelf", "shelves")
