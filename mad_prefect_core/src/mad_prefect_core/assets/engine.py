"""One call of an asset, from the question whether it must run to the published result."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import NamedTuple

from mad_prefect_core.artifacts import DataArtifact, DataArtifactCollector
from mad_prefect_core.artifacts.files import FormatOptions
from mad_prefect_core.artifacts.hive import Keys
from mad_prefect_core.assets.cache import artifact_for, cached
from mad_prefect_core.assets.checks import warn
from mad_prefect_core.assets.earlier import as_stored
from mad_prefect_core.assets.identity import secret_digest
from mad_prefect_core.assets.plan import Plan
from mad_prefect_core.assets.privacy import described, recorded_error
from mad_prefect_core.assets.templates import written_hive_keys
from mad_prefect_core.duckdb_files import register_mad
from mad_prefect_core.errors import AssetRunningError, CorruptFileError, ManifestError, SharedPathWarning, located
from mad_prefect_core.mounts import checked_folder, on_one_base
from mad_prefect_core.paths import hive_keys, is_url, relative_key, safe_segment
from mad_prefect_core.plugins import get_host
from mad_prefect_core.runs.ahead import UnionAhead
from mad_prefect_core.runs.fragments import fragment_record
from mad_prefect_core.runs.holds import hold
from mad_prefect_core.runs.lease import Holder, Lease
from mad_prefect_core.runs.lifecycle import Lifecycle
from mad_prefect_core.runs.manifest import AssetManifest, StoredManifest, read_manifest
from mad_prefect_core.runs.record import DataAssetRun, UpstreamRun
from mad_prefect_core.runs.result_paths import asset_at
from mad_prefect_core.runs.stored import reaching
from mad_prefect_core.runs.sweep import sweep_left
from mad_prefect_core.runs.targets import ResultTarget, address, lease_on
from mad_prefect_core.runs.union import store_results
from mad_prefect_core.threads import in_thread, is_blocked
from mad_prefect_core.translation import translated, user_code

__all__ = ["execute", "note_read"]

logger = logging.getLogger(__name__)

_FIRST_DELAY, _LONGEST_DELAY = 0.02, 0.5  # s, between two looks at a lease that another run holds
_LONG = 30.0  # s, after which a wait for a run of this process is worth a warning


async def execute(plan: Plan) -> DataArtifact:
    """Answer a call: from the cache where it holds, else by a run, of which there is one at a time."""
    with translated(asset=plan.name, path=plan.paths[0]), reaching(plan.folders()):
        with located(phase="cache"):
            plan, artifact = await in_thread(_looked_up, plan)
        artifact = _hit(plan, artifact) if artifact else await _run_alone(plan)
    note_read(artifact)
    return artifact


def _looked_up(plan: Plan) -> tuple[Plan, DataArtifact | None]:
    """The plan as its records are stored, and what the cache has for it: one step, since each thread costs a little."""
    with on_one_base():
        plan, stored = as_stored(plan)
        if plan.options.cache_expiration is None:
            return plan, None
        return plan, cached(plan, (stored or _manifest(plan)).manifest)


def _hit(plan: Plan, artifact: DataArtifact) -> DataArtifact:
    logger.info("Asset %r: cache hit, materialised at %s.", plan.name, artifact.run.materialized)
    artifact.from_cache = True
    get_host().notify("mad_prefect_cache_hit", artifact.run)
    return artifact


_loops: dict[str, asyncio.AbstractEventLoop] = {}
"""The event loop of each run of this process."""


class _Call(NamedTuple):
    """A run around a call."""

    asset_id: str
    lease: Lease
    """The one that it runs under."""
    holder: str
    """The run that took it."""


_calls: ContextVar[tuple[_Call, ...]] = ContextVar("mad_prefect_calls", default=())
"""The runs around this call."""
_waits: dict[object, tuple[frozenset[str], str]] = {}
"""Of each call of this process that waits: the runs that can't go on before it returns, and the one it waits for."""
_waiting = threading.Lock()
_reads: ContextVar[list[UpstreamRun] | None] = ContextVar("mad_prefect_reads", default=None)
"""What the run around this call has read so far."""


