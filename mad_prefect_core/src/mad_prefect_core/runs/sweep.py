"""Taking away what no reader needs any more: by record alone, file by file, and only what a run of the asset wrote."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections.abc import Iterable

from mad_prefect_core.errors import MadPrefectError, ManifestError
from mad_prefect_core.mounts import Location, locate
from mad_prefect_core.runs.manifest import AssetManifest, read_manifest
from mad_prefect_core.runs.pins import is_pinned
from mad_prefect_core.runs.publish import settle, show
from mad_prefect_core.runs.record import DataAssetRun, RunStatus, metadata_location

__all__ = ["begin", "end", "sweep_dead", "sweep_failed", "sweep_superseded"]

logger = logging.getLogger(__name__)

_MARKERS = "_running"
_OURS = re.compile(r"fragment=\d+\..*|.*\.run|\..*\.tmp(\.\d+)?", re.DOTALL)
"""The names of the files that runs write: anything else in their folders is somebody else's."""


def _marker(run: DataAssetRun) -> Location:
    return metadata_location(str(run.asset_name), str(run.asset_id), _MARKERS, f"{run.id}.marker")


def begin(run: DataAssetRun, folders: Iterable[str]) -> None:
    """Note that a run of this process is under way, and the folders it may write to."""
    note = {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid()), "folders": list(folders)}
    _marker(run).write(json.dumps(note).encode())


def end(run: DataAssetRun) -> None:
    """The run is over, and its record says how."""
    _marker(run).delete()


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


def sweep_dead(asset_name: str, asset_id: str) -> None:
    """What runs left behind whose process on this machine is gone. Runs on other machines are left alone: whether
    they are alive can't be known from here."""
    folder = metadata_location(asset_name, asset_id, _MARKERS)
    try:
        markers = folder.mount.fs.ls(folder.path, detail=False)
    except FileNotFoundError:
        return
    for path in markers:
        name = str(path).rpartition("/")[2]
        if not name.endswith(".marker"):
            continue
        run = DataAssetRun(id=name.removesuffix(".marker"), asset_name=asset_name, asset_id=asset_id)
        marker = _marker(run)
        stored = marker.read()
        try:
            note = json.loads(stored.data) if stored else None
            alive = note is None or note["host"] != socket.gethostname() or _born(note["pid"]) == note["born"]
            folders = [] if note is None else [str(folder) for folder in note["folders"]]
        except (ValueError, KeyError, TypeError):
            logger.warning("The run marker %s can't be read and is left alone.", marker.key)
            continue
        if alive:
            continue
        if not _finish(run):
            logger.info("Run %s of asset %r died; what it left behind is swept.", run.id, asset_name)
            for folder_path in folders:
                _delete_folder(run, folder_path)
            _tell_dead(run)
        marker.delete()


def _finish(run: DataAssetRun) -> bool:
    """Finish a run that died after the switch had made it current, or after that. Whether it was such a run."""
    manifest, _ = read_manifest(str(run.asset_name), str(run.asset_id))
    if manifest is None or manifest.last_run is None:
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


def _born(pid: int) -> str | None:
    """What tells a process from a later one of the same id: its start time, where the machine says it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return "alive"
