"""The runs of an asset as versions of its data: to read, go back to, pin and prune."""

from __future__ import annotations

import datetime as dt
import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mad_prefect_core.artifacts.files import DataFile, FormatOptions, checksum_at
from mad_prefect_core.artifacts.query import relation_over
from mad_prefect_core.errors import CorruptFileError, VersionError, located
from mad_prefect_core.redaction import recorded_text
from mad_prefect_core.relations import Relation
from mad_prefect_core.runs.kept import change_kept, read_kept, records_of
from mad_prefect_core.runs.lease import Lease
from mad_prefect_core.runs.lifecycle import Lifecycle
from mad_prefect_core.runs.manifest import (
    AssetManifest,
    AssetManifestRun,
    StoredManifest,
    change_manifest,
    read_manifest,
)
from mad_prefect_core.runs.publish import whole
from mad_prefect_core.runs.record import DataAssetRun, RunStatus, UpstreamRun
from mad_prefect_core.runs.retention import Retention
from mad_prefect_core.runs.stored import locate_recorded, reach, reaching
from mad_prefect_core.runs.sweep import files_of, forget, not_kept, sweep_left
from mad_prefect_core.runs.targets import ResultTarget, address, lease_on, result_file
from mad_prefect_core.threads import in_thread
from mad_prefect_core.translation import translated
from mad_prefect_core.untrusted import Limits

__all__ = ["AssetVersion", "History", "PrunedRun", "Which"]

logger = logging.getLogger(__name__)

_SHORTEST = 4  # digits of a run's id
_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class AssetVersion:
    """One run of an asset, and its data where that is kept."""

    run: DataAssetRun
    current: bool
    kept: bool
    """Whether its data can be read."""
    pins: tuple[str, ...] = ()
    """The names that it is pinned under."""
    options: FormatOptions = field(default=FormatOptions(), compare=False, repr=False)
    """How much its asset reads at once, such as how long a line may be; not how its files are written."""
    reach: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """The storages besides the base that its records may lead to."""

    async def query(
        self,
        query_str: str | None = None,
        params: Any = None,
        *,
        tables: Mapping[str, Any] | None = None,
        untrusted: bool | Limits = False,
    ) -> Relation | None:
        """As `DataAsset.query`, on the rows of this run; None where it stored no file. Raises `VersionError` if its
        data is not kept any more."""
        with translated(asset=self.run.asset_name, path=self.run.asset_path, phase="query"):
            file = await in_thread(self.file)
            if file is None:
                return None
            return await in_thread(
                relation_over, [file], self.options, file.schema, query_str, params, tables, untrusted
            )

    def file(self) -> DataFile | None:
        """Its first result; None where it stored none. Raises `VersionError` where that is not kept, or gone."""
        if not self.kept:
            raise VersionError(
                f"The data of run {self.run.id} is not kept",
                asset=self.run.asset_name,
                path=self.run.asset_path,
                hint="It failed." if self.run.error else "Keep it with snapshot_artifacts, retention or a pin.",
            )
        if not self.run.results:
            return None
        with located(asset=self.run.asset_name), reaching(self.reach):
            file = result_file(self.run.results[0]).there()
        if file is None:
            raise VersionError(
                f"The data of run {self.run.id} is gone",
                asset=self.run.asset_name,
                path=self.run.asset_path,
                hint="It was deleted by hand, or a prune was ended before it was through: prune again.",
            )
        return file


@dataclass(frozen=True)
class PrunedRun:
    """A run that a retention lets go."""

    run: AssetManifestRun
    files: tuple[str, ...]
    size: int
    """Of its files, in bytes."""


Which = str | dt.datetime | AssetVersion
"""A version: a run's id or its first digits, a pin's name, or a moment, for the run that was current then."""


