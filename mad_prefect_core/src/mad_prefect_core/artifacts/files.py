"""Files as the core knows them: where, in which format, and what is recorded of their columns."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import duckdb
from pydantic import ValidationError

from mad_prefect_core.artifacts.hive import Keys, key_types, without
from mad_prefect_core.batch import SchemaGrowth, iter_batches, only_batch
from mad_prefect_core.batch.as_2x import as_2x
from mad_prefect_core.batch.maps import AUTOMATIC, MapRule
from mad_prefect_core.batch.sources import may_be_several
from mad_prefect_core.batch.values import column_name
from mad_prefect_core.batch.wide import WatchedBatch
from mad_prefect_core.contracts import Batch, FormatLike, FormatWriter, Options, ReadOptions, Schema, WriteContext
from mad_prefect_core.errors import OptionError, SchemaError
from mad_prefect_core.mounts import Location, locate
from mad_prefect_core.paths import hive_keys
from mad_prefect_core.session import DuckSession
from mad_prefect_core.threads import in_thread
from mad_prefect_core.translation import WriteCall
from mad_prefect_core.writing import duckdb_schema, writer_of

__all__ = ["DataFile", "FormatOptions", "checksum", "checksum_at", "unified_schema", "write_file"]

logger = logging.getLogger(__name__)

O = TypeVar("O", bound=Options)  # noqa: E741


class DeclaredTypes(Collection[str]):
    """The columns whose type the user has named, by names that know no case, as DuckDB's.

    Args:
        types: Types by column.
        every: The type of all other columns, if the user has named one.
        names: All columns in order, if the user has named them: rows may be tuples, then.
    """

    def __init__(self, types: Mapping[str, str], every: str | None = None, names: Sequence[str] = ()) -> None:
        self.names = names
        self._types = types
        self._every = every
        self._by_name = {name.lower(): kind for name, kind in types.items()}

    def __contains__(self, name: object) -> bool:
        return self._every is not None or (isinstance(name, str) and name.lower() in self._by_name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def of(self, names: Iterable[str]) -> dict[str, str]:
        """The types of those among the data's columns that have one."""
        if self._every is None and not self._by_name:
            return {}
        kinds = {name: self._by_name.get(name.lower(), self._every) for name in names}
        return {name: kind for name, kind in kinds.items() if kind is not None}

    def checked(self, session: DuckSession) -> DeclaredTypes:
        """The same with each type as DuckDB itself writes it. Raises `OptionError` for one that it does not know."""
        types = {}
        for name, kind in self._types.items():
            try:
                types[name] = str(session.connection.type(kind))
            except duckdb.Error as error:
                raise OptionError(
                    f"The read options give the type {kind!r}, which DuckDB does not know: {error}", column=name
                ) from error
        return DeclaredTypes(types, self._every, self.names)


@dataclass(frozen=True)
class FormatOptions:
    """Read and write options, of any formats; each format takes the one that is of its own class."""

    read: tuple[ReadOptions, ...] = ()
    write: tuple[Options, ...] = ()
    as_2x: bool = False
    """Whether rows are to be stored as 2.x stored them."""

    @classmethod
    def of(cls, read: Any = None, write: Any = None, *more_read: Any) -> FormatOptions:
        """Of one or several option objects, None among them. Raises `OptionError` for anything else."""
        return cls(_options(ReadOptions, "read", read, *more_read), _options(Options, "write", write))

    def reading(self, format: FormatLike[Any, Any]) -> Any:
        """The read options of a format: the user's, or its defaults."""
        return _pick(format.read_options, self.read)

    def writing(self, format: FormatLike[Any, Any]) -> Any:
        """The write options of a format: the user's, or its defaults."""
        return _pick(format.write_options, self.write)

    def refuse_those_for_files(self, format: FormatLike[Any, Any]) -> None:
        """Raise `OptionError` if a read option would do nothing to rows that are written in this format."""
        if not self.read:
            return
        given = self.reading(format)
        if names := given.only_for_files():
            name = next(iter(names))
            raise OptionError(
                f"{type(given).__name__}({name}={getattr(given, name)!r}) says how files of others are read, and would "
                "do nothing to rows that are stored here",
                hint="Give it to the DataArtifact of such a file. For the asset's own rows, leave it out: change the "
                "values in the function, or name the type of a column by `columns`.",
            )

    def says_how(self, format: FormatLike[Any, Any]) -> bool:
        """Whether the read options say how a file of this format is to be taken, rather than how much of it at once."""
        given = self.reading(format)
        fields = type(given).model_fields
        changed = (name for name in given.explicit() if getattr(given, name) != fields[name].default)
        return not given.beside_values.issuperset(changed)

    def reading_back(self, format: FormatLike[Any, Any], declared: bool = False) -> Any:
        """The read options for a file that was written under these; `declared`, if it may hold text of the user's
        own in columns whose type he has named."""
        back = format.read_back(self.writing(format))
        if not (declared and self.read):
            return back
        return back.model_copy(update=self.reading(format).spelling())

    def declared(self, format: FormatLike[Any, Any]) -> DeclaredTypes:
        """The columns whose type the user has named in the read options."""
        if not self.read:
            return DeclaredTypes({})
        given = self.reading(format)
        return DeclaredTypes(given.named_types(), given.type_of_others(), self.names(format))

    def names(self, *first: FormatLike[Any, Any]) -> Sequence[str]:
        """All columns in order, if the read options of any format have named them: rows may be tuples, then."""
        lists = (given.named_columns() for given in (*map(self.reading, first), *self.read))
        return next((tuple(found) for found in lists if found), ())

    def map_rule(self, format: FormatLike[Any, Any]) -> MapRule:
        """Which dicts of rows are maps: by what the user has set, or else by our own rule."""
        more_than = self.reading(format).map_threshold()
        return AUTOMATIC if more_than is None else MapRule(more_than)

    def infers_text(self, format: FormatLike[Any, Any]) -> Collection[str]:
        """The types that bare strings are taken for in this format: none where `auto_detect` is off."""
        return frozenset(self.reading(format).taken_for(format.capabilities.infers_text))


