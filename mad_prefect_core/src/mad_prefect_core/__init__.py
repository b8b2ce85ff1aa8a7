"""The core of mad-prefect: plugin host, contracts, and the data asset engine. It knows no format and no storage."""

from mad_prefect_core.artifacts import DataArtifact, DataArtifactCollector, DataArtifactQuery
from mad_prefect_core.assets import DataAsset, DataAssetOptions, asset
from mad_prefect_core.batch.sources import yield_data_batches
from mad_prefect_core.duckdb_files import MadFileSystem, register_mad_protocol
from mad_prefect_core.hookspecs import PLUGIN_API, hookimpl
from mad_prefect_core.relations import Relation
from mad_prefect_core.runs import DataAssetRun, Retention
from mad_prefect_core.settings import Settings, get_settings, use_settings
from mad_prefect_core.untrusted import Limits

__all__ = [
    "PLUGIN_API",
    "DataArtifact",
    "DataArtifactCollector",
    "DataArtifactQuery",
    "DataAsset",
    "DataAssetOptions",
    "DataAssetRun",
    "Limits",
    "MadFileSystem",
    "Relation",
    "Retention",
    "Settings",
    "asset",
    "get_settings",
    "hookimpl",
    "register_mad_protocol",
    "use_settings",
    "yield_data_batches",
]
