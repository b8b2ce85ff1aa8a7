"""An asset is one however its file was loaded, and what was stored of it under another name of its module goes on."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cloudpickle  # type: ignore[import-untyped]
import pytest

from mad_prefect_core import asset

FLOW = """
from dataclasses import dataclass
from datetime import timedelta
from mad_prefect_core import asset

@dataclass(frozen=True)
class Day:
    n: int = 1

def helper(day):
    return [{"n": day.n}]

@asset("orders.parquet", cache_expiration=timedelta(days=1), cache_on=("code",))
def orders(day: Day = Day()):
    print("ran")
    return helper(day)

def main():
    found = orders.call_sync()
    print("hit" if found.from_cache else "run", orders.id)

if __name__ == "__main__":
    main()
"""


def python(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", [True, False])
def test_one_file_is_one_asset_however_it_is_loaded(base: Path, tmp_path: Path, package: bool) -> None:
    flows = tmp_path / "project" / "flows"
    flows.mkdir(parents=True)
    if package:
        (flows / "__init__.py").touch()
    (flows / "daily.py").write_text(FLOW)
    first = python(flows.parent, "flows/daily.py")
    assert first.startswith("ran\nrun ")
    others = python(
        base,
        "-c",
        f"""
import runpy, sys
from prefect.utilities.importtools import import_object
runpy.run_path({str(flows / "daily.py")!r}, run_name="__main__")
import_object({str(flows / "daily.py:main")!r})()
import_object({str(flows / "daily.py:main")!r})()
sys.path += [{str(flows.parent)!r}]
import flows.daily
flows.daily.main()
runpy.run_module("flows.daily", run_name="__main__", alter_sys=True)
""",
    )
    assert others.replace("hit", "run").splitlines() == [first.splitlines()[1]] * 5
    assert others.count("hit") == 5
    [manifest] = base.rglob("manifest.json")
    assert f"asset_name={'flows.daily' if package else 'daily'}.orders" in str(manifest)


def test_what_was_stored_under_another_name_of_the_module_is_found_and_goes_on(base: Path, tmp_path: Path) -> None:
    """As a run of an earlier version left it: under `__main__`, with the id that it had then."""
    (tmp_path / "daily.py").write_text(FLOW.replace(', cache_on=("code",)', ""))
    ids = "import daily; print(daily.orders.id, daily.orders._id_as('__main__'))"
    new, old = python(tmp_path, "-c", ids).split()
    python(tmp_path, "daily.py")
    _rename(base, {"daily.orders": "__main__.orders", new: old})
    for words in (["daily.py"], ["-c", "import daily; daily.main()"]):
        assert python(tmp_path, *words).startswith("hit ")
    more = "import asyncio, daily\ndaily.orders.with_options(cache_expiration=None).call_sync()\n"
    told = python(tmp_path, "-c", f"{more}print(len(asyncio.run(daily.orders.history())))")
    assert told == "ran\n2\n"
    [folder] = (base / "_asset_metadata").glob("asset_name=*")
    assert folder.name == "asset_name=__main__.orders"


def test_an_asset_over_another_one_is_found_by_the_names_that_both_had(base: Path, tmp_path: Path) -> None:
    """The id of an asset among the arguments goes by its module's name too."""
    more = """
@asset("report.parquet", cache_expiration=timedelta(days=1))
def report(source=orders.with_arguments(Day(2))):
    print("report")
    return [{"n": 1}]

def main():
    found = report.call_sync()
    print("hit" if found.from_cache else "run", report.id)

if __name__ == "__main__":
"""
    flow, _ = FLOW.split("def main")
    (tmp_path / "daily.py").write_text(f"{flow}{more}    print(report.id)\n")
    # Before names went by files, `__main__` is what the modules of both were called, and of the classes in arguments.
    told = python(tmp_path, "-c", "import daily; print(daily.report.id, daily.report._id_as('__main__'))")
    by_file, before = told.split()
    as_then = """
import runpy
from mad_prefect_core.assets import modules
modules._name_of = lambda file, name: name
runpy.run_path("daily.py", run_name="__main__")
"""
    assert python(tmp_path, "-c", as_then).split() == [before]
    assert before != by_file


def _rename(base: Path, names: dict[str, str]) -> None:
    for file in [path for path in base.rglob("*") if path.is_file() and path.suffix == ".json"]:
        text = file.read_text()
        for before, now in names.items():
            text = re.sub(rf"\b{re.escape(before)}\b", now, text)
        file.write_text(text)
    for folder, _, _ in os.walk(base, topdown=False):
        name = Path(folder).name
        for before, now in names.items():
            name = name.replace(before, now)
        if name != Path(folder).name:
            shutil.move(folder, Path(folder).with_name(name))


@asset("pickled/{n}.parquet")
def pickled(n: int = 1) -> list[dict[str, int]]:
    return [{"n": n}]


def test_an_asset_pickles_by_its_name_as_functions_do(base: Path) -> None:
    assert pickle.loads(pickle.dumps(pickled)) is pickled
    assert copy.copy(pickled) is not pickled
    bound = pickled.with_arguments(5).with_options(path="five/{n}.csv")
    again = pickle.loads(pickle.dumps(bound))
    assert pickled.arguments == {"n": 1}, "deriving an asset changes none"
    assert (again.path, again.arguments, again.id) == ("five/5.csv", {"n": 5}, bound.id)
    assert again.query_sync().fetchall() == [(5,)]


def test_cloudpickle_takes_an_asset_whole_for_workers_without_its_module(base: Path) -> None:
    again = pickle.loads(cloudpickle.dumps(pickled.with_arguments(6)))
    assert again.fn is not pickled.fn
    assert again.query_sync().fetchall() == [(6,)]


def test_an_asset_that_nothing_leads_to_pickles_no_more_than_a_function_does() -> None:
    @asset("local.parquet")
    def local() -> list[dict[str, int]]:
        return []

    with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
        pickle.dumps(local)


def test_a_run_keeps_who_wrote_its_files(base: Path) -> None:
    artifact = pickled.call_sync()
    [record] = base.rglob("metadata.json")
    writers = json.loads(record.read_text())["data"]["writers"]
    assert set(writers) == {"json", "parquet"}
    assert writers["parquet"].startswith("mad-prefect-parquet ")
    assert artifact.run.writers == writers
