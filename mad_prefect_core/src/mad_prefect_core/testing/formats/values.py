"""Values come back as they were, or are refused by name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mad_prefect_core.batch import ColumnBatch, RowBatch
from mad_prefect_core.contracts import Batch
from mad_prefect_core.errors import UnsupportedValueError
from mad_prefect_core.session import schema_of
from mad_prefect_core.testing.base import complaint, needs
from mad_prefect_core.testing.formats.bench import READ_ERRORS, Bench, FormatBase
from mad_prefect_core.testing.formats.kinds import KINDS, VALUES, announces, outcome_of, type_in, values_of
from mad_prefect_core.testing.formats.nesting import SCALARS, wrong_in
from mad_prefect_core.type_names import name_of, names_in
from mad_prefect_core.writing import duckdb_schema

__all__ = ["ValueContract"]

_SCALARS = {
    "bool": st.booleans(),
    "bytes": st.binary(max_size=8),
    "date": st.dates(),
    "decimal": st.decimals(-(10**20), 10**20, places=5),
    "duration": st.timedeltas(dt.timedelta(days=-100_000), dt.timedelta(days=100_000)),
    "float": st.floats(),
    "int": st.integers(-(2**63), 2**64 - 1),
    "naive": st.datetimes(),
    "text": st.text(max_size=8),
    "time": st.times(),
    "aware": st.datetimes(
        dt.datetime(100, 1, 1), dt.datetime(9000, 1, 1),
        timezones=st.sampled_from([ZoneInfo("UTC"), ZoneInfo("America/New_York"), ZoneInfo("Africa/Monrovia")]),
    ).filter(lambda value: value.fold == 0),
    "uuid": st.uuids(),
}  # fmt: skip
_DICTS = st.fixed_dictionaries({name: st.none() | values for name, values in _SCALARS.items() if name != "duration"})
_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            **{name: st.none() | values for name, values in _SCALARS.items()},
            "dict": st.none() | _DICTS,
            "list": st.none() | st.lists(_DICTS | st.none(), max_size=2),
            "floats": st.none() | st.lists(st.none() | st.floats(), max_size=3),
            "durations": st.none() | st.lists(st.none() | _SCALARS["duration"], max_size=2),
        }
    ),
    min_size=1,
    max_size=4,
)

_TEXT = st.none() | st.text(max_size=6)
_TABLE_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": _TEXT,
            "texts": st.none() | st.lists(_TEXT, max_size=3),
            "map": st.none() | st.dictionaries(st.text(max_size=4), _TEXT, max_size=2).map(lambda d: [*d.items()]),
            "struct": st.none() | st.fixed_dictionaries({"a b": _TEXT, "x": st.none() | st.binary(max_size=4)}),
            "blob": st.none() | st.binary(max_size=6),
            "single": st.none() | st.floats(width=32),
            "doubles": st.none() | st.lists(st.none() | st.floats(), max_size=3),
        }
    ),
    max_size=4,
)
_TABLE = pa.schema(
    {
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "map": pa.map_(pa.string(), pa.string()),
        "struct": pa.struct({"a b": pa.string(), "x": pa.binary()}),
        "blob": pa.binary(),
        "single": pa.float32(),
        "doubles": pa.list_(pa.float64()),
    }
)

_EXAMPLES = settings(
    deadline=None,
    derandomize=True,  # the same examples each time: a failure is one of the plugin, not of the day
    database=None,
    max_examples=50,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)

_ALIKE = {
    "DATE": ("2024-02-29", "2024-12-31"),
    "TIME": ("12:00:00", "23:59:59"),
    "TIMESTAMP": ("2024-02-29 12:00:00", "2024-12-31 00:00:01"),
    "TIMESTAMP WITH TIME ZONE": ("2024-02-29T12:00:00Z", "2024-12-31T00:00:01Z"),
    "UUID": ("01234567-89ab-cdef-0123-456789abcdef", "11234567-89ab-cdef-0123-456789abcdef"),
    "BIGINT": ("42", "-1"),
    "DOUBLE": ("1.5", "2.25"),
    "BOOLEAN": ("true", "false"),
}
"""Text that all looks like one type."""


_RAW = "Values are neither written nor refused by UnsupportedValueError"
_DECLARE = "Declare the type in `refuses`, or in `in_file` as VARCHAR."
_EXACT = "Keep them exactly, or raise `UnsupportedValueError` with their column."


class ValueContract(FormatBase, contract=True):
    """Round trips."""

    def test_a_value_of_any_type_comes_back_exactly_or_is_refused_by_column(
        self, bench: Bench, measured: Callable[[str, str | int | float], None]
    ) -> None:
        """A value of any DuckDB type comes back with its value and type, or is refused by an error with its column."""
        outcomes = [outcome_of(bench, value) for value in VALUES]
        wrong = [f"{outcome.value}: {outcome.changed}" for outcome in outcomes if outcome.changed]
        assert not wrong, complaint("Values come back changed", _EXACT, wrong)
        kept = sum(outcome.refused is None for outcome in outcomes)
        measured("values of all DuckDB types that come back exactly", f"{kept} of {len(outcomes)}")

    def test_decimals_come_back_in_every_scale_and_nesting(self, bench: Bench) -> None:
        """Decimals of every scale from 0 to 38 come back exactly, alone and within lists, structs, maps and arrays, or
        are refused by column."""
        wrong = wrong_in(bench, [kind for kind in SCALARS if kind.startswith("DECIMAL")])
        assert not wrong, complaint("Decimals come back changed", _EXACT, wrong)

    def test_every_scalar_comes_back_in_every_nesting(self, bench: Bench) -> None:
        """The least, the greatest and special values of every scalar type come back exactly, alone and within lists,
        structs, maps and arrays, or are refused by column."""
        kinds = (kind for kind in SCALARS if not kind.startswith("DECIMAL"))
        wrong = [each for kind in kinds for each in wrong_in(bench, [kind])]
        assert not wrong, complaint("Values come back changed", _EXACT, wrong)

    def test_it_refuses_no_type_but_those_it_names(self, bench: Bench) -> None:
        """What it refuses is among the types that it declares in `refuses`: a user can know before."""
        silent, raw = [], []
        for value in VALUES:
            kind = bench.session.sql(f"SELECT {value} AS v").types[0]
            try:
                bench.export(f"SELECT {value} AS v")
            except UnsupportedValueError:
                if not announces(bench.format, kind):
                    silent.append(f"{value} ({kind})")
            except Exception as error:
                raw.append(f"{value} ({kind}): {error!r}")
        assert not raw, complaint(_RAW, _DECLARE, raw)
        assert not silent, complaint(
            "Types are refused that the capabilities do not name", "Name them in `refuses`, with the reason.", silent
        )

    @needs("refuses")
    def test_it_refuses_what_it_says(self, bench: Bench) -> None:
        """A type that it declares in `refuses` is refused by an error with its column, and nothing is written: always,
        or for some values where only those are named."""
        wrong, raw = [], []
        for key in bench.format.capabilities.refuses:
            assert type_in(key), f"`refuses` has {key!r}, which begins with no type"
            always = values_of(bench, key)
            values = always if key in KINDS else always or values_of(bench, type_in(key))
            written = []
            for value in values:
                try:
                    if not _is_refused(bench, value):
                        written.append(value)
                except AssertionError:
                    raise
                except Exception as error:
                    raw.append(f"{value} ({key}): {error!r}")
            if len(written) > (0 if always else max(len(values) - 1, 0)):
                wrong.append(f"{key}: {', '.join(written)}")
        assert not raw, complaint(_RAW, _DECLARE, raw)
        assert not wrong, complaint("Values are written that `refuses` names", "Name only what is refused.", wrong)

    @given(rows=_ROWS)
    @_EXAMPLES
    def test_python_rows_come_back_exactly(self, bench: Bench, rows: list[dict[str, Any]]) -> None:
        """Python values come back as they were, whatever their row holds beside them, or are refused by column."""
        expected, found = _kept(bench, rows, RowBatch)
        names = found.columns
        rows = _comparable([dict(zip(names, row, strict=True)) for row in found.fetchall()])
        assert rows == _comparable(expected), complaint("Python rows come back changed", _EXACT, rows)

    @given(rows=_TABLE_ROWS)
    @_EXAMPLES
    def test_arrow_columns_come_back_exactly(self, bench: Bench, rows: list[dict[str, Any]]) -> None:
        """Arrow columns, nested ones too, come back as they were, or are refused by column."""

        def table(rows: list[dict[str, Any]]) -> pa.Table:
            names = rows[0] if rows else _TABLE.names
            return pa.Table.from_pylist(rows, pa.schema([_TABLE.field(name) for name in names]))

        expected, found = _kept(bench, rows, lambda rows: ColumnBatch(table(rows)))
        found_rows = _comparable(found.to_arrow_table().to_pylist())
        assert found_rows == _comparable(table(expected).to_pylist()), complaint(
            "Arrow columns come back changed", _EXACT, found_rows
        )

    def test_instants_are_the_same_in_every_time_zone(self, bench: Bench) -> None:
        """An instant is read as the same one by a session of any time zone, long before zones were whole minutes."""
        first, second = "TIMESTAMPTZ '1800-01-01 00:00:00+00'", "TIMESTAMPTZ '0001-01-01 00:00:00+00'"
        forms = {f"{first} AS v, {second} AS w": "epoch_us(v), epoch_us(w)", f"[{first}] AS v": "epoch_us(v[1])"}
        for columns, instants in forms.items():
            bench.session.execute("SET TimeZone = 'UTC'")
            expected = bench.session.sql(f"SELECT {columns}").project(instants).fetchall()
            try:
                path, schema = bench.export(f"SELECT {columns}")
            except UnsupportedValueError:
                if announces(bench.format, bench.session.sql(f"SELECT {columns}").types[0]):
                    continue
                raise
            for zone in ("America/New_York", "Asia/Kolkata"):
                bench.session.execute(f"SET TimeZone = '{zone}'")
                found = bench.scan(path, schema=schema).project(instants).fetchall()
                assert found == expected, complaint(
                    f"A session in {zone} reads other instants", "Write instants at UTC, and say so.", [columns]
                )

    def test_text_stays_text_where_its_type_is_recorded(self, bench: Bench) -> None:
        """Text that looks like dates, numbers or NULL is the same text when it is read with its recorded type."""
        values = [*(text for pair in _ALIKE.values() for text in pair), "", "NULL", "null", "007", " 1", "nan"]
        path = bench.write(RowBatch([{"v": value} for value in values]))
        found = [row[0] for row in bench.scan(path, schema={"v": "VARCHAR"}).fetchall()]
        wrong = [f"{one!r} comes back as {other!r}" for one, other in zip(values, found, strict=False) if one != other]
        assert not wrong, complaint("Text is taken for another value", "Read it by its recorded type.", wrong)
        assert found == values, "Rows of text are lost"

    @needs("nested")
    def test_lists_and_structs_have_their_shape_in_the_file(self, bench: Bench) -> None:
        """A reader that knows only the file finds lists and structs, not text about them."""
        path, _ = bench.export("SELECT [{'a': 1, 'b': ['x', NULL]}] AS l, {'m': {'n': 'y'}} AS s")
        found = bench.scan(path).fetchall()
        assert found == [([{"a": 1, "b": ["x", None]}], {"m": {"n": "y"}})], complaint(
            "Lists and structs have another shape in the file", "Do not declare `nested`, or write them so.", found
        )

    @needs("schema_in_file")
    def test_a_file_alone_tells_its_types(self, bench: Bench) -> None:
        """A file tells each type by itself, but for those that it declares in `in_file`."""
        wrong = []
        for value in VALUES:
            kind = bench.session.sql(f"SELECT {value} AS v").types[0]
            if not set(bench.format.capabilities.in_file).isdisjoint(names_in(kind)) or str(kind) == '"NULL"':
                continue
            try:
                path, schema = bench.export(f"SELECT {value} AS v")
            except UnsupportedValueError:
                if announces(bench.format, kind):
                    continue
                raise
            try:
                found: object = schema_of(bench.scan(path))
            except READ_ERRORS as error:
                found = error
            if found != schema:
                wrong.append(f"{value}: {schema['v']} is {found} in the file")
        assert not wrong, complaint(
            "Types are others in the file", "Name them in `in_file`, or do not declare `schema_in_file`.", wrong
        )

    @needs("in_file")
    def test_it_says_what_a_file_alone_tells_of_a_type(self, bench: Bench) -> None:
        """A type that it declares in `in_file` is another to one who has only the file: the one that it says."""
        wrong = []
        for name, stored in bench.format.capabilities.in_file.items():
            read = [found for value in values_of(bench, name) for found in _read_alone(bench, value)]
            told = [(kind, found) for kind, found in read if found == kind]
            if wanted := type_in(stored):
                told += [(kind, found) for kind, found in read if name_of(kind) == name and name_of(found) != wanted]
            elif len(told) < len(read):
                continue  # it is another for some values
            wrong += [f"{name} is {stored!r} by `in_file`, and {kind} is {found} in the file" for kind, found in told]
        assert not wrong, complaint("Types are others in the file than it says", "Correct `in_file`.", wrong)

    @needs("infers_text")
    def test_text_can_be_read_as_what_it_looks_like(self, bench: Bench) -> None:
        """Text that all looks like one of the types that it is taken for can be read as that type."""
        for kind in sorted(bench.format.capabilities.infers_text):
            path = bench.write(RowBatch([{"v": text} for text in _ALIKE[kind]]))
            values = ", ".join(f"('{text}')" for text in _ALIKE[kind])
            expected = bench.session.sql(f"SELECT CAST(v AS {kind}) FROM (VALUES {values}) AS t(v)").fetchall()  # noqa: S608
            found = bench.scan(path, schema={"v": kind}).fetchall()
            assert found == expected, (
                f"Text that looks like {kind} can't be read as such: leave it out of `infers_text`"
            )


def _is_refused(bench: Bench, value: str) -> bool:
    """Whether a value is refused: by an error with its column, and without a file."""
    path = bench.new_path()
    try:
        bench.export(f"SELECT {value} AS v", path.name)
    except UnsupportedValueError as error:
        column = error.column
    else:
        return False
    assert column == "v", f"{value} is refused without its column"
    assert not path.exists(), f"{value} is refused, and a file is left"
    return True


def _read_alone(bench: Bench, value: str) -> Iterator[tuple[Any, Any]]:
    """The type of a value, and the one that a file with it tells alone. Nothing for a value that is refused."""
    try:
        path, schema = bench.export(f"SELECT {value} AS v")
    except UnsupportedValueError:
        return
    yield bench.session.connection.type(schema["v"]), bench.scan(path).types[0]


def _kept(
    bench: Bench, rows: list[dict[str, Any]], batch_of: Callable[[list[dict[str, Any]]], Batch]
) -> tuple[list[dict[str, Any]], duckdb.DuckDBPyRelation]:
    """The rows without the columns that are refused, and what is read of them when they were written as a batch.

    An error is raised on if it does not name its column, or one of a type that it does not say it `refuses`.
    """
    while True:
        batch = batch_of(rows)
        schema = duckdb_schema(bench.session, batch.schema)
        try:
            return rows, bench.scan(bench.write(batch), schema=schema)
        except UnsupportedValueError as error:
            refused = error.column
            if refused not in schema or not announces(bench.format, bench.session.connection.type(schema[refused])):
                raise
        rows = [{name: value for name, value in row.items() if name != refused} for row in rows]
        assert all(rows), "every column was refused"


def _comparable(value: Any) -> Any:
    """NaN equals itself, a number whatever its type, an instant in whatever zone."""
    if isinstance(value, dict):
        return {name: _comparable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_comparable(item) for item in value]
    if isinstance(value, float):
        return "nan" if value != value else value
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC)
    return value
