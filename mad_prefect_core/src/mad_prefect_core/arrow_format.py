"""The base of formats that Python reads into Arrow, and writes from it."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import duckdb

from mad_prefect_core.arrow_files import OpenFile, Source
from mad_prefect_core.contracts import Format, ReadContext, Schema, WriteContext
from mad_prefect_core.contracts.formats import ReadT, WriteT
from mad_prefect_core.errors import UnsupportedValueError
from mad_prefect_core.session import cast_to, quote
from mad_prefect_core.type_names import members_of, name_of, names_in

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ArrowFormat", "OpenFile"]

_TYPE = re.compile(r"[A-Z][A-Z0-9_]*( [A-Z]+)*(\(\d+(, ?\d+)?\))?")
_INEXACT = re.compile(r"mad_prefect: column (\d+) is not exact")


class ArrowFormat(Format[ReadT, WriteT]):
    """A format that Python reads into Arrow: of one open file, the schema and the batches; and a writer of batches.

    The base does the rest. It unites files, casts to a schema and fills what they lack with NULL. It tells the reader
    which columns a query needs, and lets through the rows that it asks for. Each scan opens a file again, and closes it
    when the query ends, wherever that is. What a library raises for a file is a `CorruptFileError` that names it, and
    batches are validated before DuckDB has them, which would crash on a damaged one.

    `capabilities` are the table of types that the base writes by. A column with a type that they say it `refuses` is
    refused before there is a file. A type that is another one `in_file` is cast to that, `{"UUID": "VARCHAR"}`, also
    within lists, structs and maps; a value that would not come back exactly is refused. All others go to the writer as
    DuckDB gives them to Arrow.
    """

    @abstractmethod
    def file_schema(self, file: OpenFile[ReadT]) -> pa.Schema:
        """The columns of a file, of the very types that `batches` gives them."""

    @abstractmethod
    def batches(self, file: OpenFile[ReadT], columns: Sequence[str] | None) -> Iterable[pa.RecordBatch]:
        """All rows of a file, some at a time: of at least these columns, in any order. None stands for all, in their
        order. Raises whatever its library does where the file is damaged, and never gives fewer rows instead."""

    @abstractmethod
    def write_batches(self, batches: pa.RecordBatchReader, file: BinaryIO, context: WriteContext[WriteT]) -> None:
        """Write all batches to a new file, each as it comes, and finish it. The base closes it."""

    def batch_rows(self, options: WriteT) -> int:
        """Rows of one batch that is written."""
        return 65_536

    def read(self, file: str, context: ReadContext[ReadT]) -> duckdb.DuckDBPyRelation:
        return self.read_many([file], context)

    def read_many(self, files: Sequence[str], context: ReadContext[ReadT]) -> duckdb.DuckDBPyRelation:
        """As `ManyFilesFormat`: files with equal schemas are one scan."""
        return self._scan(files, context)

    def read_numbered(self, files: Sequence[str], number: str, context: ReadContext[ReadT]) -> duckdb.DuckDBPyRelation:
        """As `NumberingFormat`."""
        return self._scan(files, context, number)

    def _scan(
        self, files: Sequence[str], context: ReadContext[ReadT], number: str | None = None
    ) -> duckdb.DuckDBPyRelation:
        from mad_prefect_core.arrow_dataset import (  # noqa: PLC0415  listing plugins must not cost it
            ArrowDataset,
            schema_in,
        )

        session, options, schema = context.session, context.options, context.schema
        # Only where a file has no types can it have no columns either, if it has no rows.
        may_be_empty = schema is not None and not self.capabilities.schema_in_file
        found = []
        for place, file in enumerate(files):
            source = Source(self, session.path_of(file), session.opener(file), options, context.suffix, place)
            found.append((schema_in(source, may_be_empty=may_be_empty), source))
        relations = []
        for _, group in groupby(found, key=lambda pair: bytes(pair[0].serialize())):
            alike = list(group)
            columns = alike[0][0]
            if columns.names:
                dataset = ArrowDataset([source for _, source in alike], columns, number)
                relation = session.sql(f"FROM {session.view(dataset)}")
            else:
                relation = session.sql("SELECT 1 WHERE false")
            relations.append(relation if schema is None else cast_to(session, relation, schema))
        if len(relations) == 1:
            return relations[0]
        union = "UNION ALL" if schema is not None or options.union_by_name is False else "UNION ALL BY NAME"
        return session.sql(f" {union} ".join(f"(FROM {session.view(relation)})" for relation in relations))

    def write(self, relation: str, schema: Schema, path: Path, context: WriteContext[WriteT]) -> None:
        import pyarrow as pa  # noqa: PLC0415  listing plugins must not cost it

        session = context.session
        kinds = {column: session.connection.type(kind) for column, kind in schema.items()}
        values = [self._value(place, column, kind) for place, (column, kind) in enumerate(kinds.items())]
        query = f"SELECT {', '.join(values)} FROM {relation} AS source"  # noqa: S608  identifiers are quoted
        try:
            with (
                self._refusing(kinds),
                # An open reader blocks its connection: this one is closed also if the writing fails.
                session.sql(query).to_arrow_reader(self.batch_rows(context.options)) as rows,
                path.open("wb") as file,
            ):
                checked = pa.RecordBatchReader.from_batches(rows.schema, map(self._checked, rows))
                self.write_batches(checked, file, context)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _value(self, place: int, column: str, kind: Any) -> str:
        """SQL for the values of a column as they are stored. Raises `UnsupportedValueError`."""
        for name in names_in(kind):
            if reason := self.capabilities.refuses.get(name):
                raise self._refusal(column, kind, reason)
        value, stored = f"source.{quote(column)}", self._stored_type(kind)
        if stored == str(kind):
            return value
        cast = f"TRY_CAST({value} AS {stored})"
        exact = f"TRY_CAST({cast} AS {kind}) IS NOT DISTINCT FROM {value}"
        return (
            f"CASE WHEN {exact} THEN {cast} ELSE error('mad_prefect: column {place} is not exact') END "
            f"AS {quote(column)}"
        )

    def _stored_type(self, kind: Any) -> str:
        """The DuckDB type that values of a type are cast to."""
        other = _TYPE.match(self.capabilities.in_file.get(name_of(kind), ""))
        members = [(quote(name), self._stored_type(member)) for name, member in members_of(kind)]
        if kind.id == "list" or (kind.id == "array" and other and other[0] == "LIST"):
            return f"{members[0][1]}[]"
        if other:
            return other[0]
        if kind.id == "array":
            return f"{members[0][1]}[{kind.children[1][1]}]"
        if kind.id == "map":
            return f"MAP({members[0][1]}, {members[1][1]})"
        if members:
            return f"{name_of(kind)}({', '.join(map(' '.join, members))})"
        return str(kind)

    def _refusal(self, column: str, kind: Any, reason: str) -> UnsupportedValueError:
        return UnsupportedValueError(
            f"{self.name} can't hold {kind}: {reason}",
            column=column,
            hint="Cast the column to VARCHAR, or choose another format.",
        )

    @contextmanager
    def _refusing(self, kinds: Mapping[str, Any]) -> Iterator[None]:
        """Name the column of a value that its stored type does not keep."""
        try:
            yield
        except (duckdb.Error, OSError, ValueError) as error:  # as Arrow's are
            if isinstance(error, UnsupportedValueError) or not (found := _INEXACT.search(str(error))):
                raise
            column, kind = list(kinds.items())[int(found[1])]
            raise self._refusal(column, kind, f"a value is not exact as {self._stored_type(kind)}") from error

    def _checked(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Refuse what no reader would take: DuckDB's TIME reaches 24:00:00, and Arrow's does not."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                column.validate(full=True)
            except ValueError as error:  # as Arrow's are
                raise UnsupportedValueError(f"{self.name} can't hold a value: {error}", column=name) from error
        return batch
