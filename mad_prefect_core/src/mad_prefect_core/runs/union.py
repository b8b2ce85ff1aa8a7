"""From fragments to the run's own result files. Nothing that a reader sees changes here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

from mad_prefect_core.artifacts.files import DataFile, FormatOptions, checksum
from mad_prefect_core.artifacts.scan import scan_files
from mad_prefect_core.errors import CorruptFileError, located
from mad_prefect_core.mounts import locate, on_one_base
from mad_prefect_core.paths import escape_glob
from mad_prefect_core.reading import read_files
from mad_prefect_core.runs.ahead import UnionAhead
from mad_prefect_core.runs.fragments import could_be_part, joined, schema_of_all, united
from mad_prefect_core.runs.manifest import read_manifest
from mad_prefect_core.runs.record import DataAssetRun
from mad_prefect_core.runs.results import ResultRecord
from mad_prefect_core.runs.targets import ResultTarget, address
from mad_prefect_core.session import DuckSession, quote, schema_of
from mad_prefect_core.translation import ReadCall, WriteCall

__all__ = ["store_results"]


def store_results(
    asset_name: str,
    run: DataAssetRun,
    fragments: Sequence[DataFile],
    targets: Sequence[ResultTarget],
    options: FormatOptions,
    ahead: UnionAhead,
) -> tuple[list[ResultRecord], int]:
    """Union the fragments into the run's own result files, as far as that was not done `ahead`; nothing that a reader
    sees has changed yet. A fragment that is byte for byte what a result is to be is not written again: the result is a
    link of it.

    Returns their records and the number of rows. A run without data has typed empty results where the columns are
    known from the result before; none at all otherwise. Raises `DataError`, `StorageError`.
    """
    with on_one_base(), ExitStack() as stack:
        session = stack.enter_context(DuckSession.for_writing())
        if fragments:
            schema = schema_of_all(session, fragments, options, tell=True)
            return _store(stack, session, schema, fragments, targets, asset_name, run, options, ahead.finished(schema))
        known = _columns_before(session, run, targets)
        if known is None:
            return [], 0
        return _store(stack, session, known, fragments, targets, asset_name, run, options, {})


def _store(
    stack: ExitStack,
    session: DuckSession,
    schema: dict[str, str],
    fragments: Sequence[DataFile],
    targets: Sequence[ResultTarget],
    asset_name: str,
    run: DataAssetRun,
    options: FormatOptions,
    ready: dict[str, Path],
) -> tuple[list[ResultRecord], int]:
    files = [target.run_file(asset_name, str(run.id)) for target in targets]
    only = fragments[0] if len(fragments) == 1 else None
    staged: list[Path | None] = []  # None for a result that is a link of the only fragment

    @cache
    def rows_of_all() -> tuple[DuckSession, str]:
        if fragments:
            writing, _, view = stack.enter_context(united(fragments, options, schema))
            return writing, view
        columns = ", ".join(f"CAST(NULL AS {kind}) AS {quote(name)}" for name, kind in schema.items())
        return session, session.view(session.sql(f"SELECT {columns} LIMIT 0"))

    try:
        for target, own in zip(targets, files, strict=True):
            with located(path=target.path, phase="union"):
                if only and _is_result(session, only, target, schema, run, options):
                    staged.append(None)
                elif target.path in ready:
                    staged.append(ready.pop(target.path))
                else:
                    staged.append(local := own.stage())
                    if not _joined(session, fragments, target, schema, options, local):
                        writing, view = rows_of_all()
                        with WriteCall(target.format):
                            target.format.write(view, schema, local, target.writing(writing, options))
        rows, nulls = _counted(session, schema, targets, staged, options, only)
        _refuse_other_rows(fragments, rows)
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
        for written in (*staged, *ready.values()):
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
        and could_be_part(fragment, target, options)
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
    return (
        len(fragments) > 1
        and all(
            could_be_part(file, target, options) and list((file.schema or {}).items()) == list(schema.items())
            for file in fragments
        )
        and joined(fragments, path)
        and _has(session, [escape_glob(str(path))], target, schema, options)
    )


def _has(
    session: DuckSession, files: Sequence[str], target: ResultTarget, schema: dict[str, str], options: FormatOptions
) -> bool:
    """Whether files have these columns by themselves, whatever is recorded of them."""
    back = target.format.read_back(options.writing(target.format))
    read = back.model_copy(update={"hive_partitioning": False})
    found = schema_of(read_files(target.format, files, target.reading(session, read)))
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
    with located(path=target.path, phase="union"), ReadCall(target.format):
        if local is None:
            assert only is not None
            files = session.files([only.location])
        else:
            files = [session.staged(local, target.path)]
        relation = read_files(target.format, files, target.reading(session, read, schema))
        counts = ", ".join(("count(*)", *(f"count({quote(name)})" for name in schema)))
        rows, *values = relation.aggregate(counts).fetchall()[0]
    return int(rows), {name: rows - count for name, count in zip(schema, values, strict=True)}


def _refuse_other_rows(fragments: Sequence[DataFile], rows: int) -> None:
    """Raise `CorruptFileError` if the result has more or fewer rows than were written to the fragments."""
    written = [file.rows for file in fragments if file.rows is not None]
    if len(written) == len(fragments) and sum(written) != rows:
        raise CorruptFileError(
            f"The fragments had {sum(written)} rows when they were written, and now have {rows}",
            path=fragments[0].location.folder,
            hint="Something else has changed them. Find out what writes to that folder, and call the asset again.",
        )


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
