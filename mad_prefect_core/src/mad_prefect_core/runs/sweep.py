"""Taking away what no reader needs any more: by record alone, file by file, and only what a run of the asset wrote."""

from __future__ import annotations

import datetime as dt
import errno
import logging
import re
from collections.abc import Iterable
from contextlib import suppress

from mad_prefect_core.errors import MadPrefectError, ManifestError, PathError
from mad_prefect_core.mounts import Location
from mad_prefect_core.paths import is_temporary, safe_segment
from mad_prefect_core.runs.holds import is_held
from mad_prefect_core.runs.kept import change_kept, read_kept
from mad_prefect_core.runs.lease import Holder, Lease
from mad_prefect_core.runs.manifest import (
    AssetManifest,
    AssetManifestRun,
    StoredManifest,
    change_manifest,
    read_manifest,
)
from mad_prefect_core.runs.publish import Swept, drop_foreign, settle, show
from mad_prefect_core.runs.record import DataAssetRun, RunStatus
from mad_prefect_core.runs.results import run_in
from mad_prefect_core.runs.retention import Retention
from mad_prefect_core.runs.stored import locate_recorded
from mad_prefect_core.threads import in_threads

__all__ = [
    "files_left",
    "files_of",
    "forget",
    "is_behind_link",
    "not_kept",
    "sweep_failed",
    "sweep_left",
    "sweep_superseded",
]

logger = logging.getLogger(__name__)

_OURS = re.compile(r"fragment=\d+\..*|.*\.run|\..*\.tmp", re.DOTALL)
"""The names of the files that runs write: anything else in their folders is somebody else's."""


def sweep_superseded(manifest: AssetManifest, retention: Retention | None = None) -> Swept:
    """After a publish: the fragments of the run before, and the results of those before that one, unless they are
    history or somebody in this process holds them; then what `retention` lets go of the history.

    What could not be deleted is not in the answer: the next publish tries again.
    """
    records = {run_id: _record(manifest.asset_name, manifest.asset_id, run_id) for run_id in manifest.superseded}
    done = [run_id for run_id, run in records.items() if run is None]
    swept, history = list(done), []
    for run_id, run in records.items():
        if run is None:
            continue
        if run_id in manifest.unswept:
            if not (run.keeps_fragments or _delete(run, [fragment.path for fragment in run.fragments])):
                continue
            swept.append(run_id)
        if run_id == manifest.superseded[-1] or _is_held(run):
            continue
        if run.keeps_results or run.pins:
            if _is_there(run):
                history.append(run.summary())
            elif not _delete(run, files_of(run)):  # what a prune that was killed has left of it
                continue
        elif not _delete(run, [result.file for result in run.results]):
            continue
        done.append(run_id)
    if history or retention:
        known = change_kept(manifest, lambda runs: [*runs, *(run for run in history if run not in runs)])
        if retention:
            forget(manifest, not_kept(manifest, known, retention))
    return Swept(done, swept)


def not_kept(
    manifest: AssetManifest, history: Iterable[AssetManifestRun], retention: Retention
) -> list[AssetManifestRun]:
    """The runs of the history that a retention lets go, the oldest first. The current run and those just before it
    count among the newest."""
    runs = list(history)
    newer = [manifest.last_run] if manifest.last_run else []
    before = [_record(manifest.asset_name, manifest.asset_id, run_id) for run_id in manifest.superseded]
    newer += [run.summary() for run in before if run is not None]
    # One that has just become history is among both.
    times = {run.id: run.materialized for run in (*runs, *newer) if run.materialized is not None}
    kept = retention.kept(list(times.items()), dt.datetime.now(dt.UTC))
    lost = [(run, _record(manifest.asset_name, manifest.asset_id, run.id)) for run in runs if run.id not in kept]
    return [run for run, record in lost if record is None or not record.pins]


def forget(manifest: AssetManifest, runs: Iterable[AssetManifestRun]) -> list[str]:
    """Delete the files of runs of the history that nobody in this process holds, and take the runs out of it. Their
    records stay. Returns the ids of those that are gone."""
    gone = []
    for summary in runs:
        run = _record(manifest.asset_name, manifest.asset_id, summary.id)
        if run is None or (not _is_held(run) and _delete(run, files_of(run))):
            gone.append(summary.id)
    if gone:
        change_kept(manifest, lambda known: [run for run in known if run.id not in gone])
    return gone


def files_of(run: DataAssetRun) -> list[str]:
    """Its results and its fragments, as far as they are in folders of its own."""
    paths = [*(result.file for result in run.results), *(fragment.path for fragment in run.fragments)]
    return [path for path in paths if _is_own(run, path)]


