"""Reading files by a format, also by one that reads only one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from mad_prefect_core.contracts import FormatLike, ManyFilesFormat, ReadContext
from mad_prefect_core.session import cast_to, union_all

__all__ = ["read_files"]


def read_files(
    format: FormatLike[Any, Any], files: Sequence[str], context: ReadContext[Any]
) -> duckdb.DuckDBPyRelation:
    """A lazy relation over all files in this order, as `ManyFilesFormat.read_many` says."""
    if isinstance(format, ManyFilesFormat):
        return format.read_many(files, context)
    session, schema = context.session, context.schema
    relations = [format.read(file, context) for file in files]
    if schema is not None:
        return union_all(session, [cast_to(session, relation, schema) for relation in relations])
    if len(relations) == 1:
        return relations[0]
    how = "UNION ALL" if context.options.union_by_name is False else "UNION ALL BY NAME"
    return session.sql(f" {how} ".join(f"(FROM {session.view(relation)})" for relation in relations))
