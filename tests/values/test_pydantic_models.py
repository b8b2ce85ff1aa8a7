"""A pydantic model is what it serializes to: what it leaves out is never stored."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pydantic
import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
    model_serializer,
)

from mad_prefect_core import asset
from mad_prefect_core.batch import iter_batches
from mad_prefect_core.errors import UnsupportedDataError


def rows_of(data: Any) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        return [row async for batch in iter_batches(data) for row in batch.rows()]

    return asyncio.run(read())


class Kind(enum.Enum):
    A = "a"


class Account(BaseModel):
    id: int
    password: str = Field("hunter2", exclude=True)


class Admin(Account):
    token: str = "t0ken"


class Item(BaseModel):
    x: int


class Items(RootModel[list[Item]]):
    pass


class Named(RootModel[dict[str, int]]):
    pass


class Number(RootModel[int]):
    pass


class Renamed(BaseModel):
    a: int

    @model_serializer
    def as_dict(self) -> dict[str, int]:
        return {"z": self.a}


class AsText(BaseModel):
    a: int

    @model_serializer
    def as_text(self) -> str:
        return f"<{self.a}>"


class Field_(BaseModel):
    a: int
    b: Annotated[int, PlainSerializer(lambda value: f"b{value}")] = 2

    @field_serializer("a")
    def spell(self, value: int) -> str:
        return f"a{value}"


class Aliased(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)
    a: int = Field(serialization_alias="A1")


class AliasedOnly(BaseModel):
    a: int = Field(serialization_alias="A1")


class Area(BaseModel):
    side: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        return self.side**2


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Overridden(BaseModel):
    a: int

    def model_dump(self, **options: Any) -> dict[str, Any]:
        return {"b": self.a}


class Owned(BaseModel):
    owner: Account
    more: list[Account] = []
    by_name: dict[str, Renamed] = {}


class Rich(BaseModel):
    when: dt.datetime
    day: dt.date
    price: Decimal
    id: uuid.UUID
    kind: Kind
    where: Path
    data: bytes
    span: dt.timedelta


@pydantic.dataclasses.dataclass
class Checked:
    id: int
    password: str = Field("hunter2", exclude=True)


@dataclasses.dataclass
class Holder:
    account: Account
    items: list[Any]


RICH = {
    "when": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    "day": dt.date(2020, 1, 1),
    "price": Decimal("1.50"),
    "id": uuid.UUID(int=1),
    "kind": Kind.A,
    "where": Path("a/b"),
    "data": b"\xff",
    "span": dt.timedelta(seconds=1),
}

ROWS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "excluded field": ([Account(id=1)], [{"id": 1}]),
    "excluded field of a model alone": (Account(id=1), [{"id": 1}]),
    "root model of rows": (Items([Item(x=1), Item(x=2)]), [{"x": 1}, {"x": 2}]),
    "root models of rows in a list": ([Items([Item(x=1)]), Items([]), Items([Item(x=2)])], [{"x": 1}, {"x": 2}]),
    "root model of a dict": (Named({"x": 1}), [{"x": 1}]),
    "root models of dicts": ([Named({"x": 1}), Named({"x": 2})], [{"x": 1}, {"x": 2}]),
    "root models of values": ([Number(1), Number(2)], [{"json": 1}, {"json": 2}]),
    "root model of a value in a row": ([{"v": Number(1)}], [{"v": 1}]),
    "root model of rows in a row": ([{"v": Items([Item(x=1)])}], [{"v": [{"x": 1}]}]),
    "model_serializer": ([Renamed(a=1)], [{"z": 1}]),
    "model_serializer that gives text": ([{"v": AsText(a=1)}], [{"v": "<1>"}]),
    "field_serializer": ([Field_(a=1)], [{"a": "a1", "b": "b2"}]),
    "aliases that are serialized by": ([Aliased(a=1)], [{"A1": 1}]),
    "aliases that are not": ([AliasedOnly(a=1)], [{"a": 1}]),
    "computed field": ([Area(side=3)], [{"side": 3, "area": 9}]),
    "extra fields": ([Open(a=1, b=2)], [{"a": 1, "b": 2}]),  # type: ignore[call-arg]
    "model_dump of its own": ([Overridden(a=1)], [{"b": 1}]),
    "rich types": ([Rich(**RICH)], [RICH | {"kind": "a", "where": "a/b"}]),
    "model in a model": (
        [Owned(owner=Account(id=1), more=[Account(id=2)], by_name={"x": Renamed(a=3)})],
        [{"owner": {"id": 1}, "more": [{"id": 2}], "by_name": {"x": {"z": 3}}}],
    ),
    "subclass where the field says its base": (
        [Owned(owner=Admin(id=1))],
        [{"owner": {"id": 1}, "more": [], "by_name": {}}],
    ),
    "dataclass of pydantic's": ([Checked(id=1)], [{"id": 1}]),
    "model in a dataclass": (
        [Holder(Account(id=1), [Renamed(a=2)])],
        [{"account": {"id": 1}, "items": [{"z": 2}]}],
    ),
    "model in a dict in a list": ([{"v": [{"m": Account(id=1)}]}], [{"v": [{"m": {"id": 1}}]}]),
    "models beside dicts": ([Account(id=1), {"id": 2}], [{"id": 1}, {"id": 2}]),
    "values that the model did not check": ([Account.model_construct(id="x")], [{"id": "x"}]),
}


@pytest.mark.parametrize("kind", ROWS)
def test_a_model_is_what_it_serializes_to(kind: str) -> None:
    data, expected = ROWS[kind]
    assert rows_of(data) == expected


class Locked(BaseModel):
    token: SecretStr


class Unlocked(BaseModel):
    token: SecretStr

    @field_serializer("token")
    def unlock(self, value: SecretStr) -> str:
        return value.get_secret_value()


def test_a_secret_is_refused_unless_the_model_serializes_it() -> None:
    with pytest.raises(UnsupportedDataError, match="secret"):
        rows_of([Locked(token=SecretStr("s"))])
    with pytest.raises(UnsupportedDataError, match="secret"):
        rows_of([{"v": [Locked(token=SecretStr("s"))]}])
    assert rows_of([Unlocked(token=SecretStr("s"))]) == [{"token": "s"}]


class Broken(BaseModel):
    a: int

    @field_serializer("a")
    def fail(self, value: int) -> int:
        raise KeyError("no such thing")


class Loop(BaseModel):
    me: Any = None


def test_a_model_that_can_not_be_serialized_is_named() -> None:
    with pytest.raises(UnsupportedDataError, match=r"Broken can't be serialized.*no such thing"):
        rows_of([{"v": Broken(a=1)}])
    loop = Loop()
    loop.me = loop
    with pytest.raises(UnsupportedDataError, match="contains itself"):
        rows_of([loop])


def test_a_model_that_serializes_to_a_value_is_no_row() -> None:
    with pytest.raises(UnsupportedDataError):
        rows_of(AsText(a=1))


@pytest.mark.parametrize("fragments", ["json", "parquet", "csv", "avro"])
def test_what_a_model_leaves_out_is_in_no_file(base: Path, fragments: str) -> None:
    @asset("x.json", artifact_filetype=fragments)
    def x() -> Any:
        yield [Account(id=1)]
        yield Account(id=2)
        yield [{"id": 3, "by": Account(id=4)}]

    relation = x.query_sync()
    assert relation is not None
    assert relation.fetchall() == [(1, None), (2, None), (3, {"id": 4})]
    assert all(b"hunter2" not in path.read_bytes() for path in base.rglob("*") if path.is_file())
