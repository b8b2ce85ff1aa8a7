"""The publishing of a run's results: one small switch, then the users' paths.

A run has written its results under its own folder, where nothing else ever writes. The manifest then names it as
current: that is the switch, and readers of ours follow it. Last, the same bytes appear at the paths that the user
named, each by one atomic replace. Whatever fails before the switch leaves everything as it was; what fails after it is
undone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mad_prefect_core.artifacts.files import checksum_at
from mad_prefect_core.errors import LeaseLostError, OutcomeUnknownError, StorageConflictError, located
from mad_prefect_core.mounts import Location
from mad_prefect_core.runs.manifest import AssetManifest, StoredManifest, change_manifest, read_manifest
from mad_prefect_core.runs.record import DataAssetRun
from mad_prefect_core.runs.results import ResultRecord
from mad_prefect_core.runs.stored import locate_recorded

__all__ = ["Published", "Swept", "drop_foreign", "publish", "settle", "show", "whole"]

_ATTEMPTS = 20


@dataclass(frozen=True)
class Published:
    """What `publish` has done, for `settle`."""

    manifest: AssetManifest
    """As it was switched to."""
    token: str
    """Of that."""
    tokens: Mapping[str, str]
    """Those of the users' paths, as far as the storages told them."""
    tidy: bool
    """Whether nothing is left to be tidied up."""


def publish(
    run: DataAssetRun, began: StoredManifest, check: Callable[[], None], known: Sequence[str] = ()
) -> Published:
    """Make a run current, and its results visible at the users' paths.

    `began` is the manifest of when this run began: the switch is refused if another run is current by now, and
    whenever `check` raises. `known` are earlier runs with files, where there is no manifest that tells of them.

    On a failure everything is made as it was before, and the error is raised. Where that fails too, the outcome is
    unknown: `OutcomeUnknownError`, and nothing of the run may be deleted.
    """

    predecessor = _current(began.manifest)
    before: AssetManifest | None = None
    switched = False

    def switch(manifest: AssetManifest) -> AssetManifest:
        nonlocal before
        check()
        if _current(manifest) != predecessor:
            raise LeaseLostError(
                "Another run was published while this one was under way", hint="Nothing of this one was published."
            )
        before = manifest
        earlier = (predecessor,) if predecessor else tuple(known)
        changed = manifest.with_run(run.summary(), artifacts=[result.path for result in run.results])
        return changed.model_copy(
            update={
                "asset_signature": run.signature,
                "results": tuple(run.results),
                "superseded": (*manifest.superseded, *earlier),
                "unswept": (*manifest.unswept, *earlier),
            }
        )

    name, asset_id = str(run.asset_name), str(run.asset_id)
    foreign: dict[str, Location] = {}
    try:
        _, manifest, token = change_manifest(name, asset_id, switch, began)
        switched = True
        assert before is not None
        foreign = _keep_foreign(run, before)
        try:
            tokens = _link(manifest, check)
        except FileNotFoundError:  # newer runs were published meanwhile, and swept this one's files
            show(name, asset_id)
            tokens = {}
    except BaseException as error:
        if before is None or (isinstance(error, StorageConflictError) and not switched):
            raise  # nothing was written
        try:
            _undo(run, before, foreign)
        except Exception as problem:
            raise OutcomeUnknownError(
                f"Publishing run {run.id} failed ({error}), and so did undoing it ({problem})",
                phase="publish",
                hint="Nothing was deleted. The next call of the asset puts it right.",
            ) from error
        raise
    try:
        drop_foreign([record for record in run.results if record.path in foreign])
    except OSError:
        return Published(manifest, token, tokens, tidy=False)
    return Published(manifest, token, tokens, tidy=True)


def _current(manifest: AssetManifest | None) -> str | None:
    return manifest.last_run.id if manifest and manifest.last_run else None


def _before(record: ResultRecord) -> Location:
    """Where the bytes are kept that somebody else had at the path of a result."""
    return locate_recorded(f"{record.file.removesuffix('.run')}.before.run")


def drop_foreign(results: Iterable[ResultRecord]) -> None:
    """Once a publish is through: delete what was kept of files that somebody else had at the paths of results."""
    for record in results:
        _before(record).delete()