def sweep_failed(run: DataAssetRun, folders: Iterable[str]) -> bool:
    """What a failed run wrote: nobody was shown it. Whether nothing of it is left."""
    own = [folder.rstrip("/") for folder in folders if _is_folder_of(run, folder)]
    return _delete(run, [path for folder in own for path in _files_in(run, folder)], own)


def sweep_left(lease: Lease, *, published: str | None = None) -> None:
    """Sweep what runs left behind that are over, or lost this lease; it forgets those of which nothing is left.

    A run that is over, or whose process is gone, can do nothing any more. Neither can one of the asset with the id
    `published`, which has published a run since: the switch refuses every run that began before it. Others may be at
    work still.
    """
    swept = []
    for holder in lease.left:
        if not holder.is_gone() and holder.asset_id != published:
            continue
        try:
            if _sweep_dead(holder):
                swept.append(holder)
        except Exception as problem:
            logger.warning("What run %s left behind can't be swept yet: %s", holder.run, problem)
    lease.forget(swept)


def files_left(holder: Holder) -> list[str]:
    """What a run that lost its lease wrote and nobody is shown: nothing, if it is the current one."""
    manifest, token = read_manifest(holder.asset_name, holder.asset_id)
    if manifest is None and token is not None:
        return []
    if manifest and holder.run in (*manifest.superseded, manifest.last_run.id if manifest.last_run else None):
        return []
    run = _run_of(holder)
    if not run.location().exists():
        return []
    return [path for folder in holder.folders for path in _files_in(run, folder)]


def _run_of(holder: Holder) -> DataAssetRun:
    return DataAssetRun(id=holder.run, asset_name=holder.asset_name, asset_id=holder.asset_id)


def _sweep_dead(holder: Holder) -> bool:
    run = _run_of(holder)
    record = _record(holder.asset_name, holder.asset_id, holder.run)
    _delete_staged([run.location(), *(locate_recorded(result.path) for result in (record.results if record else ()))])
    manifest, token = _certain_manifest(run, record)
    if manifest is None and token is not None:
        return False  # one that can't be read may have named this run: the next good run writes it anew
    if manifest is not None and _has_published(manifest, run):
        _finish(run, record, manifest)
        return True
    if not run.location().exists():
        # It died before it wrote anything: its record comes first, and says that there was such a run.
        is_empty = not any(_files_in(run, folder) for folder in holder.folders)
        return is_empty and _is_removed_if_empty(run.location().folder)
    logger.info("Run %s of asset %r died; what it left behind is swept.", run.id, run.asset_name)
    _tell_dead(run)
    return sweep_failed(run, holder.folders)


def _certain_manifest(run: DataAssetRun, record: DataAssetRun | None) -> StoredManifest:
    """The manifest, which a run that is over makes no other any more. Where it had come to the switch, its request may
    still be on the way: changing the manifest has the storage refuse that."""
    name, asset_id = str(run.asset_name), str(run.asset_id)
    stored = read_manifest(name, asset_id)
    is_torn = stored.manifest is None and stored.token is not None
    if is_torn or record is None or record.materialized is None:
        return stored
    if stored.manifest is not None and _has_published(stored.manifest, run):
        return stored

    def touch(manifest: AssetManifest) -> AssetManifest:
        if _has_published(manifest, run):
            return manifest
        return manifest.model_copy(update={"updated_at": dt.datetime.now(dt.UTC)})

    _, manifest, token = change_manifest(name, asset_id, touch, stored)
    return StoredManifest(manifest, token)


def _is_current(manifest: AssetManifest, run: DataAssetRun) -> bool:
    return manifest.last_run is not None and manifest.last_run.id == run.id


def _has_published(manifest: AssetManifest, run: DataAssetRun) -> bool:
    """Whether it is current, or was once: its files are swept as those of any run before."""
    if _is_current(manifest, run) or run.id in manifest.superseded:
        return True
    return any(run.id == kept.id for kept in read_kept(manifest))


def _finish(run: DataAssetRun, record: DataAssetRun | None, manifest: AssetManifest) -> None:
    """Finish a run that ended early after the switch had made it current."""
    if record is None:
        return
    logger.info("Run %s of asset %r ended after it had been published; it is finished.", run.id, run.asset_name)
    if _is_current(manifest, run):
        show(str(run.asset_name), str(run.asset_id))
        drop_foreign(manifest.results)
        record.results = list(manifest.results)
        settle(record, Swept())  # what it superseded is swept by the next run: that one knows the retention
    # What its record says of a failure, if anything, turned out wrong: the manifest says what is current.
    record.status, record.error, record.phase = RunStatus.SUCCESS, None, None
    record.write()


