"""Two assets over one path, or of one name: told when the second is defined, or from the record across processes."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import asset
from mad_prefect_core.assets import definitions
from mad_prefect_core.errors import OptionError, SharedPathWarning
from mad_prefect_core.runs import result_paths
from mad_prefect_core.runs.stored import locate_recorded


def first() -> list[dict[str, int]]:
    return [{"n": 1}]


def second() -> list[dict[str, int]]:
    return [{"n": 2}]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("taken.parquet", "taken.parquet"),
        ("taken.parquet|csv", "taken.csv"),
        ("taken.csv", "taken.parquet|csv"),
        ("a/taken.parquet", "./a//taken.parquet"),
        ("taken.parquet", "/taken.parquet"),
        ("taken.parquet", "mad://taken.parquet"),
        ("s3://bucket/taken.parquet", "s3://bucket//taken.parquet"),
        ("taken/{day}.parquet", "taken/{day}.parquet"),
    ],
)
def test_a_second_asset_over_one_path_is_refused_where_it_is_defined(base: Path, one: str, other: str) -> None:
    def of(day: int = 0) -> list[dict[str, int]]:
        return [{"n": day}]

    def also(day: int = 0) -> list[dict[str, int]]:
        return [{"n": day}]

    kept = asset(one)(of)
    with pytest.raises(OptionError, match=r"test_shared_paths\.of'.*already.*test_shared_paths\.also.*own path"):
        asset(other)(also)
    assert kept.template_path == one


def test_a_second_asset_of_one_name_is_refused_where_it_is_defined(base: Path) -> None:
    kept = asset("one.parquet", name="the orders")(first)
    with pytest.raises(OptionError, match=r"is that of the asset 'the orders'.*own name"):
        asset("other.parquet", name="the orders")(second)
    assert asset("other.parquet", name="the_orders")(second).id != kept.id


def test_the_same_function_may_be_defined_again(base: Path) -> None:
    """A cell of a notebook that runs again, and a function that makes assets."""

    def make(region: str) -> Any:
        @asset(f"{region}.parquet")
        def of_region() -> list[dict[str, str]]:
            return [{"region": region}]

        return of_region

    made = [make(region) for region in ("eu", "us", "eu")]
    assert [x.query_sync().fetchall() for x in made] == [[("eu",)], [("us",)], [("eu",)]]


def test_a_module_may_be_loaded_again_under_any_name(tmp_path: Path, base: Path) -> None:
    """`importlib.reload`, and Prefect, which loads a file by its path."""
    file = tmp_path / "reloaded_flow.py"
    file.write_text(
        "from mad_prefect_core import asset\n"
        "@asset('reloaded.parquet', name='reloaded')\ndef orders():\n    return [{'n': 1}]\n"
    )
    names = ("reloaded_flow", "reloaded_flow", "__prefect_loader_0123__", "__main__")
    loaded = [_load(file, name) for name in names]
    assert len({module.orders.id for module in loaded}) == 1


def _load(file: Path, name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
    return module


def test_an_asset_that_is_gone_holds_no_path(base: Path) -> None:
    asset("given-up.parquet", name="given up")(first)
    asset("given-up.parquet", name="given up")(second)


async def test_an_asset_of_another_process_over_the_path_is_told_once(base: Path) -> None:
    def made_by(fn: Callable[..., Any]) -> Any:
        return asset("over.parquet", name=fn.__name__)(fn)

    await made_by(first)()
    with pytest.warns(SharedPathWarning, match=r"Another asset wrote here last, 'first'.*over\.parquet.*own path"):
        await made_by(second)()
    await made_by(second)()  # no warning, which would be an error here


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("x.parquet|csv", "x.csv", "x.csv"),
        ("x.csv", "x.parquet|csv", "x.csv"),
        ("x.json|csv", "x.csv|parquet", "x.csv"),
        ("x.parquet", "mad://x.parquet|csv", "x.parquet"),
    ],
)
async def test_an_asset_of_another_process_over_some_of_the_paths_is_told_once(
    base: Path, one: str, other: str, shared: str
) -> None:
    def made_by(fn: Callable[..., Any], path: str) -> Any:
        definitions._claims.clear()  # as in a process of its own
        return asset(path, name=fn.__name__)(fn)

    await made_by(first, one)()
    with pytest.warns(SharedPathWarning, match=rf"Another asset wrote here last, 'first'.*{shared}") as told:
        await made_by(second, other)()
    assert len(told) == 1
    await made_by(second, other)()


async def test_an_asset_beside_others_in_a_folder_is_not_told(base: Path) -> None:
    await asset("x.parquet", name="first")(first)()
    await asset("x.csv", name="second")(second)()


@pytest.mark.parametrize("note", [None, b"no record", b"{}", b"x" * 2_000_000])
async def test_a_broken_note_of_who_wrote_to_a_path_stops_no_run(base: Path, note: bytes | None) -> None:
    place = Path(result_paths._location(locate_recorded("x.csv")).path)
    place.parent.mkdir(parents=True)
    if note is None:
        place.mkdir()
    else:
        place.write_bytes(note)
    assert (await asset("x.csv")(first).query()).fetchall() == [(1,)]
