"""What all contract tests of formats stand on: the fixtures that an author gives, and a bench to write and read on."""

from __future__ import annotations

import inspect
import itertools
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import duckdb
import pytest

from mad_prefect_core.arrow_format import ArrowFormat
from mad_prefect_core.contracts import Batch, FormatLike, JoiningFormat, Options, ReadContext, Schema, WriteContext
from mad_prefect_core.errors import MadPrefectError
from mad_prefect_core.paths import escape_glob
from mad_prefect_core.reading import read_files
from mad_prefect_core.session import DuckSession, schema_of
from mad_prefect_core.testing.base import Contract
from mad_prefect_core.writing import writer_of

__all__ = ["READ_ERRORS", "Bench", "FormatBase", "variants"]

READ_ERRORS = (duckdb.Error, MadPrefectError, OSError)
"""What a reader may raise for a file that it can't read: the core turns these into errors with asset and path."""


class Bench:
    """Writes and reads files of one format as the core does: on a session for writing, files under names that say
    nothing, what was written read back by `read_back`."""

    def __init__(self, format: FormatLike[Any, Any], session: DuckSession, folder: Path) -> None:
        self.format = format
        self.session = session
        self.folder = folder
        self.suffix = format.suffixes[0]
        self._numbers = itertools.count()

    def export(
        self, source: Any, name: str | None = None, *, suffix: str | None = None, options: Options | None = None
    ) -> tuple[Path, dict[str, str]]:
        """Exports the rows of a query, or of what speaks Arrow, to a new file. Returns it with their schema."""
        path = self.new_path(name)
        view = self.session.view(self.session.sql(source) if isinstance(source, str) else source)
        try:
            schema = schema_of(self.session.sql(f"FROM {view}"))
            self.format.write(view, schema, path, self.writing(options, suffix))
        finally:
            self.session.forget(view)
        return path, schema

    def write(
        self, *batches: Batch, name: str | None = None, suffix: str | None = None, options: Options | None = None
    ) -> Path:
        """Writes batches to a new file."""
        path = self.new_path(name)
        writer = writer_of(self.format, path, self.writing(options, suffix))
        try:
            for batch in batches:
                writer.write(batch)
            writer.close()
        except BaseException:
            writer.abort()
            raise
        return path

    def scan(
        self,
        *paths: Path,
        schema: Schema | None = None,
        suffix: str | None = None,
        written: Options | None = None,
        session: DuckSession | None = None,
        **options: Any,
    ) -> duckdb.DuckDBPyRelation:
        """Reads files that were written under the options `written`, with read options given by name."""
        back = self.format.read_back(self.format.write_options() if written is None else written)
        read = self.format.read_options(**options).model_copy(update=back.explicit())
        files = [escape_glob(str(path)) for path in paths]
        context = ReadContext(
            session=session or self.session, options=read, suffix=suffix or self.suffix, schema=schema
        )
        return read_files(self.format, files, context)

    def writing(self, options: Options | None = None, suffix: str | None = None) -> WriteContext[Any]:
        """How files are written here: with the default options and the first suffix, unless given."""
        options = self.format.write_options() if options is None else options
        return WriteContext(session=self.session, options=options, suffix=suffix or self.suffix)

    def new_path(self, name: str | None = None) -> Path:
        """A path at which there never was a file: DuckDB may remember what a file of the same name and time held."""
        return self.folder / (name or f"file{next(self._numbers)}")


def variants(model: type[Options]) -> list[Options]:
    """The defaults, and every value of each option that has few: booleans and literals."""
    found = [model()]
    for name, field in model.model_fields.items():
        values = (True, False) if field.annotation is bool else ()
        if typing.get_origin(field.annotation) is Literal:
            values = typing.get_args(field.annotation)
        found += [model(**{name: value}) for value in values if value != field.default]
    return found


class FormatBase(Contract):
    """The fixtures. An author gives `format`, and the others where he has something to give."""

    kind = "format"
    names = "suffixes"

    column_names: ClassVar[tuple[str, ...]] = (
        "a b", 'q"q', "q'q", "x.y", "select", "é😀", "a,b", "{x}", "$1", "$files", " lead", "new\nline", "tab\t", "%",
        "a;b", "null", "1", "[x]", "back\\slash", "CamelCase", "--", "/*", "filename", "source", "m0", "json", "ﬁ",
    )  # fmt: skip
    """Names that columns may have."""
    file_names: ClassVar[tuple[str, ...]] = (
        "it's", 'say "hi"', "a b", "[ab]", "*", "?", "{x,y}", "$path", "é😀", "%20", "a;b", "--", "k=v", "#",
    )  # fmt: skip
    """Names that files, and folders above them, may have."""
    long_text: ClassVar[int] = 10_000_000
    """Characters of the longest text that comes back."""
    memory_growth: ClassVar[Mapping[str, float]] = {"writing": 45, "reading": 180, "reading in Python": 60}
    """MB by which memory may grow at most where data grows by 90 MB. DuckDB's own readers of text buffer what they
    read, as far as its memory limit goes; one in Python holds what it is at, not the file."""

    @classmethod
    def declared(cls, subject: Any) -> dict[str, bool]:
        """The capabilities, `arrow`: whether it is an `ArrowFormat`, `joiner`: whether the format joins files, and
        `written_before`: whether the author gives files of earlier releases."""
        given = inspect.getattr_static(cls, "written_before") is not vars(FormatBase)["written_before"]
        joins = isinstance(subject, JoiningFormat)
        reads = isinstance(subject, ArrowFormat)
        return {**super().declared(subject), "arrow": reads, "joiner": joins, "written_before": given}

    @pytest.fixture(autouse=True)
    def _under_test(self, request: pytest.FixtureRequest, format: FormatLike[Any, Any]) -> None:
        self.begin(request, format)

    @pytest.fixture
    def written_before(self) -> Path | None:
        """A folder that `write_release` has filled, one folder in it for each release."""
        return None

    @pytest.fixture
    def write_variants(self, format: FormatLike[Any, Any]) -> list[Options]:
        """The write options under which files must read back; booleans and literals are found without it."""
        return variants(format.write_options)

    @pytest.fixture
    def bench(self, format: FormatLike[Any, Any], tmp_path: Path) -> Iterator[Bench]:
        """Writes and reads in a folder of the test alone."""
        folder = tmp_path / "bench"
        folder.mkdir()
        with DuckSession.for_writing() as session:
            yield Bench(format, session, folder)
