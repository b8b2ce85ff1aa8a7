"""The manifest: one small object that says which run of an asset is current. Replacing it is the switch."""

from __future__ import annotations

import datetime as dt
import enum
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field, model_validator

from mad_prefect_core.errors import StorageConflictError
from mad_prefect_core.mounts import Location, default_mount
from mad_prefect_core.paths import relative_key
from mad_prefect_core.runs.results import ResultRecord, run_in
from mad_prefect_core.runs.stored import (
    Count,
    RecordedPath,
    Segment,
    Torn,
    foreign_error,
    in_utc,
    parse,
    read,
)
from mad_prefect_core.settings import get_settings
from mad_prefect_core.threads import in_thread
from mad_prefect_core.translation import translated

__all__ = [
    "AssetManifest",
    "AssetManifestRun",
    "ManifestRunStatus",
    "StoredManifest",
    "change_manifest",
    "load_asset_manifest",
    "manifest_location",
    "persist_asset_manifest",
    "read_manifest",
    "upsert_asset_manifest_from_run",
]

logger = logging.getLogger(__name__)

_ATTEMPTS = 20


class ManifestRunStatus(enum.StrEnum):
    """As in 2.x."""

    SUCCESS = "success"
    FAILED = "failed"
    UNKNOWN = "unknown"


def _utc(value: dt.datetime | None) -> dt.datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a datetime in a manifest needs a time zone")
    return in_utc(value)


class AssetManifestRun(BaseModel):
    """A run, as the manifest shows it. Fields as in 2.x, and `rows`."""

    id: RecordedPath
    metadata_path: RecordedPath
    materialized: dt.datetime | None = None
    artifact_paths: tuple[RecordedPath, ...] = ()
    rows: Count | None = None

    @model_validator(mode="after")
    def _in_utc(self) -> AssetManifestRun:
        self.materialized = _utc(self.materialized)
        return self

    def with_artifacts(self, artifacts: Iterable[str]) -> AssetManifestRun:
        """A copy with these artifact paths."""
        return self.model_copy(update={"artifact_paths": tuple(artifacts)})


class AssetManifest(BaseModel):
    """Which run is current. Fields as in 2.x; `results` and what follows are new."""

    manifest_version: Literal["1"] = "1"
    asset_name: str
    asset_id: str
    asset_signature: str | None = None
    """Digest of the options that change what a run would store."""
    last_materialized: dt.datetime | None = None
    last_run: AssetManifestRun | None = None
    last_status: ManifestRunStatus = ManifestRunStatus.UNKNOWN
    last_error: str | None = None
    last_artifacts: tuple[RecordedPath, ...] = ()
    updated_at: dt.datetime = Field(default_factory=lambda: dt.datetime.now(dt.UTC))
    results: tuple[ResultRecord, ...] = ()
    """The current run's files."""
    superseded: tuple[Segment, ...] = ()
    """Ids of earlier runs whose results are there still, though they are no history. That of the last before stays
    until the next run, for those who are reading it; others stay while somebody in the process that swept holds
    them."""

    unswept: tuple[Segment, ...] = ()
    """Ids of those earlier runs whose fragments are there still, though they are no history."""

    @model_validator(mode="after")
    def _in_utc(self) -> AssetManifest:
        self.updated_at = _utc(self.updated_at) or dt.datetime.now(dt.UTC)
        self.last_materialized = _utc(self.last_materialized)
        if self.last_run and self.last_run.materialized and not self.last_materialized:
            self.last_materialized = self.last_run.materialized
        return self

    def with_run(
        self,
        run: AssetManifestRun,
        *,
        status: ManifestRunStatus = ManifestRunStatus.SUCCESS,
        error: str | None = None,
        artifacts: Sequence[str] | None = None,
    ) -> AssetManifest:
        """A copy in which `run` is the last."""
        kept = self.last_artifacts if artifacts is None else tuple(artifacts)
        return self.model_copy(
            update={
                "last_run": run,
                "last_status": status,
                "last_error": error,
                "last_materialized": run.materialized or self.last_materialized,
                "last_artifacts": run.artifact_paths if artifacts is None and run.artifact_paths else kept,
                "updated_at": dt.datetime.now(dt.UTC),
            }
        )


class StoredManifest(NamedTuple):
    """A manifest as it was read or written; None where there is none that can be read."""

    manifest: AssetManifest | None
    token: str | None
    """Of its object's version; None where there is no object."""


