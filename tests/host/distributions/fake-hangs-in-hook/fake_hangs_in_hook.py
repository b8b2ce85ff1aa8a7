"""Waits in a hook, after its first format, for what never comes."""

import threading

from fake_parts import FakeFormat

from mad_prefect_core import PLUGIN_API, hookimpl

requires_plugin_api = (1, PLUGIN_API)


@hookimpl
def mad_prefect_formats():
    yield FakeFormat("patient", ".patient")
    threading.Event().wait()