async def _run_alone(plan: Plan) -> DataArtifact:
    """Run as soon as no other run writes to the asset's paths; or take what such a run has made meanwhile."""
    with located(phase="begin"):
        run = await in_thread(_Run, plan)
        lease = lease_on(run.targets)
        around = _around(lease, plan)
        manifest = await in_thread(_manifest, plan) if around else None
    if around is not None and manifest is not None:
        return await _run_under(around.lease, around.holder, run, manifest)
    try:
        waited_for: set[str] = set()
        before: StoredManifest | None = None
        with located(phase="lease"), _Wait(plan) as wait:
            while (other := await in_thread(lease.take, run.holder())) is not None:
                if plan.options.on_running == "fail" and lease.is_alive(other):
                    raise AssetRunningError(
                        f"Another run is under way since {other.since:%Y-%m-%d %H:%M:%S} UTC{_where(other)}",
                        hint='Call again later, or have on_running="wait" or "reuse".',
                    )
                if is_blocked(_loops.get(other.run)):
                    raise AssetRunningError(
                        "The run that this call waits for can't go on: it is on an event loop that is blocked by "
                        "call_sync or query_sync until this call returns",
                        hint="Make the function that calls it async, and await the asset.",
                    )
                if before is None and plan.options.on_running == "reuse":
                    before = await in_thread(_manifest, plan)
                waited_for.add(other.run)
                await asyncio.sleep(wait.pause(other.run))
        with located(phase="begin"):
            await in_thread(sweep_left, lease)  # a dead run may have made what is asked for
            manifest = await in_thread(_manifest, plan)
            _warn_of_others(plan, lease.last_asset, await in_thread(_writers, plan, manifest))
            artifact = await in_thread(_made_meanwhile, plan, before, manifest, waited_for)
        if artifact is not None:
            return _hit(plan, artifact)
        return await _run_under(lease, str(run.record.id), run, manifest)
    except GeneratorExit:  # nothing can be awaited any more
        lease.release()
        raise
    finally:
        if lease.held:
            await in_thread(lease.release)


def _warn_of_others(plan: Plan, last: str, writers: Mapping[str, str]) -> None:
    """Warn where another asset, perhaps of another process, was the last to write to the paths, or wrote to one."""
    if last not in ("", plan.name):
        writers = {plan.paths[0]: last}
    for path, other in writers.items():
        warn(
            SharedPathWarning(
                f"Another asset wrote here last, {other!r}: each replaces the results of the other",
                asset=plan.name,
                path=path,
                hint="Give each its own path. Where this one is that one under a new name, this is told once.",
            )
        )


def _writers(plan: Plan, manifest: StoredManifest) -> dict[str, str]:
    """Other assets by those of the paths that they are noted for, where this one has not written there yet."""
    own = {result.path for result in manifest.manifest.results} if manifest.manifest else set()
    writers = {path: asset_at(path) for path in plan.paths if path not in own}
    return {path: name for path, name in writers.items() if name not in ("", plan.name)}


async def _run_under(lease: Lease, holder: str, run: _Run, manifest: StoredManifest) -> DataArtifact:
    _loops[str(run.record.id)] = asyncio.get_running_loop()
    calls = _calls.set((*_calls.get(), _Call(run.plan.id, lease, holder)))
    reads = _reads.set(run.record.upstream)
    try:
        return await run.execute(lease, manifest)
    finally:
        _loops.pop(str(run.record.id), None)
        with suppress(ValueError):  # a task that is destroyed with its loop ends in another context
            _calls.reset(calls)
            _reads.reset(reads)


def note_read(artifact: DataArtifact) -> None:
    """Have the run around this call, if there is one, record that it read this result."""
    reads = _reads.get()
    read = UpstreamRun(asset_name=artifact.run.asset_name, asset_id=artifact.run.asset_id, run=artifact.run.id)
    if reads is not None and read not in reads:
        reads.append(read)


def _where(holder: Holder) -> str:
    return f", in process {holder.process.pid} on {holder.process.host}" if holder.process else ""


def _around(lease: Lease, plan: Plan) -> _Call | None:
    """The run around this call that holds the lease on the same paths. Raises `AssetRunningError` if that is this very
    call, which would wait for itself."""
    around = [call for call in _calls.get() if call.lease.location == lease.location and call.lease.held]
    if plan.id in {call.asset_id for call in around}:
        raise AssetRunningError("The asset calls itself with the same arguments", phase="lease")
    return around[0] if around else None


