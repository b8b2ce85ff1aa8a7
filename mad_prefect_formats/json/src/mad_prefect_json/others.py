"""Rows of JSON that others wrote. Apart from the format, since most processes read none."""

from __future__ import annotations

from typing import Any

import duckdb

from mad_prefect_json.exact import read_exactly
from mad_prefect_json.infer import Columns, Sight, checked, infer
from mad_prefect_json.options import ReadJsonOptions
from mad_prefect_json.remember import remembered
from mad_prefect_json.source import JsonSource

__all__ = ["read_others"]


def read_others(source: JsonSource, options: ReadJsonOptions, named: dict[str, Any]) -> duckdb.DuckDBPyRelation:
    """All rows of files without recorded types. `named` are the reader's options."""

    def look() -> Sight:
        return checked(infer(source, options, named), options).sight()

    sight = remembered(source.files, f"{named.get('compression')} {options.model_dump_json()}", look)
    columns = Columns.seen(source, sight)
    return read_exactly(columns, options) if columns.digits else columns.read()
