"""Wrong formats: for each test of a format's contract one with the fault that the test is there to find."""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
from pydantic import ConfigDict

from mad_prefect_core.batch import ColumnBatch, RowBatch
from mad_prefect_core.contracts import (
    Batch,
    Format,
    FormatCapabilities,
    FormatJoiner,
    FormatLike,
    FormatWriter,
    Options,
    ReadContext,
    ReadOptions,
    WriteContext,
)
from mad_prefect_core.errors import CorruptFileError, UnsupportedValueError
from mad_prefect_core.paths import unescape_glob
from mad_prefect_core.sdk import ArrowFormat, OpenFile
from mad_prefect_core.session import DuckSession, quote, schema_of
from mad_prefect_core.writing import PartsWriter
from mad_prefect_csv import CsvFormat
from mad_prefect_json import JsonFormat, ReadJsonOptions, WriteJsonOptions
from mad_prefect_parquet import ParquetFormat

__all__ = ["FAULTS"]

FAULTS: dict[str, tuple[type[FormatLike[Any, Any]], str, str]] = {}
"""By its name: the wrong format, the contract test that finds it, and what the failure says."""


def found_by(test: str, saying: str) -> Callable[[type], type]:
    def add(wrong: type) -> type:
        assert wrong.__name__ not in FAULTS
        FAULTS[wrong.__name__] = (wrong, test, saying)
        return wrong

    return add


class Writer(FormatWriter):
    """A writer that does as another does."""

    def __init__(self, sound: FormatWriter) -> None:
        self.sound = sound

    def write(self, batch: Batch) -> None:
        self.sound.write(batch)

    def close(self) -> None:
        self.sound.close()

    def abort(self) -> None:
        self.sound.abort()


def columns(relation: Any, change: Callable[[str, str], str]) -> Any:
    """The relation with each column as `change` says, given its quoted name and type."""
    kinds = schema_of(relation)
    return relation.project(", ".join(f"{change(quote(name), kind)} AS {quote(name)}" for name, kind in kinds.items()))


def stripped(relation: Any, kind: str) -> Any:
    """The relation with the names of columns of this type stripped."""
    names = schema_of(relation).items()
    return relation.project(", ".join(f"{quote(n)} AS {quote(n.strip() if k == kind else n)}" for n, k in names))


def nothing(session: DuckSession, schema: Any, rows: int = 0) -> Any:
    """Rows of NULL."""
    names = ", ".join(f"NULL::{kind} AS {quote(name)}" for name, kind in schema.items())
    return session.sql(f"SELECT {names} FROM range({rows})")


def sizes(files: Sequence[str]) -> list[int]:
    return [os.path.getsize(unescape_glob(file)) for file in files]


# -- what the core is told -------------------------------------------------------------------------------------------


@found_by("test_it_has_what_the_contract_asks_for", "It is no format")
class ShoutedSuffix(JsonFormat):
    suffixes = (".JSON",)


class LaxOptions(WriteJsonOptions):
    model_config = ConfigDict(extra="ignore")


@found_by("test_a_misspelt_option_is_refused", "LaxOptions takes an option that does not exist")
class OptionsThatTakeAnything(JsonFormat):
    write_options = LaxOptions


class SilentOptions(WriteJsonOptions):
    indent: int = 0


@found_by("test_every_option_is_optional_and_described", "Options are not told")
class OptionsThatSayNothing(JsonFormat):
    write_options = SilentOptions


@found_by("test_how_files_read_back_leaves_folders_and_names_to_the_user", "read_back() decides what is the user's")
class DecidesOnFolders(JsonFormat):
    def read_back(self, options: Any) -> ReadJsonOptions:
        return ReadJsonOptions(hive_partitioning=False)


@found_by(
    "test_a_file_reads_back_whatever_it_was_written_with", "What was written with an option is read as other rows"
)
class ForgetsItsDialect(CsvFormat):
    def read_back(self, options: Any) -> Any:
        return super().read_back(self.write_options())


