"""Values of arguments: what records and messages may show of them, what tells them apart, what they make of paths."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped,unused-ignore]
import pyarrow as pa
import pytest
from pydantic import BaseModel

from mad_prefect_core import asset
from mad_prefect_core.assets.identity import encode
from mad_prefect_core.assets.privacy import described, redacted
from mad_prefect_core.errors import PathError

SECRET = "hunter2 /very+secret"

SECRET_NAMES = """
    pwd dbPwd pass user_pass key apikey api_key api-key x-api-key APIKey accessKey X-Amz-Signature sig sas sas_url
    cookie cookies session sessionId bearer dsn db_dsn conn conn_str password dbpassword PASSWORD credentials creds
    auth oauth authorization client_secret accessToken key1
"""
PLAIN_NAMES = """
    monkey passenger passengers design signal keyboard compass author authors author_id connected sassy region bypass
    credit_limit turkey assign
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_what_a_secrets_name_names_is_masked_everywhere(name: str) -> None:
    assert described({name: "hunter2"}, lambda _: "a1b2") == {name: "********** a1b2"}
    assert SECRET not in redacted(f"for {SECRET}", {name: SECRET})
    assert "hunter2" not in redacted(f"got {name}=hunter2 there", {})


@pytest.mark.parametrize("name", PLAIN_NAMES.split())
def test_a_name_that_only_contains_such_a_word_is_not_one(name: str) -> None:
    assert described({name: "north"}, str) == {name: "'north'"}
    assert redacted(f"{name}=north", {name: "north"}) == f"{name}=north"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", "''"),
        ("north", "'north'"),
        ("2020-05-01T10:00+01:00", "'2020-05-01T10:00+01:00'"),
        ("a" * 41, "str of 41 characters"),
        ("Server=x;Pwd=hunter2", "str of 20 characters"),
        ("https://host/x", "str of 14 characters"),
        ("north\n", "str of 6 characters"),
        (b"hunter2", "bytes of length 7"),
        (5, "5"),
    ],
)
def test_a_text_is_shown_only_if_it_looks_like_an_identifier(value: object, shown: str) -> None:
    assert described({"value": value}, str) == {"value": shown}


@pytest.mark.parametrize(
    "text",
    [
        "Server=x;Pwd=hunter2;Timeout=3",
        "password: hunter2",
        "{'password': 'hunter2', 'user': 'u'}",
        '{"password":"hunter2"}',
        '"{\\"password\\": \\"x hunter2\\"}"',
        "{'password': 'it\\'s hunter2'}",
        "{b'x-api-key': b'x hunter2'}",
        "Authorization: Bearer hunter2",
        "headers['Authorization'] = 'Bearer hunter2'",
        "Config(user='u', api_key='hunter2')",
        "GET /x?sig=hunter2&a=1",
        "password = hunter2",
    ],
)
def test_pairs_with_a_secrets_name_are_masked_in_any_text(text: str) -> None:
    shown = redacted(f"ValueError: it was {text}", {})
    assert "hunter2" not in shown
    assert shown.startswith("ValueError: it was ")


@pytest.mark.parametrize(
    "text", ["KeyError: 'region'", "AuthenticationError: refused", "key == 5", "key::int", "region=x", "Keys: a, b"]
)
def test_what_is_no_such_pair_stays(text: str) -> None:
    assert redacted(text, {}) == text


def test_a_short_secret_does_not_mask_the_words_around_it() -> None:
    assert redacted("bad a, was a", {"key": "a"}) == "bad **********, was **********"


@dataclass
class Settings:
    pwd: str


class Model(BaseModel):
    dsn: str


class Open(BaseModel, extra="allow"):
    region: str = ""


@pytest.mark.parametrize(
    "value",
    [
        Settings(SECRET),
        Model(dsn=SECRET),
        Open.model_validate({"api-key": SECRET}),
        {"session": SECRET},
        {"tokens": [SECRET]},
        {"auth": {"user": "somebody", "value": SECRET}},
        {"pass": SECRET.encode()},
        [Settings(SECRET)],
        {"nested": (Model(dsn=SECRET),)},
    ],
    ids=repr,
)
def test_secret_fields_are_found_wherever_they_are(value: object) -> None:
    assert SECRET not in redacted(f"401 for {SECRET}", {"value": value})


async def test_no_secret_is_in_a_record(base: Path) -> None:
    @asset("x.json")
    def x(conn: str, settings: Settings, odbc: str) -> Iterator[list[dict[str, int]]]:
        yield [{"a": 1}]
        raise ValueError(f"{odbc} and {settings.pwd} and {conn}")

    with pytest.raises(ValueError, match="hunter"):
        await x("hunter1/x", Settings("hunter2/x"), "Pwd=hunter3/x")
    [record] = base.rglob("metadata.json")
    assert "hunter" not in record.read_text()
    assert "ValueError: Pwd=" in record.read_text()


