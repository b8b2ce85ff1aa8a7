"""The union, begun while the function still runs: rows of finished fragments are brought to the results' formats in a
thread meanwhile, a row group at a time, so that little is left to do at the end."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mad_prefect_core.artifacts.files import DataFile, FormatOptions
from mad_prefect_core.contracts import FormatJoiner, JoiningFormat
from mad_prefect_core.mounts import Location
from mad_prefect_core.paths import another_name
from mad_prefect_core.runs.fragments import united
from mad_prefect_core.runs.targets import ResultTarget
from mad_prefect_core.session import DuckSession

__all__ = ["UnionAhead"]

_ROWS = 122_880  # of a part: DuckDB's row group


class UnionAhead:
    """Results that grow with the fragments, where files of their formats can be joined.

    Nothing depends on it. Where it can't go on, such as when a later fragment needs a wider type, it gives up, and the
    union is made of all fragments at the end; whatever is wrong with them is said there.

    Args:
        asset_name, run_id: Whose results.
        targets: Where they go.
        options: Those of the asset.
    """

    def __init__(self, asset_name: str, run_id: str, targets: Sequence[ResultTarget], options: FormatOptions) -> None:
        self._run_id = run_id
        self._options = options
        self._results = [
            _Result(target, target.run_file(asset_name, run_id), options)
            for target in targets
            if isinstance(target.format, JoiningFormat) and target.format.capabilities.schema_in_file
        ]
        self._given_up = not self._results
        self._pending: list[DataFile] = []
        self._pending_rows = 0
        self._schema: dict[str, str] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._worker: int | None = None

    def add(self, fragment: DataFile) -> None:
        """Take the next fragment in. Returns at once."""
        if self._given_up:
            return
        own = f"/{self._run_id}/" in f"/{fragment.location.path}"  # a user's own file is his to overwrite
        # Columns are joined as they are, at the end. Which keys of folders are columns, only all fragments tell.
        if fragment.rows is None or fragment.columnar or fragment.hive or not own:
            self._given_up = True
            self._pending = []
            return
        if self._pending and self._pending_rows + fragment.rows > _ROWS:
            self._begin_part()
        self._pending.append(fragment)
        self._pending_rows += fragment.rows

    def finished(self, schema: dict[str, str]) -> dict[str, Path]:
        """Files that have the rows of all fragments with these columns, by the results' paths: the caller's now. None
        where it gave up, or where there was too little to begin."""
        if self._thread is not None:
            self._begin_part()
            self._thread.shutdown()
        if not self._given_up and self._schema == schema:
            try:
                for result in self._results:
                    result.finish()
                return {result.target.path: result.taken() for result in self._results}
            except OSError:  # such as a full disk, on which the union of all may yet find room
                pass
        self._drop()
        return {}

    def close(self) -> None:
        """Wait until nothing is at work, and delete what nobody took."""
        self._given_up = True
        if self._thread is not None:
            # A run that nobody holds any more may be closed by whichever thread collects garbage.
            self._thread.shutdown(wait=threading.get_ident() != self._worker, cancel_futures=True)
        self._drop()

    def _begin_part(self) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="mad-prefect-union")
        self._thread.submit(self._write_part, self._pending)
        self._pending, self._pending_rows = [], 0

    def _write_part(self, fragments: Sequence[DataFile]) -> None:
        self._worker = threading.get_ident()
        grown = False
        try:
            if not self._given_up:
                # One of DuckDB's threads: the others are for the function.
                with united(fragments, self._options, threads=1) as (session, schema, view):
                    self._schema = self._schema or schema
                    grown = schema == self._schema and all(
                        result.grown(session, view, schema) for result in self._results
                    )
        except Exception:  # the union of all fragments raises it again, if it was more than bad luck
            pass
        if not grown:
            self._given_up = True
            self._drop()

    def _drop(self) -> None:
        for result in self._results:
            result.drop()


class _Result:
    """One result as far as it is made."""

    def __init__(self, target: ResultTarget, own: Location, options: FormatOptions) -> None:
        self.target = target
        self._own = own
        self._options = options
        self._joiner: FormatJoiner | None = None
        self._path: Path | None = None

    def grown(self, session: DuckSession, view: str, schema: dict[str, str]) -> bool:
        """Add the rows of a view. False where they can't be joined to those before."""
        format, context = self.target.format, self.target.writing(session, self._options)
        assert isinstance(format, JoiningFormat)
        if self._path is None:
            self._path = self._own.stage()
            self._joiner = format.joiner(self._path, context.options, suffix=context.suffix)
        if self._joiner is None:
            return False
        part = another_name(self._path)
        try:
            format.write(view, schema, part, context)
            return self._joiner.add(lambda: part.open("rb"))
        finally:
            part.unlink(missing_ok=True)

    def finish(self) -> None:
        """Make it a whole file."""
        assert self._joiner is not None
        self._joiner.close()
        self._joiner = None

    def taken(self) -> Path:
        """The file, which is somebody else's now."""
        assert self._path is not None
        path, self._path = self._path, None
        return path

    def drop(self) -> None:
        """Delete it, unless it was taken."""
        if self._joiner is not None:
            self._joiner.abort()
            self._joiner = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
