"""From fragments to results: the run's own files first, then one small switch, then the users' paths.

A run writes its results under its own folder, where nothing else ever writes. The manifest then names it as current:
that is the switch, and readers of ours follow it. Last, the same bytes appear at the paths that the user named, each
by one atomic replace. Whatever fails before the switch leaves everything as it was; what fails after it is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mad_prefect_core.artifacts.files import DataFile, FormatOptions, checksum, checksum_at, unified_schema
from mad_prefect_core.artifacts.scan import scan_files
from mad_prefect_core.contracts import Format
from mad_prefect_core.errors import (
    CorruptFileError,
    LeaseLostError,
    OutcomeUnknownError,
    SchemaError,
    StorageConflictError,
    located,
)
from mad_prefect_core.mounts import Location, default_mount, locate
from mad_prefect_core.paths import escape_glob, is_url, safe_segment, split_url
from mad_prefect_core.plugins import get_host
from mad_prefect_core.runs.holds import hold
from mad_prefect_core.runs.lease import Lease, lease_name
from mad_prefect_core.runs.manifest import AssetManifest, StoredManifest, change_manifest, read_manifest
from mad_prefect_core.runs.record import DataAssetRun, FragmentRecord
from mad_prefect_core.runs.results import ResultRecord
from mad_prefect_core.session import DuckSession, quote, schema_of

__all__ = [
    "Published",
    "ResultTarget",
    "Swept",
    "address",
    "drop_foreign",
    "fragment_record",
    "lease_on",
    "publish",
    "result_file",
    "settle",
    "show",
    "store_results",
    "whole",
]

_ATTEMPTS = 20
_MANY = 64
_SMALL = 1 << 20  # bytes


@dataclass(frozen=True)
class ResultTarget:
    """Where one result of an asset goes."""

    path: str
    """As the user named it."""
    location: Location
    format: Format
    suffix: str

    @classmethod
    def of(cls, path: str) -> ResultTarget:
        """Raises `UnknownFormatError`, `UnknownStorageError`, `PathError`."""
        format, suffix = get_host().format_of(path)
        return cls(path, locate(path), format, suffix.lower())

    def run_file(self, asset_name: str, run_id: str) -> Location:
        """The run's own file: on the same storage, so that it can be linked, under a name that no reader of
        `**/*.suffix` matches."""
        name = self.location.key.rpartition("/")[2]
        folder = f"{self.location.folder}/" if self.location.folder else ""
        return self.location.beside(f"{folder}_artifacts/asset={safe_segment(asset_name)}/{run_id}/{name}.run")


def lease_on(targets: Sequence[ResultTarget]) -> Lease:
    """The lease on the paths of an asset's results, in whatever order; below the base, wherever that is mounted."""
    base = default_mount()
    root = f"{base.root}/".replace("//", "/")

    def address(location: Location) -> str:
        inside = location.mount.storage.name == base.storage.name and location.path.startswith(root)
        return location.path.removeprefix(root) if inside else f"{location.mount.storage.name}:{location.path}"

    return Lease(lease_name(sorted(address(target.location) for target in targets)))


def address(path: str, location: Location) -> str:
    """What to give `locate` later to get to `location`, which is on the storage that `path` is on."""
    return f"{split_url(path)[0]}://{location.path}" if is_url(path) else location.key


def store_results(
    asset_name: str,
    run: DataAssetRun,
    fragments: Sequence[DataFile],
    targets: Sequence[ResultTarget],
    options: FormatOptions,
) -> tuple[list[ResultRecord], int]:
    """Union the fragments into the run's own result files; nothing that a reader sees has changed yet. A fragment
    that is byte for byte what a result is to be is not written again: the result is a link of it.

    Returns their records and the number of rows. A run without data has typed empty results where the columns are
    known from the result before; none at all otherwise. Raises `DataError`, `StorageError`.
    """
    # To keep the order of many small files, DuckDB's threads hold the rows of each until all before it are written:
    # one thread needs less than half of the time and of the memory, and its memory does not grow with their number.
    small = len(fragments) > _MANY and sum(file.size for file in fragments) < len(fragments) * _SMALL
    with DuckSession.for_writing(threads=1 if small else None) as session:
        schema = unified_schema(session, fragments, options) if fragments else _columns_before(session, run, targets)
        if schema is None:
            return [], 0
        if not schema:
            raise SchemaError("There are rows, but none has a column", hint="Yield dicts with at least one key.")
        if fragments:
            view = session.view(scan_files(session, fragments, options, schema))
        else:
            columns = ", ".join(f"CAST(NULL AS {kind}) AS {quote(name)}" for name, kind in schema.items())
            view = session.view(session.sql(f"SELECT {columns} LIMIT 0"))
        only = fragments[0] if len(fragments) == 1 else None
        return _store(session, view, schema, targets, asset_name, run, options, only)


