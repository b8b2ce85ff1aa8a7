"""Avro files as one relation: files with equal schemas are one dataset each, and all are united."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import duckdb

from mad_prefect_avro.hive import hive_types, with_keys
from mad_prefect_avro.options import ReadAvroOptions
from mad_prefect_avro.reader import AvroDataset, Source
from mad_prefect_avro.schema import Node, parse, refuse_other_units
from mad_prefect_core.contracts import Schema, Session
from mad_prefect_core.paths import hive_keys, unescape_glob
from mad_prefect_core.session import cast_to

__all__ = ["scan"]


def scan(
    session: Session, files: Sequence[str], options: ReadAvroOptions, schema: Schema | None
) -> duckdb.DuckDBPyRelation:
    """As `mad_prefect_core.contracts.Format.scan`."""
    sources = [Source.of(unescape_glob(file), session.opener(file)) for file in files]
    nodes = [_node(source, options.avro_schema) for source in sources]
    hive = hive_types(session, files) if options.hive_partitioning and schema is None else {}
    folders = [tuple(hive_keys(file).get(key) for key in hive) for file in files]
    relations = []
    alike = groupby(zip(sources, nodes, folders, strict=True), key=lambda found: found[1:])
    for (node, values), group in alike:
        dataset = AvroDataset([source for source, _, _ in group], node, options.avro_schema)
        relation = session.sql(f"FROM {session.view(dataset)}")
        if schema is not None:
            relation = cast_to(session, relation, schema)
        elif hive:
            relation = with_keys(session, relation, hive, values)
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
