"""Was built for a plugin API that is not there yet."""

from fake_parts import FakeFormat

from mad_prefect_core import hookimpl

requires_plugin_api = (1000, 1001)


@hookimpl
def mad_prefect_formats():
    return [FakeFormat("new", ".new")]
