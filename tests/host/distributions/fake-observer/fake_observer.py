"""Observers that fail."""

import sys

from mad_prefect_core import PLUGIN_API, hookimpl

requires_plugin_api = (1, PLUGIN_API)


@hookimpl
def mad_prefect_run_finished(run):
    raise ConnectionError("the dashboard is down")


@hookimpl
def mad_prefect_cache_hit():
    sys.exit("the dashboard has gone")
