"""A cache hit is right (S42–S44; promise 8)."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pydantic import BaseModel, SecretStr

from mad_prefect_core import DataAsset, asset
from mad_prefect_core.errors import ArgumentError
from mad_prefect_csv import ReadCSVOptions, WriteCSVOptions

HOUR = dt.timedelta(hours=1)
runs: list[Any] = []


@pytest.fixture(autouse=True)
def _no_runs() -> None:
    runs.clear()


@pytest.fixture
def counted(base: Path) -> DataAsset[..., Any]:
    @asset("x.json|parquet", name="counted", cache_expiration=HOUR)
    def x(value: Any = None) -> Any:
        runs.append(value)
        return [{"n": len(runs)}]

    return x


@dataclass
class Point:
    x: int


class Model(BaseModel):
    n: int
    key: SecretStr = SecretStr("k")


def _frame(middle: int) -> pd.DataFrame:
    return pd.DataFrame({"a": [0] * 500 + [middle] + [0] * 500})


DIFFERENT: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "int and str": (lambda: 1, lambda: "1"),
    "int and bool": (lambda: 1, lambda: True),
    "int and float": (lambda: 1, lambda: 1.0),
    "None and 'None'": (lambda: None, lambda: "None"),
    "empty text and None": (lambda: "", lambda: None),
    "list and tuple": (lambda: [1], lambda: (1,)),
    "list and its text": (lambda: [1, 2], lambda: "[1, 2]"),
    "lists that join alike": (lambda: ["a", "b"], lambda: ["ab"]),
    "nested lists": (lambda: [[1], [2]], lambda: [[1, 2]]),
    "Decimals": (lambda: Decimal("1.0"), lambda: Decimal("1.00")),
    "dates": (lambda: dt.date(2020, 1, 1), lambda: dt.datetime(2020, 1, 1)),
    "zones": (lambda: dt.datetime(2020, 1, 1), lambda: dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
    "dicts": (lambda: {"a": 1}, lambda: {"a": 2}),
    "dataclasses": (lambda: Point(1), lambda: Point(2)),
    "models": (lambda: Model(n=1), lambda: Model(n=2)),
    "secrets": (lambda: SecretStr("tenant a"), lambda: SecretStr("tenant b")),
    "secrets in models": (lambda: Model(n=1, key=SecretStr("a")), lambda: Model(n=1, key=SecretStr("b"))),
    "large arrays that differ in the middle": (lambda: np.zeros(10_000), lambda: np.eye(1, 10_000, 5_000)[0]),
    "arrays of other shapes": (lambda: np.zeros((2, 3)), lambda: np.zeros((3, 2))),
    "arrays of other types": (lambda: np.zeros(4, "int32"), lambda: np.zeros(2, "int64")),
    "pandas frames that differ in the middle": (lambda: _frame(1), lambda: _frame(2)),
    "polars frames": (lambda: pl.DataFrame({"a": [1]}), lambda: pl.DataFrame({"a": [2]})),
    "polars column names": (lambda: pl.DataFrame({"a": [1]}), lambda: pl.DataFrame({"b": [1]})),
    "Arrow tables": (lambda: pa.table({"a": [1]}), lambda: pa.table({"a": [None, 1]})),
    "paths": (lambda: Path("a"), lambda: Path("b")),
    "functions": (lambda: _truncate, lambda: _flip),
    "sets": (lambda: {1, 2}, lambda: {1, 3}),
}


@pytest.mark.parametrize("kind", DIFFERENT)
async def test_s42_other_values_are_no_hit_and_equal_ones_are(counted: DataAsset[..., Any], kind: str) -> None:
    one, other = DIFFERENT[kind]
    await counted(one())
    await counted(one())
    assert len(runs) == 1, "equal values are one"
    await counted(other())
    assert len(runs) == 2, "other values are two"


async def test_s42_the_order_of_dicts_and_sets_does_not_count(counted: DataAsset[..., Any]) -> None:
    await counted({"a": 1, "b": {"x", "y", "z"}})
    await counted({"b": {"z", "y", "x"}, "a": 1})
    assert len(runs) == 1


async def test_s42_what_can_not_be_told_by_value_is_refused_loudly(counted: DataAsset[..., Any], base: Path) -> None:
    import threading

    for thing in (object(), threading.Lock(), lambda: None, (n for n in ())):
        with pytest.raises(ArgumentError, match="value") as caught:
            await counted(thing)
        assert caught.value.asset == "counted"
    assert not runs
    assert not list(base.rglob("x.json"))


async def test_s42_a_class_may_say_what_tells_its_objects_apart(counted: DataAsset[..., Any]) -> None:
    class Client:
        def __init__(self, tenant: str) -> None:
            self.tenant = tenant

        def __mad_prefect_key__(self) -> str:
            return self.tenant

    await counted(Client("a"))
    await counted(Client("a"))
    assert len(runs) == 1
    await counted(Client("b"))
    assert len(runs) == 2


async def test_s42_a_secrets_value_can_not_be_found_from_its_identity(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset("x.json", name="x")
    def x(key: SecretStr) -> Any:
        return [{"a": 1}]

    here = x.with_arguments(SecretStr("guess me")).id
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{tmp_path}/other")
    assert x.with_arguments(SecretStr("guess me")).id != here


async def test_s43_a_changed_default_is_another_call(base: Path) -> None:
    def make(default: int) -> Any:
        @asset("x.json", name="x", cache_expiration=HOUR)
        def x(n: int = default) -> Any:
            runs.append(n)
            return [{"n": n}]

        return x

    assert (await make(1).query()).fetchall() == [(1,)]
    assert (await make(2).query()).fetchall() == [(2,)]
    assert runs == [1, 2]


async def test_s43_a_call_with_and_then_without_arguments_never_answer_each_other(base: Path) -> None:
    @asset("x.json", name="x", cache_expiration=HOUR)
    def x(n: int = 0) -> Any:
        runs.append(n)
        return [{"n": n}]

    assert (await (await x(5)).query()).fetchall() == [(5,)]
    assert (await (await x()).query()).fetchall() == [(0,)]
    assert (await x.with_arguments(5).query()).fetchall() == [(5,)]
    assert (await x.query()).fetchall() == [(0,)]
    await x(0)
    assert runs[:2] == [5, 0]


async def test_s43_other_options_are_no_hit(base: Path) -> None:
    @asset("x.csv", name="x", cache_expiration=HOUR)
    def x() -> Any:
        runs.append(1)
        return [{"n": 1, "s": "1"}]

    await x()
    for number, other in enumerate(
        [
            x.with_options(path="y.csv"),
            x.with_options(artifact_filetype="csv"),
            x.with_options(read_options=ReadCSVOptions(delim=";"), write_options=WriteCSVOptions(delim=";")),
        ],
        2,
    ):
        await other()
        assert len(runs) == number


async def test_s43_a_changed_function_runs_again_where_that_is_asked_for(base: Path) -> None:
    """Code is no part of the key unless asked for; cache_expiration=None always runs."""

    @asset("x.json", name="x", cache_expiration=HOUR)
    def x() -> Any:
        return [{"n": 1}]

    await x()
    assert (await x.with_options(cache_expiration=None).query()).fetchall() == [(1,)]


def _truncate(base: Path) -> None:
    path = base / "x.parquet"
    _replace(path, path.read_bytes()[:-10])


def _replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def _flip(base: Path) -> None:
    path = base / "x.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    _replace(path, bytes(data))


def _flip_in_place(base: Path) -> None:
    path = base / "x.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(data)


def _manifest(base: Path) -> Path:
    [path] = base.rglob("manifest.json")
    return path


def _from_the_future(base: Path) -> None:
    text = _manifest(base).read_text()
    manifest = json.loads(text)
    data = manifest.get("data", manifest)
    data["last_materialized"] = (dt.datetime.now(dt.UTC) + dt.timedelta(days=2)).isoformat()
    _replace(_manifest(base), json.dumps(manifest).encode())


SPOILT: dict[str, Callable[[Path], None]] = {
    "truncated": _truncate,
    "zero bytes": lambda base: _replace(base / "x.parquet", b""),
    "bit flipped": _flip,
    "bit flipped in place": _flip_in_place,
    "first of two missing": lambda base: (base / "x.json").unlink(),
    "second of two missing": lambda base: (base / "x.parquet").unlink(),
    "both missing": lambda base: [(base / f"x.{suffix}").unlink() for suffix in ("json", "parquet")] and None,
    "another's file": lambda base: shutil.copy(base / "x.json", base / "x.parquet") and None,
    "from the future": _from_the_future,
    "manifest cut": lambda base: _replace(_manifest(base), _manifest(base).read_bytes()[:50]),
    "manifest empty": lambda base: _replace(_manifest(base), b""),
    "manifest of another": lambda base: _replace(
        _manifest(base), _manifest(base).read_bytes().replace(b'"asset_id": "', b'"asset_id": "0')
    ),
    "manifest missing": lambda base: _manifest(base).unlink(),
    "manifest no JSON": lambda base: _replace(_manifest(base), b"\xff\x00 not json"),
}


@pytest.mark.parametrize("how", SPOILT)
async def test_s44_a_result_that_is_not_whole_is_no_hit_and_the_next_call_mends_it(
    counted: DataAsset[..., Any], base: Path, how: str
) -> None:
    await counted()
    assert (await counted.query()).fetchall() == [(1,)]
    SPOILT[how](base)
    assert (await counted.query()).fetchall() == [(2,)]
    assert len(runs) == 2
    assert (await counted.query()).fetchall() == [(2,)]
    assert len(runs) == 2
    assert (base / "x.json").read_bytes() == b'{"n":2}\n'


async def test_an_old_result_is_no_hit(
    counted: DataAsset[..., Any], monkeypatch: pytest.MonkeyPatch, base: Path
) -> None:
    await counted()
    manifest = json.loads(_manifest(base).read_text())
    data = manifest.get("data", manifest)
    data["last_materialized"] = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=2)).isoformat()
    _replace(_manifest(base), json.dumps(manifest).encode())
    await counted()
    assert len(runs) == 2


@pytest.mark.parametrize("expiration", [None, dt.timedelta(0)])
async def test_no_expiration_means_no_cache(counted: DataAsset[..., Any], expiration: dt.timedelta | None) -> None:
    every_time = counted.with_options(cache_expiration=expiration)
    await every_time()
    await every_time()
    assert len(runs) == 2


async def test_a_failed_run_is_no_hit_and_leaves_the_older_one_a_hit(base: Path) -> None:
    fail = False

    @asset("x.json", name="x", cache_expiration=HOUR)
    def x() -> Any:
        runs.append(1)
        if fail:
            raise ValueError("no")
        return [{"n": len(runs)}]

    await x()
    fail = True
    with pytest.raises(ValueError, match="no"):
        await x.with_options(cache_expiration=None)()
    assert (await x.query()).fetchall() == [(1,)]
    assert len(runs) == 2


async def test_a_call_digests_the_code_beside_the_event_loop_and_not_on_it(base: Path) -> None:
    threads = set()

    class Model:
        def __mad_prefect_key__(self) -> str:
            threads.add(threading.get_ident())
            return "as ever"

    model = Model()

    @asset("x.json", cache_on=("code",), cache_expiration=dt.timedelta(hours=1))
    def x() -> Any:
        return [{"n": str(model is not None)}]

    for _ in range(2):
        await x()
    assert threads
    assert threading.get_ident() not in threads