def _options(kind: type[O], word: str, *given: Any) -> tuple[O, ...]:
    found: list[O] = []
    for item in given:
        for option in item if isinstance(item, list | tuple) else (item,):
            if option is None:
                continue
            if not isinstance(option, kind) or (word == "write" and isinstance(option, ReadOptions)):
                raise OptionError(
                    f"{option!r} is not a {word} options object",
                    hint=f"Give one from a format's plugin, such as {kind.__name__}'s subclasses.",
                )
            found.append(option)
    return tuple(found)


def _pick(kind: type[O], options: Sequence[Any]) -> O:
    for option in options:
        if isinstance(option, kind):
            return option
    default: O = _default(kind)
    return default


@lru_cache
def _default(kind: type[Any]) -> Any:
    # Of each format, and asked for several times a file.
    try:
        return kind()
    except ValidationError as error:  # pragma: no cover - a plugin whose options have no defaults
        raise OptionError(f"{kind.__name__} has options without a default: {error}") from error


@dataclass(frozen=True)
class DataFile:
    """One file of data that is there."""

    location: Location
    format: FormatLike[Any, Any]
    suffix: str
    schema: Schema | None = None
    """Its columns as recorded when it was written; None for a file that somebody else wrote."""
    growth: SchemaGrowth | None = None
    """What its batches were like, where it was written here just now: for a schema over several files."""
    columnar: bool = False
    """Whether its numbers are known by their types alone, not by their values: it was written from columns, or by
    somebody else."""
    own: Hashable = None
    """What somebody else's file says of its columns, where one asked it: others are read apart from it."""
    size: int = 0
    """In bytes, where it was written here just now."""
    rows: int | None = None
    """Where that is known without a look into it."""
    read: Any = None
    """Read options that undo what it was written with, or those that somebody else's file was given with."""
    write: Any = None
    """Write options, where it was written here just now."""
    hive: Keys | None = field(default_factory=dict)
    """Values of `key=value` folders that become columns; None for those of its own path, if read options want them."""

    published: Location | None = None
    """Where a run's result is for users to see: with the same bytes, as long as no later run replaces them."""
    sha256: str = ""
    """Of the bytes of a run's fragment or result."""
    pin: Any = field(default=None, compare=False, repr=False)
    """What keeps a run's result from being swept while this is held."""

    def keys(self, options: FormatOptions) -> Keys:
        """Values of folders that become columns. Raises `PathError`."""
        if self.hive is not None:
            return self.hive
        return hive_keys(self.location.key) if options.reading(self.format).hive_partitioning else {}

    def there(self) -> DataFile | None:
        """It, made again where it is gone from what was published of it, if that has the same bytes; None where that is
        gone too."""
        if self.location.exists():
            return self
        if self.published is None or not self.published.exists() or checksum_at(self.published) != self.sha256:
            return None
        try:
            self.published.link_to(self.location)
        except OSError:
            return replace(self, location=self.published)
        return self


async def write_file(
    path: str,
    data: object,
    format: FormatLike[Any, Any],
    suffix: str,
    options: FormatOptions,
    session: DuckSession | None = None,
) -> DataFile | None:
    """Write everything that `data` gives to one file, whole or not at all; None, and no file, where there is no data.

    Blocking work runs in threads, so other assets go on meanwhile. A batch is written before the next is asked for: a
    generator may yield one dict again and again, and a relation may have other rows once the function goes on.
    `session` is one for writing that nobody else uses meanwhile.
    """
    options.refuse_those_for_files(format)
    file = _OpenFile(path, format, suffix, options, session)
    try:
        declared = options.declared(format)
        if (only := only_batch(data, declared)) is not None:
            return await in_thread(file.write_all, only)
        several = may_be_several(data)
        async for batch in iter_batches(data, declared):
            watched = several and batch.is_columnar and WatchedBatch.is_needed(batch.schema)
            await in_thread(file.write, WatchedBatch(batch) if watched else batch)
        return await in_thread(file.finish)
    except BaseException:
        file.abort()
        raise
    finally:
        if session is None:
            file.session.close()


