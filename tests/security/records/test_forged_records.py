"""A manifest, run record, lease or history that somebody forged leads nowhere and runs nothing (S49)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forgery import MARK, SUFFIXES, Canary, Stored
from pydantic_core import PydanticCustomError

from mad_prefect_core import asset
from mad_prefect_core.cli.main import run
from mad_prefect_core.errors import MadPrefectError, ManifestError, VersionError
from mad_prefect_core.runs.column_type import column_type
from mad_prefect_core.runs.lease import Lease
from mad_prefect_core.runs.stored import check_paths
from mad_prefect_core.threads import run_sync

Make = Callable[[str], Stored]
_LONG = os.environ.get("MAD_PREFECT_FAULTS") == "long"


def elsewhere(canary: Canary, suffix: str) -> list[str]:
    """Ways to spell the canary's file of a run, or a file nowhere."""
    below = f"_artifacts/asset=x/{canary.run}/x.{suffix}.run"
    inside = str(canary.folder)
    return [
        f"../canary/{below}",
        f"gold/../../canary/{below}",
        f"{inside}/{below}",
        f"file://{inside}/{below}",
        f"local://{inside}/{below}",
        f"FILE://{inside}/{below}",
        f"mad://../canary/{below}",
        f"mad-files-1://{inside}/{below}",
        f"memory://{inside}/{below}",
        f"s3://not-ours/{below}",
        f"http://127.0.0.1:9/{below}",
        f"gold/{below}\0",
        f"gold/*/{below}",
        "",
        "." * 10,
        "x" * 5000,
    ]


def outcome(use: Callable[[], Any]) -> str:
    """What a user sees of it: rows, or a typed error with all that it was caused by."""
    try:
        return repr(use())
    except MadPrefectError as error:
        texts, cause = [str(error)], error.__cause__
        while cause is not None:
            texts.append(str(cause))
            cause = cause.__cause__
        return " ".join(texts)


def uses(stored: Stored) -> dict[str, Callable[[], Any]]:
    x = stored.x
    return {
        "query": lambda: x.query_sync().fetchall(),  # type: ignore[union-attr]
        "history": lambda: run_sync(x.history),
        "version": lambda: run_sync(lambda: _rows(x, stored.runs[0])),
        "rollback": lambda: run_sync(lambda: x.rollback(stored.runs[0])),
        "sweep": lambda: run(["--json", "sweep"]),
        "prune": lambda: run(["--json", "prune", "x", "--keep-last", "1"]),
        "call": lambda: x.with_options(cache_expiration=None).call_sync(),
    }


async def _rows(x: Any, which: str) -> Any:
    return (await (await x.at(which)).query()).fetchall()


FIELDS: dict[str, tuple[str, Callable[[Any, str], None]]] = {
    "manifest results.0.file": ("manifest", lambda m, path: m["results"][0].update(file=path)),
    "manifest results.0.path": ("manifest", lambda m, path: m["results"][0].update(path=path)),
    "manifest both": ("manifest", lambda m, path: m["results"][0].update(file=path, path=path)),
    "metadata results.0.file": ("metadata", lambda m, path: m["results"][0].update(file=path)),
    "metadata results.0.path": ("metadata", lambda m, path: m["results"][0].update(path=path)),
    "metadata fragments.0.path": ("metadata", lambda m, path: m["fragments"][0].update(path=path)),
    "lease left.0.folders": ("lease", lambda m, path: m["left"][0].update(folders=[os.path.dirname(path)])),
    "lease left.0": (
        "lease",
        lambda m, path: m["left"][0].update(
            folders=[os.path.dirname(path)], run=os.path.basename(os.path.dirname(path))
        ),
    ),
    "lease holder": (
        "lease",
        lambda m, path: m.update(holder=m["left"][0] | {"folders": [os.path.dirname(path)], "run": "a" * 32}),
    ),
    "history runs.0.id": ("history", lambda m, path: m["runs"][0].update(id=path)),
}