def _tell_dead(run: DataAssetRun) -> None:
    record = _record(str(run.asset_name), str(run.asset_id), str(run.id))
    if record is not None and record.status is RunStatus.RUNNING:
        record.status, record.error = RunStatus.FAILED, "The process ended without finishing the run."
        record.write()


def _record(asset_name: str, asset_id: str, run_id: str) -> DataAssetRun | None:
    try:
        return DataAssetRun.read(asset_name, asset_id, run_id)
    except (ManifestError, PathError):
        return None  # a broken record names nothing that is ours to delete


def _delete(run: DataAssetRun, paths: Iterable[str], folders: Iterable[str] = ()) -> bool:
    """Delete what is that run's own, and the folders of that, and these, once they are empty. Whether all is gone."""
    own = [path for path in paths if _is_own(run, path)]
    real = {folder for folder in {*folders, *map(_folder, own)} if not is_behind_link(folder)}
    gone = in_threads(_is_deleted, [path for path in own if _folder(path) in real])
    emptied = in_threads(_is_removed_if_empty, real)
    return all(gone) and all(emptied)


def _is_deleted(path: str) -> bool:
    try:
        locate_recorded(path).delete()
    except (OSError, MadPrefectError) as error:
        logger.warning("The file %s of an earlier run could not be deleted: %s", path, error)
        return False
    return True


def _delete_staged(targets: Iterable[Location]) -> None:
    """Delete what a run that died left of files that it was about to bring to these places, which are its own to write
    as long as it has the lease."""
    for target in targets:
        folder, _, name = target.path.rpartition("/")
        with suppress(FileNotFoundError), target.mount.call:
            for path in target.mount.fs.ls(folder, detail=False):
                if is_temporary(found := str(path).rpartition("/")[2], name):
                    target.beside(f"{target.folder}/{found}".lstrip("/")).delete()


def _is_there(run: DataAssetRun) -> bool:
    return all(locate_recorded(result.file).exists() for result in run.results)


def _is_held(run: DataAssetRun) -> bool:
    """Whether somebody in this process holds one of its results."""
    return any(is_held(locate_recorded(result.file)) for result in run.results)


def _is_own(run: DataAssetRun, path: str) -> bool:
    """Whether it is in a folder of that run's own: else it is somebody else's file, whatever the record says."""
    return _is_folder_of(run, _folder(path)) and _OURS.fullmatch(path.rpartition("/")[2]) is not None


def _files_in(run: DataAssetRun, folder: str) -> list[str]:
    """The files in a folder that is that run's own, with names that runs give."""
    if not _is_folder_of(run, folder) or is_behind_link(folder):
        return []
    location = locate_recorded(folder)
    try:
        with location.mount.call:
            paths = location.mount.fs.ls(location.path, detail=False)
    except FileNotFoundError:
        return []
    names = [str(path).rpartition("/")[2] for path in paths]
    return [f"{folder.rstrip('/')}/{name}" for name in names if _OURS.fullmatch(name)]


def _is_folder_of(run: DataAssetRun, folder: str) -> bool:
    """Whether the name is that of a folder of the run, and says of no other asset that it is that one's."""
    path = f"/{folder.rstrip('/')}/"
    assets = set(re.findall(r"(?<=/_artifacts/asset=)[^/]+", path))
    return bool(run.id) and run_in(f"{path}x") == run.id and assets <= {safe_segment(run.asset_name)}


def is_behind_link(folder: str) -> bool:
    """Whether the run's folder, or one above it that runs make, is a link: no run makes those, and what is behind it
    may be anybody's."""
    location = locate_recorded(folder)
    is_link = getattr(location.mount.fs, "islink", None)
    if is_link is None:
        return False
    parts = location.key.rstrip("/").split("/")
    first = parts.index("_artifacts") if "_artifacts" in parts else len(parts) - 1
    made = ["/".join(parts[: n + 1]) for n in range(first, len(parts))]
    with location.mount.call:
        linked = any(is_link(location.mount.path(key)) for key in made)
    if linked:
        logger.warning("The folder %s is behind a link, which no run makes: nothing in it is deleted.", folder)
    return linked


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _is_removed_if_empty(folder: str) -> bool:
    """Remove a folder of a run's own, and the one above if that is the run's, too. False where it is empty and there
    still; true where somebody's file is in it, and where storages have no folders."""
    location = locate_recorded(f"{folder}/x")
    path = location.path.rpartition("/")[0]
    try:
        with location.mount.call:
            location.mount.fs.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return True
        try:
            with location.mount.call:
                return bool(location.mount.fs.ls(path, detail=False))
        except FileNotFoundError:
            return True
        except OSError:
            return False
    above = folder.rpartition("/")[0]
    return not above.rpartition("/")[2].startswith("runtime=") or _is_removed_if_empty(above)
