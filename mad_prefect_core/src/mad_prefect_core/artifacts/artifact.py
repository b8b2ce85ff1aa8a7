"""One file of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mad_prefect_core.artifacts.files import DataFile, FormatOptions, write_file
from mad_prefect_core.artifacts.query import query_files
from mad_prefect_core.artifacts.recorded import find_recorded
from mad_prefect_core.artifacts.scan import is_empty
from mad_prefect_core.batch.sources import missing_file
from mad_prefect_core.contracts import FormatLike, Options, ReadOptions
from mad_prefect_core.errors import ResultGoneError
from mad_prefect_core.mounts import Location, locate
from mad_prefect_core.overrides import refuse_uncalled
from mad_prefect_core.paths import split_url
from mad_prefect_core.plugins import get_host
from mad_prefect_core.relations import Relation
from mad_prefect_core.session import DuckSession
from mad_prefect_core.threads import in_thread
from mad_prefect_core.translation import translated
from mad_prefect_core.untrusted import Limits

__all__ = ["DataArtifact"]

_WRITES = "Write a format plugin, or override persist() and write the file there."
_UNCALLED = {
    "_open": _WRITES,
    "_persist_csv": _WRITES,
    "_persist_json": _WRITES,
    "_persist_parquet": _WRITES,
    "_truthy": "Override persist() and return False where there is no data.",
    "_yield_entities_to_persist": "Give the artifact a generator of rows as its data.",
}
"""Methods of 2.x."""


class DataArtifact:
    """A file of data, in the format that its suffix names: a fragment, a result, or any file under the base.

    Args:
        path: Relative to the base path (a leading `/` means the base), or a URL.
        data: What `persist` writes: anything that an asset function may return.
        read_json_options, read_csv_options: As in 2.x; short for two entries of `read_options`.
        read_options: Read options of any formats; the one of this file's format counts.
        write_options: Write options of any formats.
        missing_ok: Take a file that is not there for one without rows, where the artifact is used as data: by an asset
            function that returns or yields it, or in a query over several.

    Raises:
        PathError: The URL has a password or a secret parameter in it.
        UnknownFormatError: No installed plugin brings the suffix.
    """

    def __init__(
        self,
        path: str,
        data: object | None = None,
        read_json_options: ReadOptions | None = None,
        read_csv_options: ReadOptions | None = None,
        *,
        read_options: ReadOptions | list[ReadOptions] | tuple[ReadOptions, ...] | None = None,
        write_options: Options | list[Options] | tuple[Options, ...] | None = None,
        missing_ok: bool = False,
    ) -> None:
        split_url(path)  # refuses secrets in a URL
        self.path = path
        self.data = data
        self.persisted = False
        self.missing_ok = missing_ok
        self.read_json_options = read_json_options
        self.read_csv_options = read_csv_options
        self.options = FormatOptions.of(read_options, write_options, read_json_options, read_csv_options)
        self.format: FormatLike[Any, Any]
        self.suffix: str
        if type(self).filetype is DataArtifact.filetype:
            self.format, suffix = get_host().format_of(path)
            self.suffix = suffix.lower()
        else:
            self._become_of(self.filetype)
        self.run: Any = None
        """The `DataAssetRun` that made it, where it is the result of an asset's call."""
        self.from_cache = False
        """Whether that call was answered without a run."""
        self._file: DataFile | None = None
        self._has_no_rows = False

    @classmethod
    def of_file(cls, path: str, file: DataFile, options: FormatOptions) -> DataArtifact:
        """A persisted artifact whose bytes are those of `file`, whatever is at `path` later."""
        artifact = cls(path, read_options=options.read, write_options=options.write)
        artifact.become(file)
        return artifact

    def become(self, file: DataFile) -> None:
        """Have these bytes, and this that is recorded of them."""
        self._file = file
        self.persisted = True

    @property
    def stored(self) -> DataFile | None:
        """The file as it was written or found last, without another look."""
        return self._file

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_uncalled(cls, DataArtifact, _UNCALLED)

    @property
    def filetype(self) -> str:
        """The name of its format. It may be set, or overridden by a subclass, where the suffix does not tell it."""
        return self.format.name

    @filetype.setter
    def filetype(self, name: str) -> None:
        self._become_of(name)

    def _become_of(self, format_name: str) -> None:
        self.format = get_host().format_named(format_name)
        self.suffix = next((suffix for suffix in self.format.suffixes if self.path.lower().endswith(suffix)), "")
        self.suffix = self.suffix or self.format.suffixes[0]

    async def persist(self, session: DuckSession | None = None) -> bool:
        """Write `data` to `path`, whole or not at all, once. False, and no file, where there is no data.

        `session`, if given, is one for writing that nobody else uses meanwhile.

        Raises `DataError` and `StorageError` with column, path and batch; what was at the path is untouched then.
        """
        with translated(path=self.path, phase="write"):
            return await self.write(session)

    async def write(self, session: DuckSession | None = None) -> bool:
        """As `persist`, within a call that says itself where an error came from."""
        if self.data is None:
            return self.persisted or self._file is not None
        self._file = await write_file(self.path, self.data, self.format, self.suffix, self.options, session)
        self.data = None
        self.persisted = self._file is not None
        self._has_no_rows = not self.persisted
        return self.persisted

    async def exists(self) -> bool:
        """Whether the file is there."""
        with translated(path=self.path, phase="read"):
            try:
                self.persisted = await in_thread(self.file) is not None
            except ResultGoneError:
                self.persisted = False
        return self.persisted

    def file(self, options: FormatOptions | None = None) -> DataFile | None:
        """The file as it is now, with what is recorded of it; None where there never was one.

        Raises `ResultGoneError` where it was written, or made by a run, and is gone.
        """
        if (file := self._file) is None:
            location = locate(self.path)
            return self._at(location, options or self.options) if location.exists() else None
        if (there := file.there()) is not None:
            return there
        raise ResultGoneError(
            "The file of this artifact is gone: it was deleted, or newer runs have replaced it",
            path=self.path,
            phase="read",
            hint="Call the asset again for its current result.",
        )

    def _at(self, location: Location, options: FormatOptions) -> DataFile:
        """What is at a path: as its run recorded it, unless options say how it is to be read."""
        given = self.options.reading(self.format) if self.options.read else None
        foreign = DataFile(location, self.format, self.suffix, hive=None, read=given)
        if self.options.says_how(self.format) or options.says_how(self.format):
            return foreign
        own = find_recorded(self.path, location)
        return replace(own, hive=foreign.keys(options)) if own is not None else foreign

    @property
    def may_have_no_file(self) -> bool:
        """Whether no file means no rows: its data had none, its run made no result, or it is `missing_ok`."""
        return self.missing_ok or self._has_no_rows or (self.run is not None and not self.run.results)

    def data_file(self) -> DataFile | None:
        """As `file`, for a reader that counts on its rows; None where it has none. Raises `MissingFileError`."""
        if self._has_no_rows:
            return None
        file = self.file()
        if file is None and not self.may_have_no_file:
            raise missing_file(self.path)
        return file

    async def is_blank(self) -> bool:
        """Whether its file has neither rows nor columns: no bytes, or such as `[]` in JSON.

        False where a subclass has a `query` of its own, whose rows need not be those of the file.
        """
        if type(self).query is not DataArtifact.query:
            return False
        with translated(path=self.path, phase="read"):
            file = await in_thread(self.file)
            return file is not None and await in_thread(is_empty, file, self.options)

    async def query(
        self,
        query_str: str | None = None,
        params: Any = None,
        *,
        tables: Mapping[str, Any] | None = None,
        untrusted: bool | Limits = False,
    ) -> Relation | None:
        """A lazy relation over the file, or over a query on it; None where there is no file.

        Args:
            query_str: A clause that goes on from `FROM data`, or a whole statement over `data` and `tables`.
            params: Values for `?`, `$1` or `$name` in it.
            tables: More tables by name: artifacts, relations, frames, anything that speaks Arrow.
            untrusted: Whether somebody else wrote the SQL. It can then read `data` and `tables` alone, within limits,
                and its rows are read at once.

        Raises:
            QueryError: The query does not parse or bind.
            CorruptFileError: The file is not what its suffix says; names the file.
        """
        with translated(path=self.path, phase="query"):
            return await query_files([self], self.options, query_str, params, tables, untrusted)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"
