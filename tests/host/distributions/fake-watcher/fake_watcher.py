"""Observers that work."""

from mad_prefect_core import PLUGIN_API, hookimpl

requires_plugin_api = (1, PLUGIN_API)
seen: list[object] = []


@hookimpl
def mad_prefect_run_finished(run):
    seen.append(("finished", run))


@hookimpl
def mad_prefect_cache_hit(run):
    seen.append(("hit", run))
