"""Was built for a plugin API that is gone."""

from fake_parts import FakeFormat

from mad_prefect_core import hookimpl

requires_plugin_api = (0, 0)


@hookimpl
def mad_prefect_formats():
    return [FakeFormat("old", ".old")]
