"""What a plugin author needs: protocols, capabilities and option models. Nothing here does anything."""

from mad_prefect_core.contracts.assets import Artifact, Asset, Collector, Query
from mad_prefect_core.contracts.formats import (
    Batch,
    BlankFormat,
    ComparingFormat,
    Format,
    FormatCapabilities,
    FormatJoiner,
    FormatWriter,
    JoiningFormat,
    NumberingFormat,
    Schema,
    StandaloneFormat,
)
from mad_prefect_core.contracts.options import ISO, Options, ReadOptions
from mad_prefect_core.contracts.session import PortableRelation, Session
from mad_prefect_core.contracts.storages import (
    FileStat,
    PrivateFiles,
    Storage,
    StorageCapabilities,
    SyncingStorage,
    Versioned,
)

__all__ = [
    "ISO",
    "Artifact",
    "Asset",
    "Batch",
    "BlankFormat",
    "Collector",
    "ComparingFormat",
    "FileStat",
    "Format",
    "FormatCapabilities",
    "FormatJoiner",
    "FormatWriter",
    "JoiningFormat",
    "NumberingFormat",
    "Options",
    "PortableRelation",
    "PrivateFiles",
    "Query",
    "ReadOptions",
    "Schema",
    "Session",
    "StandaloneFormat",
    "Storage",
    "StorageCapabilities",
    "SyncingStorage",
    "Versioned",
]
