"""The runs whose results are kept as history, beside the current run and those just before it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel

from mad_prefect_core.errors import ManifestError, PathError, StorageConflictError
from mad_prefect_core.mounts import Location
from mad_prefect_core.runs.catalogue import names_in
from mad_prefect_core.runs.manifest import AssetManifest, AssetManifestRun
from mad_prefect_core.runs.record import DataAssetRun, RunStatus, metadata_location
from mad_prefect_core.runs.stored import Torn, locate_recorded, parse, read
from mad_prefect_core.threads import in_threads

__all__ = ["change_kept", "read_kept", "readable_runs", "records_of"]

logger = logging.getLogger(__name__)

_ATTEMPTS = 20


class _KeptRuns(BaseModel):
    history_version: Literal["1"] = "1"
    runs: tuple[AssetManifestRun, ...] = ()


def read_kept(manifest: AssetManifest) -> list[AssetManifestRun]:
    """The runs that are kept, the oldest first."""
    return list(_read(manifest)[0])


def change_kept(
    manifest: AssetManifest, change: Callable[[list[AssetManifestRun]], list[AssetManifestRun]]
) -> list[AssetManifestRun]:
    """Replace the list by `change` of it, whoever else is at it. Returns it as it is then."""
    for _ in range(_ATTEMPTS):
        before, token = _read(manifest)
        after = tuple(change(list(before)))
        if after != before:
            body = _KeptRuns(runs=after).model_dump_json(indent=4).encode()
            try:
                _location(manifest).replace(body, token)
            except StorageConflictError:
                continue
        return list(after)
    raise StorageConflictError(f"The history was changed by others {_ATTEMPTS} times in a row", phase="history")


def records_of(asset_name: str, asset_id: str) -> list[DataAssetRun]:
    """All run records of an asset that can be read, in no order."""
    names = names_in(metadata_location(asset_name, asset_id))
    ids = [name.removeprefix("asset_run_id=") for name in names if name.startswith("asset_run_id=")]

    def read(run_id: str) -> DataAssetRun | None:
        try:
            return DataAssetRun.read(asset_name, asset_id, run_id)
        except (ManifestError, PathError) as problem:  # cut short by a crash, perhaps: the others still count
            logger.warning("A run record of asset %r is left out: %s", asset_name, problem)
            return None

    return [record for record in in_threads(read, ids) if record is not None]


def readable_runs(asset_name: str, asset_id: str) -> list[DataAssetRun]:
    """The runs whose results are all there, by their records alone, the oldest first."""
    found = [record for record in records_of(asset_name, asset_id) if record.status is RunStatus.SUCCESS]
    found = [run for run in found if run.results and _are_there(run)]
    return sorted(found, key=lambda run: str(run.materialized))


def _are_there(run: DataAssetRun) -> bool:
    try:
        return all(locate_recorded(result.file).exists() for result in run.results)
    except ManifestError:  # its files are not for us to look at
        return False


def _read(manifest: AssetManifest) -> tuple[tuple[AssetManifestRun, ...], str | None]:
    location = _location(manifest)
    stored = read(location, manifest.asset_name)
    if stored is None:
        return _from_records(manifest), None
    found = parse(_KeptRuns, stored.data, location, manifest.asset_name, "history_version")
    if isinstance(found, Torn):
        logger.warning("%s can't be read (%s); it is made anew from the run records.", location.key, found.problem)
        return _from_records(manifest), stored.token
    return found.runs, stored.token


def _from_records(manifest: AssetManifest) -> tuple[AssetManifestRun, ...]:
    elsewhere = {*manifest.superseded, manifest.last_run.id if manifest.last_run else None}
    return tuple(
        record.summary()
        for record in readable_runs(manifest.asset_name, manifest.asset_id)
        if (record.keeps_results or record.pins) and record.id not in elsewhere
    )


def _location(manifest: AssetManifest) -> Location:
    return metadata_location(manifest.asset_name, manifest.asset_id, "history.json")
