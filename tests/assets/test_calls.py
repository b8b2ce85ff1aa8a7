"""Calling, binding and deriving: an asset is a value."""

from __future__ import annotations

import asyncio
import datetime as dt
import pickle
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import DataArtifact, asset, settings
from mad_prefect_core.errors import OptionError, UnknownFormatError
from mad_prefect_core.relations import Relation
from mad_prefect_core.settings import Settings, use_settings

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def _state(thing: Any) -> dict[str, Any]:
    return {
        "name": thing.name,
        "path": thing.path,
        "id": thing.id,
        "options": thing.options,
        "arguments": thing.arguments,
        "attributes": set(vars(thing)),
    }


async def test_calling_and_querying_never_change_the_asset(base: Path) -> None:
    @asset("{n}.json", cache_expiration=dt.timedelta(hours=1))
    def x(n: int = 0) -> list[dict[str, int]]:
        return [{"n": n}]

    before = _state(x)
    await x(1)
    await x(n=2)
    await x.query("WHERE n = 0")
    await x.with_arguments(3).query()
    x.with_options(path="other.json")
    x.cache_first()
    assert _state(x) == before
    assert x.path == "0.json"


async def test_with_arguments_binds_more_and_more_and_refuses_what_the_function_does_not_take(base: Path) -> None:
    @asset("{a}{b}{c}.json")
    def x(a: int, b: int, *, c: int = 9) -> list[dict[str, int]]:
        return [{"a": a, "b": b, "c": c}]

    bound = x.with_arguments(1).with_arguments(b=2)
    assert bound.arguments == {"a": 1, "b": 2, "c": 9}
    assert (await bound.query()).fetchall() == [(1, 2, 9)]
    assert (await bound.with_arguments(c=3).query()).fetchall() == [(1, 2, 3)]
    with pytest.raises(TypeError, match="nope"):
        x.with_arguments(nope=1)
    with pytest.raises(TypeError):
        x.with_arguments(1, 2, 3)


async def test_with_options_keeps_what_is_not_given(base: Path) -> None:
    @asset("x.json", name="n", artifacts_dir="raw", artifact_filetype="parquet", cache_expiration=dt.timedelta(1))
    def x(a: int = 1) -> list[dict[str, int]]:
        return [{"a": a}]

    other = x.with_options(path="y.csv", cache_expiration=None)
    assert (other.path, other.name, other.artifacts_dir, other.artifact_filetype) == ("y.csv", "n", "raw", "parquet")
    assert other.options.cache_expiration is None
    assert x.options.cache_expiration == dt.timedelta(1)
    assert (await other.with_arguments(5).query()).fetchall() == [(5,)]
    assert next((base / "raw").rglob("fragment=0.*")).suffix == ".parquet"