class History:
    """All runs of one asset with its arguments, by what is stored of them alone. Every method blocks.

    `options` are those that its versions are read with: what was written under others is read as that was.
    """

    def __init__(self, asset_name: str, asset_id: str, options: FormatOptions | None = None) -> None:
        self.asset_name = asset_name
        self.asset_id = asset_id
        self._options = options or FormatOptions()

    def versions(self) -> list[AssetVersion]:
        """All runs, failed ones too, the newest first."""
        manifest = self._manifest()
        by_clock = sorted(records_of(self.asset_name, self.asset_id), key=_moment, reverse=True)
        found = self._versions(manifest, by_clock)
        # The current run was published after all others, even if its machine's clock was set back.
        published = (n for n, version in enumerate(found) if version.run.status is RunStatus.SUCCESS)
        for n in [n for n, version in enumerate(found) if version.current]:
            found.insert(min(next(published, n), n), found.pop(n))
        return found

    def current(self) -> AssetVersion:
        """The version that readers see now. Raises `VersionError` where there is none."""
        manifest = self._manifest()
        found = self._one(manifest, manifest.last_run.id) if manifest and manifest.last_run else None
        if found is None:
            raise VersionError("The asset has no result yet", asset=self.asset_name)
        return found

    def at(self, which: Which) -> AssetVersion:
        """One of them. Raises `VersionError` where there is none, or several are meant."""
        if isinstance(which, AssetVersion):
            return which
        if isinstance(which, str) and _RUN_ID.fullmatch(which):
            if found := self._one(self._manifest(), which):
                return found
            raise self._no_run(which)
        versions = self.versions()
        if isinstance(which, dt.datetime):
            if which.tzinfo is None:
                raise VersionError(f"The moment {which} has no time zone", asset=self.asset_name)
            good = [v for v in versions if v.run.materialized and (v.run.status is RunStatus.SUCCESS or v.kept)]
            matching = [v for v in good if v.run.materialized and v.run.materialized <= which][:1]
        else:
            matching = [v for v in versions if which in v.pins]
            if not matching and len(which) >= _SHORTEST:
                matching = [v for v in versions if str(v.run.id).startswith(which)]
        if len(matching) == 1:
            return matching[0]
        raise self._no_run(which, len(matching))

    def pin(self, name: str, which: Which | None = None) -> AssetVersion:
        """Keep a version, the current one if none is named, until it is unpinned. A pin of that name moves.

        Raises `AssetRunningError` while a run is under way, as all that follow do.
        """
        if not name or _RUN_ID.fullmatch(name) or _as_moment(name):
            raise VersionError(f"A pin can't be named {name!r}, which reads as something else", asset=self.asset_name)
        version = self.at(which) if which is not None else self.current()
        with _Alone(self, version.run, "pin"):
            version = self.at(str(version.run.id))
            if version.file() is None:
                raise VersionError(f"Run {version.run.id} stored no file to keep", asset=self.asset_name)
            for other in self.versions():
                if name in other.pins and other.run.id != version.run.id:
                    self._take_pin(other.run, name)
            if name not in version.pins:
                version.run.pins.append(name)
                version.run.write()
        return self.at(str(version.run.id))

    def unpin(self, name: str) -> None:
        """Let go of a pin: what was kept for it alone is deleted. Raises `VersionError` where there is none."""
        versions = self.versions()
        version = next((version for version in versions if name in version.pins), None)
        if version is None:
            pins = sorted({pin for version in versions for pin in version.pins})
            raise VersionError(
                f"There is no pin {name!r}", asset=self.asset_name, hint=f"There are: {', '.join(pins) or 'none'}."
            )
        with _Alone(self, version.run, "unpin"):
            self._take_pin(version.run, name)

    def prune(self, retention: Retention, dry_run: bool = False) -> list[PrunedRun]:
        """Delete the data of the runs that a retention does not want, the oldest first; with `dry_run` only say
        which."""
        found = self._to_prune(retention)
        if dry_run or not found:
            return found
        with _Alone(self, self.at(found[0].run.id).run, "prune"):
            found = self._to_prune(retention)  # as it is now that nobody else is at it
            manifest = self._manifest()
            gone = forget(manifest, [entry.run for entry in found]) if manifest else []
        return [entry for entry in found if entry.run.id in gone]

    def rollback(self, which: Which) -> DataAssetRun:
        """Make the results of an earlier run the current ones, by a run of its own. Returns that.

        Raises `CorruptFileError` where what was kept of it is not what it wrote.
        """
        version = self.at(which)
        if version.current and all(whole(result) for result in version.run.results):
            return version.run
        if version.file() is None:
            raise VersionError(f"Run {version.run.id} stored no file to go back to", asset=self.asset_name)
        with _Alone(self, version.run, "rollback") as lease:
            self.at(str(version.run.id)).file()  # it may have been pruned meanwhile
            run = _Rollback(version.run)
            run.execute(lease, read_manifest(self.asset_name, self.asset_id))
        return run.record

    def _one(self, manifest: AssetManifest | None, run_id: str) -> AssetVersion | None:
        """The version of a run, by its record alone. Raises `ManifestError` for one that can't be read."""
        record = DataAssetRun.read(self.asset_name, self.asset_id, run_id)
        return self._versions(manifest, [record])[0] if record else None

    def _versions(self, manifest: AssetManifest | None, records: Iterable[DataAssetRun]) -> list[AssetVersion]:
        current = manifest.last_run.id if manifest and manifest.last_run else None
        kept = {current, *manifest.superseded, *(run.id for run in read_kept(manifest))} if manifest else set()
        return [
            AssetVersion(
                record,
                current=record.id == current,
                kept=record.id in kept,
                pins=tuple(record.pins) if manifest else (),
                options=self._options,
                reach=reach(),
            )
            for record in records
        ]

    def _no_run(self, which: object, found: int = 0) -> VersionError:
        return VersionError(
            f"There are {found} runs {which}" if found else f"There is no run {which}",
            asset=self.asset_name,
            hint="The asset's history lists its runs with their ids, times and pins.",
        )

    def _take_pin(self, run: DataAssetRun, name: str) -> None:
        run.pins.remove(name)
        run.write()
        manifest = self._manifest()
        if manifest is None or run.keeps_results or run.pins:
            return
        kept = [kept for kept in read_kept(manifest) if kept.id == run.id]
        if kept and not forget(manifest, kept):  # somebody reads it: it is swept when a later run finds it free
            change_manifest(self.asset_name, self.asset_id, partial(_superseded, str(run.id)))
            change_kept(manifest, lambda runs: [each for each in runs if each.id != run.id])

    def _to_prune(self, retention: Retention) -> list[PrunedRun]:
        manifest = self._manifest()
        if manifest is None or manifest.last_run is None:
            return []
        return [self._pruned(run) for run in not_kept(manifest, read_kept(manifest), retention)]

    def _manifest(self) -> AssetManifest | None:
        return read_manifest(self.asset_name, self.asset_id)[0]

    def _pruned(self, run: AssetManifestRun) -> PrunedRun:
        record = DataAssetRun.read(self.asset_name, self.asset_id, run.id)
        stats = {path: locate_recorded(path).stat() for path in (files_of(record) if record else [])}
        there = {path: stat.size for path, stat in stats.items() if stat is not None}
        return PrunedRun(run, tuple(there), sum(there.values()))


