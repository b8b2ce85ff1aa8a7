"""The command line `mad-prefect`: one module for each group of commands, and one for what all print."""

from mad_prefect_core.cli.main import main

__all__ = ["main"]
