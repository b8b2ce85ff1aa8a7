"""Raises only when its second format is asked for."""

from fake_parts import FakeFormat, FakeStorage

from mad_prefect_core import PLUGIN_API, hookimpl

requires_plugin_api = (1, PLUGIN_API)


@hookimpl
def mad_prefect_storages():
    return [FakeStorage("attic", "attic")]


@hookimpl
def mad_prefect_formats():
    yield FakeFormat("early", ".early")
    raise ValueError("the catalogue ends here")
