"""Taking away what no reader needs any more: by record alone, file by file, and only what a run of the asset wrote."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from mad_prefect_core.errors import MadPrefectError, ManifestError
from mad_prefect_core.mounts import locate
from mad_prefect_core.runs.lease import Holder
from mad_prefect_core.runs.manifest import AssetManifest, read_manifest
from mad_prefect_core.runs.pins import is_pinned
from mad_prefect_core.runs.publish import settle, show
from mad_prefect_core.runs.record import DataAssetRun, RunStatus

__all__ = ["sweep_failed", "sweep_left", "sweep_superseded"]

logger = logging.getLogger(__name__)

_OURS = re.compile(r"fragment=\d+\..*|.*\.run|\..*\.tmp(\.\d+)?", re.DOTALL)
"""The names of the files that runs write: anything else in their folders is somebody else's."""


def sweep_superseded(manifest: AssetManifest) -> list[str]:
    """After a publish: the fragments of the run before, and the results of those before that one which nobody in this
    process holds. Returns the ids of the runs that have nothing left."""
    swept = []
    for run_id in manifest.superseded:
        run = _record(manifest.asset_name, manifest.asset_id, run_id)
        if run is None:
            swept.append(run_id)
            continue
        if not run.keeps_fragments:
            _delete(run, [fragment.path for fragment in run.fragments])
        if run_id == manifest.superseded[-1] or any(is_pinned(locate(result.file)) for result in run.results):
            continue
        _delete(run, [result.file for result in run.results])
        swept.append(run_id)
    return swept


def sweep_failed(run: DataAssetRun, folders: Iterable[str]) -> None:
    """What a failed run wrote: nobody was shown it."""
    for folder in folders:
        _delete_folder(run, folder)


def sweep_left(left: Iterable[Holder], *, published: str | None = None) -> tuple[Holder, ...]:
    """What runs left behind that lost their lease. Returns those whose files can't be swept yet.

    A run that is over, or whose process is gone, can do nothing any more. Neither can one of the asset with the id
    `published`, which has published a run since: the switch refuses every run that began before it. Others may be at
    work still.
    """
    later = []
    for holder in left:
        if not holder.is_gone() and holder.asset_id != published:
            later.append(holder)
            continue
        try:
            _sweep_dead(holder)
        except (OSError, MadPrefectError) as problem:
            logger.warning("What run %s left behind can't be swept yet: %s", holder.run, problem)
            later.append(holder)
    return tuple(later)


def _sweep_dead(holder: Holder) -> None:
    run = DataAssetRun(id=holder.run, asset_name=holder.asset_name, asset_id=holder.asset_id)
    if _finish(run):
        return
    logger.info("Run %s of asset %r died; what it left behind is swept.", run.id, run.asset_name)
    for folder in holder.folders:
        _delete_folder(run, folder)
    _tell_dead(run)


def _finish(run: DataAssetRun) -> bool:
    """Finish a run that died after the switch had made it current, or after that. Whether it was such a run."""
    manifest, token = read_manifest(str(run.asset_name), str(run.asset_id))
    if manifest is None:
        return token is not None  # one that can't be read may have named this run: nothing of it is deleted
    if manifest.last_run is None:
        return False
    if run.id in manifest.superseded:
        return True  # it was current once; its files are swept as those of any run before
    record = _record(str(run.asset_name), str(run.asset_id), str(run.id))
    if manifest.last_run.id != run.id or record is None:
        return manifest.last_run.id == run.id
    logger.info("Run %s of asset %r died after it had been published; it is finished.", run.id, run.asset_name)
    show(str(run.asset_name), str(run.asset_id))
    # What its record says of a failure, if anything, turned out wrong: the manifest says what is current.
    record.results, record.error, record.phase = list(manifest.results), None, None
    settle(record, sweep_superseded(manifest))
    record.status = RunStatus.SUCCESS
    record.write()
    return True


def _tell_dead(run: DataAssetRun) -> None:
    record = _record(str(run.asset_name), str(run.asset_id), str(run.id))
    if record is not None and record.status is RunStatus.RUNNING:
        record.status, record.error = RunStatus.FAILED, "The process ended without finishing the run."
        record.write()


def _record(asset_name: str, asset_id: str, run_id: str) -> DataAssetRun | None:
    try:
        return DataAssetRun.read(asset_name, asset_id, run_id)
    except ManifestError:
        return None  # a broken record names nothing that is ours to delete


def _delete(run: DataAssetRun, paths: Iterable[str]) -> None:
    for path in paths:
        if f"/{run.id}/" not in f"/{path}":
            continue  # not in a folder of that run's own: somebody else's file, whatever the record says
        try:
            locate(path).delete()
        except (OSError, MadPrefectError) as error:
            logger.warning("The file %s of an earlier run could not be deleted: %s", path, error)
    _remove_if_empty({path.rpartition("/")[0] for path in paths if f"/{run.id}/" in f"/{path}"})


def _delete_folder(run: DataAssetRun, folder: str) -> None:
    if not folder.rstrip("/").endswith(f"/{run.id}"):
        return
    location = locate(f"{folder.rstrip('/')}/x")
    parent = location.path.rpartition("/")[0]
    try:
        names = [str(path).rpartition("/")[2] for path in location.mount.fs.ls(parent, detail=False)]
    except FileNotFoundError:
        return
    _delete(run, [f"{folder.rstrip('/')}/{name}" for name in names if _OURS.fullmatch(name)])


def _remove_if_empty(folders: Iterable[str]) -> None:
    for folder in folders:
        location = locate(f"{folder}/x")
        parent = location.path.rpartition("/")[0]
        try:
            if not location.mount.fs.ls(parent, detail=False):
                location.mount.fs.rmdir(parent)
        except OSError:
            continue  # on object stores there are no folders; elsewhere an empty one left over does no harm
