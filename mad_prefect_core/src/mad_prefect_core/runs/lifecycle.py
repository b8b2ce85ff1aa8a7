"""A run from its begin to one of its two ends: published, or nothing changed and the failure recorded."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import time
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version

from mad_prefect_core.errors import OutcomeUnknownError, located
from mad_prefect_core.mounts import locate, on_one_base, sync
from mad_prefect_core.plugins import get_host
from mad_prefect_core.process import Process
from mad_prefect_core.runs.kept import readable_runs
from mad_prefect_core.runs.lease import Holder, Lease
from mad_prefect_core.runs.manifest import StoredManifest
from mad_prefect_core.runs.publish import Published, publish, settle
from mad_prefect_core.runs.record import DataAssetRun, RunStatus, metadata_location
from mad_prefect_core.runs.result_paths import index_paths
from mad_prefect_core.runs.retention import Retention
from mad_prefect_core.runs.sweep import sweep_failed, sweep_left, sweep_superseded

__all__ = ["Lifecycle"]

logger = logging.getLogger(__name__)

_version = cache(version)  # it reads all that the distribution says of itself


class Lifecycle:
    """What happens to a run's record, lease and files, whatever makes its results.

    Args:
        record: Of the run.
        folders: Those of the run alone, which it may write to.
        retention: Which earlier runs are kept once it is published.
    """

    def __init__(self, record: DataAssetRun, folders: Iterable[str], retention: Retention | None = None) -> None:
        self.record = record
        self.folders = tuple(folders)
        self.phase = "begin"
        self.published: Published | None = None
        self._retention = retention
        self._locations = [metadata_location(str(record.asset_name), str(record.asset_id), "x")]
        self._locations += [locate(f"{folder}/x") for folder in self.folders]
        self._mounts = [location.mount for location in self._locations]
        self._started: float
        self._retried: int | None
        self._lease: Lease
        self._began: StoredManifest
        self._known: list[str] = []

    def holder(self) -> Holder:
        """The run as the holder of a lease."""
        assert self.record.runtime is not None
        return Holder(
            run=str(self.record.id),
            asset_name=str(self.record.asset_name),
            asset_id=str(self.record.asset_id),
            process=Process.this(),
            since=self.record.runtime,
            folders=self.folders,
        )

    @on_one_base()
    def begin(self, lease: Lease, manifest: StoredManifest) -> None:
        """Under the lease, and with the manifest as it was when that had been taken."""
        self._lease = lease
        self.record.runtime = dt.datetime.now(dt.UTC)  # it may have waited since it was made
        self._started = time.monotonic()
        self._retried = self._count_retries()
        self._began = manifest
        if manifest.manifest is None or manifest.manifest.last_run is None:
            # The manifest was lost, perhaps: the files of earlier runs are not.
            earlier = readable_runs(str(self.record.asset_name), str(self.record.asset_id))
            self._known = [str(run.id) for run in earlier]
        self.record.not_promised = self._not_promised()
        lease.begin(self.holder())
        sweep_left(lease)
        self.record.status = RunStatus.RUNNING
        self.record.write()

    def publish(self) -> None:
        """Make it the current run. Raises `LeaseLostError`, `OutcomeUnknownError`, `OSError`."""
        self.phase = "publish"
        with located(phase="publish"), on_one_base():
            self.record.versions, self.record.writers = self._versions()
            self.record.materialized = dt.datetime.now(dt.UTC)
            self._measure()
            if self.record.keeps_fragments:
                # What the record promises must survive a power cut as the record itself does.
                sync(locate(fragment.path) for fragment in self.record.fragments if fragment.sha256)
            self.record.write()  # before the switch: whoever follows it finds there what is ours to sweep
            self._lease.renew_if_due()
            self.published = publish(self.record, self._began, self._lease.check, self._known)

    def end(self) -> None:
        """After `publish`: settle it, and sweep what it has superseded. It is published, so nothing is raised."""
        record, published = self.record, self.published
        assert published is not None
        record.status = RunStatus.SUCCESS
        is_settled = False
        try:
            with on_one_base():
                self._index()
                settle(record, sweep_superseded(published.manifest, self._retention), published)
                record.write()
                is_settled = published.tidy
                sweep_left(self._lease, published=record.asset_id)
        except Exception as problem:
            # An error now would say that the result is not published.
            logger.warning("Asset %r: run %s could not be wound up: %s", record.asset_name, record.id, problem)
        finally:
            self._lease.end(str(record.id), swept=is_settled)  # else the next run settles it
        get_host().notify("mad_prefect_run_finished", record)

    def _index(self) -> None:
        earlier = self._began.manifest.results if self._began.manifest else ()
        name, asset_id = str(self.record.asset_name), str(self.record.asset_id)
        noted = index_paths(name, asset_id, self.record.results, [result.path for result in earlier if result.indexed])
        self.record.results = [
            result.model_copy(update={"indexed": result.path in noted}) for result in self.record.results
        ]

    def fail(self, error: BaseException, text: str) -> None:
        """Record the failure as `text`, and take away what nobody was shown. The error itself is what the caller gets:
        nothing is raised here."""
        record = self.record
        text = text.encode(errors="backslashreplace").decode()  # what has no UTF-8 can't be in a record
        record.status, record.phase, record.error = RunStatus.FAILED, self.phase, text
        self._measure()
        unknown = isinstance(error, OutcomeUnknownError)  # then the run may be current, and its files are its result
        if not unknown:
            record.materialized = None
            record.results = []
        is_swept = False
        try:
            record.write()
            is_swept = not unknown and sweep_failed(record, self.folders) and self._is_answered(error)
        except Exception as problem:
            logger.warning(
                "Asset %r: the failure of run %s could not be recorded: %s", record.asset_name, record.id, problem
            )
        finally:
            self._lease.end(str(record.id), swept=is_swept)  # else the next run finishes it, or sweeps it
        get_host().notify("mad_prefect_run_finished", record)

    def check_lease(self) -> None:
        """Raises `LeaseLostError` if another run may have taken its place: that one has swept its files."""
        self._lease.check()

    def _is_answered(self, error: BaseException) -> bool:
        """Whether the servers, if any, answered every request the first time. One whose answer was lost may be carried
        out later, after the sweep."""
        return self._retried is None or not (self.record.retries or _is_of_storage(error))

    def _measure(self) -> None:
        self.record.duration_miliseconds = int((time.monotonic() - self._started) * 1000)
        retried = self._count_retries()
        self.record.retries = None if retried is None or self._retried is None else retried - self._retried

    def _count_retries(self) -> int | None:
        """So far, of all filesystems that this run uses; None where none of them counts."""
        counts = {id(mount.fs): getattr(mount.fs, "retried", None) for mount in self._mounts}
        known = [count for count in counts.values() if count is not None]
        return sum(known) if known else None

    def _not_promised(self) -> dict[str, list[str]]:
        """What the run's storages can't promise. Raises `StorageError` for one that can't be written."""
        missing = {}
        for location in {location.mount.key: location for location in self._locations}.values():
            promised = dataclasses.asdict(location.promises())
            if names := [name for name, held in promised.items() if held is False]:
                missing[location.mount.storage.name] = names
        return missing

    def _versions(self) -> tuple[dict[str, str], dict[str, str]]:
        """Of the core, and of the distributions whose plugins write the run's files; and these plugins by format."""
        host = get_host()
        formats = {result.format for result in self.record.results}
        formats |= {host.format_of(fragment.path)[0].name for fragment in self.record.fragments}
        storages = {mount.storage.name for mount in self._mounts}
        used = [plugin for plugin in host.plugins() if formats & set(plugin.formats) or storages & set(plugin.storages)]
        core = {"mad-prefect-core": _version("mad-prefect-core")}
        writers = {name: plugin.source for plugin in used for name in plugin.formats if name in formats}
        return core | {plugin.distribution: plugin.version for plugin in used}, writers


def _is_of_storage(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__
    return error is not None
