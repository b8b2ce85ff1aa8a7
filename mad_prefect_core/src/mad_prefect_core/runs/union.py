"""From fragments to the run's own result files. Nothing that a reader sees changes here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from mad_prefect_core.artifacts.files import DataFile, FormatOptions, checksum, unified_schema
from mad_prefect_core.artifacts.scan import scan_files
from mad_prefect_core.contracts import JoiningFormat
from mad_prefect_core.errors import CorruptFileError, SchemaError, located
from mad_prefect_core.mounts import locate
from mad_prefect_core.paths import escape_glob
from mad_prefect_core.runs.manifest import read_manifest
from mad_prefect_core.runs.record import DataAssetRun, FragmentRecord
from mad_prefect_core.runs.results import ResultRecord
from mad_prefect_core.runs.targets import ResultTarget, address
from mad_prefect_core.session import DuckSession, quote, schema_of

__all__ = ["fragment_record", "store_results"]

_MANY = 64
_SMALL = 1 << 20  # bytes


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
    small = _are_small(fragments)
    with (
        _joined_for_reading(fragments if small else ()) as joined,
        DuckSession.for_writing(threads=1 if small and joined is None else None) as session,
    ):
        schema = unified_schema(session, fragments, options) if fragments else _columns_before(session, run, targets)
        if schema is None:
            return [], 0
        if not schema:
            raise SchemaError("There are rows, but none has a column", hint="Yield dicts with at least one key.")
        if fragments:
            view = session.view(scan_files(session, fragments, options, schema, joined=joined))
        else:
            columns = ", ".join(f"CAST(NULL AS {kind}) AS {quote(name)}" for name, kind in schema.items())
            view = session.view(session.sql(f"SELECT {columns} LIMIT 0"))
        return _store(session, view, schema, fragments, targets, asset_name, run, options)


def _are_small(fragments: Sequence[DataFile]) -> bool:
    return len(fragments) > _MANY and sum(file.size for file in fragments) < len(fragments) * _SMALL


@contextmanager
def _joined_for_reading(fragments: Sequence[DataFile]) -> Iterator[Path | None]:
    """One file of all these, for as long as the block runs, where one reader would read them all by the same schema: to
    open a file costs DuckDB more than the few rows in it. None where they can't be joined."""
    if not fragments or not _are_read_alike(fragments):
        yield None
        return
    first = fragments[0]
    assert isinstance(first.format, JoiningFormat)
    with TemporaryDirectory(prefix="mad-prefect-") as folder:
        path = Path(folder) / "fragments"
        opened = [file.location.open for file in fragments]
        yield path if first.format.join(opened, path, first.write, suffix=first.suffix) else None


def _are_read_alike(fragments: Sequence[DataFile]) -> bool:
    first = fragments[0]
    can = first.format.capabilities
    if not isinstance(first.format, JoiningFormat) or not can.schema_on_read or can.schema_in_file:
        return False

    def as_first(file: DataFile) -> bool:
        return (
            (file.format.name, file.suffix) == (first.format.name, first.suffix)
            and file.write is not None
            and not file.columnar
            and (file.write, file.read, file.hive) == (first.write, first.read, first.hive)
        )

    return all(map(as_first, fragments))


def _store(
    session: DuckSession,
    view: str,
    schema: dict[str, str],
    fragments: Sequence[DataFile],
    targets: Sequence[ResultTarget],
    asset_name: str,
    run: DataAssetRun,
    options: FormatOptions,
) -> tuple[list[ResultRecord], int]:
    files = [target.run_file(asset_name, str(run.id)) for target in targets]
    only = fragments[0] if len(fragments) == 1 else None
    staged: list[Path | None] = []  # None for a result that is a link of the only fragment
    try:
        for target, own in zip(targets, files, strict=True):
            with located(path=target.path, phase="union"):
                if only and _is_result(session, only, target, schema, run, options):
                    staged.append(None)
                    continue
                staged.append(local := own.stage())
                if not _joined(session, fragments, target, schema, options, local):
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
    path = run.fragments[0].path
    return (
        f"/{run.id}/" in f"/{path}"  # a user's own file is his to overwrite
        and locate(path).mount.fs is locate(target.path).mount.fs
        and _could_be_part(fragment, target, options)
        and _has(session, session.files([fragment.location]), target, schema, options)
    )


def _joined(
    session: DuckSession,
    fragments: Sequence[DataFile],
    target: ResultTarget,
    schema: dict[str, str],
    options: FormatOptions,
    path: Path,
) -> bool:
    """Whether the result could be made of the bytes of several fragments, and was."""
    format = target.format
    return (
        len(fragments) > 1
        and isinstance(format, JoiningFormat)
        and all(
            _could_be_part(file, target, options) and list((file.schema or {}).items()) == list(schema.items())
            for file in fragments
        )
        and format.join([file.location.open for file in fragments], path, options.writing(format), suffix=target.suffix)
        and _has(session, [escape_glob(str(path))], target, schema, options)
    )


def _could_be_part(fragment: DataFile, target: ResultTarget, options: FormatOptions) -> bool:
    """Whether a fragment was written as the result would be, and tells its types by itself."""
    format = target.format
    return (
        format.capabilities.schema_in_file
        and (fragment.format.name, fragment.suffix) == (format.name, target.suffix)
        and fragment.write == options.writing(format)
        and not fragment.hive
    )


def _has(
    session: DuckSession, files: Sequence[str], target: ResultTarget, schema: dict[str, str], options: FormatOptions
) -> bool:
    """Whether files have these columns by themselves, whatever is recorded of them."""
    back = target.format.read_back(options.writing(target.format))
    read = back.model_copy(update={"hive_partitioning": False})
    found = schema_of(target.format.scan(session, files, read, suffix=target.suffix))
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


def fragment_record(path: str, file: DataFile) -> FragmentRecord:
    """What is recorded of a fragment."""
    if not file.sha256:
        return FragmentRecord(path=path)
    return FragmentRecord(path=path, size=file.size, sha256=file.sha256, columns=dict(file.schema or {}))
