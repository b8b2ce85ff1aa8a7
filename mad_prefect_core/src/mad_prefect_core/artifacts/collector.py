"""From what a function returns or yields to fragments."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Literal

from mad_prefect_core.artifacts.artifact import DataArtifact
from mad_prefect_core.artifacts.files import DataFile, FormatOptions
from mad_prefect_core.artifacts.hive import Keys, without
from mad_prefect_core.artifacts.scan import is_empty, scan_files
from mad_prefect_core.artifacts.uniting import growth_of
from mad_prefect_core.batch import iter_batches, only_batch
from mad_prefect_core.batch.sources import may_be_several, together, yield_data_batches
from mad_prefect_core.contracts import Batch, FormatLike, Options, ReadOptions
from mad_prefect_core.errors import MissingFileError, UnsupportedDataError, located
from mad_prefect_core.overrides import refuse_uncalled
from mad_prefect_core.plugins import get_host
from mad_prefect_core.session import DuckSession, schema_of
from mad_prefect_core.threads import in_thread
from mad_prefect_core.translation import translated

__all__ = ["DataArtifactCollector"]


class DataArtifactCollector:
    """Persists each item that a function yields as a fragment of its own, as it comes: it is durable at once.

    An item that gives no data makes no fragment and ends nothing. An item that is a `DataArtifact` is a fragment
    itself, at its own path; one without data whose file is not there is an error, unless it is `missing_ok`.

    Args:
        collector: What an asset function returned: data, a coroutine, a generator or an async generator.
        dir: The folder for `fragment=0.json`, `fragment=1.json` …
        filetype: Their format; None for the format that is best for rows, or for columns, item by item.
        artifacts: Fragments to add to.
        read_json_options, read_csv_options: As in 2.x; short for two entries of `read_options`.
        read_options, write_options: Options of any formats.
        hive: Values of `key=value` folders that become columns of every fragment, by name.
        fragment_rows: Put items together until a fragment has so many rows; None for a fragment an item.
        as_2x: Whether rows are to be stored as 2.x stored them.
        on_fragment: Called with each fragment's file when that is whole.
    """

    def __init__(
        self,
        collector: object,
        dir: str,
        filetype: str | None = "json",
        artifacts: list[DataArtifact] | None = None,
        read_json_options: ReadOptions | None = None,
        read_csv_options: ReadOptions | None = None,
        *,
        read_options: Any = None,
        write_options: Options | list[Options] | tuple[Options, ...] | None = None,
        hive: Keys | None = None,
        fragment_rows: int | None = None,
        as_2x: bool = False,
        on_fragment: Callable[[DataFile], None] = lambda file: None,
    ) -> None:
        self.collector = collector
        self.dir = dir.rstrip("/")
        self.filetype = filetype
        self.artifacts = artifacts or []
        given = FormatOptions.of(read_options, write_options, read_json_options, read_csv_options)
        self.options = replace(given, as_2x=as_2x)
        self.hive = hive or {}
        self.read_json_options = read_json_options
        self.read_csv_options = read_csv_options
        self.fragment_rows = fragment_rows
        self._on_fragment = on_fragment
        self._written: set[str] = set()
        self._formats: dict[str, FormatLike[Any, Any]] = {}

    async def collect(self) -> list[DataArtifact]:
        """Persist every item, in order. Raises what the function raises, and `DataError` naming the batch."""
        with translated(path=self.dir, phase="collect"):
            return await self.gather()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        instead = "Yield artifacts with paths of your own."
        refuse_uncalled(cls, DataArtifactCollector, {"_build_artifact_path": instead})

    async def gather(self) -> list[DataArtifact]:
        """As `collect`, within a call of an asset, which says where it was."""
        items = yield_data_batches(self.collector)
        if self.fragment_rows:
            items = together(items, self.fragment_rows, self.options.declared(self._format("rows")))
        with await in_thread(DuckSession.for_writing) as session:
            async with aclosing(items):
                for number in itertools.count():
                    with located(phase="collect", batch=number):
                        if not await self._collect_next(items, session):
                            break
        return self.artifacts

    async def _collect_next(self, items: AsyncIterator[Any], session: DuckSession) -> bool:
        try:
            item = await anext(items)
        except StopAsyncIteration:
            return False
        if isinstance(item, DataArtifact):
            artifact: DataArtifact | None = item
            self._refuse_twice(item)
            if type(item).persist is not DataArtifact.persist:
                file = await self._persisted_by_itself(item)
            else:
                is_written_here = item.data is not None
                await item.persist(session)
                file = item.stored if is_written_here else await in_thread(_with_data, item, self.options)
        else:
            artifact = await self._fragment(item, len(self.artifacts))
            if artifact is not None:
                await artifact.write(session)
            file = None if artifact is None else artifact.stored
        if artifact is not None and file is not None:
            file = await self._as_fragment(file)
            artifact.become(file)
            self.artifacts.append(artifact)
            self._on_fragment(file)
        return True

    async def _persisted_by_itself(self, artifact: DataArtifact) -> DataFile | None:
        """What a subclass's own `persist` has written, wherever it has its data from; None where it said False."""
        answer = await artifact.persist()
        if answer is False:
            return None
        if (file := artifact.stored or await in_thread(artifact.file)) is None:
            raise MissingFileError(
                f"{type(artifact).__name__}.persist returned {answer!r} and wrote no file",
                path=artifact.path,
                hint="Have it write the file, or return False where there is no data.",
            )
        return file

    def _refuse_twice(self, artifact: DataArtifact) -> None:
        if artifact.data is None:
            return
        if artifact.path in self._written:
            raise UnsupportedDataError(
                "Two artifacts with data have the same path, so one would overwrite the other",
                path=artifact.path,
                hint="Give each its own path, or yield the data itself.",
            )
        self._written.add(artifact.path)

    async def _fragment(self, item: object, number: int) -> DataArtifact | None:
        data: object = item
        if self.filetype is None:
            declared = self.options.declared(self._format("rows"))
            first = data = only_batch(item, declared)
            if first is None:
                batches = iter_batches(item, declared)
                first = await anext(batches, None)
                if first is None:
                    return None
                data = _again(first, batches) if may_be_several(item) else first
            format = self._format("columns" if first.is_columnar else "rows")
        else:
            format = self._format()
        artifact = DataArtifact(f"{self.dir}/fragment={number}{format.suffixes[0]}", data)
        artifact.options = self.options
        return artifact

    def _format(self, kind: Literal["rows", "columns"] = "rows") -> FormatLike[Any, Any]:
        """The format of fragments: the user's, or else the best one for this kind of batch."""
        kind = "rows" if self.options.as_2x else kind
        if kind not in self._formats:
            host = get_host()
            self._formats[kind] = host.format_named(self.filetype) if self.filetype else host.format_for(kind)
        return self._formats[kind]

    async def _as_fragment(self, file: DataFile) -> DataFile:
        """A file with what a run has to know: a schema growth, and its folders' keys."""
        keys = file.keys(self.options)
        if file.growth is None:
            file = await in_thread(self._looked_into, file)
        return replace(file, hive={**without(self.hive, {key.lower() for key in keys}), **keys})

    def _looked_into(self, file: DataFile) -> DataFile:
        with DuckSession() as session:
            relation = scan_files(session, [replace(file, hive={})], self.options)
            growth = growth_of(relation, self.options.declared(file.format))
            return replace(file, growth=growth, columnar=True, own=tuple(schema_of(relation).items()))


def _with_data(artifact: DataArtifact, options: FormatOptions) -> DataFile | None:
    """The file of an artifact, unless that has neither rows nor columns."""
    file = artifact.data_file()
    return None if file is None or is_empty(file, options) else file


async def _again(first: Batch, rest: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
    yield first
    async for batch in rest:
        yield batch
