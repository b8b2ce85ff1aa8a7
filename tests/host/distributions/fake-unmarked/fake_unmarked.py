"""Forgets to mark its hook."""

from fake_parts import FakeFormat

from mad_prefect_core import PLUGIN_API

requires_plugin_api = (1, PLUGIN_API)


def mad_prefect_formats():
    return [FakeFormat("unmarked", ".unmarked")]
