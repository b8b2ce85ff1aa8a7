"""What 2.x stored is taken over: caches hit, history begins there, and its fragments are swept only where asked."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mad_prefect_core import asset
from mad_prefect_core.cli.main import run
from mad_prefect_core.runs.adopt import Adopted, adopt

MADE = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
FOREVER = dt.timedelta(days=9999)
ROWS = "SELECT * FROM (VALUES (1, 'x', DATE '2020-01-01'), (2, '', NULL)) AS t(id, text, day)"
SUFFIXES = ["parquet", "json", "csv"]


@pytest.fixture(autouse=True)
def records(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSET_METADATA_LOCATION", "_asset_metadata")


def store(
    base: Path, name: str, path: str, call: str = "(){}", *, artifacts_dir: str = "", made: dt.datetime = MADE,
    manifest: bool = True, query: str = ROWS,
) -> str:  # fmt: skip
    """A result, fragments and records as mad-prefect 2.3 leaves them; without `manifest`, as 2.2. Returns the id."""
    asset_id = hashlib.md5(f"{name}:{path}:{artifacts_dir}:{call}".encode()).hexdigest()
    run_id = hashlib.md5(f"{asset_id}:{made}".encode()).hexdigest()
    first, *more = path.split("|")
    paths = [first, *(f"{first.rpartition('.')[0]}.{suffix}" for suffix in more)]
    fragments = base / (artifacts_dir or f"{first.rpartition('/')[0]}/_artifacts/asset={name}")
    fragments.mkdir(parents=True, exist_ok=True)
    (fragments / "fragment=0.json").write_text('{"id": 1}\n')
    (fragments / "notes.json").write_text("{}")
    with duckdb.connect() as connection:
        for file in paths:
            (base / file).parent.mkdir(parents=True, exist_ok=True)
            connection.execute(f"COPY ({query}) TO '{base / file}'")
    folder = base / f"_asset_metadata/asset_name={name}/asset_id={asset_id}"
    record = folder / f"asset_run_id={run_id}/metadata.json"
    data = {
        "id": run_id, "runtime": made.isoformat(), "materialized": made.isoformat(), "duration_miliseconds": 5,
        "asset_id": asset_id, "asset_name": name, "asset_path": path, "parameters": None,
    }  # fmt: skip
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"__class__": "mad_prefect.data_assets.data_asset_run.DataAssetRun", "data": data}))
    last = {"id": run_id, "metadata_path": str(record.relative_to(base)), "materialized": made.isoformat()}
    written = {
        "manifest_version": "1", "asset_name": name, "asset_id": asset_id, "asset_signature": asset_id,
        "last_materialized": made.isoformat(), "last_run": {**last, "artifact_paths": paths}, "last_status": "success",
        "last_error": None, "last_artifacts": paths, "updated_at": made.isoformat(),
    }  # fmt: skip
    if manifest:
        (folder / "manifest.json").write_text(json.dumps(written))
    return asset_id


def taken(**how: Any) -> dict[str, Adopted]:
    return {entry.asset_name: entry for entry in adopt(**how)[0]}


def everything(base: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_an_adopted_result_answers_calls_and_begins_the_history(base: Path, suffix: str, manifest: bool) -> None:
    store(base, "orders", f"bronze/orders.{suffix}", manifest=manifest)
    ran = []

    @asset(f"bronze/orders.{suffix}", name="orders", cache_expiration=FOREVER)
    def orders() -> Any:
        ran.append(1)
        return [{"id": 3}]

    assert taken()["orders"].problem == ""
    found = await orders.query("SELECT id, day FROM data ORDER BY id")
    assert found.fetchall() == [(1, dt.date(2020, 1, 1)), (2, None)]
    assert (await orders()).from_cache
    assert not ran
    [version] = await orders.history()
    assert (version.current, version.kept, version.run.rows, version.run.materialized) == (True, True, 2, MADE)

    await orders.with_options(cache_expiration=None)()
    assert ran
    before = await (await orders.at(MADE + dt.timedelta(days=1))).query("SELECT id FROM data ORDER BY id")
    assert before.fetchall() == [(1,), (2,)]
    assert [run.run.rows for run in await orders.history()] == [1, 2]


async def test_results_with_arguments_answer_calls_with_the_same_arguments_alone(base: Path) -> None:
    store(base, "sales_eu", "sales/eu.parquet", "('eu',){}", artifacts_dir="raw/eu")
    store(base, "sales_us", "sales/us.parquet", "(){'region': 'us'}", artifacts_dir="raw/us")
    ran: list[Any] = []

    @asset("sales/{region}.parquet", name="sales_{region}", artifacts_dir="raw/{region}", cache_expiration=FOREVER)
    def sales(region: Any, day: int = 1) -> Any:
        ran.append(region)
        return [{"sold": 1}]

    assert set(taken()) == {"sales_eu", "sales_us"}
    assert (await sales("eu")).from_cache
    assert (await sales(region="us")).from_cache
    assert not ran
    assert not (await sales("eu", 2)).from_cache
    assert not (await sales("xx")).from_cache


async def test_an_argument_that_its_text_does_not_tell_never_hits_what_2x_stored(base: Path) -> None:
    class Same:
        def __repr__(self) -> str:
            return "1"

        def __mad_prefect_key__(self) -> str:
            return "same"

    store(base, "x", "x.parquet", f"({Same()!r},){{}}", artifacts_dir="raw")
    assert taken()["x"].problem == ""

    @asset("x.parquet", name="x", artifacts_dir="raw", cache_expiration=FOREVER)
    def x(value: Any) -> Any:
        return [{"id": 9}]

    assert not (await x(Same())).from_cache


async def test_each_asset_is_listed_once_after_it_ran_again(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(base, "orders", "bronze/orders.parquet")

    @asset("bronze/orders.parquet", name="orders")
    def orders() -> Any:
        return [{"id": 3}]

    adopt()
    await orders()
    capsys.readouterr()
    assert run(["assets", "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)["assets"]
    assert (listed["name"], listed["rows"]) == ("orders", 1)


async def test_a_result_whose_options_count_is_not_taken_from_2x(base: Path) -> None:
    store(base, "orders", "bronze/orders.parquet")
    adopt()

    @asset("bronze/orders.parquet", name="orders", cache_expiration=FOREVER, cache_on=("code",))
    def orders() -> Any:
        return [{"id": 3}]

    assert not (await orders()).from_cache


def test_a_dry_run_writes_and_deletes_nothing(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(base, "orders", "bronze/orders.parquet|csv")
    before = everything(base)
    assert run(["adopt", "--dry-run", "--sweep", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["assets"][0]["adopted"]
    assert printed["assets"][0]["fragments"] == ["bronze/_artifacts/asset=orders/fragment=0.json"]
    assert everything(base) == before


def test_fragments_are_deleted_only_where_asked_and_nothing_else_is(base: Path) -> None:
    store(base, "orders", "bronze/orders.parquet")
    store(base, "sales", "silver/sales.parquet", artifacts_dir="raw/sales")
    snapshot = base / "bronze/_artifacts/asset=orders/year=2024/month=5/day=1/runtime=2024-05-01/fragment=0.json"
    snapshot.parent.mkdir(parents=True)
    snapshot.write_text("{}")
    foreign = base / "bronze/_artifacts/asset=other/fragment=0.json"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("{}")
    before = everything(base)

    adopt()
    assert before.keys() <= everything(base).keys()
    swept, named = adopt(sweep=True, folders=["raw/sales"])
    assert [entry.fragments for entry in swept] == [("bronze/_artifacts/asset=orders/fragment=0.json",)]
    assert named == {"raw/sales": ("raw/sales/fragment=0.json",)}
    gone = before.keys() - everything(base).keys()
    assert {str(path.relative_to(base)) for path in gone} == {
        "bronze/_artifacts/asset=orders/fragment=0.json",
        "raw/sales/fragment=0.json",
    }


@pytest.mark.parametrize("left", ["missing", "damaged"])
def test_fragments_stay_where_the_result_is_not_there_to_be_read(base: Path, left: str) -> None:
    store(base, "orders", "bronze/orders.parquet")
    result = base / "bronze/orders.parquet"
    result.unlink() if left == "missing" else result.write_bytes(b"PAR1")
    before = everything(base)
    [entry] = adopt(sweep=True)[0]
    assert "bronze/orders.parquet" in entry.problem or left in ("damaged",)
    assert entry.problem
    assert everything(base) == before


@pytest.mark.parametrize("later", ["the lost one", "the other"])
def test_fragments_that_a_lost_result_shares_with_others_stay(base: Path, later: str) -> None:
    """2.x has one folder of fragments for all sets of arguments of a name."""
    made = {"eu": MADE, "us": MADE + dt.timedelta(days=1 if later == "the other" else -1)}
    for region, at in made.items():
        store(base, "sales", f"sales/{region}.parquet", f"('{region}',){{}}", made=at)
    (base / "sales/eu.parquet").unlink()
    before = everything(base)
    found = {entry.paths[0]: entry.problem for entry in adopt(sweep=True)[0]}
    assert (bool(found["sales/eu.parquet"]), found["sales/us.parquet"]) == (True, "")
    assert before.keys() <= everything(base).keys()


def test_fragments_of_two_results_at_one_path_that_is_lost_stay(base: Path) -> None:
    store(base, "orders", "bronze/orders.parquet", "(1,){}")
    store(base, "orders", "bronze/orders.parquet", "(2,){}", made=MADE + dt.timedelta(days=1))
    (base / "bronze/orders.parquet").unlink()
    before = everything(base)
    adopt(sweep=True)
    assert everything(base) == before


def test_fragments_stay_where_an_adopted_result_was_lost_since(base: Path) -> None:
    store(base, "orders", "bronze/orders.parquet")
    adopt()
    (base / "bronze/orders.parquet").unlink()
    before = everything(base)
    adopt(sweep=True)
    assert everything(base) == before


def test_adopting_that_was_cut_short_goes_on(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(base, "orders", "bronze/orders.parquet")

    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mad_prefect_core.runs.adopt.change_manifest", cut)
        with pytest.raises(KeyboardInterrupt):
            adopt()
    [entry] = adopt()[0]
    assert (entry.problem, entry.rows) == ("", 2)
    assert adopt()[0] == [entry]


def test_a_folder_behind_a_link_is_left_alone(base: Path, tmp_path: Path) -> None:
    store(base, "orders", "bronze/orders.parquet")
    fragments, elsewhere = base / "bronze/_artifacts/asset=orders", tmp_path / "elsewhere"
    fragments.rename(elsewhere)
    fragments.symlink_to(elsewhere)
    adopt(sweep=True)
    assert (elsewhere / "fragment=0.json").is_file()


def test_of_two_results_at_one_path_the_later_is_adopted(base: Path) -> None:
    store(base, "orders", "bronze/orders.parquet", "(1,){}")
    later = store(base, "orders", "bronze/orders.parquet", "(2,){}", made=MADE + dt.timedelta(days=1))
    found = {entry.asset_id: entry.problem for entry in adopt()[0]}
    assert found.pop(later) == ""
    assert list(found.values()) == ["A later run has replaced its result"]


async def test_what_a_run_of_ours_has_replaced_is_not_adopted(base: Path) -> None:
    store(base, "orders", "bronze/orders.parquet")

    @asset("bronze/orders.parquet", name="orders", cache_expiration=FOREVER)
    def orders() -> Any:
        return [{"id": 3}]

    await orders()
    assert taken()["orders"].problem == "A later run has replaced its result"
    assert (await orders.query()).fetchall() == [(3,)]


def test_adopting_twice_changes_nothing(base: Path) -> None:
    store(base, "orders", "bronze/orders.parquet|csv|json")
    adopt()
    before = everything(base)
    assert [entry.problem for entry in adopt()[0]] == [""]
    assert everything(base) == before


def test_on_a_base_without_2x_nothing_is_found(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["adopt"]) == 0
    assert "nothing" in capsys.readouterr().out
