"""What is kept of a run, at the places and with the fields of mad-prefect 2.x."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from typing import Annotated, Any

import duckdb
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mad_prefect_core.errors import ManifestError
from mad_prefect_core.mounts import Location, default_mount, paths_of
from mad_prefect_core.paths import relative_key
from mad_prefect_core.relations import Relation
from mad_prefect_core.runs.manifest import AssetManifestRun, ManifestRunStatus, upsert_asset_manifest_from_run
from mad_prefect_core.runs.results import ResultRecord
from mad_prefect_core.runs.stored import (
    Count,
    Moment,
    Segment,
    Torn,
    check_paths,
    check_place,
    foreign_error,
    parse,
    read,
)
from mad_prefect_core.session import DuckSession
from mad_prefect_core.settings import get_settings
from mad_prefect_core.threads import in_thread
from mad_prefect_core.translation import translated

__all__ = [
    "DataAssetRun",
    "FragmentRecord",
    "ResultRecord",
    "RunStatus",
    "UpstreamRun",
    "get_asset_metadata",
    "metadata_location",
]


class RunStatus(enum.StrEnum):
    """What became of a run."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


class FragmentRecord(BaseModel):
    """A fragment of a run."""

    model_config = ConfigDict(frozen=True)

    path: str
    """Relative to the base, or a URL: as `RecordedPath`, which is checked of all fragments at once."""
    size: Count | None = None
    """In bytes. None, as all that follows, for a file that the run was given and did not write."""
    sha256: str | None = None
    columns: dict[str, str] | None = None
    """DuckDB types by column, in order. For people: no query is made of them."""


def _with_recorded_paths(fragments: list[FragmentRecord]) -> list[FragmentRecord]:
    check_paths([fragment.path for fragment in fragments])
    return fragments


class UpstreamRun(BaseModel):
    """A run of another asset, whose result a run read."""

    model_config = ConfigDict(frozen=True)

    asset_name: Segment
    asset_id: Segment
    run: str | None


def metadata_location(asset_name: str, asset_id: str, *below: str) -> Location:
    """A file among an asset's records: `<ASSET_METADATA_LOCATION>/asset_name=…/asset_id=…/…`."""
    parts = (get_settings().asset_metadata_location, f"asset_name={asset_name}", f"asset_id={asset_id}", *below)
    return default_mount().at(relative_key("/".join(parts)))