async def test_a_cached_call_goes_through_the_environment_once(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @asset("x.json", cache_expiration=dt.timedelta(hours=1))
    def x() -> list[dict[str, int]]:
        return [{"n": 1}]

    await x()
    looks: list[int] = []
    monkeypatch.setattr(settings, "_of_environment", lambda: looks.append(1) or Settings())
    assert (await x()).from_cache
    assert len(looks) == 1


async def test_without_a_cache_every_call_runs_and_cache_first_takes_what_is_there(base: Path) -> None:
    @asset("x.json")
    def x() -> list[dict[str, int]]:
        calls.append(1)
        return [{"n": len(calls)}]

    await x()
    await x()
    assert len(calls) == 2
    assert (await x.cache_first().query()).fetchall() == [(2,)]
    assert len(calls) == 2
    assert (await x.cache_first(dt.timedelta(microseconds=1)).query()).fetchall() == [(3,)]


async def test_a_call_returns_the_first_result_persisted(base: Path) -> None:
    @asset("x.json|parquet|csv")
    def x() -> list[dict[str, int]]:
        return [{"n": 1}]

    artifact = await x()
    assert isinstance(artifact, DataArtifact)
    assert artifact.path == "x.json"
    assert artifact.persisted
    assert await artifact.exists()
    for suffix in ("json", "parquet", "csv"):
        assert (await DataArtifact(f"x.{suffix}").query()).fetchall() == [(1,)]


def test_sync_code_calls_and_queries(base: Path) -> None:
    @asset("{n}.parquet")
    async def x(n: int) -> list[dict[str, int]]:
        return [{"n": n}]

    assert x.call_sync(3).path == "3.parquet"
    assert x.with_arguments(4).query_sync("SELECT n + ? AS m FROM data", [1]).fetchall() == [(5,)]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("door", ["query_sync", "run", "task"])
def test_a_query_is_not_run_before_its_rows_are_asked_for(
    base: Path, monkeypatch: pytest.MonkeyPatch, door: str, debug: bool
) -> None:
    @asset("x.json")
    def x() -> Any:
        return [{"n": 1}]

    async def in_task() -> Any:
        return await asyncio.create_task(x.query())

    ran: list[Any] = []
    monkeypatch.setattr(Relation, "__str__", lambda self: f"{ran.append(self)}")
    monkeypatch.setattr(Relation, "_all_rows", lambda self: ran.append(self))
    found = (
        x.query_sync() if door == "query_sync" else asyncio.run(x.query() if door == "run" else in_task(), debug=debug)
    )
    assert (repr(found), ran) == ("<Relation: n BIGINT>", [])


async def test_a_relation_shows_its_rows_when_printed_and_its_columns_in_a_repr(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @asset("wide.json")
    def wide() -> Any:
        return [{f"c{number}": 10_000 + number for number in range(30)}]

    relation = await wide.query()
    assert repr(relation).startswith("<Relation: c0 BIGINT, c1 BIGINT")
    assert repr(relation).endswith("c19 BIGINT, 10 more>")
    print(relation)
    assert "10000" in capsys.readouterr().out


async def test_sync_code_calls_and_queries_inside_a_running_loop(base: Path) -> None:
    @asset("{n}.parquet")
    async def x(n: int) -> list[dict[str, int]]:
        await asyncio.sleep(0)
        return [{"n": n}]

    def flow() -> Any:
        assert x.call_sync(3).path == "3.parquet"
        return x.with_arguments(4).query_sync().fetchall()

    assert flow() == [(4,)]

    @asset("bad.json")
    def bad() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bad.call_sync()


async def test_sync_calls_see_the_settings_of_their_caller(base: Path, tmp_path: Path) -> None:
    @asset("x.json")
    def x() -> list[dict[str, int]]:
        return [{"n": 1}]

    with use_settings(Settings(filesystem_url=f"file://{tmp_path}/elsewhere")):  # type: ignore[call-arg]
        x.call_sync()
    assert (tmp_path / "elsewhere/x.json").is_file()
    assert not (base / "x.json").exists()


async def test_two_bases_in_one_process_do_not_mix(base: Path, tmp_path: Path) -> None:
    @asset("x.json")
    def x(n: int) -> list[dict[str, int]]:
        return [{"n": n}]

    async def run(n: int) -> Any:
        with use_settings(Settings(filesystem_url=f"file://{tmp_path}/base{n}")):  # type: ignore[call-arg]
            return (await x.with_arguments(n).query()).fetchall()

    assert await asyncio.gather(*(run(n) for n in range(4))) == [[(n,)] for n in range(4)]
    assert [(tmp_path / f"base{n}/x.json").read_text().strip() for n in range(4)] == [f'{{"n":{n}}}' for n in range(4)]


def test_what_is_wrong_with_a_decorator_is_said_at_once() -> None:
    with pytest.raises(UnknownFormatError, match="jsn"):
        asset("x.jsn")(lambda: None)
    with pytest.raises(UnknownFormatError, match="jsn"):
        asset("x.json", artifact_filetype="jsn")(lambda: None)
    with pytest.raises(OptionError):
        asset("x.json", read_json_options={"columns": {}})(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(OptionError):
        asset("x.json")("not a function")  # type: ignore[arg-type]


def test_an_asset_keeps_its_functions_name_and_docstring() -> None:
    @asset("x.json")
    def documented(a: int) -> None:
        """What it is."""

    assert documented.__name__ == "documented"
    assert documented.__doc__ == "What it is."


def test_errors_travel_between_processes_whole() -> None:
    with pytest.raises(UnknownFormatError) as caught:
        asset("x.jsn")(lambda: None)
    error = caught.value
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.asset, again.hint) == (str(error), error.asset, error.hint)
