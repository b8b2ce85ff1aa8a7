"""Manifests and run records, as in mad-prefect 2.x."""

from mad_prefect_core.runs import (
    AssetManifest,
    AssetManifestRun,
    ManifestRunStatus,
    get_asset_metadata,
    load_asset_manifest,
    persist_asset_manifest,
    upsert_asset_manifest_from_run,
)

__all__ = [
    "AssetManifest",
    "AssetManifestRun",
    "ManifestRunStatus",
    "get_asset_metadata",
    "load_asset_manifest",
    "persist_asset_manifest",
    "upsert_asset_manifest_from_run",
]