def _store(
    session: DuckSession,
    view: str,
    schema: dict[str, str],
    targets: Sequence[ResultTarget],
    asset_name: str,
    run: DataAssetRun,
    options: FormatOptions,
    only: DataFile | None,
) -> tuple[list[ResultRecord], int]:
    files = [target.run_file(asset_name, str(run.id)) for target in targets]
    staged: list[Path | None] = []  # None for a result that is a link of the only fragment
    try:
        for target, own in zip(targets, files, strict=True):
            with located(path=target.path, phase="union"):
                if only and _is_result(session, only, target, schema, run, options):
                    staged.append(None)
                    continue
                staged.append(local := own.stage())
                writing = options.writing(target.format)
                target.format.export(session, view, schema, local, writing, suffix=target.suffix)
        rows, nulls = _counted(session, schema, targets, staged, options, only)
        records = []
        for target, own, written in zip(targets, files, staged, strict=True):
            with located(path=target.path, phase="union"):
                if written is not None:
                    size, digest = written.stat().st_size, checksum(written)
                    own.publish(written)
                else:
                    assert only is not None
                    size, digest = only.size, only.sha256
                    only.location.link_to(own)
            records.append(
                ResultRecord(
                    path=target.path,
                    file=address(target.path, own),
                    format=target.format.name,
                    suffix=target.suffix,
                    size=size,
                    sha256=digest,
                    token="",
                    columns=schema,
                    nulls=nulls,
                    write=options.writing(target.format).explicit(),
                )
            )
    except BaseException:
        for written in staged:
            if written is not None:
                written.unlink(missing_ok=True)
        raise
    return records, rows


def _is_result(
    session: DuckSession,
    fragment: DataFile,
    target: ResultTarget,
    schema: dict[str, str],
    run: DataAssetRun,
    options: FormatOptions,
) -> bool:
    """Whether a fragment is what the result would be: of the run's own, on the same storage, written in the same way,
    and with the same columns in the file itself, whatever is recorded of it."""
    format, path = target.format, run.fragments[0].path
    if not (
        f"/{run.id}/" in f"/{path}"  # a user's own file is his to overwrite
        and locate(path).mount.fs is locate(target.path).mount.fs
        and (fragment.format.name, fragment.suffix) == (format.name, target.suffix)
        and fragment.write == options.writing(format)
        and format.capabilities.schema_in_file
    ):
        return False
    read = fragment.read.model_copy(update={"hive_partitioning": False})
    found = schema_of(format.scan(session, session.files([fragment.location]), read, suffix=fragment.suffix))
    return list(found.items()) == list(schema.items())


def _counted(
    session: DuckSession,
    schema: dict[str, str],
    targets: Sequence[ResultTarget],
    staged: Sequence[Path | None],
    options: FormatOptions,
    only: DataFile | None,
) -> tuple[int, dict[str, int]]:
    """The number of rows, and of NULLs by column, of what was written: it can be read, then."""
    written = list(zip(targets, staged, strict=True))
    target, local = next((pair for pair in written if pair[0].format.capabilities.schema_in_file), written[0])
    own = target.format.read_back(options.writing(target.format)).explicit()
    read = options.reading(target.format).model_copy(update={**own, "hive_partitioning": False})
    with located(path=target.path, phase="union"):
        files = session.files([only.location]) if local is None and only else [escape_glob(str(local))]
        relation = target.format.scan(session, files, read, suffix=target.suffix, schema=schema)
        counts = ", ".join(("count(*)", *(f"count({quote(name)})" for name in schema)))
        rows, *values = relation.aggregate(counts).fetchall()[0]
    return int(rows), {name: rows - count for name, count in zip(schema, values, strict=True)}


def _columns_before(session: DuckSession, run: DataAssetRun, targets: Sequence[ResultTarget]) -> dict[str, str] | None:
    """The columns of the result that an empty run replaces: as recorded, or as a file of 2.x or others has them."""
    manifest, _ = read_manifest(str(run.asset_name), str(run.asset_id))
    if manifest is not None and manifest.results:
        return dict(manifest.results[0].columns)
    for target in targets:
        if target.location.exists():
            file = DataFile(target.location, target.format, target.suffix)
            with suppress(CorruptFileError):  # what can't be read tells no columns; it is replaced all the same
                relation = scan_files(session, [file], FormatOptions())
                return {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}
    return None


def result_file(record: ResultRecord) -> DataFile:
    """The run's own file of a result, as readers take it."""
    format = get_host().format_named(record.format, suffix=record.suffix)
    read = format.read_back(format.write_options.model_validate(record.write))
    location = locate(record.file)
    return DataFile(
        location,
        format,
        record.suffix,
        record.columns,
        read=read,
        published=locate(record.path),
        sha256=record.sha256,
        pin=hold(location),
    )


def fragment_record(path: str, file: DataFile) -> FragmentRecord:
    """What is recorded of a fragment."""
    if not file.sha256:
        return FragmentRecord(path=path)
    return FragmentRecord(path=path, size=file.size, sha256=file.sha256, columns=dict(file.schema or {}))


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
    return locate(f"{record.file.removesuffix('.run')}.before.run")


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
        location = locate(record.path)
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
            token = locate(record.file).link_to(locate(record.path))
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
        record.model_copy(update={"token": tokens.get(record.path) or _token(locate(record.path))})
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

    was, _, _ = change_manifest(name, asset_id, back)
    if (was and was.last_run) == before.last_run:
        return  # the switch had not come about
    show(name, asset_id)
    if not undone:
        return
    earlier = {record.path for record in before.results}
    for record in run.results:
        location = locate(record.path)
        if record.path in foreign:
            foreign[record.path].link_to(location)
        elif record.path not in earlier and location.exists() and checksum_at(location) == record.sha256:
            location.delete()


def whole(record: ResultRecord) -> bool:
    """Whether a published result is there with the very bytes that its run wrote.

    The storage's version token tells without reading; only if it differs are the bytes compared.
    """
    location = locate(record.path)
    stat = location.stat()
    if stat is None or stat.size != record.size:
        return False
    return stat.token == record.token or checksum_at(location) == record.sha256
