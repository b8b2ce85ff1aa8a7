"""What mad-prefect 2.x left on a base: its results become ours, and its fragments are swept where the user wants it.

Only records tell what is 2.x's: its run records have no status. A result is adopted under the name and id that it has
in 2.x, by which an asset finds it (`assets.earlier`): the cache hits, the history begins there, and it is listed once.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from mad_prefect_core.artifacts.files import DataFile, FormatOptions, checksum_at
from mad_prefect_core.artifacts.scan import scan_files
from mad_prefect_core.errors import MadPrefectError
from mad_prefect_core.mounts import default_mount, locate
from mad_prefect_core.paths import relative_key
from mad_prefect_core.runs.catalogue import names_in, stored_assets
from mad_prefect_core.runs.kept import records_of
from mad_prefect_core.runs.manifest import AssetManifest, change_manifest
from mad_prefect_core.runs.record import DataAssetRun, ResultRecord, RunStatus
from mad_prefect_core.runs.sweep import is_behind_link
from mad_prefect_core.runs.targets import ResultTarget, address
from mad_prefect_core.session import DuckSession, quote, schema_of

__all__ = ["Adopted", "adopt"]

_FRAGMENT = re.compile(r"fragment=[0-9]+\.(json|parquet|csv)")


@dataclass(frozen=True)
class Adopted:
    """An asset of 2.x with one set of arguments, and what becomes of its last result."""

    asset_name: str
    asset_id: str
    run: str
    paths: tuple[str, ...]
    rows: int | None = None
    problem: str = ""
    """Why the result is not adopted; "" where it is."""
    fragments: tuple[str, ...] = ()
    """Files that its runs left, and nothing needs any more: those that are swept."""


@dataclass(frozen=True)
class _Theirs:
    """The last run of 2.x of an asset."""

    manifest: AssetManifest
    run: DataAssetRun
    paths: tuple[str, ...]


def adopt(
    *, dry_run: bool = False, sweep: bool = False, folders: Sequence[str] = ()
) -> tuple[list[Adopted], dict[str, tuple[str, ...]]]:
    """Take the results of 2.x into our manifests; with `sweep`, delete the fragments that it left.

    These are where 2.x puts them unless told otherwise, in `_artifacts/asset=<name>` beside a result, and in `folders`:
    no record of 2.x tells of an `artifacts_dir`. Snapshots, which are in folders of a time, stay; so do the fragments
    of an asset whose result is not there to be read. A dry run writes and deletes nothing.

    Returns the assets, and the fragments in each of `folders`.
    """
    named = {folder: _fragments_in(folder) for folder in folders}
    stored = list(stored_assets())
    ours = {result.path for manifest in stored for result in manifest.results}
    theirs = sorted(filter(None, map(_of_2x, stored)), key=lambda found: _made(found.run))
    adopted: list[tuple[_Theirs, Adopted]] = []
    unread: set[str] = set()
    """Folders with fragments of a result that is not there to be read, which may be all that is left of it."""
    for found in reversed(theirs):  # of two that wrote to one path, the later has its file there
        problem = "A later run has replaced its result" if ours.intersection(found.paths) else ""
        ours.update(found.paths)
        entry = _adopted(found, dry_run=dry_run) if not problem else _entry(found, problem=problem)
        if entry.problem and not problem:
            unread.add(_folder_beside(found))
        adopted.append((found, entry))
    before = [(found, _entry(found, found.run.rows)) for found in map(_adopted_before, stored) if found is not None]
    unread |= {_folder_beside(found) for found, _ in before if not _are_there(found.paths)}
    adopted = [(found, replace(entry, fragments=_fragments_beside(found, but=unread))) for found, entry in adopted]
    before = [(found, replace(entry, fragments=_fragments_beside(found, but=unread))) for found, entry in before]
    entries = [entry for _, entry in adopted] + [entry for _, entry in before if entry.fragments]
    if sweep and not dry_run:
        for path in chain(*(entry.fragments for entry in entries), *named.values()):
            locate(path).delete()
    return entries[::-1], named


def _folder_beside(found: _Theirs) -> str:
    """Where 2.x puts fragments unless told otherwise: in one folder for all sets of arguments of a name."""
    return relative_key(f"{found.paths[0].rpartition('/')[0]}/_artifacts/asset={found.manifest.asset_name}")


def _fragments_beside(found: _Theirs, but: Collection[str]) -> tuple[str, ...]:
    folder = _folder_beside(found)
    return () if folder in but else _fragments_in(folder)


def _are_there(paths: Sequence[str]) -> bool:
    try:
        return all(locate(path).exists() for path in paths)
    except MadPrefectError:  # on a storage that can't be asked now
        return False


def _fragments_in(folder: str) -> tuple[str, ...]:
    """The fragments of 2.x in a folder below the base, but for those in folders below it: ours, and snapshots."""
    inside = default_mount().at(relative_key(f"{folder}/x"))
    if is_behind_link(inside.folder):
        return ()
    files = (inside.beside(f"{inside.folder}/{name}") for name in names_in(inside.beside(inside.folder)))
    return tuple(file.key for file in files if _FRAGMENT.fullmatch(file.key.rpartition("/")[2]) and file.exists())


def _of_2x(manifest: AssetManifest) -> _Theirs | None:
    """Its last run that made a result, if that was one of 2.x: before 2.3 there was no manifest that names it."""
    records = list(records_of(manifest.asset_name, manifest.asset_id))
    runs = [run for run in records if run.materialized and run.asset_path]
    if manifest.results or not runs or any(run.status is not None and run.versions for run in records):
        return None  # one with a status and no versions was cut short while it was adopted
    last = manifest.last_run.id if manifest.last_run else None
    run = next((run for run in runs if run.id == last), max(runs, key=_made))
    return _Theirs(manifest, run, tuple(_paths(str(run.asset_path))))


def _adopted_before(manifest: AssetManifest) -> _Theirs | None:
    """Its run that was adopted: runs of ours record the versions of what wrote them."""
    for run in records_of(manifest.asset_name, manifest.asset_id) if manifest.results else ():
        if run.status is RunStatus.SUCCESS and not run.versions and run.results:
            return _Theirs(manifest, run, tuple(result.path for result in run.results))
    return None


def _made(run: DataAssetRun) -> dt.datetime:
    return run.materialized or dt.datetime.min.replace(tzinfo=dt.UTC)


def _paths(path: str) -> Iterator[str]:
    """As 2.x takes `x.parquet|csv`."""
    first, *more = path.split("|")
    yield first
    for suffix in more:
        yield f"{first.rpartition('.')[0]}.{suffix.lstrip('.')}"


def _entry(found: _Theirs, rows: int | None = None, problem: str = "") -> Adopted:
    manifest = found.manifest
    return Adopted(manifest.asset_name, manifest.asset_id, str(found.run.id), found.paths, rows, problem)


def _adopted(found: _Theirs, *, dry_run: bool) -> Adopted:
    try:
        targets = [ResultTarget.of(path) for path in found.paths]
        with DuckSession() as session:
            described = [_Described.of(session, target) for target in targets]
    except MadPrefectError as error:
        return _entry(found, problem=error.message)
    problem = next((about.problem for about in described if about.problem), "")
    if problem or dry_run:
        return _entry(found, described[0].rows, problem)
    results = [about.record(found, target) for about, target in zip(described, targets, strict=True)]
    run = found.run.model_copy(update={"status": RunStatus.SUCCESS, "rows": described[0].rows, "results": results})
    run.write()

    def switch(manifest: AssetManifest) -> AssetManifest:
        changed = manifest.with_run(run.summary(), artifacts=found.paths)
        # Nobody knows which options it was made under, so it has no digest of them.
        return changed.model_copy(update={"asset_signature": None, "results": tuple(results)})

    change_manifest(found.manifest.asset_name, found.manifest.asset_id, switch)
    return _entry(found, described[0].rows)


@dataclass(frozen=True)
class _Described:
    """What is to be recorded of a result file."""

    rows: int = 0
    columns: dict[str, str] | None = None
    nulls: dict[str, int] | None = None
    problem: str = ""

    @classmethod
    def of(cls, session: DuckSession, target: ResultTarget) -> _Described:
        """Looks into the file. Raises `DataError` where it can't be read."""
        if not target.location.exists():
            return cls(problem=f"Its file {target.path!r} is not there")
        file = DataFile(target.location, target.format, target.suffix)
        as_found = scan_files(session, [file], FormatOptions())
        columns = schema_of(as_found)
        back = target.format.read_back(target.format.write_options())
        by_types = scan_files(session, [replace(file, schema=columns, read=back)], FormatOptions())
        one, other = session.view(as_found), session.view(by_types)
        # Types tell NULL from the empty text in CSV, which a reader that infers them may not.
        texts = ", ".join(f"coalesce(CAST({quote(name)} AS VARCHAR), '')" for name in columns)
        unlike = f"SELECT {texts} FROM {one} EXCEPT ALL SELECT {texts} FROM {other} LIMIT 1"  # noqa: S608  quoted
        if session.sql(unlike).fetchall():
            return cls(problem=f"Its file {target.path!r} has other values where it is read by its columns' types")
        counts = ", ".join(("count(*)", *(f"count({quote(name)})" for name in columns)))
        [(rows, *values)] = session.sql(f"SELECT {counts} FROM {other}").fetchall()  # noqa: S608  quoted
        return cls(rows, columns, {name: rows - count for name, count in zip(columns, values, strict=True)})

    def record(self, found: _Theirs, target: ResultTarget) -> ResultRecord:
        """The record, and with it a file of the run's own with the same bytes."""
        own = target.run_file(found.manifest.asset_name, str(found.run.id))
        target.location.link_to(own)
        stat = target.location.stat()
        if stat is None:
            raise FileNotFoundError(f"{target.path} was there, and is not")
        return ResultRecord(
            path=target.path,
            file=address(target.path, own),
            format=target.format.name,
            suffix=target.suffix,
            size=stat.size,
            sha256=checksum_at(own),
            token=stat.token,
            columns=self.columns or {},
            nulls=self.nulls or {},
        )
