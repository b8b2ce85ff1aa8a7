"""Runs: their records, the manifest that makes one of them current, and the publishing of results."""

from mad_prefect_core.runs.manifest import (
    AssetManifest,
    AssetManifestRun,
    ManifestRunStatus,
    load_asset_manifest,
    persist_asset_manifest,
    upsert_asset_manifest_from_run,
)
from mad_prefect_core.runs.record import (
    DataAssetRun,
    FragmentRecord,
    ResultRecord,
    RunStatus,
    get_asset_metadata,
)

__all__ = [
    "AssetManifest",
    "AssetManifestRun",
    "DataAssetRun",
    "FragmentRecord",
    "ManifestRunStatus",
    "ResultRecord",
    "RunStatus",
    "get_asset_metadata",
    "load_asset_manifest",
    "persist_asset_manifest",
    "upsert_asset_manifest_from_run",
]
