"""Anything a function returns, as batches: Python rows or Arrow columns, with a schema that grows."""

from mad_prefect_core.batch.batches import ColumnBatch, RowBatch
from mad_prefect_core.batch.growth import SchemaGrowth
from mad_prefect_core.batch.relations import RelationBatch
from mad_prefect_core.batch.sources import iter_batches, only_batch

__all__ = ["ColumnBatch", "RelationBatch", "RowBatch", "SchemaGrowth", "iter_batches", "only_batch"]
