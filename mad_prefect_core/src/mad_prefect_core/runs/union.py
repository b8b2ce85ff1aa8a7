"""From fragments to the run's own result files. Nothing that a reader sees changes here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mad_prefect_core.artifacts.files import DataFile, FormatOptions, checksum, unified_schema
from mad_prefect_core.artifacts.scan import scan_files
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


def fragment_record(path: str, file: DataFile) -> FragmentRecord:
    """What is recorded of a fragment."""
    if not file.sha256:
        return FragmentRecord(path=path)
    return FragmentRecord(path=path, size=file.size, sha256=file.sha256, columns=dict(file.schema or {}))