def manifest_location(asset_name: str, asset_id: str) -> Location:
    """Where an asset's manifest is, as in 2.x."""
    base = get_settings().asset_metadata_location
    return default_mount().at(relative_key(f"{base}/asset_name={asset_name}/asset_id={asset_id}/manifest.json"))


def read_manifest(asset_name: str, asset_id: str) -> StoredManifest:
    """The manifest as it is. One that is torn counts as none, is logged, and loses nothing: the next published run
    replaces it. Raises `ManifestError` for one that no run of the asset writes, and for one of a later version: neither
    is ours to replace."""
    location = manifest_location(asset_name, asset_id)
    stored = read(location, asset_name)
    if stored is None:
        return StoredManifest(None, None)
    manifest = parse(AssetManifest, stored.data, location, asset_name, "manifest_version")
    if isinstance(manifest, Torn):
        logger.warning(
            "The manifest %s of asset %r can't be read (%s); the asset counts as never materialised, and its next run "
            "writes the manifest anew.",
            location.key,
            asset_name,
            manifest.problem,
        )
        return StoredManifest(None, stored.token)
    if (manifest.asset_name, manifest.asset_id) != (asset_name, asset_id):
        logger.warning(
            "The manifest %s is that of asset %r with id %s; it is not used.",
            location.key,
            manifest.asset_name,
            manifest.asset_id,
        )
        return StoredManifest(None, stored.token)
    for number, result in enumerate(manifest.results):
        # Of the last run, unless code of 2.x has named another one since.
        if not result.is_own(asset_name, run_in(result.file)):
            raise foreign_error(location, asset_name, f"results.{number}.file", repr(result.file[:200]))
    return StoredManifest(manifest, stored.token)


def change_manifest(
    asset_name: str,
    asset_id: str,
    change: Callable[[AssetManifest], AssetManifest],
    known: StoredManifest | None = None,
) -> tuple[AssetManifest | None, AssetManifest, str]:
    """Switch the manifest to `change` of what it is, whole or not at all, whoever else is at it.

    `known` saves reading it, where it is still that. Returns it as it was, as it is, and its token. Raises
    `StorageConflictError` if others were quicker every time.
    """
    for _ in range(_ATTEMPTS):
        before, token = known or read_manifest(asset_name, asset_id)
        known = None
        after = change(before or AssetManifest(asset_name=asset_name, asset_id=asset_id))
        try:
            written = manifest_location(asset_name, asset_id).replace(after.model_dump_json(indent=4).encode(), token)
        except StorageConflictError:
            continue
        return before, after, written
    raise StorageConflictError(
        f"The manifest was changed by others {_ATTEMPTS} times in a row", asset=asset_name, phase="publish"
    )


async def load_asset_manifest(asset_name: str, asset_id: str) -> AssetManifest | None:
    """The manifest of an asset; None where there is none, or none that can be read."""
    with translated(asset=asset_name, path=manifest_location(asset_name, asset_id).key, phase="read"):
        return (await in_thread(read_manifest, asset_name, asset_id))[0]


async def persist_asset_manifest(manifest: AssetManifest) -> AssetManifest:
    """Write a manifest over whatever is there, whole or not at all."""
    location = manifest_location(manifest.asset_name, manifest.asset_id)
    with translated(asset=manifest.asset_name, path=location.key, phase="record"):
        await in_thread(location.write, manifest.model_dump_json(indent=4).encode())
    return manifest


async def upsert_asset_manifest_from_run(
    *,
    asset_name: str,
    asset_id: str,
    run_id: str,
    metadata_path: str,
    materialized: dt.datetime | None,
    status: ManifestRunStatus,
    artifact_paths: Sequence[str] | None = None,
    asset_signature: str | None = None,
    error: str | None = None,
) -> AssetManifest:
    """Make a run the last one of an asset's manifest. For code of 2.x; the engine publishes by itself."""
    run = AssetManifestRun(
        id=run_id, metadata_path=metadata_path, materialized=materialized, artifact_paths=tuple(artifact_paths or ())
    )

    def change(manifest: AssetManifest) -> AssetManifest:
        if asset_signature:
            manifest = manifest.model_copy(update={"asset_signature": asset_signature})
        return manifest.with_run(run, status=status, error=error, artifacts=artifact_paths)

    with translated(asset=asset_name, path=manifest_location(asset_name, asset_id).key, phase="record"):
        return (await in_thread(change_manifest, asset_name, asset_id, change))[1]
