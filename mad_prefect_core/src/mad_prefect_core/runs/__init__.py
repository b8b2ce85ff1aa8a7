"""Runs: their records, the manifest that makes one of them current, and the publishing of results."""

from mad_prefect_core.runs.diff import AssetDiff
from mad_prefect_core.runs.history import AssetVersion, PrunedRun
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
from mad_prefect_core.runs.retention import Retention

__all__ = [
    "AssetDiff",
    "AssetManifest",
    "AssetManifestRun",
    "AssetVersion",
    "DataAssetRun",
    "FragmentRecord",
    "ManifestRunStatus",
    "PrunedRun",
    "ResultRecord",
    "Retention",
    "RunStatus",
    "get_asset_metadata",
    "load_asset_manifest",
    "persist_asset_manifest",
    "upsert_asset_manifest_from_run",
]