class _Wait:
    """A call that waits for the run that holds its lease, whichever that is."""

    def __init__(self, plan: Plan) -> None:
        self._asset = plan.name
        self._held_up = frozenset(call.holder for call in _calls.get() if call.lease.held)
        self._delay = _FIRST_DELAY
        self._begun = time.monotonic()
        self._told = self._warned = False

    def __enter__(self) -> _Wait:
        return self

    def __exit__(self, *_: object) -> None:
        with _waiting:
            _waits.pop(self, None)

    def pause(self, run: str) -> float:
        """How long to wait before the next look, in seconds. Raises `AssetRunningError` where the run waits for this
        very call, however many others are between them."""
        with _waiting:
            _waits.pop(self, None)  # of two calls that wait for each other, the second alone finds that out
            if self._held_up & _waited_for(run):
                raise AssetRunningError(
                    f"This call waits for run {run}, and that one for the run which this call is part of",
                    hint="Have assets call each other in one direction only.",
                )
            _waits[self] = (self._held_up, run)
        if not self._told:
            self._told = True
            logger.info("Asset %r: waits for run %s.", self._asset, run)
        if not self._warned and run in _loops and time.monotonic() - self._begun > _LONG:
            self._warned = True
            logger.warning(
                "Asset %r: has been waiting for run %s of this very process for %d s. A function that calls its own "
                "asset from a thread which it has started waits for ever, unless that thread has its context: start it "
                "with contextvars.copy_context().run, or asyncio.to_thread.",
                self._asset,
                run,
                _LONG,
            )
        delay, self._delay = self._delay, min(self._delay * 1.5, _LONGEST_DELAY)
        return delay


def _waited_for(run: str) -> set[str]:
    """The runs that a run waits for by its calls, itself among them."""
    found: set[str] = set()
    ahead = {run}
    while ahead:
        found |= ahead
        ahead = {other for held_up, other in _waits.values() if held_up & ahead} - found
    return found


def _made_meanwhile(
    plan: Plan, before: StoredManifest | None, now: StoredManifest, waited_for: set[str]
) -> DataArtifact | None:
    """`before` is the manifest as it was when the call began to wait, if it is to reuse what was made since."""
    just_made = before is not None and _made_since(before.manifest, now.manifest, waited_for)
    return cached(plan, now.manifest, any_age=just_made)


def _made_since(before: AssetManifest | None, now: AssetManifest | None, waited_for: set[str]) -> bool:
    """Whether the current run made its result while a call waited: it was seen to hold the lease, or came and went
    between two looks. A rollback makes nothing."""
    if now is None or now.last_run is None:
        return False
    earlier = before.last_run.id if before and before.last_run else None
    if now.last_run.id == earlier and earlier not in waited_for:
        return False
    with suppress(ManifestError):  # what can't be read can't be told to be new: the function runs
        run = DataAssetRun.read(now.asset_name, now.asset_id, now.last_run.id)
        return run is not None and run.rolled_back_to is None
    return False


def _manifest(plan: Plan) -> StoredManifest:
    return read_manifest(plan.name, plan.id)