class DataAssetRun(BaseModel):
    """One execution of an asset. The first eight fields are those of 2.x.

    Persisted when the run starts (`status` running) and when it ends, whichever way.
    """

    id: str | None = None
    runtime: Moment | None = None
    materialized: Moment | None = None
    duration_miliseconds: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    asset_id: str | None = None
    asset_name: str | None = None
    asset_path: str | None = None
    parameters: str | None = None

    status: RunStatus | None = None
    error: str | None = None
    """Type and message of what made it fail."""
    phase: str | None = None
    """Where it failed: "collect", "union" or "publish"."""
    rows: Count | None = None
    fragments: Annotated[list[FragmentRecord], AfterValidator(_with_recorded_paths)] = []
    keeps_fragments: bool = False
    """Whether its fragments are history (`snapshot_artifacts`) and outlive the next run."""
    keeps_results: bool = False
    """Whether its results are history (`snapshot_artifacts` or `retention`)."""
    pins: list[str] = []
    """Names under which it is kept, whatever the retention."""
    signature: str | None = None
    """Digest of the options that change what is stored."""
    rolled_back_to: str | None = None
    """The run whose results these are, where `rollback` made it."""
    upstream: list[UpstreamRun] = []
    """The assets that its function read, each with the run that was current then."""
    retries: Count | None = None
    """Requests that its storages had to be sent again while it ran, where they count them."""
    not_promised: dict[str, list[str]] = {}
    """By storage that the run wrote to: the names of the `StorageCapabilities` that it could not promise then."""
    versions: dict[str, str] = {}
    """Of the distributions whose plugins wrote its files, and of the core."""
    writers: dict[str, str] = {}
    """By format: the distribution whose plugin wrote its files, and the version."""
    results: list[ResultRecord] = []

    async def persist(
        self,
        *,
        status: ManifestRunStatus | None = None,
        error: str | None = None,
        artifact_paths: Sequence[str] | None = None,
        asset_signature: str | None = None,
        update_manifest: bool = True,
    ) -> None:
        """Write the record, whole or not at all, and as in 2.x the manifest with it.

        The engine itself passes `update_manifest=False`: a manifest changes only when a run is published.
        """
        with translated(asset=self.asset_name, path=self.asset_path, phase="record"):
            await in_thread(self.write)
        if not (update_manifest and self.asset_name and self.asset_id and self.id):
            return
        await upsert_asset_manifest_from_run(
            asset_name=self.asset_name,
            asset_id=self.asset_id,
            run_id=self.id,
            metadata_path=self.location().key,
            materialized=self.materialized,
            status=status or (ManifestRunStatus.SUCCESS if self.materialized else ManifestRunStatus.UNKNOWN),
            artifact_paths=artifact_paths,
            asset_signature=asset_signature,
            error=error,
        )

    def location(self) -> Location:
        """Where its record is."""
        return metadata_location(str(self.asset_name), str(self.asset_id), f"asset_run_id={self.id}", "metadata.json")

    def write(self) -> None:
        """Write the record now, wrapped as Prefect's serializer did it in 2.x."""
        wrapped = {
            "__class__": f"{DataAssetRun.__module__}.{DataAssetRun.__qualname__}",
            "data": self.model_dump(mode="json"),
        }
        self.location().write(json.dumps(wrapped).encode())  # unindented: ten times as fast, for many fragments

    @classmethod
    def read(cls, asset_name: str, asset_id: str, run_id: str) -> DataAssetRun | None:
        """The record of a run; None where there is none. Raises `ManifestError` where it can't be read."""
        location = metadata_location(asset_name, asset_id, f"asset_run_id={run_id}", "metadata.json")
        stored = read(location, asset_name)
        if stored is None:
            return None
        found = parse(_Wrapped, stored.data, location, asset_name)
        if isinstance(found, Torn):
            raise ManifestError(f"A run record can't be read: {found.problem}", asset=asset_name, path=location.key)
        run = found.data
        check_place(location, (run.asset_name, asset_name), (run.asset_id, asset_id))
        if run.id not in (None, run_id):
            raise foreign_error(location, asset_name, "id", f"{run.id[:200]!r} instead of {run_id!r}")
        run.id, run.asset_name, run.asset_id = run_id, asset_name, asset_id
        for number, result in enumerate(run.results):
            if not result.is_own(asset_name, run_id):
                raise foreign_error(location, asset_name, f"results.{number}.file", repr(result.file[:200]))
        return run

    def summary(self) -> AssetManifestRun:
        """The run as its manifest shows it."""
        return AssetManifestRun(
            id=str(self.id),
            metadata_path=self.location().key,
            materialized=self.materialized,
            artifact_paths=tuple(result.path for result in self.results),
            rows=self.rows,
        )

    def __repr_args__(self) -> Any:
        return [("id", self.id), ("asset_name", self.asset_name), ("status", self.status)]


class _Wrapped(BaseModel):
    """A record as `write` wraps it."""

    data: DataAssetRun


async def get_asset_metadata(asset_name: str, asset_id: str) -> Relation | None:
    """All run records of an asset as a relation, a row a run; None where there is none."""

    def find() -> Relation | None:
        folder = metadata_location(asset_name, asset_id, "x").path.rpartition("/")[0]
        mount = default_mount()
        try:
            with mount.call:
                runs = [str(path).rpartition("/")[2] for path in mount.fs.ls(folder, detail=False)]
        except FileNotFoundError:
            return None
        ids = [run.removeprefix("asset_run_id=") for run in runs if run.startswith("asset_run_id=")]
        records = [
            metadata_location(asset_name, asset_id, f"asset_run_id={id_}", "metadata.json") for id_ in sorted(ids)
        ]
        records = [record for record in records if record.exists()]  # a run that died at once has none
        if not records:
            return None

        def recipe(session: DuckSession) -> duckdb.DuckDBPyRelation:
            files = paths_of(records, session)
            return session.sql("SELECT data.* FROM read_json($1, union_by_name = true)", [files])

        return Relation(recipe)

    with translated(asset=asset_name, path=metadata_location(asset_name, asset_id).key, phase="history"):
        return await in_thread(find)
