"""What bare text is taken for: one rule, in Python for rows and in SQL for files."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_prefect_core.batch.text import TEXT_KINDS, looks_like, text_kind, text_kind_in_sql
from mad_prefect_core.session import DuckSession

TAKEN = {
    "BIGINT": ["0", "42", "-1", "999999999999999999", "9223372036854775807", "-9223372036854775808"],
    "BOOLEAN": ["true", "false", "True", "FALSE"],
    "DATE": ["2020-01-31", "0001-01-01", "9999-12-31", "2020-02-29"],
    "DOUBLE": [
        "1.5", "-0.0", "0.10", "123456789012345.0", "12345678.9012345", "0.30000000000000004", "0.123456789012345",
        "1.50000000000000000000", "1e-05", "1e+16", "-1.5e-07", "1.7976931348623157e+308",
    ],
    "TIME": ["12:00:00", "23:59:59.999999", "00:00:00.5"],
    "TIMESTAMP": ["2020-01-31 12:00:00", "2020-01-31T12:00:00.123456"],
    "TIMESTAMP WITH TIME ZONE": [
        "2020-01-31T12:00:00Z", "2020-01-31 12:00:00+00", "2020-01-31 12:00:00.5-05:30", "9999-12-31T23:59:59Z",
    ],
    "UUID": ["12345678-1234-5678-1234-567812345678"],
}  # fmt: skip

KEPT = [
    "", " ", "x", "None", "null", "10-1-1", "01/02/20", "01-02-2020", "2020-2-3", "2020-02-30", "2020-13-01",
    "0000-01-01", "2020-01-31 ", "0x1A", "1e5", "1E5", "1e+05", "1e400", "-1e400", "1e+400", "T", "F", "t",
    "yes", "no", "tRUE", "007", "-0", "+1", "--1", "1,234", "1_000", "２", "٣", "1.", ".5", "1.5.1", " 1", "1 ", "1\n",
    "epoch", "infinity", "-infinity", "inf", "Infinity", "nan", "NaN", "12:5:1", "12:00", "24:00:00", "23:59:60",
    "12:00:00.1234567", "2020-01-01T24:00:00", "2020-01-01 00:00:00.123456789", "2020-01-01T00:00:00.123456789Z",
    "2020-01-01 12:00", "2020-01-01 12:00:00 UTC", "2020-01-01 12:00:00 Europe/Berlin", "2020-01-01 12:00:00+0530",
    "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-01:00", "9223372036854775808", "-9223372036854775809",
    "18446744073709551616", "12345678901234567.89", "0.1234567890123456789", "9007199254740993.0",
    "12345678-1234-5678-1234-56781234567G", "12345678-1234-5678-1234-56781234567A",
    "{12345678-1234-5678-1234-567812345678}", "1\x000", "𝟏",
]  # fmt: skip


@pytest.fixture(scope="module")
def session():
    with DuckSession.for_writing() as session:
        yield session


def kinds_in_sql(session, columns, kinds=TEXT_KINDS):
    """The types that DuckDB finds for columns of texts."""
    query = (
        f"SELECT {text_kind_in_sql('v', kinds)} FROM (SELECT i, unnest(texts) AS v FROM "
        "(SELECT unnest($columns::VARCHAR[][]) AS texts, unnest(range($n)) AS i)) GROUP BY i ORDER BY i"
    )
    return [kind for (kind,) in session.sql(query, {"columns": columns, "n": len(columns)}).fetchall()]


@pytest.fixture(scope="module")
def in_sql(session):
    """The type that DuckDB finds for one column of texts, None if it has none."""
    return lambda *texts, **options: kinds_in_sql(session, [[None, *texts]], **options)[0]


def test_text_that_is_more_than_a_value_of_a_type_stays_text(session):
    found = zip(KEPT, map(text_kind, zip(KEPT)), kinds_in_sql(session, list(zip(KEPT))), strict=True)
    assert [row for row in found if row[1:] != ("VARCHAR", "VARCHAR")] == []


@pytest.mark.parametrize("kind", TAKEN)
def test_text_that_is_a_value_of_one_type_is_taken_for_it(kind, session):
    texts = TAKEN[kind]
    found = zip(texts, map(text_kind, zip(texts)), kinds_in_sql(session, list(zip(texts))), strict=True)
    assert [row for row in found if row[1:] != (kind, kind)] == []


@pytest.mark.parametrize("kind", TAKEN)
def test_one_text_that_looks_otherwise_keeps_the_whole_column_text(kind, session):
    columns = [[*TAKEN[kind], text] for text in KEPT]
    assert {*kinds_in_sql(session, columns), *map(text_kind, columns)} == {"VARCHAR"}
    assert kinds_in_sql(session, [TAKEN[kind]]) == [text_kind(TAKEN[kind])] == [kind]


def test_a_time_without_a_zone_beside_one_with_a_zone_stays_text(in_sql):
    assert in_sql("2020-01-01 12:00:00", "2020-01-01 12:00:00Z") == "VARCHAR"


def test_a_column_without_text_is_of_no_type(in_sql):
    assert (text_kind([]), in_sql(), in_sql(None)) == (None, None, None)


def test_integers_beside_fractions_in_a_file_are_doubles_as_far_as_a_double_holds_them(in_sql):
    assert in_sql("1", "2.5", "999999999999999") == "DOUBLE"
    assert in_sql("9007199254740993", "2.5") == "VARCHAR"
    assert in_sql("1", "9007199254740993") == "BIGINT"


def test_only_the_types_that_are_asked_for_are_taken(in_sql):
    assert in_sql("1", kinds=["DATE", "DOUBLE"]) == "VARCHAR"
    assert in_sql("1", "2.5", kinds=["DOUBLE"]) == "VARCHAR"
    assert in_sql("2020-01-01", kinds=["DATE", "DOUBLE"]) == "DATE"


ASCII = st.characters(codec="ascii")
NUMBER = r"-?[0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?"
MOMENT = r"[0-9]{4}-[01][0-9]-[0-3][0-9]([ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}(:[0-9]{2})?)?)?"
texts = st.one_of(
    st.text("0123456789-+.:TZe ", max_size=30),
    st.from_regex(NUMBER, fullmatch=True, alphabet=ASCII),
    st.from_regex(MOMENT, fullmatch=True, alphabet=ASCII),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.datetimes().map(str),
    st.datetimes(timezones=st.timezones()).map(dt.datetime.isoformat),
    st.dates().map(str),
    st.integers().map(str),
)  # fmt: skip


@given(st.lists(texts, min_size=1, max_size=30))
def test_python_and_sql_take_each_text_for_the_same(session, values):
    found = zip(values, kinds_in_sql(session, list(zip(values))), strict=True)
    assert list(found) == [(value, text_kind([value])) for value in values]


@given(texts)
def test_text_that_is_taken_for_a_type_says_the_same_when_it_is_written_again(session, value):
    kind = text_kind([value])
    query = f"SELECT CAST(CAST($v AS {kind}) AS VARCHAR), CAST($v AS {kind})"
    [(written, read)] = session.sql(query, {"v": value}).fetchall()
    if kind == "DOUBLE":
        digits = value.lstrip("-0.").replace(".", "").rstrip("0")
        assert len(digits) <= 15 or written.rstrip("0") == value.rstrip("0")
    elif kind == "TIMESTAMP WITH TIME ZONE":
        assert read == dt.datetime.fromisoformat(value)
    elif kind in ("TIME", "TIMESTAMP"):
        assert written == (value.rstrip("0").rstrip(".") if "." in value else value).replace("T", " ")
    elif kind != "BOOLEAN":
        assert written == value


def test_null_looks_like_no_type(session):
    for kind in TEXT_KINDS:
        assert session.sql(f"SELECT {looks_like(kind, 'NULL::VARCHAR')} IS TRUE").fetchall() == [(False,)]


@pytest.mark.parametrize("kind", TEXT_KINDS)
@pytest.mark.parametrize("text", ["01-02-2020", "2020-02-31", "2020-02-31T00:00:00Z", "9" * 19, "x" * 10, "-1.5e+999"])
def test_text_that_no_cast_takes_is_told_from_no_text(kind: str, text: str) -> None:
    rule = f"SELECT {looks_like(kind, 'v')}, {text_kind_in_sql('v', [kind])} FROM (VALUES ($1)) AS texts(v) GROUP BY v"
    assert duckdb.execute(rule, [text]).fetchall() == [(False, "VARCHAR")]