async def test_a_refused_path_does_not_show_a_secret(base: Path) -> None:
    @asset("{opts[api-key]}/{region}.json")
    def x(opts: dict[str, str], region: str = "a") -> list[dict[str, int]]:
        return [{"a": 1}]

    with pytest.raises(PathError, match="api-key") as caught:
        await x({"api-key": "../hunter2"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(PathError, match=r"'\.\./north' of 'region'"):
        await x({"api-key": "k"}, "../north")


class Moment(dt.datetime):
    pass


class Money(Decimal):
    pass


class Id(uuid.UUID):
    pass


ONE = uuid.UUID(int=1)
MOMENTS: dict[str, tuple[Any, Any, Any]] = {
    "datetime": (Moment(2020, 1, 1), Moment(2020, 1, 1), Moment(2020, 1, 2)),
    "time zone": (Moment(2020, 1, 1, tzinfo=dt.UTC), Moment(2020, 1, 1, tzinfo=dt.UTC), Moment(2020, 1, 1)),
    "Timestamp": (
        pd.Timestamp("2020-01-01T00:00:00.000000001"),
        pd.Timestamp("2020-01-01T00:00:00.000000001"),
        pd.Timestamp("2020-01-01T00:00:00.000000002"),
    ),
    "Timedelta": (pd.Timedelta(1, "ns"), pd.Timedelta(1, "ns"), pd.Timedelta(2, "ns")),
    "Decimal": (Money("1.0"), Money("1.0"), Money("1.1")),
    "UUID": (Id(int=1), Id(int=1), Id(int=2)),
    "type": (Id(int=1), Id(int=1), ONE),
}


@pytest.mark.parametrize("kind", MOMENTS)
def test_subclasses_of_moments_and_numbers_count_by_value(kind: str) -> None:
    value, equal, other = MOMENTS[kind]
    assert encode(value) == encode(equal)
    assert encode(value) != encode(other)


def test_pendulums_moments_count_by_value() -> None:
    pendulum = pytest.importorskip("pendulum")
    berlin, tokyo = (pendulum.datetime(2020, 1, 1, tz=tz) for tz in ("Europe/Berlin", "Asia/Tokyo"))
    assert encode(berlin) == encode(pendulum.datetime(2020, 1, 1, tz="Europe/Berlin")) != encode(tokyo)
    assert encode(pendulum.date(2020, 1, 1)) != encode(pendulum.date(2020, 1, 2))
    assert encode(pendulum.duration(days=1)) == encode(pendulum.duration(days=1)) != encode(pendulum.duration(days=2))


TABLE = pa.table(
    {
        "n": [1, None, 3, 4, 5],
        "s": ["a", "bb", None, "", "e"],
        "b": [True, False, None, True, True],
        "l": [[1], []] * 2 + [[2]],
    }
)


@pytest.mark.parametrize("cuts", [[1], [2, 2, 4], [0, 5], [3]])
def test_equal_tables_are_the_same_however_they_are_chunked(cuts: list[int]) -> None:
    edges = [0, *cuts, 5]
    pieces = [TABLE.slice(start, end - start) for start, end in pairwise(edges)]
    chunked = pa.concat_tables(pieces)
    assert chunked.equals(TABLE)
    assert encode(chunked) == encode(TABLE)
    assert encode(TABLE.slice(0, 4)) != encode(TABLE)


def test_empty_tables_are_the_same_with_and_without_an_empty_chunk() -> None:
    assert (
        encode(TABLE.slice(0, 0))
        == encode(TABLE.schema.empty_table())
        == encode(pa.Table.from_batches([], TABLE.schema))
    )
    assert encode(TABLE.slice(0, 0)) != encode(pa.table({"n": pa.array([], pa.int64())}))


def test_a_frames_index_counts() -> None:
    def frame(index: Any = None) -> Any:
        return pd.DataFrame({"a": [1, 2, 3]}, index=index)

    indexes = [None, pd.RangeIndex(1, 4), pd.RangeIndex(0, 6, 2), pd.Index([1, 2, 4]), pd.Index([1, 2, 4], name="i")]
    assert len({encode(frame(index)) for index in indexes}) == len(indexes)
    assert encode(frame(pd.RangeIndex(1, 4))) == encode(frame(pd.RangeIndex(1, 4)))
    assert encode(frame().assign(i=1)) != encode(frame().assign(i=1).set_index("i"))


async def test_an_empty_value_inside_a_segment_is_fine_as_in_2x(base: Path) -> None:
    @asset("{region}/emp{s}.parquet", artifacts_dir="raw/a{s}")
    def emp(region: str, s: str) -> list[dict[str, int]]:
        return [{"a": 1}]

    assert (await emp("eu", "")).path == "eu/emp.parquet"
    assert (base / "eu/emp.parquet").is_file()


@pytest.mark.parametrize(
    "template",
    ["{region}/x.json", "a/{region}/x.json", "a/{region}.json", "a/{region}{region}/x.json", ".{region}/x.json"],
)
@pytest.mark.parametrize("value", ["", " "])
async def test_a_segment_of_which_nothing_is_left_is_refused(base: Path, template: str, value: str) -> None:
    @asset(template, name="x")
    def x(region: str) -> list[dict[str, int]]:
        return [{"a": 1}]

    with pytest.raises(PathError, match="'region'"):
        await x(region=value)
    assert list(base.iterdir()) == []


def test_a_separator_in_a_format_spec_makes_no_folder(base: Path) -> None:
    @asset("x.parquet", artifacts_dir="raw/day={day:%Y/%m}")
    def x(day: dt.date) -> Any:
        return [{"a": 1}]

    relation = x.with_arguments(dt.date(2024, 5, 1)).query_sync()
    assert relation is not None
    assert relation.fetchall() == [(1, "2024/05")]