@pytest.mark.parametrize("field", FIELDS)
def test_s49_a_path_in_a_forged_record_leads_nowhere_outside_the_base(
    stored_runs: Make, canary: Canary, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, change = FIELDS[field]
    names, paths = list(uses(stored_runs("parquet"))), elsewhere(canary, "parquet")
    for number, path in enumerate(paths):
        turn = number + len(field)  # each path is used in one way or two, each way by several paths and fields
        some = {names[turn % len(names)], ("query", "call")[turn % 2]}
        for name in names if path == paths[0] or _LONG else some:
            stored = stored_runs("parquet")
            stored.forge(kind, lambda record, path=path: change(record, path))
            with canary.watched():
                assert MARK not in outcome(uses(stored)[name])
    assert MARK not in "".join(capsys.readouterr())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_row_of_a_file_outside_is_in_no_result_and_no_error(stored_runs: Make, canary: Canary, suffix: str) -> None:
    for number in range(len(elsewhere(canary, suffix))):
        stored = stored_runs(suffix)
        path = elsewhere(canary, suffix)[number]
        stored.forge("manifest", lambda m, path=path: m["results"][0].update(file=path))
        with canary.watched():
            assert MARK not in outcome(uses(stored)["query"])


@pytest.mark.parametrize(
    ("kind", "field", "change"),
    [
        ("manifest", "results.0.file", lambda m, out: m["results"][0].update(file=out)),
        ("manifest", "results.0.path", lambda m, out: m["results"][0].update(path=out)),
        ("manifest", "last_run.metadata_path", lambda m, out: m["last_run"].update(metadata_path=out)),
        ("manifest", "results.0.columns.n", lambda m, out: m["results"][0]["columns"].update(n="(SELECT 1)")),
        ("manifest", "superseded.0", lambda m, out: m.update(superseded=[out])),
        ("metadata", "results.0.file", lambda m, out: m["results"][0].update(file=out)),
        ("metadata", "fragments", lambda m, out: m["fragments"][0].update(path=out)),
        ("metadata", "id", lambda m, out: m.update(id=out)),
        ("metadata", "asset_name", lambda m, out: m.update(asset_name="y")),
        ("lease", "left.0.folders.0", lambda m, out: m["left"][0].update(folders=[out])),
        ("history", "runs.0.metadata_path", lambda m, out: m["runs"][0].update(metadata_path=out)),
    ],
)
def test_a_forged_record_is_an_error_that_names_it_and_the_field(
    stored_runs: Make, canary: Canary, kind: str, field: str, change: Any
) -> None:
    stored = stored_runs("parquet")
    stored.forge(kind, lambda record: change(record, "../canary/x.json"))
    lease = Lease(stored.record("lease").stem)
    use: Callable[[], Any] = {
        "manifest": lambda: stored.x.query_sync(),
        "metadata": lambda: run_sync(lambda: stored.x.at(stored.runs[0])),
        "lease": lease.look,
        "history": lambda: run_sync(stored.x.history),
    }[kind]
    with canary.watched(), pytest.raises(ManifestError) as raised:
        use()
    assert repr(field) in str(raised.value)
    assert str(stored.record(kind).relative_to(stored.base)) in str(raised.value)
    assert kind == "lease" or raised.value.asset == "x"


@pytest.mark.parametrize("other", [{"asset_id": "0" * 32}, {"asset_name": "y"}, {"asset_name": "../x"}])
def test_a_manifest_of_another_asset_counts_as_none(stored_runs: Make, other: dict[str, str]) -> None:
    stored = stored_runs("json")
    stored.forge("manifest", lambda m: m.update(other))
    assert stored.x.query_sync().fetchall() == [(1, "one")]  # type: ignore[union-attr]
    assert len(run_sync(stored.x.history)) == 5, "the function ran"


def test_a_run_in_the_base_itself_goes_on_as_before(base: Path) -> None:
    @asset("x.json", artifacts_dir=".", name="x")
    def x() -> Any:
        return [{"n": 1}]

    for _ in range(3):
        x.call_sync()
    assert len(list(base.glob("*/fragment=0.json"))) == 1, "those of earlier runs are swept"


def test_a_file_of_another_asset_in_the_same_base_is_not_read_as_this_ones_result(stored_runs: Make) -> None:
    stored = stored_runs("json")
    (stored.base / "gold/other.json").write_text(f'{{"t": "{MARK}"}}\n')
    stored.forge("manifest", lambda m: m["results"][0].update(file="gold/other.json"))
    with pytest.raises(ManifestError, match=r"results\.0\.file") as raised:
        stored.x.query_sync()
    assert MARK not in str(raised.value)


def test_files_of_another_run_are_not_swept_for_a_lease_that_names_them(stored_runs: Make) -> None:
    stored = stored_runs("csv")
    other = stored.base / f"gold/_artifacts/asset=y/{'b' * 32}"
    other.mkdir(parents=True)
    (other / "fragment=0.json").write_text("{}")
    stored.forge(
        "lease",
        lambda m: m["left"][0].update(folders=[f"gold/_artifacts/asset=y/{'b' * 32}"], run="b" * 32),
    )
    assert run(["sweep"]) == 0
    stored.x.with_options(cache_expiration=None).call_sync()
    assert (other / "fragment=0.json").exists(), "no such run of this asset was ever recorded"


@pytest.mark.parametrize("part", ["", "..", "../.."])
def test_files_behind_a_link_in_the_place_of_a_runs_folder_are_not_deleted(
    stored_runs: Make, canary: Canary, part: str
) -> None:
    stored = stored_runs("csv")
    for run_id in (*stored.runs, stored.dead):
        folder = stored.base / f"gold/_artifacts/asset=x/{run_id}"
        behind = canary.folder / f"_artifacts/asset=x/{run_id}"
        shutil.copytree(folder, behind)
    link = Path(os.path.normpath(folder / part))
    shutil.rmtree(link)
    link.symlink_to(Path(os.path.normpath(behind / part)))
    before = sorted(canary.folder.rglob("*"))
    for name in ("sweep", "prune"):
        outcome(uses(stored)[name])
    assert sorted(canary.folder.rglob("*")) == before


def test_files_of_another_asset_are_not_swept_for_a_record_that_names_them(stored_runs: Make) -> None:
    stored = stored_runs("csv")

    @asset("gold/y.csv", name="y")
    def y() -> Any:
        return [{"n": 1}]

    other = str(y.call_sync().run.id)
    [result] = (stored.base / f"gold/_artifacts/asset=y/{other}").glob("*.run")
    record = json.loads(stored.record("metadata").read_text())
    record["data"] |= {"id": other, "results": [], "keeps_fragments": False, "keeps_results": False, "pins": []}
    record["data"]["fragments"] = [{"path": str(result.relative_to(stored.base))}]
    path = stored.record("metadata", other)
    path.parent.mkdir()
    path.write_text(json.dumps(record))
    stored.forge("manifest", lambda m: m.update(superseded=[other], unswept=[other]))
    stored.x.with_options(cache_expiration=None).call_sync()
    assert result.exists()


def test_what_a_dead_run_left_is_swept_still(stored_runs: Make) -> None:
    stored = stored_runs("csv")
    folder = stored.base / f"gold/_artifacts/asset=x/{stored.dead}"
    assert folder.exists()
    assert run(["sweep"]) == 0
    assert not folder.exists()


SQL = [
    "INTEGER) FROM (SELECT content FROM read_text('{canary}/x.txt')) --",
    "VARCHAR) AS t, (SELECT content FROM read_text('{canary}/x.txt')) AS u, CAST(NULL AS INTEGER",
    "(SELECT error('sql' || '-ran'))",
    "INTEGER); COPY (SELECT 1) TO '{canary}/owned.csv'; SELECT CAST(1 AS INTEGER",
    "INTEGER DEFAULT (error('sql' || '-ran'))",
    "INTEGER CHECK (error('sql' || '-ran'))",
    "INTEGER USING SAMPLE 1",
    "STRUCT(a INTEGER, b (SELECT 1))",
    "ENUM((SELECT 'a'))",
    "DECIMAL(getvariable('x'), 1)",
    'STRUCT("a""b" INTEGER) --',
    "VARCHAR COLLATE nocase",
    "no_such_type",
    "DECIMAL(50, 2)",
    "INTEGER[1000000]",
    "STRUCT(a INTEGER, A INTEGER)",
    "STRUCT(select INTEGER)",
    "INTEGER" + "[]" * 5000,
    "STRUCT(a " * 5000 + "INTEGER" + ")" * 5000,
    "MAP(" * 5000,
    "'",
    '"',
    "",
    "\0",
]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_s49_a_type_in_a_forged_record_never_runs_as_sql(stored_runs: Make, canary: Canary, suffix: str) -> None:
    for sql in SQL:
        for kind in ("manifest", "metadata"):
            stored = stored_runs(suffix)
            text = sql.format(canary=canary.folder)
            stored.forge(kind, lambda record, text=text: record["results"][0]["columns"].update(t=text))
            with canary.watched():
                for name in ("query", "version"):
                    told = outcome(uses(stored)[name])
                    assert MARK not in told
                    assert "sql-ran" not in told
                    assert kind != "manifest" or name != "query" or "columns.t" in told, told


@pytest.mark.parametrize("sql", SQL)
def test_what_is_no_type_is_refused(sql: str) -> None:
    with pytest.raises(Exception, match="no type of a column"):
        column_type(sql)


def test_an_option_in_a_forged_record_opens_no_file(stored_runs: Make, canary: Canary) -> None:
    options: list[Any] = [
        {"delim": "x" * 1000}, {"no_such": 1}, {"header": "?"}, {"avro_schema": f"{canary.folder}/x.json"},
        {"avro_schema": "[" * 100_000}, {"nullstr": "'); SELECT 1; --"}, {"delim": "\n", "quote": "\n"}, 5, [],
        {"row_group_size": -1}, {"compression": "'"}, {"files": f"{canary.folder}/x.json"},
    ]  # fmt: skip
    for suffix in SUFFIXES:
        for write in options:
            stored = stored_runs(suffix)
            stored.forge("manifest", lambda record, write=write: record["results"][0].update(write=write))
            with canary.watched():
                assert MARK not in outcome(uses(stored)["query"])


@pytest.mark.parametrize("change", [{"format": "csv"}, {"format": "no such"}, {"suffix": ".csv"}, {"suffix": "'"}])
def test_a_format_in_a_forged_record_is_that_of_the_file(stored_runs: Make, change: dict[str, str]) -> None:
    stored = stored_runs("parquet")
    stored.forge("manifest", lambda record: record["results"][0].update(change))
    told = outcome(uses(stored)["query"])
    assert "1, 'one'" in told or "suffix" in told or "format" in told


def test_a_run_of_another_storage_is_swept_only_where_that_is_named(
    stored_runs: Make, canary: Canary, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = stored_runs("csv")
    folder = f"file://{canary.folder}/_artifacts/asset=x/{stored.dead}"
    own = canary.folder / f"_artifacts/asset=x/{stored.dead}"
    own.mkdir()
    (own / "fragment=0.json").write_text(MARK)
    stored.forge("lease", lambda m: m["left"][0].update(folders=[folder]))
    capsys.readouterr()
    with canary.watched():
        for words in (["sweep"], ["sweep", "--dry-run"]):
            assert run(["--json", *words]) == 0
            [left] = json.loads(capsys.readouterr().out)["runs"]
            assert "folders" in left["problem"]
            assert "--storage" in left["problem"]
    assert run(["--json", "sweep", "--storage", f"file://{canary.folder}"]) == 0
    [left] = json.loads(capsys.readouterr().out)["runs"]
    assert left["problem"] is None
    assert not own.exists()
    assert (canary.folder / "x.json").exists()


def test_an_asset_whose_own_path_is_a_url_goes_on_as_before_and_the_command_line_asks_for_its_storage(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = base.parent / "other"
    n = 0

    @asset(f"file://{other}/gold/x.parquet|csv", name="x", snapshot_artifacts=True)
    def x() -> Any:
        nonlocal n
        n += 1
        return [{"n": n}]

    first = x.call_sync()
    x.call_sync()
    assert x.cache_first().query_sync().fetchall() == [(2,)]  # type: ignore[union-attr]
    assert run_sync(lambda: _rows(x, str(first.run.id))) == [(1,)]
    run_sync(lambda: x.rollback(str(first.run.id)))
    assert x.cache_first().query_sync().fetchall() == [(1,)]  # type: ignore[union-attr]
    second = str(run_sync(x.history)[1].run.id)
    assert run(["rollback", "x", second]) == 1
    assert "--storage" in capsys.readouterr().err
    assert run(["rollback", "x", second, "--storage", f"file://{other}/gold"]) == 0
    assert x.cache_first().query_sync().fetchall() == [(2,)]  # type: ignore[union-attr]


async def test_a_forged_record_of_an_upstream_asset_is_a_typed_error(stored_runs: Make) -> None:
    stored = stored_runs("csv")
    stored.forge("metadata", lambda m: m.update(upstream=[{"asset_name": "../x", "asset_id": "y", "run": None}]))
    with pytest.raises(ManifestError, match=r"upstream\.0\.asset_name"):
        await stored.x.rollback(stored.runs[0])
    with pytest.raises(VersionError):
        await stored.x.at("0" * 32)


@pytest.mark.parametrize(
    "path", ["", "/", ".", "..", "a\nb", "a\n", "a/../b", "\ud800", "x" * 300, "s3://", "s3://b/../c"]
)
def test_a_path_that_leads_nowhere_is_found_among_many(path: str) -> None:
    check_paths([])
    check_paths(["a/b.json", "s3://bucket/a", "mad://a", "/a", "./a", "k=v/ü/fragment=0.json"])
    for paths in ([path], ["a/b.json", path], [path, "a/b.json"]):
        with pytest.raises(PydanticCustomError):
            check_paths(paths)
