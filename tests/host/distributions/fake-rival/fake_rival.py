"""Claims a format, a suffix and a protocol of fake-good, and others of its own."""

from fake_parts import FakeFormat, FakeStorage

from mad_prefect_core import PLUGIN_API, hookimpl

requires_plugin_api = (1, PLUGIN_API)


@hookimpl
def mad_prefect_formats():
    return [FakeFormat("Notes", ".notes"), FakeFormat("memo", ".memo")]


@hookimpl
def mad_prefect_storages():
    return [FakeStorage("other-shelf", "shelf"), FakeStorage("drawer", "drawer")]
