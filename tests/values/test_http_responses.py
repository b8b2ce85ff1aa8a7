"""The JSON of an HTTP response keeps its numbers and keys, and what is no JSON is refused by name."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_prefect_core import asset
from mad_prefect_core.batch import iter_batches
from mad_prefect_core.errors import DataError, UnsupportedDataError, UnsupportedValueError

URL = "https://u:p@x.test/rows?key=s3cret"


def response(body: bytes | str, kind: str = "application/json", status: int = 200) -> httpx.Response:
    content = body.encode() if isinstance(body, str) else body
    return httpx.Response(status, content=content, headers={"content-type": kind}, request=httpx.Request("GET", URL))


def rows_of(data: Any) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        return [row async for batch in iter_batches(data) for row in batch.rows()]

    return asyncio.run(read())


NUMBERS: dict[str, tuple[str, Any]] = {
    "small": ("1", 1),
    "fraction": ("0.1", 0.1),
    "all digits of a float": ("0.8444218515250481", 0.8444218515250481),
    "float with an exponent": ("1.5e300", 1.5e300),
    "float with zeros at its end": ("1.50000000000000000000", 1.5),
    "integer beyond 64 bits": ("18446744073709551616", Decimal("18446744073709551616")),
    "integer of 38 digits": ("9" * 38, Decimal("9" * 38)),
    "integer beyond 2**53": ("9007199254740993", 9007199254740993),
    "19 digits after the point": ("0.1234567890123456789", Decimal("0.1234567890123456789")),
    "19 digits": ("12345678901234567.89", Decimal("12345678901234567.89")),
    "17 digits that no float has": ("9007199254740993.0", Decimal("9007199254740993.0")),
    "digits and an exponent": ("1234567890123456789e-5", Decimal("1234567890123456789e-5")),
    "negative": ("-0.1234567890123456789", Decimal("-0.1234567890123456789")),
    "NaN": ("NaN", math.nan),
    "Infinity": ("-Infinity", -math.inf),
}


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("place", ['[{"v": %s}]', '{"v":%s}', '[{"v": [{"w": %s}]}]', '{"v": %s}\n{"v": null}\n'])
def test_a_number_keeps_its_digits(kind: str, place: str) -> None:
    text, expected = NUMBERS[kind]
    found = rows_of(response(place % text))[0]["v"]
    found = found[0]["w"] if isinstance(found, list) else found
    assert type(found) is type(expected)
    assert found == expected or found != found != expected


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1E+999", "1e-400", "9" * 39, "0." + "1" * 39])
def test_a_number_that_no_column_holds_is_refused_by_its_column(text: str) -> None:
    with pytest.raises(UnsupportedValueError) as caught:
        rows_of(response(f'{{"a": {{"v": {text}}}}}'))
    assert caught.value.column == "a.v"


@pytest.mark.parametrize("body", ['[{"v": 0.5}, {"v": %s}]', '{"v": [0.5, %s]}', '[{"w":{"v":0.5}},{"w":{"v":%s}}]'])
def test_fractions_beside_one_of_many_digits_are_decimals_as_it_is(body: str) -> None:
    digits = "0.1234567890123456789"
    assert "'0.5'" in repr(rows_of(response(body % digits)))
    assert f"'{digits}'" in repr(rows_of(response(body % digits)))


def test_an_integer_beyond_floats_beside_a_fraction_is_refused() -> None:
    with pytest.raises(DataError, match=r"beyond 2\*\*53"):
        rows_of(response('[{"v": 9007199254740993}, {"v": 2.5}]'))


REPEATED = {
    "in a row": '[{"a": 1, "a": 2}]',
    "in one object": '{"a": 1, "b": 2, "a": 1}',
    "in a later row": '[{"a": 1}, {"a": 1, "a": 2}]',
    "in a nested object": '[{"v": {"a": 1, "a": 2}}]',
    "in a list": '[{"v": [{"b": 1}, {"a": 1, "a": 2}]}]',
    "beside a row that lacks a key": '[{"a": 1, "a": 2, "b": 3}, {"b": 1}]',
    "with white space": '[{"a" : 1, "b" : 2}, {"a"\n:1, "a"\t: 2}]',
    "with quotes in a text": r'[{"a": "\":", "a": 2}]',
    "spelt in another way": '[{"a": 1, "\\u0061": 2}]',
    "in lines": '{"a": 1}\n{"a": 1, "a": 2}\n',
    "beside long numbers": '[{"a": 0.1234567890123456789, "a": 2}]',
}


@pytest.mark.parametrize("kind", REPEATED)
def test_a_key_that_is_there_twice_is_refused(kind: str) -> None:
    with pytest.raises(UnsupportedValueError, match="key 'a' twice") as caught:
        rows_of(response(REPEATED[kind]))
    assert caught.value.column == "a"
    assert "s3cret" not in str(caught.value)


SINGLE = {
    "a text that begins with a colon": ('[{"a": ":-)", "b": {"a": 1}}]', [{"a": ":-)", "b": {"a": 1}}]),
    "JSON in a text": (r'[{"a": "{\"a\":1,\"a\":2}"}]', [{"a": '{"a":1,"a":2}'}]),
    "white space before colons": ('[{"a" : 1, "b"\n: 2}]', [{"a": 1, "b": 2}]),
    "a name that ends in a backslash": (r'[{"a\\": 1}]', [{"a\\": 1}]),
    "digits in texts": ('[{"a": "1234567890123456789012", "b": 1.5}]', [{"a": "1234567890123456789012", "b": 1.5}]),
    "a hash": ('[{"a": "1e0005", "b": "4111-1111-1111-1111"}]', [{"a": "1e0005", "b": "4111-1111-1111-1111"}]),
    "values": ("[1, 2]", [{"json": 1}, {"json": 2}]),
    "an empty object": ("{}", []),
    "null": ("null", []),
    "an empty array": ("[]", []),
    "an array of null": ("[null]", []),
}


@pytest.mark.parametrize("kind", SINGLE)
def test_what_only_looks_like_a_fault_is_taken_as_it_is(kind: str) -> None:
    body, expected = SINGLE[kind]
    assert rows_of(response(body)) == expected


@pytest.mark.parametrize("status", [200, 201, 204, 205])
@pytest.mark.parametrize("kind", ["application/json", "text/html", ""])
def test_a_response_without_a_body_is_no_rows(status: int, kind: str) -> None:
    assert rows_of(response(b"" if status in (204, 205) else b" \r\n", kind, status)) == []


def test_no_content_is_no_rows_without_a_content_type() -> None:
    assert rows_of(httpx.Response(204, request=httpx.Request("GET", URL))) == []


@pytest.mark.parametrize("body", ['[{"é": "ü"}]', '{"é": "ü"}\n'])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_or_another_unicode_encoding_changes_nothing(encoding: str, body: str) -> None:
    assert rows_of(response(body.encode(encoding))) == [{"é": "ü"}]


LINES = {
    "lines": '{"a": 1}\n{"a": 2}\n',
    "lines of Windows": '{"a": 1}\r\n{"a": 2}',
    "blank lines": '\n{"a": 1}\n\n{"a": 2}\n\n',
    "records of a text sequence": '\x1e{"a": 1}\n\x1e{"a": 2}\n',
    "pages": '[{"a": 1}]\n[{"a": 2}]\n',
}


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json", "application/jsonl; charset=utf-8", ""])
@pytest.mark.parametrize("name", LINES)
def test_a_body_of_one_value_a_line_is_rows(name: str, kind: str) -> None:
    assert rows_of(response(LINES[name], kind)) == [{"a": 1}, {"a": 2}]


def test_one_line_is_a_row_whatever_it_is_called() -> None:
    assert rows_of(response('{"a": 1}', "application/x-ndjson")) == [{"a": 1}]


def test_a_line_that_is_not_json_is_named() -> None:
    with pytest.raises(UnsupportedDataError, match="line 2"):
        rows_of(response('{"a": 1}\n{"a": \n{"a": 3}', "application/x-ndjson"))


NOT_JSON = {
    "a page": ("<html><body>Log in</body></html>", "text/html; charset=utf-8", "text/html, not JSON"),
    "a table": ("a,b\n1,2\n", "text/csv", "text/csv, not JSON"),
    "cut": ('[{"a": 1}, {"a"', "application/json", "application/json, not JSON"),
    "no type": ("hello", "", "without a content type, not JSON"),
    "other bytes": (b'{"a": "\xff"}', "application/json", "not JSON"),
    "nested without end": ("[" * 100_000, "application/json", "not JSON"),
    "two values on one line": ('{"a": 1} {"a": 2}', "application/json", "not JSON"),
}


@pytest.mark.parametrize("kind", NOT_JSON)
def test_a_body_that_is_not_json_is_refused_by_what_it_is(kind: str) -> None:
    body, content_type, message = NOT_JSON[kind]
    with pytest.raises(UnsupportedDataError, match=message) as caught:
        rows_of(response(body, content_type))
    assert "s3cret" not in str(caught.value)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("body", ['"text"', "1", "true"])
def test_a_single_value_is_no_rows(body: str) -> None:
    with pytest.raises(UnsupportedDataError):
        rows_of(response(body))


def test_a_body_that_was_not_read_is_refused_with_the_way_to_read_it() -> None:
    unread = httpx.Response(200, stream=httpx.ByteStream(b"[]"), request=httpx.Request("GET", URL))
    with pytest.raises(UnsupportedDataError, match="aread"):
        rows_of(unread)


def test_responses_in_a_list_and_compressed_bodies_are_rows() -> None:
    packed = httpx.Response(
        200,
        content=gzip.compress(b'[{"a": 3}]'),
        headers={"content-encoding": "gzip"},
        request=httpx.Request("GET", URL),
    )
    assert rows_of([response('[{"a": 1}]'), response("", status=204), response('{"a": 2}'), packed]) == [
        {"a": 1},
        {"a": 2},
        {"a": 3},
    ]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(data=st.dictionaries(st.text(min_size=1, max_size=4), _JSON, min_size=1, max_size=4), blanks=st.booleans())
def test_any_object_is_what_pythons_own_parser_has_and_no_key_is_seen_twice(data: dict[str, Any], blanks: bool) -> None:
    body = json.dumps(data, separators=(" , ", " : ") if blanks else (",", ":"))
    try:
        expected: Any = rows_of([json.loads(body)])
    except DataError as error:
        expected = type(error)
    try:
        found: Any = rows_of(response(body))
    except DataError as error:
        found = type(error)
    assert repr(found) == repr(expected)


@pytest.mark.parametrize("fragments", ["json", "parquet", "csv", "avro"])
def test_long_numbers_of_a_response_are_the_same_in_the_result(base: Path, fragments: str) -> None:
    @asset("x.parquet", artifact_filetype=fragments)
    def x() -> Any:
        yield response('[{"v": 0.1234567890123456789, "i": 18446744073709551616}]')
        yield response("", status=204)

    relation = x.query_sync()
    assert relation is not None
    assert relation.fetchall() == [(Decimal("0.1234567890123456789"), Decimal("18446744073709551616"))]


def test_an_answer_without_content_replaces_the_rows_by_none(base: Path) -> None:
    answers = [response('[{"a": 1}]'), response("", status=204)]

    @asset("x.parquet")
    def x() -> Any:
        return answers.pop(0)

    x.call_sync()
    relation = x.query_sync()
    assert relation is not None
    assert (relation.columns, relation.fetchall()) == (["a"], [])


def test_a_response_made_by_hand_has_no_url_and_is_data_all_the_same() -> None:
    assert rows_of(httpx.Response(200, json=[{"a": 1}])) == [{"a": 1}]
    for made in (
        httpx.Response(500, text="no"),
        httpx.Response(200, text="a,b"),
        httpx.Response(200, text='{"a":1,"a":2}'),
    ):
        with pytest.raises(DataError, match=r"HTTP response (is|has)"):
            rows_of(made)
