"""JSON that others wrote: each value comes out as it is in the file, or the file is refused by name."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_prefect_core import DataArtifact, DataArtifactQuery, asset
from mad_prefect_core.batch.text import text_kind
from mad_prefect_core.contracts import ReadContext
from mad_prefect_core.errors import CorruptFileError, SchemaError
from mad_prefect_core.session import DuckSession
from mad_prefect_json import JsonFormat, ReadJsonOptions

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def read(base: Path) -> Callable[..., Any]:
    """Columns with their types, and rows, of a file by its path."""

    async def read(content: str | bytes, name: str = "file.json", **options: Any) -> Any:
        data = content if isinstance(content, bytes) else content.encode()
        (base / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        relation = await DataArtifact(name, read_options=ReadJsonOptions(**options)).query()
        assert relation is not None
        return dict(zip(relation.columns, map(str, relation.types), strict=True)), relation.fetchall()

    return read


# -- text ------------------------------------------------------------------------------------------------------------

STAYS_TEXT = [
    "10-1-1", "01/02/20", "01-02-2020", "2020-1-1", "2020-02-30", "0x1A", "1e5", "epoch", "Infinity", "-infinity", "T",
    "F", "24:00:00", "12:00", "2020-01-01T00:00:00.123456789Z", "2020-01-01 00:00:00.1234567", "2020-01-01T12:00",
    "2020-01-01T00:00:00Z ", "12345678-1234-5678-1234-56781234567A", "1", "1.5", "true", "null", "", "x\x00y",
]  # fmt: skip


@pytest.mark.parametrize("value", STAYS_TEXT)
async def test_text_that_may_be_more_than_a_date_stays_text(value: str, read: Any) -> None:
    rows = [{"v": value, "l": [{"v": value}], "s": {"l": [[value], None]}}, {"v": None}]
    types, found = await read("\n".join(map(json.dumps, rows)))
    assert types == {"v": "VARCHAR", "l": "STRUCT(v VARCHAR)[]", "s": "STRUCT(l VARCHAR[][])"}
    assert found == [(value, [{"v": value}], {"l": [[value], None]}), (None, None, None)]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ("2020-01-01", "2020-01-01T05:00:00"),
        ("2020-01-01", "10-1-1"),
        ("2020-01-01T00:00:00", "2020-01-01T00:00:00+02:00"),
        ("2020-01-01T00:00:00.123456", "2020-01-01T00:00:00.123456789"),
        ("2020-01-01", "infinity"),
        ("12:00:00", "24:00:00"),
        ("12345678-1234-5678-1234-567812345678", "12345678-1234-5678-1234-56781234567A"),
    ],
)
async def test_one_late_text_of_another_kind_keeps_the_column_text(first: str, later: str, read: Any) -> None:
    types, found = await read("\n".join(json.dumps({"v": v}) for v in [first] * 300 + [later]))
    assert types == {"v": "VARCHAR"}
    assert [found[0], found[-1]] == [(first,), (later,)]


async def test_dates_that_some_rows_lack_are_dates(read: Any) -> None:
    day = dt.date(2020, 12, 31)
    types, found = await read('{"a":1}\n{"d":null,"l":[]}\n{"d":"2020-12-31","l":[null,"2020-12-31"]}\n{"l":null}')
    assert types == {"a": "BIGINT", "d": "DATE", "l": "DATE[]"}
    assert found[1:3] == [(None, None, []), (None, day, [None, day])]


async def test_instants_in_text_keep_their_zone(read: Any) -> None:
    types, found = await read('{"v":"2020-01-01T00:00:00+02:00"}\n{"v":"2020-01-01 00:00:00Z"}')
    assert types == {"v": "TIMESTAMP WITH TIME ZONE"}
    assert found == [(dt.datetime(2019, 12, 31, 22, tzinfo=dt.UTC),), (dt.datetime(2020, 1, 1, tzinfo=dt.UTC),)]


_SOME = st.sampled_from([*STAYS_TEXT, "2020-01-31", "2020-01-31T12:00:00", "2020-01-31 12:00:00Z", "12:00:00", "x"])


@given(texts=st.lists(_SOME, min_size=1, max_size=3))
def test_a_file_takes_text_for_what_rows_take_it_for(texts: list[str], folder: Path, session: DuckSession) -> None:
    path = folder / "texts.json"
    path.write_text("\n".join(json.dumps({"v": text}) for text in texts))
    relation = JsonFormat().read(str(path), ReadContext(session=session, options=ReadJsonOptions(), suffix=".json"))
    kind = text_kind(texts)
    assert relation.types == [kind if kind in JsonFormat.capabilities.infers_text else "VARCHAR"]
    assert relation.project("count(v)").fetchall() == [(len(texts),)]


@pytest.fixture(scope="module")
def session() -> Any:
    with DuckSession.for_writing() as session:
        yield session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json")


# -- numbers ---------------------------------------------------------------------------------------------------------

EXACT = {
    "beyond 64 bits": ["18446744073709551616", "1"],
    "below 64 bits": ["-9223372036854775809"],
    "unsigned beside negative": ["18446744073709551615", "-1"],
    "2**53 + 1 beside a fraction": ["9007199254740993", "2.5"],
    "2**53 + 1 as a fraction": ["9007199254740993.0"],
    "19 digits": ["0.1234567890123456789"],
    "17 digits": ["12345678901234.567"],
    "money": ["12345678901234567.89", "0.10", "7"],
    "an exponent": ["123456789012345678e3", "1E5"],
    "a small one": ["1.234567890123456789e-10"],
}


@pytest.mark.parametrize("numbers", EXACT.values(), ids=EXACT)
@pytest.mark.parametrize("name", ["file.json", "file.jsonl.gz"])
async def test_numbers_keep_digits_that_a_double_does_not_hold(numbers: list[str], name: str, read: Any) -> None:
    lines = [f'{{"v":{n}, "l": [{n}, null], "s": {{"l": [[{{"n": {n}}}], []]}}, "t": "1.5 \\" {n}"}}' for n in numbers]
    types, found = await read("\n".join(lines), name)
    assert types["v"].startswith("DECIMAL")
    exact = [Decimal(number) for number in numbers]
    assert [row[0] for row in found] == exact
    assert [row[1] for row in found] == [[number, None] for number in exact]
    assert [row[2] for row in found] == [{"l": [[{"n": number}], []]} for number in exact]
    assert [row[3] for row in found] == [f'1.5 " {number}' for number in numbers]


async def test_integers_have_the_types_that_rows_of_them_have(read: Any) -> None:
    types, found = await read('{"u":18446744073709551615,"l":[1,9223372036854775808],"i":-9223372036854775808}')
    assert types == {"u": "UBIGINT", "l": "UBIGINT[]", "i": "BIGINT"}
    assert found == [(2**64 - 1, [1, 2**63], -(2**63))]


@pytest.mark.parametrize(
    "number", ["0.1", "0.30000000000000004", "0.10000000000000001", "1E5", "1.0", "1e300", "1e-300", "-0.0", "1e22"]
)
async def test_numbers_that_a_double_holds_are_doubles(number: str, read: Any) -> None:
    types, found = await read(f'{{"v":{number}}}\n{{"v":0.5}}')
    assert types == {"v": "DOUBLE"}
    assert math.copysign(1, found[0][0]) == math.copysign(1, float(number))
    assert found[0][0] == float(number)


@pytest.mark.parametrize(
    "numbers",
    [["1e400"], ["1e-400"], ["1" * 39], ["1e30", "0.1234567890123456789"], ["NaN", "9007199254740993"], ["[1e400]"]],
)
async def test_numbers_that_no_type_holds_are_refused_by_the_name_of_the_column(numbers: list[str], read: Any) -> None:
    with pytest.raises(SchemaError, match=r"column 'v.*file\.json|file\.json.*column 'v") as caught:
        await read("\n".join(f'{{"a":1,"v":{number}}}' for number in numbers))
    assert "`columns`" in str(caught.value)


async def test_a_named_type_says_what_becomes_of_digits(read: Any) -> None:
    content = '{"v":0.1234567890123456789,"w":1e400}'
    for kind, value in {
        "DECIMAL(38,19)": Decimal("0.1234567890123456789"),
        "DOUBLE": 0.1234567890123456789,
        "VARCHAR": "0.1234567890123456789",
        "JSON": "0.1234567890123456789",
    }.items():
        types, found = await read(content, columns={"v": kind, "w": "VARCHAR"})
        assert (types, found) == ({"v": kind, "w": "VARCHAR"}, [(value, "1e400")])


async def test_values_of_several_types_keep_their_digits(read: Any) -> None:
    values = ['"abc"', "0.1234567890123456789", "18446744073709551616", '{"a":[1e400,"1.5",0.1234567890123456789]}']
    types, found = await read("\n".join(f'{{"v":{value}}}' for value in values))
    assert types == {"v": "JSON"}
    assert [row[0] for row in found] == values


@given(numbers=st.lists(st.decimals(-(10**9), 10**9, allow_nan=False, places=12)))
def test_no_digit_of_a_decimal_is_lost(numbers: list[Decimal], folder: Path, session: DuckSession) -> None:
    path = folder / "decimals.json"
    path.write_text("\n".join(f'{{"v":{number}}}' for number in [Decimal("0.5"), *numbers]))
    relation = JsonFormat().read(str(path), ReadContext(session=session, options=ReadJsonOptions(), suffix=".json"))
    found = [row[0] for row in relation.fetchall()][1:]
    assert [Decimal(repr(n)) if isinstance(n, float) else n for n in found] == numbers


@given(floats=st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_every_float_that_python_writes_is_read_as_it_was(
    floats: list[float], folder: Path, session: DuckSession
) -> None:
    path = folder / "floats.json"
    path.write_text("\n".join(json.dumps({"v": number}) for number in [0.5, *floats]))
    relation = JsonFormat().read(str(path), ReadContext(session=session, options=ReadJsonOptions(), suffix=".json"))
    assert relation.types == ["DOUBLE"]
    assert [row[0] for row in relation.fetchall()][1:] == floats


async def test_types_hold_for_what_comes_after_a_sample(read: Any) -> None:
    content = '{"v":1}\n' * 3000 + '{"v":2.5,"w":"x"}\n{"v":9007199254740993}'
    types, found = await read(content, sample_size=10)
    assert types == {"v": "DECIMAL(17,1)", "w": "VARCHAR"}
    assert found[-2:] == [(Decimal("2.5"), "x"), (Decimal("9007199254740993.0"), None)]


async def test_digits_are_kept_on_the_way_into_an_asset(base: Path) -> None:
    (base / "a.json").write_text('{"id":18446744073709551616,"v":0.1234567890123456789,"d":"epoch"}')

    @asset("landed.parquet")
    def landed() -> Any:
        yield DataArtifact("a.json")

    relation = await landed.query()
    assert relation.fetchall() == [(Decimal(2**64), Decimal("0.1234567890123456789"), "epoch")]


async def test_a_file_that_was_read_before_is_looked_at_again_once_it_changes(read: Any) -> None:
    assert await read('{"v":1}') == ({"v": "BIGINT"}, [(1,)])
    assert await read('{"w":2.5}') == ({"w": "DOUBLE"}, [(2.5,)])
    assert await read('{"w":2.5}', columns={"w": "VARCHAR"}) == ({"w": "VARCHAR"}, [("2.5",)])


async def test_digits_are_kept_over_several_files(base: Path) -> None:
    (base / "a.json").write_text('{"v":0.5,"d":"2020-01-01"}')
    (base / "b.json").write_text('{"v":9007199254740993,"d":"10-1-1"}')
    relation = await DataArtifactQuery([DataArtifact("a.json"), DataArtifact("b.json")]).query("ORDER BY v")
    assert relation is not None
    found = [(Decimal(value), day) for value, day in relation.fetchall()]
    assert found == [(Decimal("0.5"), "2020-01-01"), (Decimal(9007199254740993), "10-1-1")]


# -- the form of a file ----------------------------------------------------------------------------------------------

ROWS = {
    "an array": b'[{"a":1},{"a":2}]',
    "an array with a byte order mark": BOM + b'[{"a":1},{"a":2}]',
    "an array over lines with a byte order mark": BOM + b'[\n  {"a": 1},\n  {"a": 2}\n]\n',
    "lines with a byte order mark": BOM + b'{"a":1}\n{"a":2}\n',
    "objects on one line": b'{"a":1}{"a":2}',
    "objects over lines": b'{\n"a":1\n}\n{\n"a":2\n}',
    "no newline at the end": b'{"a":1}\n\n{"a":2}',
    "a comma at the end of an object": b'{"a":1,}\n{"a":2}',
}


@pytest.mark.parametrize("content", ROWS.values(), ids=ROWS)
async def test_rows_are_read_in_whatever_form(content: bytes, read: Any) -> None:
    assert await read(content) == ({"a": "BIGINT"}, [(1,), (2,)])


@pytest.mark.parametrize("content", ROWS.values(), ids=ROWS)
async def test_digits_are_kept_in_whatever_form(content: bytes, read: Any) -> None:
    content = content.replace(b"2", b"0.1234567890123456789")
    assert (await read(content))[1] == [(1,), (Decimal("0.1234567890123456789"),)]


NO_ROWS = {"nothing": b"", "white space": b" \n", "a byte order mark": BOM, "an empty array": b"[]"}


@pytest.mark.parametrize("content", NO_ROWS.values(), ids=NO_ROWS)
async def test_a_file_without_rows_has_none(content: bytes, read: Any) -> None:
    assert (await read(content))[1] == []


async def test_values_that_are_no_objects_are_rows_of_one_column(read: Any) -> None:
    assert await read("[1.5, 0.1234567890123456789]") == (
        {"json": "DECIMAL(20,19)"},
        [(Decimal("1.5"),), (Decimal("0.1234567890123456789"),)],
    )
    assert await read('["2020-01-01", "10-1-1"]') == ({"json": "VARCHAR"}, [("2020-01-01",), ("10-1-1",)])
    assert await read('{"json": 1}') == ({"json": "BIGINT"}, [(1,)])


async def test_an_array_behind_a_mark_beside_other_files_is_refused_and_told_what_to_do(base: Path) -> None:
    (base / "one.json").write_bytes(b'{"a":1}')
    (base / "two.json").write_bytes(BOM + b'[{"a":2}]')
    with pytest.raises(SchemaError, match="Remove the byte order mark"):
        await DataArtifactQuery([DataArtifact("one.json"), DataArtifact("two.json")]).query()


BROKEN = {
    "half of a surrogate pair": b'{"a":1}\n{"a":"\\ud800"}',
    "no UTF-8": b'{"a":"x"}\n{"a":"\xff"}',
    "UTF-16": '{"a":1}\n{"a":2}'.encode("utf-16"),
    "a last line cut off": b'{"a":1}\n{"a":2}\n{"a":',
    "an array cut off": b'[{"a":1},{"a":2}',
    "a comma at the end of an array": b'[{"a":1},{"a":2},]',
    "comments": b'{"a":1} // one\n{"a":2}',
    "other text": b'{"a":1}\nxyz\n{"a":2}',
    "a key twice": b'{"a":1}\n{"a":1,"a":2}',
    "a key twice beside digits": b'{"a":1,"a":2,"b":0.1234567890123456789}',
    "a key twice within": b'{"x":{"a":1,"a":2}}',
    "too deep": b'{"a":' + b"[" * 1100 + b"1" + b"]" * 1100 + b"}",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_json_is_refused_by_the_name_of_the_file(content: bytes, read: Any) -> None:
    with pytest.raises(CorruptFileError, match=r"file\.json"):
        await read(content)


@pytest.mark.parametrize(
    "content",
    ['[{"a":1},5,{"a":2}]', '{"a":1}\n"x"', '[{"a":1}]\n{"a":2}', '{"a":1}\n[{"a":2}]'],
)
async def test_objects_beside_other_values_are_refused_rather_than_poured_into_one_column(
    content: str, read: Any
) -> None:
    with pytest.raises(SchemaError, match=r"objects and other values.*file\.json"):
        await read(content)
    assert len((await read(content, records="false"))[1]) > 1


@pytest.mark.parametrize("content", ['{"id":1,"ID":2}', '{"id":1}\n{"ID":2}', '{"x":{"id":1}}\n{"x":{"ID":2}}'])
async def test_keys_that_differ_in_case_alone_are_refused_rather_than_renamed(content: str, read: Any) -> None:
    with pytest.raises(SchemaError, match=r"differ in case alone.*file\.json"):
        await read(content)


async def test_a_key_that_looks_like_one_made_distinct_is_a_key(read: Any) -> None:
    assert await read('{"a":1,"a_1":0.5}') == ({"a": "BIGINT", "a_1": "DOUBLE"}, [(1, 0.5)])


async def test_deep_lists_are_read(read: Any) -> None:
    for number in ("1", "0.1234567890123456789"):
        _, found = await read('{"a":' + "[" * 60 + number + "]" * 60 + "}")
        value = found[0][0]
        for _ in range(60):
            (value,) = value
        assert value == Decimal(number)


# -- options ---------------------------------------------------------------------------------------------------------


async def test_read_options_mean_what_they_mean_to_duckdb(read: Any) -> None:
    wide = '"n":0.1234567890123456789'
    day = dt.date(2020, 12, 31)
    assert (await read('{"d":"31/12/2020"}', dateformat="%d/%m/%Y"))[1] == [(day,)]
    assert (await read(f'{{"d":"31/12/2020",{wide}}}', dateformat="%d/%m/%Y"))[1][0][0] == day
    stamp = dt.datetime(2020, 12, 31, 10, 11)
    assert (await read('{"t":"31.12.2020 10:11"}', timestampformat="%d.%m.%Y %H:%M"))[1] == [(stamp,)]
    assert (await read(f'{{"t":"31.12.2020 10:11",{wide}}}', timestampformat="%d.%m.%Y %H:%M"))[1][0][0] == stamp
    types, _ = await read('{"a":{"b":{"c":1}}}', maximum_depth=2)
    assert types == {"a": "STRUCT(b JSON)"}
    _, found = await read('{"a":1}\n{"a":\n{"a":0.5}\n', ignore_errors=True, format="newline_delimited")
    assert [row for row in found if row[0] is not None] == [(1.0,), (0.5,)]
    assert await read('{"a":{"b":1}}', auto_detect=False, columns={"a": "JSON"}) == ({"a": "JSON"}, [('{"b":1}',)])
    assert (await read('{"a":"12"}', convert_strings_to_integers=True))[1] == [(12,)]


async def test_objects_with_data_as_keys_are_maps_if_asked_for(read: Any) -> None:
    lines = [f'{{"i":{i},"p":{{"k{i}":{i}.5,"k{i + 1}":0.1234567890123456789}}}}' for i in range(10)]
    types, found = await read("\n".join(lines), map_inference_threshold=5)
    assert types == {"i": "BIGINT", "p": "MAP(VARCHAR, DECIMAL(20,19))"}
    assert found[1] == (1, {"k1": Decimal("1.5"), "k2": Decimal("0.1234567890123456789")})


async def test_objects_with_data_as_keys_do_not_grow_without_bound(read: Any) -> None:
    lines = [{"id": i, "prices": {f"sku{(i * 7 + k) % 1000}": k + 0.5 for k in range(5)}} for i in range(2000)]
    types, found = await read("\n".join(map(json.dumps, lines)))
    assert types == {"id": "BIGINT", "prices": "MAP(VARCHAR, DOUBLE)"}
    assert found[3] == (3, lines[3]["prices"])


async def test_rows_with_few_keys_in_common_are_rows(read: Any) -> None:
    types, found = await read("\n".join(json.dumps({f"k{i}": i}) for i in range(50)))
    assert types == {f"k{i}": "BIGINT" for i in range(50)}
    assert found[7][7] == 7