@found_by("test_every_codec_that_it_declares_can_be_written", "It declares lzma, which `compression` refuses")
class DeclaresACodecThatItHasNot(ParquetFormat):
    capabilities = replace(ParquetFormat.capabilities, compression=("snappy", "lzma"))


# -- values ----------------------------------------------------------------------------------------------------------


@found_by("test_a_value_of_any_type_comes_back_exactly_or_is_refused_by_column", "Values come back changed")
class EmptyTextIsNull(JsonFormat):
    def read_many(self, *args: Any, **kwargs: Any) -> Any:
        found = super().read_many(*args, **kwargs)
        return columns(found, lambda name, kind: f"nullif({name}, '')" if kind == "VARCHAR" else name)


@found_by("test_what_earlier_releases_wrote_is_read", "wrote to .json is read in another way now")
class ReadsWhatEarlierReleasesWroteInAnotherWay(EmptyTextIsNull):
    pass


@found_by("test_it_refuses_no_type_but_those_it_names", "Types are refused that the capabilities do not name")
class RefusesInSilence(JsonFormat):
    def write(self, relation: Any, schema: Any, path: Any, context: Any) -> None:
        for name, kind in schema.items():
            if kind == "UUID":
                raise UnsupportedValueError("No", column=name)
        super().write(relation, schema, path, context)


class RaisesAnotherError(JsonFormat):
    capabilities = replace(JsonFormat.capabilities, refuses={"UUID": "no"})

    def write(self, relation: Any, schema: Any, path: Any, context: Any) -> None:
        if "UUID" in schema.values():
            raise NotImplementedError("no such type")
        super().write(relation, schema, path, context)


@found_by("test_it_refuses_no_type_but_those_it_names", "neither written nor refused by UnsupportedValueError")
class RaisesAnotherErrorForAType(RaisesAnotherError):
    pass


@found_by("test_it_refuses_what_it_says", "neither written nor refused by UnsupportedValueError")
class RaisesAnotherErrorForATypeThatItNames(RaisesAnotherError):
    pass


@found_by("test_it_refuses_what_it_says", "Values are written that `refuses` names")
class SaysThatItRefuses(JsonFormat):
    capabilities = replace(JsonFormat.capabilities, refuses={"UUID": "no"})


@found_by("test_python_rows_come_back_exactly", "Python rows come back changed")
class NoTextOfRowsIsEmptyText(JsonFormat):
    def writer(self, *args: Any, **kwargs: Any) -> FormatWriter:
        class Wrong(Writer):
            def write(self, batch: Any) -> None:
                super().write(RowBatch([{**row, "text": row["text"] or ""} for row in batch.rows()]))

        return Wrong(super().writer(*args, **kwargs))


@found_by("test_arrow_columns_come_back_exactly", "Arrow columns come back changed")
class EndsColumnsWithARowOfNull(JsonFormat):
    def writer(self, *args: Any, **kwargs: Any) -> FormatWriter:
        class Wrong(Writer):
            def write(self, batch: Any) -> None:
                table = pa.table(batch.arrow())
                last = pa.table({name: pa.nulls(1, table.field(name).type) for name in table.column_names})
                super().write(ColumnBatch(pa.concat_tables([table, last])))

        return Wrong(super().writer(*args, **kwargs))


