"""Manifests and run records, as in mad-prefect 2.x."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from mad_prefect._constants import settable
from mad_prefect_core.runs import (
    AssetManifest,
    AssetManifestRun,
    ManifestRunStatus,
    load_asset_manifest,
    persist_asset_manifest,
    upsert_asset_manifest_from_run,
)
from mad_prefect_core.runs import get_asset_metadata as get_records

__all__ = [
    "ASSET_METADATA_LOCATION",
    "AssetManifest",
    "AssetManifestRun",
    "ManifestRunStatus",
    "get_asset_metadata",
    "load_asset_manifest",
    "persist_asset_manifest",
    "upsert_asset_manifest_from_run",
]

ASSET_METADATA_LOCATION: str
settable(__name__, "ASSET_METADATA_LOCATION")


async def get_asset_metadata(asset_name: str, asset_id: str) -> duckdb.DuckDBPyRelation | None:
    """All run records of an asset, a row a run, on DuckDB's default connection; None where there is none.

    Times have no zone, and are in UTC.
    """
    records = await get_records(asset_name, asset_id)
    if records is None:
        return None
    table = records.to_arrow_table()
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz:
            utc = pc.local_timestamp(pc.cast(table.column(place), pa.timestamp(field.type.unit, "UTC")))
            table = table.set_column(place, field.name, utc)
    return duckdb.from_arrow(table)
