"""Results that are there already: which of them answers a call, and why not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from mad_prefect_core.artifacts import DataArtifact
from mad_prefect_core.assets.earlier import earlier_names
from mad_prefect_core.assets.plan import Plan
from mad_prefect_core.errors import ArgumentError, ManifestError
from mad_prefect_core.runs.catalogue import stored_assets
from mad_prefect_core.runs.manifest import AssetManifest, read_manifest
from mad_prefect_core.runs.publish import whole
from mad_prefect_core.runs.record import DataAssetRun, RunStatus
from mad_prefect_core.runs.targets import result_file
from mad_prefect_core.threads import in_thread

__all__ = ["Explanation", "Reason", "artifact_for", "artifact_of", "cached", "explained", "latest"]

Reason = Literal["hit", "no_expiration", "no_result", "expired", "future", "options", "paths", "upstream", "files"]


@dataclass(frozen=True)
class Explanation:
    """Whether the next call would run or hit, and why."""

    reason: Reason
    text: str
    """The same in words."""
    run: str | None = None
    """Id of the current run."""
    materialized: dt.datetime | None = None
    """When it made the result."""
    expires: dt.datetime | None = None
    """When that is too old for this asset."""

    @property
    def hit(self) -> bool:
        """Whether it would be answered without a run."""
        return self.reason == "hit"


async def latest(plan: Plan, missing: Sequence[str]) -> DataArtifact:
    """The latest result of an asset, whichever arguments it was made with."""
    manifest = await in_thread(_latest_manifest, plan)
    if manifest is None:
        raise ArgumentError(
            f"The asset needs {', '.join(missing)} and has no result yet",
            asset=plan.name,
            path=plan.paths[0],
            hint="Call it with its arguments first, or bind them with with_arguments(...).",
        )
    return artifact_of(plan, manifest)


def _latest_manifest(plan: Plan) -> AssetManifest | None:
    known = (manifest for name in (plan.name, *earlier_names(plan)) for manifest in stored_assets(name))
    here = [m for m in known if m.last_materialized and [r.path for r in m.results] == list(plan.paths)]
    return max(here, key=lambda m: m.last_materialized or dt.datetime.min.replace(tzinfo=dt.UTC), default=None)


def cached(plan: Plan, manifest: AssetManifest | None, *, any_age: bool = False) -> DataArtifact | None:
    """The current result, if it answers the call: young enough, same options, and every file whole."""
    return explained(plan, manifest, any_age=any_age)[1]


def explained(
    plan: Plan, manifest: AssetManifest | None, *, any_age: bool = False
) -> tuple[Explanation, DataArtifact | None]:
    """Whether the current result answers the call, and why; and the result if it does."""
    expiration = plan.options.cache_expiration
    last = manifest.last_run if manifest else None
    made = manifest.last_materialized if manifest else None
    expires = None
    if made and expiration:
        with suppress(OverflowError):  # of an expiration that means "never"
            expires = made + expiration

    def because(reason: Reason, text: str) -> Explanation:
        return Explanation(reason, text, last.id if last else None, made, expires)

    if not any_age and (expiration is None or expiration <= dt.timedelta(0)):
        return because("no_expiration", "It runs: no cache_expiration is set."), None
    if manifest is None or made is None or last is None:
        return because("no_result", "It runs: with these arguments it has no result yet."), None
    now = dt.datetime.now(dt.UTC)
    if expiration is not None and not any_age and now - made >= expiration:
        return because("expired", f"It runs: the result expired at {expires:%Y-%m-%d %H:%M:%S} UTC."), None
    if not any_age and made > now:
        return because("future", f"It runs: the result is of the future, {made:%Y-%m-%d %H:%M:%S} UTC."), None
    adopted = manifest.asset_signature is None and manifest.results and plan.options.cache_on == ()
    if manifest.asset_signature != plan.signature() and not adopted:
        return because("options", "It runs: the options, or the code, are not those of the result."), None
    stored = [record.path for record in manifest.results]
    if stored and stored != list(plan.paths):
        return because("paths", f"It runs: the result is at {', '.join(stored)}."), None
    if "upstream" in plan.options.cache_on and (newer := _newer_upstream(plan, last.id)):
        return because("upstream", f"It runs: {newer}."), None
    artifact = artifact_of(plan, manifest)  # it holds the run's files: they are not swept while they are looked at
    if broken := [record.path for record in manifest.results if not whole(record)]:
        return because("files", f"It runs: {', '.join(broken)} is gone, or not as its run wrote it."), None
    return because("hit", f"It hits: the result of {made:%Y-%m-%d %H:%M:%S} UTC answers it."), artifact


def _newer_upstream(plan: Plan, run_id: str) -> str:
    """Which assets that a run read have another result by now, in words; "" where none has."""
    record = None
    with suppress(ManifestError):
        record = DataAssetRun.read(plan.name, plan.id, run_id)
    if record is None:
        return "the record of what it read is gone"
    newer = []
    for read in record.upstream:
        manifest, _ = read_manifest(read.asset_name, read.asset_id)
        if manifest is None or manifest.last_run is None or manifest.last_run.id != read.run:
            newer.append(read.asset_name)
    return f"{', '.join(newer)} has a newer result than it read" if newer else ""


def artifact_of(plan: Plan, manifest: AssetManifest) -> DataArtifact:
    last = manifest.last_run
    run = DataAssetRun(
        id=last.id if last else None,
        asset_id=manifest.asset_id,
        asset_name=manifest.asset_name,
        asset_path=plan.paths[0],
        materialized=manifest.last_materialized,
        status=RunStatus.SUCCESS,
        rows=last.rows if last else None,
        results=list(manifest.results),
    )
    return artifact_for(plan, run)


def artifact_for(plan: Plan, run: DataAssetRun) -> DataArtifact:
    """What a call returns: the first result of a run, or one without a file where the run had none."""
    formats = plan.formats
    if run.results:
        first = run.results[0]
        artifact = DataArtifact.of_file(first.path, result_file(first), formats)
    else:
        artifact = DataArtifact(plan.paths[0], read_options=formats.read, write_options=formats.write)
    artifact.run = run
    return artifact