def _keep_foreign(run: DataAssetRun, before: AssetManifest) -> dict[str, Location]:
    """Files at the users' paths that no run of the asset has put there, such as those of 2.x: kept until the publish is
    through, since only they have these bytes."""
    ours = {record.path for record in before.results}
    kept = {}
    for record in run.results:
        location = locate_recorded(record.path)
        if record.path not in ours and location.exists():
            kept[record.path] = _before(record)
            location.link_to(kept[record.path])
    return kept


def _link(manifest: AssetManifest, check: Callable[[], None] = lambda: None) -> dict[str, str]:
    """Make the users' paths those of the manifest's run, unless `check` raises."""
    tokens = {}
    for record in manifest.results:
        check()
        with located(path=record.path, phase="publish"):
            token = locate_recorded(record.file).link_to(locate_recorded(record.path))
        if token is not None:
            tokens[record.path] = token
    return tokens


def show(name: str, asset_id: str) -> None:
    """Make the users' paths those of the current run. Where another run becomes current meanwhile, those of that one:
    whoever comes last has seen the last switch, so the paths never stay a mix of two runs."""
    for attempt in range(_ATTEMPTS):
        manifest, _ = read_manifest(name, asset_id)
        if manifest is None or manifest.last_run is None:
            return
        try:
            _link(manifest)
        except FileNotFoundError:
            # Two newer runs were published meanwhile, and swept what was current a moment ago.
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        again, _ = read_manifest(name, asset_id)
        if _current(again) in (None, manifest.last_run.id):
            return
    raise StorageConflictError(f"Other runs were published {_ATTEMPTS} times in a row meanwhile", phase="publish")


@dataclass(frozen=True)
class Swept:
    """What of earlier runs is no more to be swept."""

    results: Collection[str] = ()
    """The ids of runs whose results are gone, or history."""
    fragments: Collection[str] = ()
    """The ids of runs whose fragments are."""


def settle(run: DataAssetRun, swept: Swept, published: Published | None = None) -> None:
    """After a publish: note the version by which a later call knows the published files without reading them, and that
    the results of earlier runs are gone. If another run has become current meanwhile, the users' paths are made those
    of that one, as `show` does."""
    tokens = published.tokens if published else {}
    run.results = [
        record.model_copy(update={"token": tokens.get(record.path) or _token(locate_recorded(record.path))})
        for record in run.results
    ]

    def note(manifest: AssetManifest) -> AssetManifest:
        return manifest.model_copy(
            update={
                "results": tuple(run.results) if _current(manifest) == run.id else manifest.results,
                "superseded": tuple(earlier for earlier in manifest.superseded if earlier not in swept.results),
                "unswept": tuple(earlier for earlier in manifest.unswept if earlier not in swept.fragments),
            }
        )

    name, asset_id = str(run.asset_name), str(run.asset_id)
    known = StoredManifest(published.manifest, published.token) if published else None
    _, after, _ = change_manifest(name, asset_id, note, known)
    if _current(after) != run.id:
        show(name, asset_id)


def _token(location: Location) -> str:
    return stat.token if (stat := location.stat()) else ""


def _undo(run: DataAssetRun, before: AssetManifest, foreign: Mapping[str, Location]) -> None:
    """Make everything as it was, unless another run has become current: then that one is shown."""
    name, asset_id = str(run.asset_name), str(run.asset_id)
    undone = False

    def back(manifest: AssetManifest) -> AssetManifest:
        nonlocal undone
        undone = _current(manifest) == run.id
        return before if undone else manifest

    if foreign and _current(read_manifest(name, asset_id).manifest) == run.id:
        # First, since a run that is not current is swept, and its copies of these files are the only ones.
        for path, kept in foreign.items():
            kept.link_to(locate_recorded(path))
    was, _, _ = change_manifest(name, asset_id, back)
    if (was and was.last_run) == before.last_run:
        return  # the switch had not come about
    show(name, asset_id)
    if not undone:
        return
    earlier = {record.path for record in before.results}
    for record in run.results:
        location = locate_recorded(record.path)
        ours = record.path not in earlier and record.path not in foreign
        if ours and location.exists() and checksum_at(location) == record.sha256:
            location.delete()


def whole(record: ResultRecord) -> bool:
    """Whether a published result is there with the very bytes that its run wrote.

    The storage's version token tells without reading; only if it differs are the bytes compared.
    """
    location = locate_recorded(record.path)
    stat = location.stat()
    if stat is None or stat.size != record.size:
        return False
    return stat.token == record.token or checksum_at(location) == record.sha256
