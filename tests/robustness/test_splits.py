"""How rows are split into batches decides nothing: neither the types of columns, nor what is refused."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mad_prefect_core import asset
from mad_prefect_core.batch import ColumnBatch, RowBatch, SchemaGrowth
from mad_prefect_core.errors import DataError, SchemaError, UnsupportedValueError
from mad_prefect_core.settings import Settings, use_settings

Rows = list[dict[str, Any]]

_MANY, _FEW = (1500, 60) if os.environ.get("MAD_PREFECT_FAULTS") == "long" else (400, 20)

_INTEGERS = st.one_of(
    st.integers(-9, 9),
    st.sampled_from([2**31, -(2**31) - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1]),
    st.sampled_from([2**64, -(2**63) - 1, 10**30, -(10**37), 10**38 - 1]),
)
_DECIMALS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-99, max_value=99, places=2),
    st.sampled_from(
        [Decimal(text) for text in ("0", "0E-5", "0E+5", "1E+3", "1.10", "-0.001", "123456789012345678.9")]
    ),
    st.sampled_from([Decimal("0." + "1" * 20), Decimal("1" * 30), Decimal("1E-38"), Decimal("9" * 38)]),
)
_NUMBERS = st.one_of(_INTEGERS, _DECIMALS, st.floats(width=32))
_MOMENTS = st.sampled_from(
    [
        dt.date(2020, 1, 31),
        dt.datetime(2020, 1, 31, 12, 0, 0, 500000),
        dt.datetime(2020, 1, 31, tzinfo=dt.UTC),
        dt.datetime(2020, 7, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    ]
)
_TEXTS = st.sampled_from(["", "a", "2020-01-31", "2020-02-30", "2020-01-31 12:00:00", "12:00:00", "7", "1.5", "true"])
_OTHERS = st.sampled_from([True, b"\x00", dt.time(12), dt.timedelta(seconds=1), uuid.UUID(int=7)])
_FAMILIES = [
    _INTEGERS,
    _DECIMALS,
    _INTEGERS | _DECIMALS,
    _INTEGERS | st.floats(width=32),
    _NUMBERS,
    _MOMENTS,
    _TEXTS,
    _TEXTS | _OTHERS | _NUMBERS | _MOMENTS,
]


def _nested(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values, lists of them, dicts of them, and those in each other; all of one shape."""
    values = st.none() | values
    lists = st.lists(values, max_size=3)
    dicts = st.dictionaries(st.sampled_from("pqr"), values, max_size=2)
    return st.sampled_from(
        [
            values,
            st.none() | lists,
            st.none() | dicts,
            st.none() | st.lists(st.none() | dicts, max_size=2),
            st.none() | st.dictionaries(st.sampled_from("pq"), st.none() | lists, max_size=2),
        ]
    ).flatmap(lambda shape: shape)


@st.composite
def rows_in_batches(draw: st.DrawFn) -> list[Rows]:
    """Rows, split somehow. Each batch has a key, since rows without any are none."""
    values = draw(st.sampled_from(_FAMILIES))
    shapes = [st.none() | values, st.none() | st.lists(st.none() | values, max_size=3)]
    members = st.dictionaries(st.sampled_from("pqr"), st.none() | values, max_size=2)
    shapes += [st.none() | members, st.none() | st.lists(st.none() | members, max_size=2)]
    shapes += [st.none() | st.dictionaries(st.sampled_from("pq"), shapes[1], max_size=2)]
    columns = {name: draw(st.sampled_from(shapes)) for name in "ab"}
    row = st.fixed_dictionaries({"n": st.just(1)}, optional=columns)
    return draw(st.lists(st.lists(row, min_size=1, max_size=3), min_size=1, max_size=4))


def grown(batches: list[Rows]) -> pa.Schema | type[DataError]:
    growth = SchemaGrowth()
    try:
        for rows in batches:
            batch = RowBatch(rows)
            growth.add(batch.schema, batch.text, batch.numbers)
    except DataError as error:
        return type(error)
    return growth.result({"DATE", "TIMESTAMP", "BIGINT", "DOUBLE", "BOOLEAN"})


@settings(max_examples=_MANY)
@given(batches=rows_in_batches())
def test_types_do_not_depend_on_how_rows_are_split_into_batches(batches: list[Rows]) -> None:
    together, split = grown([[row for rows in batches for row in rows]]), grown(batches)
    if isinstance(together, type) and isinstance(split, type):
        return  # of two faults in the rows, either may be told
    assert split == together