class _Run(Lifecycle):
    """A run of the asset's function."""

    @on_one_base()
    def __init__(self, plan: Plan) -> None:
        now = dt.datetime.now(dt.UTC)
        self.plan = plan
        self.targets = [ResultTarget.of(path) for path in plan.paths]
        record = DataAssetRun(
            id=uuid.uuid4().hex,
            runtime=now,
            asset_id=plan.id,
            asset_name=plan.name,
            asset_path=plan.paths[0],
            parameters=json.dumps(described(plan.arguments, secret_digest)),
            keeps_fragments=plan.options.snapshot_artifacts,
            keeps_results=plan.options.snapshot_artifacts or plan.options.retention is not None,
            signature=plan.signature(),
        )
        own = [target.run_file(plan.name, str(record.id)) for target in self.targets]
        self.fragments_dir, self.hive = self._fragments_dir(str(record.id), now)
        self.holds = [hold(file) for file in own]
        files = [address(target.path, file) for target, file in zip(self.targets, own, strict=True)]
        folders = {file.rpartition("/")[0] for file in files}
        super().__init__(record, [self.fragments_dir, *sorted(folders)], plan.options.retention)

    def _fragments_dir(self, run_id: str, now: dt.datetime) -> tuple[str, Keys]:
        """A folder of this run alone, and the hive keys that the user wrote into the folder above."""
        plan, target = self.plan, self.targets[0]
        if plan.artifacts_dir.strip():
            base = plan.artifacts_dir.rstrip("/") if is_url(plan.artifacts_dir) else checked_folder(plan.artifacts_dir)
            wanted = all(option.hive_partitioning for option in plan.formats.read)
            hive = written_hive_keys(plan.options.artifacts_dir, plan.artifacts_dir) if wanted else {}
        else:
            folder = plan.paths[0].rpartition("/")[0] if is_url(plan.paths[0]) else target.location.folder
            base, hive = f"{folder}/_artifacts/asset={safe_segment(plan.name)}".lstrip("/"), {}
        if plan.options.snapshot_artifacts:
            # As in 2.x, whose users look their history up by these folders.
            moment = now.isoformat().replace(":", "_")
            base = f"{base}/year={now.year}/month={now.month}/day={now.day}/runtime={moment}"
        if plan.options.as_2x():
            found = [hive_keys(f"{folder}/") for folder in (base, plan.paths[0].rpartition("/")[0])]
            hive = {name: keys[name] for keys in found for name in sorted(keys)}
        return f"{base}/{run_id}".lstrip("/"), hive

    async def execute(self, lease: Lease, manifest: StoredManifest) -> DataArtifact:
        """Under the lease, and with the manifest as it was when that had been taken."""
        logger.info("Asset %r: run %s starts.", self.plan.name, self.record.id)
        try:
            with translated(asset=self.plan.name, path=self.plan.paths[0]):  # as it is told, it is recorded
                with located(phase="begin"):
                    await in_thread(self.begin, lease, manifest)
                await self._produce()
                await in_thread(self.publish)
        except BaseException as error:
            # A cancellation that came while the result was being published leaves it published.
            text = recorded_error(error, self.plan.arguments)
            await in_thread(self.end if self.published else partial(self.fail, error, text))
            if isinstance(error, OSError | CorruptFileError):
                with located(phase=self.phase):
                    self.check_lease()
            raise
        await in_thread(self.end)
        logger.info(
            "Asset %r: run %s stored %s rows in %d ms.",
            self.plan.name,
            self.record.id,
            self.record.rows,
            self.record.duration_miliseconds,
        )
        return artifact_for(self.plan, self.record)

    def begin(self, lease: Lease, manifest: StoredManifest) -> None:
        super().begin(lease, manifest)
        relative_key(self.fragments_dir.partition("://")[2] or self.fragments_dir)
        for target in self.targets:
            with located(path=target.path):
                target.location.stage()  # raises where there can't be a file

    async def _produce(self) -> None:
        formats = self.plan.formats
        register_mad()  # the function may read mad:// with plain duckdb.sql, whose connection is this thread's
        ahead = UnionAhead(self.plan.name, str(self.record.id), self.targets, formats)
        try:
            await self._collect_and_unite(formats, ahead)
        finally:
            await in_thread(ahead.close)

    async def _collect_and_unite(self, formats: FormatOptions, ahead: UnionAhead) -> None:
        self.phase = "collect"
        with located(phase="collect"):
            with user_code():
                returned = self.plan.call()
            collector = DataArtifactCollector(
                returned,
                self.fragments_dir,
                self.plan.options.artifact_filetype,
                read_options=formats.read,
                write_options=formats.write,
                hive=self.hive,
                as_2x=formats.as_2x,
                fragment_rows=self.plan.options.fragment_rows,
                on_fragment=ahead.add,
            )
            artifacts = await collector.gather()
        found = [(artifact.path, file) for artifact in artifacts if (file := artifact.stored) is not None]
        self.record.fragments = [fragment_record(path, file) for path, file in found]
        files = [file for _, file in found]
        self.phase = "union"
        with located(phase="union"):
            self.record.results, self.record.rows = await in_thread(
                store_results, self.plan.name, self.record, files, self.targets, formats, ahead
            )
