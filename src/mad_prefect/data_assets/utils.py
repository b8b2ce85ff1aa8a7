"""`yield_data_batches` and `safe_truthy`, as in mad-prefect 2.x."""

from __future__ import annotations

import duckdb

from mad_prefect_core.batch.sources import yield_data_batches
from mad_prefect_core.relations import Relation

__all__ = ["safe_truthy", "yield_data_batches"]


def safe_truthy(data: object) -> bool:
    """Whether there is data, as 2.x saw it: frames by whether they have rows, relations always, others by `bool`."""
    if isinstance(data, duckdb.DuckDBPyRelation | Relation):
        return True
    empty = getattr(data, "empty", None)
    return not empty if isinstance(empty, bool) else bool(data)
