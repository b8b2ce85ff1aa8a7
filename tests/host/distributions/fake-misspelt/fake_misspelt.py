"""Has a hook of a name that there is not."""

from fake_parts import FakeFormat

from mad_prefect_core import PLUGIN_API, hookimpl

requires_plugin_api = (1, PLUGIN_API)


@hookimpl
def mad_prefect_format():
    return [FakeFormat("misspelt", ".misspelt")]
