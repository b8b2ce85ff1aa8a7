"""Fragments as one relation, or as one file where their bytes can be joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from mad_prefect_core.artifacts.files import DataFile, FormatOptions
from mad_prefect_core.artifacts.scan import scan_files, schema_of_written
from mad_prefect_core.contracts import JoiningFormat
from mad_prefect_core.errors import SchemaError
from mad_prefect_core.runs.record import FragmentRecord
from mad_prefect_core.runs.targets import ResultTarget
from mad_prefect_core.session import DuckSession
from mad_prefect_core.temporary_folders import process_folder
from mad_prefect_core.translation import ReadCall

__all__ = ["could_be_part", "fragment_record", "joined", "schema_of_all", "united"]

_MANY = 64
_SMALL = 1 << 20  # bytes
_JOINED_AT_MOST = 1 << 28  # bytes: they are on the temporary disk a second time


def fragment_record(path: str, file: DataFile) -> FragmentRecord:
    """What is recorded of a fragment."""
    if not file.sha256:
        return FragmentRecord(path=path)
    return FragmentRecord(path=path, size=file.size, sha256=file.sha256, columns=dict(file.schema or {}))


@contextmanager
def united(
    fragments: Sequence[DataFile],
    options: FormatOptions,
    schema: dict[str, str] | None = None,
    *,
    threads: int | None = None,
) -> Iterator[tuple[DuckSession, dict[str, str], str]]:
    """All rows of fragments, in order: a session for writing, the columns, and the name of a view that has them.

    `schema` is that of `schema_of_written`, where it is known; `threads` are those that DuckDB may use. Raises as that
    does, and as `scan_files`.
    """
    # To keep the order of many small files, DuckDB's threads hold the rows of each until all before it are written:
    # one thread needs less than half of the time and of the memory, and its memory does not grow with their number.
    size = sum(file.size for file in fragments)
    small = len(fragments) > _MANY and size < len(fragments) * _SMALL
    with (
        _joined_for_reading(fragments if small and size < _JOINED_AT_MOST else ()) as whole,
        DuckSession.for_writing(threads=1 if small else threads) as session,
    ):
        columns = schema_of_all(session, fragments, options) if schema is None else schema
        yield session, columns, session.view(scan_files(session, fragments, options, columns, joined=whole))


def schema_of_all(
    session: DuckSession, fragments: Sequence[DataFile], options: FormatOptions, *, tell: bool = False
) -> dict[str, str]:
    """The columns of all fragments. Raises as `schema_of_written` does, and `SchemaError` where there are none."""
    schema = schema_of_written(session, fragments, options, tell=tell)
    if not schema:
        raise SchemaError("There are rows, but none has a column", hint="Yield dicts with at least one key.")
    return schema


@contextmanager
def _joined_for_reading(fragments: Sequence[DataFile]) -> Iterator[Path | None]:
    """One file of all these, for as long as the block runs, where one reader would read them all by the same schema: to
    open a file costs DuckDB more than the few rows in it. None where they can't be joined."""
    if not fragments or not _are_read_alike(fragments):
        yield None
        return
    with ExitStack() as stack:
        path: Path | None = None
        with suppress(OSError):  # such as a small or read-only disk for temporary files
            path = Path(stack.enter_context(TemporaryDirectory(dir=process_folder()))) / "fragments"
            path = path if joined(fragments, path) else None
        yield path


def _are_read_alike(fragments: Sequence[DataFile]) -> bool:
    first = fragments[0]
    can = first.format.capabilities
    if not can.schema_on_read or can.schema_in_file:
        return False

    def as_first(file: DataFile) -> bool:
        return (
            (file.format.name, file.suffix) == (first.format.name, first.suffix)
            and file.write is not None
            and not file.columnar
            and (file.write, file.read, file.hive) == (first.write, first.read, first.hive)
        )

    return all(map(as_first, fragments))


def joined(files: Sequence[DataFile], path: Path) -> bool:
    """Whether a file could be made at `path` of the bytes of these, which were all written alike, and was."""
    first = files[0]
    if not isinstance(first.format, JoiningFormat):
        return False
    with ReadCall(first.format):
        joiner = first.format.joiner(path, first.write, suffix=first.suffix)
        if joiner is None:
            return False
        try:
            whole = all(joiner.add(file.location.open) for file in files)
        except BaseException:
            joiner.abort()
            raise
        if whole:
            joiner.close()
        else:
            joiner.abort()
        return whole


def could_be_part(fragment: DataFile, target: ResultTarget, options: FormatOptions) -> bool:
    """Whether a fragment was written as a result would be, and tells its types by itself."""
    format = target.format
    return (
        format.capabilities.schema_in_file
        and (fragment.format.name, fragment.suffix) == (format.name, target.suffix)
        and fragment.write == options.writing(format)
        and not fragment.hive
    )
