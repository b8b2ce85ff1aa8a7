"""Prints a capability card of what was tested; `--capability-cards=DIR` writes it."""

pytest_plugins = ["mad_prefect_core.testing.pytest_plugin"]