@found_by("test_instants_are_the_same_in_every_time_zone", "A session in America/New_York reads other instants")
class ReadsInstantsInTheZoneOfTheSession(JsonFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        local = {name: kind.removesuffix(" WITH TIME ZONE") for name, kind in context.schema.items()}
        found = super().read_many(files, replace(context, schema=local))
        return columns(found, lambda name, kind: f"{name}::{kind} WITH TIME ZONE")


@found_by("test_text_stays_text_where_its_type_is_recorded", "Text is taken for another value")
class TextNullIsNull(JsonFormat):
    def read_many(self, *args: Any, **kwargs: Any) -> Any:
        return columns(super().read_many(*args, **kwargs), lambda name, kind: f"nullif({name}, 'NULL')")


@found_by("test_lists_and_structs_have_their_shape_in_the_file", "Lists and structs have another shape in the file")
class SaysThatTextIsNested(CsvFormat):
    capabilities = replace(CsvFormat.capabilities, nested=True)


@found_by("test_a_file_alone_tells_its_types", "Types are others in the file")
class SaysThatTextHasTypes(JsonFormat):
    capabilities = replace(JsonFormat.capabilities, schema_in_file=True)


@found_by("test_it_says_what_a_file_alone_tells_of_a_type", "Types are others in the file than it says")
class SaysThatTextIsBytes(ParquetFormat):
    capabilities = replace(ParquetFormat.capabilities, in_file={"BIT": "BLOB"})


@found_by("test_an_asset_has_the_types_that_a_file_does_not_tell", "Values come back changed from an asset")
class LosesArrays(ParquetFormat):
    def read_many(self, *args: Any, **kwargs: Any) -> Any:
        found = super().read_many(*args, **kwargs)
        return columns(found, lambda name, kind: f"NULL::{kind}" if kind.endswith("[3]") else name)


@found_by("test_text_can_be_read_as_what_it_looks_like", "Text that looks like UUID can't be read as such")
class TakesTextForWhatItCantRead(JsonFormat):
    def read_many(self, *args: Any, **kwargs: Any) -> Any:
        found = super().read_many(*args, **kwargs)
        return columns(found, lambda name, kind: f"NULL::{kind}" if kind == "UUID" else name)


@found_by("test_decimals_come_back_in_every_scale_and_nesting", "Decimals come back changed")
class TruncatesDecimalsInLists(JsonFormat):
    def write(self, relation: Any, schema: Any, path: Any, context: Any) -> None:
        def whole(name: str, kind: str) -> str:
            in_list = re.fullmatch(r"DECIMAL\(\d+,\d+\)\[\]", kind)
            return f"list_transform({name}, lambda each: trunc(each))::{kind}" if in_list else name

        changed = columns(context.session.sql(f"FROM {relation}"), whole)
        super().write(context.session.view(changed), schema, path, context)


@found_by("test_every_scalar_comes_back_in_every_nesting", "Values come back changed")
class HoldsHugeintsOf38Digits(JsonFormat):
    def write(self, relation: Any, schema: Any, path: Any, context: Any) -> None:
        def held(name: str, kind: str) -> str:
            return f"greatest({name}, -{'9' * 38})" if kind == "HUGEINT" else name

        changed = columns(context.session.sql(f"FROM {relation}"), held)
        super().write(context.session.view(changed), schema, path, context)


@found_by("test_every_scalar_comes_back_in_every_nesting", "Values come back changed")
class ForgetsNanosecondsInStructs(ParquetFormat):
    def read_many(self, *args: Any, **kwargs: Any) -> Any:
        def coarse(name: str, kind: str) -> str:
            return f"{name}::{kind.replace('TIMESTAMP_NS', 'TIMESTAMP')}::{kind}" if kind.startswith("STRUCT") else name

        return columns(super().read_many(*args, **kwargs), coarse)


# -- files as they are written -----------------------------------------------------------------------------------------


@found_by("test_batches_may_bring_drop_and_widen_columns", "Values are lost where batches bring, lack or widen columns")
class KeepsTheColumnsOfItsFirstBatch(JsonFormat):
    def writer(self, *args: Any, **kwargs: Any) -> FormatWriter:
        class Wrong(Writer):
            first: Any = None

            def write(self, batch: Any) -> None:
                self.first = self.first or batch.schema.names
                table = pa.table(batch.arrow())
                super().write(ColumnBatch(table.select([name for name in self.first if name in table.column_names])))

        return Wrong(super().writer(*args, **kwargs))


@found_by("test_an_empty_batch_ends_nothing", "Rows are lost to an empty batch")
class EndsAtAnEmptyBatch(JsonFormat):
    def writer(self, *args: Any, **kwargs: Any) -> FormatWriter:
        class Wrong(Writer):
            ended = False

            def write(self, batch: Any) -> None:
                self.ended = self.ended or not batch.rows()
                if not self.ended:
                    super().write(batch)

        return Wrong(super().writer(*args, **kwargs))


@found_by("test_no_rows_keep_their_columns", "A file without rows loses its columns")
class LosesTheColumnsOfNoRows(JsonFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        if not any(sizes(files)):
            return context.session.sql("SELECT 1 AS nothing WHERE false")
        return super().read_many(files, context)


@found_by("test_a_column_without_values_comes_back", "A column without values is lost")
class LosesColumnsWithoutValues(JsonFormat):
    def read_many(self, *args: Any, **kwargs: Any) -> Any:
        found = super().read_many(*args, **kwargs)
        return found.project(", ".join(quote(name) for name, kind in schema_of(found).items() if kind != "JSON"))


@found_by("test_rows_keep_their_order", "150,000 of them in another place")
class WritesInAnotherOrder(JsonFormat):
    def write(self, relation: Any, schema: Any, path: Any, context: Any) -> None:
        turned = context.session.view(context.session.sql(f"FROM {relation} ORDER BY 1 DESC"))
        super().write(turned, schema, path, context)


@found_by("test_batches_keep_their_order", "Batches are read in another order")
class WritesTheLastBatchFirst(JsonFormat):
    def writer(self, *args: Any, **kwargs: Any) -> FormatWriter:
        return Hoarder(super().writer(*args, **kwargs), turned=True)


class Hoarder(Writer):
    """Keeps all batches until the end."""

    def __init__(self, sound: FormatWriter, *, turned: bool = False) -> None:
        super().__init__(sound)
        self.turned = turned
        self.batches: list[Any] = []

    def write(self, batch: Any) -> None:
        batch.arrow()
        self.batches.append(batch)

    def close(self) -> None:
        for batch in reversed(self.batches) if self.turned else self.batches:
            super().write(batch)
        super().close()


@found_by("test_joined_files_are_one_with_all_rows_in_order", "Joined files have other rows, or in another order")
class JoinsTheSecondFileFirst(JsonFormat):
    def joiner(self, *args: Any, **kwargs: Any) -> Any:
        sound = super().joiner(*args, **kwargs)
        assert sound is not None
        waiting: list[Any] = []

        class Wrong(FormatJoiner):
            def add(self, opened: Any) -> bool:
                waiting.append(opened)
                return len(waiting) == 1 or (sound.add(opened) and (len(waiting) > 2 or sound.add(waiting[0])))

            def close(self) -> None:
                sound.close()

            def abort(self) -> None:
                sound.abort()

        return Wrong()


@found_by("test_memory_is_bounded_by_a_batch", "while writing")
class KeepsAllBatchesInMemory(JsonFormat):
    def writer(self, *args: Any, **kwargs: Any) -> FormatWriter:
        return Hoarder(super().writer(*args, **kwargs))


@found_by("test_long_values_fit", "A long text is cut or refused")
class LimitsItsRows(CsvFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        return super().read_many(
            files, replace(context, options=context.options.model_copy(update={"max_line_size": 1 << 20}))
        )


@found_by("test_every_suffix_is_written_in_its_compression_and_read", "A file for .json.gz is not compressed")
class DoesNotCompress(JsonFormat):
    def writer(self, path: Any, context: Any) -> FormatWriter:
        return super().writer(path, replace(context, suffix=".json"))


@found_by("test_an_aborted_writer_leaves_no_file", "A writer that gave up has left files")
class LeavesAFileWhenItGivesUp(JsonFormat):
    def writer(self, *args: Any, **kwargs: Any) -> FormatWriter:
        class Wrong(Writer):
            def abort(self) -> None:
                self.sound.close()

        return Wrong(super().writer(*args, **kwargs))


@found_by("test_a_finished_file_is_one_file", "Files are left beside a finished one")
class LeavesAFileBesideItsOwn(JsonFormat):
    def writer(self, path: Any, context: Any) -> FormatWriter:
        path.with_name(f"{path.name}.index").touch()
        return super().writer(path, context)


# -- files as they are read --------------------------------------------------------------------------------------------


@found_by("test_files_are_united_by_column_name", "Files are not united by name")
class UnitesByPosition(ParquetFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        return super().read_many(
            files, replace(context, options=context.options.model_copy(update={"union_by_name": False}))
        )


@found_by("test_files_are_read_in_the_order_given", "Files are read in another order")
class SortsFiles(JsonFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        return super().read_many(sorted(files), context)


@found_by("test_hundreds_of_files_are_read", "Of 400 files rows are lost")
class ReadsAHundredFiles(JsonFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        return super().read_many(files[:100], context)


@found_by("test_a_schema_fills_columns_that_files_lack_with_null", "Files that lack a column can't be read by a schema")
class SaysThatItFillsColumns(CsvFormat):
    capabilities = replace(CsvFormat.capabilities, schema_on_read=True)


@found_by("test_a_recorded_schema_says_which_columns_there_are", "A recorded schema is not kept to")
class ForgetsTheRecordedSchema(JsonFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        return super().read_many(files, replace(context, schema=None))


@found_by("test_folders_make_no_columns", "Folders make columns")
class MakesColumnsOfFolders(ParquetFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        return context.session.sql("FROM read_parquet($files, hive_partitioning = true)", {"files": files})


@found_by("test_a_folder_does_not_replace_a_column_of_its_name", "A folder replaces a column")
class PrefersFolders(ParquetFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        return context.session.sql("FROM read_parquet($files, hive_partitioning = true)", {"files": files})


@found_by("test_columns_of_any_name_come_back", "Names of columns are changed")
class StripsNames(JsonFormat):
    def read_many(self, *args: Any, **kwargs: Any) -> Any:
        return stripped(super().read_many(*args, **kwargs), "INTEGER")


@found_by(
    "test_columns_of_any_name_come_back_where_their_values_need_another_form",
    "Columns of bytes lose their names or types",
)
class StripsNamesOfBytes(JsonFormat):
    def read_many(self, *args: Any, **kwargs: Any) -> Any:
        return stripped(super().read_many(*args, **kwargs), "BLOB")


@found_by("test_a_file_of_any_name_is_read_alone", "The path of a file is taken for a pattern or SQL")
class TakesPathsForPatterns(JsonFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        return super().read_many([unescape_glob(file) for file in files], context)


@found_by("test_a_relation_can_be_read_again", "A relation can be read only once")
class CanBeReadOnce(JsonFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        found = super().read_many(files, context)
        return context.session.sql(f"FROM {context.session.view(found.to_arrow_table().to_reader())}")


@found_by("test_readers_at_once_see_what_each_sees_alone", "Readers at once get other rows than one alone")
class SharesOneConnection(JsonFormat):
    def __init__(self) -> None:
        self.session = DuckSession()

    def read_many(self, files: Any, context: Any) -> Any:
        return super().read_many(files, replace(context, session=self.session))


class Lenient(JsonFormat):
    """Gives rows of NULL for what it can't read."""

    rows = 0

    def read_many(self, files: Any, context: Any) -> Any:
        found = super().read_many(files, context)
        try:
            found.fetchall()
        except duckdb.Error:
            return nothing(context.session, context.schema, self.rows)
        return found


@found_by("test_a_file_of_another_kind_is_an_error", "A file of another kind is read as rows")
class ReadsAnythingAsNoRows(Lenient):
    pass


@found_by("test_a_truncated_file_gives_no_row_that_nobody_wrote", "bytes of a file are read as rows that nobody wrote")
class MakesUpRows(Lenient):
    rows = 3


class Lengths(ArrowFormat[ReadOptions, Options]):
    """Arrow batches, each behind its length; the schema alone is first."""

    name = "lengths"
    suffixes = (".lengths",)
    capabilities = FormatCapabilities(schema_in_file=True)

    def file_schema(self, file: OpenFile[ReadOptions]) -> Any:
        return pa.ipc.open_stream(self.part(file.data)).schema

    def batches(self, file: OpenFile[ReadOptions], columns: Sequence[str] | None) -> Iterator[Any]:
        pa.ipc.open_stream(self.part(file.data))
        while data := self.part(file.data):
            yield from pa.ipc.open_stream(data)

    def part(self, file: BinaryIO) -> bytes:
        return file.read(*struct.unpack("<Q", file.read(8)))

    def write_batches(self, batches: Any, file: BinaryIO, context: WriteContext[Options]) -> None:
        for batch in chain([pa.RecordBatch.from_pylist([], batches.schema)], batches):
            data = Framed().frame(batch)
            file.write(struct.pack("<Q", len(data)) + data)
        file.write(struct.pack("<Q", 0))


@found_by("test_a_truncated_file_never_has_fewer_rows", "Rows are lost where a file is cut off")
class EndsWhereTheFileDoes(Lengths):
    def batches(self, file: OpenFile[ReadOptions], columns: Sequence[str] | None) -> Iterator[Any]:
        with contextlib.suppress(Exception):
            yield from super().batches(file, columns)


@found_by("test_a_truncated_file_never_has_fewer_rows", "Rows are lost where a file is cut off")
class EndsAfterItsFirstBatch(Lengths):
    """Notices that the first batch is cut off, and no other."""

    def batches(self, file: OpenFile[ReadOptions], columns: Sequence[str] | None) -> Iterator[Any]:
        batches = super().batches(file, columns)
        yield next(batches)
        with contextlib.suppress(Exception):
            yield from batches


@found_by("test_a_missing_file_is_an_error", "A file that is not there is read as no rows")
class ReadsMissingFilesAsNoRows(JsonFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        if not all(os.path.exists(unescape_glob(file)) for file in files):
            return nothing(context.session, context.schema)
        return super().read_many(files, context)


@found_by("test_a_file_without_a_byte_has_no_rows_or_is_an_error", "A file of no bytes has rows")
class ReadsNothingAsARow(JsonFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        if not any(sizes(files)):
            return nothing(context.session, context.schema, 1)
        return super().read_many(files, context)


@found_by(
    "test_a_damaged_file_is_an_error_or_rows_and_never_a_crash",
    "A damaged file is another error than a reader may raise",
)
class CrashesOnDamage(JsonFormat):
    def read_many(self, *args: Any, **kwargs: Any) -> Any:
        found = super().read_many(*args, **kwargs)
        try:
            found.fetchall()
        except duckdb.Error as error:
            raise ZeroDivisionError from error
        return found


@found_by("test_a_file_that_was_replaced_is_read_as_it_is_now", "A file that was replaced is read as before")
class RemembersFilesByNameAndSize(JsonFormat):
    known: dict[Any, Any] = {}

    def read_many(self, files: Any, context: Any) -> Any:
        key = *files, *sizes(files)
        if key not in self.known:
            self.known[key] = super().read_many(files, context).to_arrow_table()
        return context.session.sql(f"FROM {context.session.view(self.known[key])}")


class Framed(Format[ReadOptions, Options]):
    """A sound format that Python reads: Arrow batches, each behind its length and checksum."""

    name = "framed"
    suffixes = (".framed",)
    capabilities = FormatCapabilities(schema_in_file=True)

    def write(self, relation: str, schema: Any, path: Path, context: WriteContext[Options]) -> None:
        rows = context.session.sql(f"FROM {relation}").to_arrow_reader(10_000)
        with path.open("wb") as file:
            for batch in chain([pa.RecordBatch.from_pylist([], rows.schema)], rows):
                data = self.frame(batch)
                file.write(struct.pack("<QI", len(data), zlib.crc32(data)) + data)
            file.write(struct.pack("<QI", 0, 0))

    def frame(self, batch: Any) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        return bytes(sink.getvalue())

    def read(self, file: str, context: ReadContext[ReadOptions]) -> duckdb.DuckDBPyRelation:
        return context.session.sql(f"FROM {context.session.view(Stream(self, context.session.opener(file)))}")

    def batches(self, open_file: Callable[[], BinaryIO]) -> Iterator[Any]:
        with open_file() as file:
            while True:
                length, checksum = struct.unpack("<QI", file.read(12))
                if not length:
                    return
                data = file.read(length)
                if zlib.crc32(data) == checksum:
                    yield from pa.ipc.open_stream(data)
                else:
                    self.damaged()

    def damaged(self) -> None:
        raise CorruptFileError("The file is damaged")


class Stream:
    """What DuckDB scans, again at each query."""

    def __init__(self, format: Framed, open_file: Callable[[], BinaryIO]) -> None:
        self.format = format
        self.open_file = open_file

    def __arrow_c_schema__(self) -> object:
        return next(self.format.batches(self.open_file)).schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        batches = self.format.batches(self.open_file)
        first = next(batches)
        return pa.RecordBatchReader.from_batches(first.schema, chain([first], batches)).__arrow_c_stream__()


@found_by("test_a_damaged_part_of_a_file_is_not_skipped", "Rows are lost to damage without an error")
class SkipsDamagedParts(Framed):
    def damaged(self) -> None:
        pass


@found_by("test_memory_is_bounded_by_a_batch", "while reading in Python")
class ReadsTheWholeFile(Framed):
    def writer(self, path: Any, context: Any) -> FormatWriter:
        return PartsWriter(Framed(), path, context)  # which reads what it has written

    def batches(self, open_file: Callable[[], BinaryIO]) -> Iterator[Any]:
        with open_file() as file:
            whole = io.BytesIO(file.read())
        yield from super().batches(lambda: whole)


@found_by("test_what_is_opened_is_closed", "Files are left open")
class LeavesFilesOpen(Framed):
    left: list[Any] = []

    def batches(self, open_file: Callable[[], BinaryIO]) -> Iterator[Any]:
        file = open_file()
        self.left.append(file)
        yield from super().batches(lambda: contextlib.nullcontext(file))  # type: ignore[arg-type, return-value]


@found_by("test_what_is_opened_is_closed", "Files are left open")
class LeavesItsPartsOpen(JsonFormat):
    left: list[Any] = []

    def writer(self, path: Any, context: Any) -> FormatWriter:
        writer = super().writer(path, context)
        self.left.append(path.open("wb"))
        return writer


# -- whole assets ------------------------------------------------------------------------------------------------------


@found_by("test_the_plugin_host_takes_it", "The plugin host does not take it")
class HasASuffixThatNoPathHas(JsonFormat):
    suffixes = (".json", ".js n")


@found_by("test_an_asset_is_stored_cached_and_queried", "rows when they were written, and now have")
class LosesRows(JsonFormat):
    def read_many(self, *args: Any, **kwargs: Any) -> Any:
        return super().read_many(*args, **kwargs).limit(1)


@found_by("test_an_empty_run_is_a_result", "no rows")
class CantReadNoRows(JsonFormat):
    def read_many(self, files: Any, context: Any) -> Any:
        if not any(sizes(files)):
            raise duckdb.InvalidInputException("no rows")
        return super().read_many(files, context)