@pytest.mark.parametrize(
    "values",
    [
        [1, 2**64 - 1, -1],
        [1, 2**63],
        [Decimal("1.5"), 7],
        [10**30, Decimal("0.5")],
        [Decimal("0E-5"), Decimal(3)],
        [None, 1, 1.5],
        [dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 12)],
        [[], [1], [Decimal("1.5")]],
        [{}, {"p": 1}, {"p": 10**20}],
    ],
    ids=repr,
)
def test_each_value_in_a_batch_of_its_own_has_the_type_of_all_in_one(values: list[Any]) -> None:
    together = grown([[{"a": value} for value in values]])
    assert isinstance(together, pa.Schema)
    assert grown([[{"a": value}] for value in values]) == together
    assert grown([[{"a": value}] for value in reversed(values)]) == together


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([Decimal("1" * 30), Decimal("0." + "1" * 30)], SchemaError),
        ([10**30, Decimal("0." + "1" * 30)], SchemaError),
        ([Decimal("1" * 39), Decimal("0.1")], UnsupportedValueError),
        ([2**53 + 1, 0.5], SchemaError),
        ([Decimal(1), 0.5], SchemaError),
        ([10**30, 0.5], SchemaError),
        ([1, "a"], SchemaError),
        ([True, 1], SchemaError),
        ([dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)], SchemaError),
        ([dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)], SchemaError),
    ],
    ids=repr,
)
@pytest.mark.parametrize("nest", [lambda value: value, lambda value: [value], lambda value: {"p": value}])
def test_what_one_batch_refuses_several_refuse_alike(values: list[Any], kind: type[DataError], nest: Any) -> None:
    rows = [{"a": nest(value)} for value in values]
    assert grown([rows]) is kind
    assert grown([[row] for row in rows]) is kind
    assert grown([[row] for row in reversed(rows)]) is kind


_ARROW = [
    pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
    pa.float16(), pa.float32(), pa.float64(), pa.decimal128(5, 2), pa.decimal128(38, 0), pa.null(),
    pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.binary(), pa.binary(4), pa.date32(),
    pa.date64(), pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("us", tz="UTC"),
    pa.timestamp("ms", tz="Asia/Tokyo"),
    pa.time32("s"), pa.time64("ns"), pa.duration("s"), pa.duration("us"),
]  # fmt: skip


@settings(max_examples=_MANY)
@given(
    kinds=st.lists(st.sampled_from(_ARROW), min_size=2, max_size=4),
    order=st.randoms(use_true_random=False),
    nest=st.sampled_from(
        [
            lambda kind: kind,
            pa.list_,
            lambda kind: pa.list_(kind, 2),
            lambda kind: pa.struct([("p", kind)]),
            lambda kind: pa.map_(pa.string(), kind),
        ]
    ),
)
def test_types_of_columns_do_not_depend_on_the_order_of_frames(kinds: list[Any], order: Any, nest: Any) -> None:
    def of(types: list[Any]) -> Any:
        growth = SchemaGrowth()
        try:
            for kind in types:
                batch = ColumnBatch(pa.schema([("a", nest(kind))]).empty_table())
                growth.add(batch.schema, batch.text, batch.numbers)
        except SchemaError:
            return None
        return growth.result()

    shuffled = list(kinds)
    order.shuffle(shuffled)
    assert of(shuffled) == of(kinds)
    assert of([*kinds, kinds[0]]) == of(kinds)


def results(batches: list[Rows], base: str, filetype: str, path: str, rows: int | None) -> Any:
    with use_settings(Settings(FILESYSTEM_URL=f"file://{base}")):

        @asset(path, artifact_filetype=filetype, fragment_rows=rows)
        def split() -> Iterator[Any]:
            yield from batches

        try:
            relation = split.query_sync()
        except DataError:
            return "refused"
        assert relation is not None
        return list(zip(relation.columns, map(str, relation.types), strict=True)), repr(relation.fetchall())


@settings(max_examples=_FEW)
@given(batches=rows_in_batches(), filetype=st.sampled_from(["json", "parquet"]), rows=st.sampled_from([None, 2, 4]))
def test_the_result_does_not_depend_on_how_rows_are_split(
    batches: list[Rows], filetype: str, rows: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    one = [row for batch in batches for row in batch]
    together = results([one], str(tmp_path_factory.mktemp("one")), filetype, "x.parquet", None)
    split = results(batches, str(tmp_path_factory.mktemp("many")), filetype, "x.parquet", rows)
    assert split == together


_NESTS: list[tuple[Any, Any]] = [
    (lambda kind: kind, lambda number: number),
    (pa.list_, lambda number: [None, number]),
    (lambda kind: pa.list_(pa.list_(kind)), lambda number: [None, [], [number]]),
    (lambda kind: pa.list_(kind, 2), lambda number: [None, number]),
    (lambda kind: pa.struct([("p 'q\" r", kind)]), lambda number: {"p 'q\" r": number}),
    (lambda kind: pa.map_(pa.string(), kind), lambda number: [("k", number)]),
    (lambda kind: pa.map_(kind, pa.string()), lambda number: [(number, "v")]),
    (lambda kind: pa.list_(pa.struct([("p", pa.list_(kind))])), lambda number: [None, {"p": [number]}]),
]


@pytest.mark.parametrize(
    ("nest", "filetype"), [*((nest, "parquet") for nest in _NESTS), *((_NESTS[-1], kind) for kind in ("json", "avro"))]
)
def test_integers_that_no_float_holds_are_refused_beside_floats_however_deep(
    nest: tuple[Any, Any], filetype: str, base: Any
) -> None:
    kind_of, value_of = nest
    number, kind = 2**53, pa.int64()

    @asset("x.parquet", artifact_filetype=filetype)
    def x() -> Iterator[Any]:
        for each, what in ((number, kind), (0.5, pa.float64())):
            yield pa.table({'a "b"': pa.array([value_of(each), None], kind_of(what))})

    x.call_sync()
    for number, kind in ((-(2**53) - 1, pa.int64()), (2**64 - 1, pa.uint64())):  # noqa: B007  read by the function
        with pytest.raises(SchemaError, match=r"beyond 2\*\*53") as caught:
            x.call_sync()
        assert caught.value.column == 'a "b"'
