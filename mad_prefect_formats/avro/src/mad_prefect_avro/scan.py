"""Avro files as one relation: files with equal schemas are one dataset each, and all are united."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import duckdb

from mad_prefect_avro.options import ReadAvroOptions
from mad_prefect_avro.reader import AvroDataset, Source
from mad_prefect_avro.schema import Node, parse, refuse_other_units
from mad_prefect_core.sdk import ReadContext, cast_to

__all__ = ["scan"]


def scan(
    files: Sequence[str], context: ReadContext[ReadAvroOptions], number: str | None = None
) -> duckdb.DuckDBPyRelation:
    """As `mad_prefect_core.contracts.ManyFilesFormat.read_many`, or as `NumberingFormat.read_numbered` with
    `number`."""
    session, options, schema = context.session, context.options, context.schema
    sources = [Source.of(session.path_of(file), session.opener(file), place) for place, file in enumerate(files)]
    nodes = [_node(source, options.avro_schema) for source in sources]
    relations = []
    for node, group in groupby(zip(sources, nodes, strict=True), key=lambda found: found[1]):
        dataset = AvroDataset([source for source, _ in group], node, options.avro_schema, number)
        relation = session.sql(f"FROM {session.view(dataset)}")
        if schema is not None:
            relation = cast_to(session, relation, schema)
        relations.append(relation)
    if len(relations) == 1:
        return relations[0]
    union = "UNION ALL" if schema is not None or options.union_by_name is False else "UNION ALL BY NAME"
    return session.sql(f" {union} ".join(f"(FROM {session.view(relation)})" for relation in relations))


def _node(source: Source, schema: Any) -> Node:
    if schema is None:
        return source.node
    read = parse(schema)
    refuse_other_units(source.node, read)
    return read