class _OpenFile:
    """A file that is being written: nothing is to be seen of it before `finish`."""

    def __init__(
        self, path: str, format: FormatLike[Any, Any], suffix: str, options: FormatOptions, session: DuckSession | None
    ) -> None:
        self._path = path
        self._format = format
        self._suffix = suffix
        self._options = options
        self._declared = options.declared(format)
        self._growth = SchemaGrowth(self._declared)
        self.session = session or DuckSession.for_writing()
        self._location: Location
        self._staged: Path | None = None
        self._writer: FormatWriter | None = None
        self._columnar = False
        self._rows: int | None = 0

    def write_all(self, batch: Batch) -> DataFile | None:
        """The file of one batch."""
        self.write(batch)
        return self.finish()

    def write(self, batch: Batch) -> None:
        if self._options.as_2x:
            batch = as_2x(batch)
        self._grow(self._growth.add_batch, batch)
        self._columnar |= batch.is_columnar
        if self._writer is None:
            self._declared = self._declared.checked(self.session)
            self._location = locate(self._path)
            self._staged = self._location.stage()
            with WriteCall(self._format):
                options = self._options.writing(self._format)
                context = WriteContext(session=self.session, options=options, suffix=self._suffix)
                self._writer = writer_of(self._format, self._staged, context)
        try:
            with WriteCall(self._format):
                self._writer.write(batch)
        except Exception as error:
            problem = getattr(batch, "problem", None)  # DuckDB and Arrow know only the text of what a stream raised
            if problem is not None and problem is not error:
                raise problem from error
            raise
        rows = batch.count if batch.is_columnar else len(batch.rows())
        self._rows = None if rows is None or self._rows is None else self._rows + rows
        if isinstance(batch, WatchedBatch) and batch.wide:  # of a stream that is known only now
            self._grow(self._growth.add_to_last, batch.schema, batch.text, batch.wide, batch.empty, of=batch)

    def _grow(self, add: Callable[..., None], *given: Any, of: Batch | None = None) -> None:
        batch = of or given[0]
        try:
            add(*given)
        except SchemaError as error:
            error.batch = getattr(batch, "item", error.batch)
            raise

    def finish(self) -> DataFile | None:
        if self._writer is None:
            return None
        assert self._staged is not None
        with WriteCall(self._format):
            self._writer.close()
        size, digest = self._staged.stat().st_size, checksum(self._staged)
        # A fragment that a power cut takes is made again by the next run. Those that are kept are synced together,
        # before the record that promises them.
        self._location.publish(self._staged, durable=False)
        schema = duckdb_schema(self.session, self._growth.result())
        named = self._declared.of(schema)
        return DataFile(
            self._location,
            self._format,
            self._suffix,
            schema=schema | named,
            growth=self._growth,
            columnar=self._columnar,
            size=size,
            rows=self._rows,
            sha256=digest,
            read=self._options.reading_back(self._format, declared=bool(named)),
            write=self._options.writing(self._format),
        )

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()
        if self._staged is not None:
            self._staged.unlink(missing_ok=True)


def unified_schema(
    session: DuckSession, files: Sequence[DataFile], options: FormatOptions, *, tell: bool = False
) -> dict[str, str] | None:
    """One schema for all files: what their batches were like, bare strings taken for what they all look like, and dicts
    whose keys are data as maps, which is logged if asked for.

    None if one of the files was not written here just now. Raises `SchemaError` or `OptionError` naming the column.
    """
    declared = {file.format.name: options.declared(file.format).checked(session) for file in files}
    named: dict[str, str] = {}
    infers: set[str] = set()
    seen: list[SchemaGrowth] = []
    for file in files:
        if file.growth is None:
            return None
        seen.append(file.growth)
        named |= declared[file.format.name].of(file.growth.names)
        infers.update(options.infers_text(file.format))
    growth = SchemaGrowth(named)
    for part in seen:
        growth.join(part)
    rule = options.map_rule(files[0].format) if files else AUTOMATIC
    if tell:
        _tell_maps(growth, rule)
    schema = duckdb_schema(session, growth.result(infers, rule))
    schema |= named
    data = {name.lower() for name in schema}
    return schema | key_types(without(file.keys(options), data) for file in files)


def _tell_maps(growth: SchemaGrowth, rule: MapRule) -> None:
    for path, (dicts, names) in growth.maps(rule).items():
        logger.info(
            "Column %s is a map: its %d dicts have %d different keys, %.1f each. Name its type in the read options "
            "(`columns`), or set map_inference_threshold, to have it otherwise.",
            column_name(path),
            dicts.number,
            names,
            dicts.keys / dicts.number,
        )


def checksum(path: Path) -> str:
    """SHA-256 of a local file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_at(location: Location) -> str:
    """SHA-256 of a file, wherever it is."""
    with location.mount.call, location.mount.fs.open(location.path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