class _Alone:
    """The lease on an asset's paths, for a change of its history; a run that is under way is not waited for."""

    def __init__(self, history: History, like: DataAssetRun, what: str) -> None:
        self._lease = lease_on([ResultTarget.of(result.path) for result in like.results])
        record = DataAssetRun(
            id=f"{what}-{uuid.uuid4().hex}",
            runtime=dt.datetime.now(dt.UTC),
            asset_name=history.asset_name,
            asset_id=history.asset_id,
        )
        self._holder = Lifecycle(record, ()).holder()

    def __enter__(self) -> Lease:
        self._lease.take_or_refuse(self._holder)
        return self._lease

    def __exit__(self, *_: object) -> None:
        try:
            sweep_left(self._lease)
        finally:
            self._lease.release()


class _Rollback(Lifecycle):
    """A run whose results are those of an earlier one."""

    def __init__(self, to: DataAssetRun) -> None:
        self.to = to
        record = DataAssetRun(
            id=uuid.uuid4().hex,
            runtime=dt.datetime.now(dt.UTC),
            asset_id=to.asset_id,
            asset_name=to.asset_name,
            asset_path=to.asset_path,
            parameters=to.parameters,
            rows=to.rows,
            keeps_results=to.keeps_results,
            signature=to.signature,
            rolled_back_to=to.id,
            upstream=[_as_now(read) for read in to.upstream],
        )
        targets = [ResultTarget.of(result.path) for result in to.results]
        self.own = [target.run_file(str(to.asset_name), str(record.id)) for target in targets]
        files = [address(target.path, file) for target, file in zip(targets, self.own, strict=True)]
        super().__init__(record, sorted({file.rpartition("/")[0] for file in files}))

    def execute(self, lease: Lease, manifest: StoredManifest) -> None:
        try:
            with translated(asset=self.record.asset_name, path=self.record.asset_path, phase="rollback"):
                self.begin(lease, manifest)
                self._take_results()
                self.publish()
        except BaseException as error:
            (self.end if self.published else partial(self.fail, error, recorded_text(error)))()
            raise
        self.end()
        logger.info("Asset %r: went back to run %s.", self.record.asset_name, self.to.id)

    def _take_results(self) -> None:
        results = []
        for result, own in zip(self.to.results, self.own, strict=True):
            locate_recorded(result.file).link_to(own)
            if checksum_at(own) != result.sha256:
                raise CorruptFileError(f"What is kept of run {self.to.id} is not what it wrote", path=result.file)
            results.append(result.model_copy(update={"file": address(result.path, own), "token": ""}))
        self.record.results = results


def _as_now(read: UpstreamRun) -> UpstreamRun:
    """An asset that was read, with its current run: going back is to hold until that changes."""
    manifest, _ = read_manifest(read.asset_name, read.asset_id)
    return read.model_copy(update={"run": manifest.last_run.id if manifest and manifest.last_run else None})


def _as_moment(text: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        return None


def _moment(record: DataAssetRun) -> dt.datetime:
    return record.materialized or record.runtime or dt.datetime.min.replace(tzinfo=dt.UTC)


def _superseded(run_id: str, manifest: AssetManifest) -> AssetManifest:
    """With a run among those whose results are there still, though they are no history."""
    return manifest.model_copy(
        update={"superseded": (run_id, *manifest.superseded), "unswept": (run_id, *manifest.unswept)}
    )
