"""The history of assets from the command line, with no code of theirs at hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import Retention, asset
from mad_prefect_core.cli.main import run

Command = Callable[..., Any]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    def called(*words: str, code: int = 0) -> Any:
        assert run(["--json", *words]) == code
        output = capsys.readouterr()
        return json.loads(output.out) if code == 0 else output.err

    return called


@pytest.fixture
async def teas(base: Path) -> Any:
    prices = [{"tea": "Assam", "price": 4}, {"tea": "Sencha", "price": 9}]

    @asset("gold/{shop}.parquet|csv", name="shop.teas", retention=Retention(keep_last=10))
    def teas(shop: str = "york") -> Any:
        return prices

    await teas()
    prices[1:] = [{"tea": "Sencha", "price": 10}, {"tea": "Pu-erh", "price": 12}]
    await teas()
    return teas


async def test_assets_lists_what_is_on_the_base(teas: Any, command: Command) -> None:
    [found] = command("assets")["assets"]
    assert (found["name"], found["rows"], found["paths"]) == ("shop.teas", 3, ["gold/york.parquet", "gold/york.csv"])
    assert found["id"] == teas.id


@pytest.mark.parametrize("name", ["teas", "shop.teas"])
async def test_history_diff_and_rollback_work_on_what_is_stored(
    base: Path, teas: Any, command: Command, name: str
) -> None:
    newer, older = command("history", name)["runs"]
    assert [(r["status"], r["rows"], r["current"], r["kept"]) for r in (newer, older)] == [
        ("success", 3, True, True),
        ("success", 2, False, True),
    ]
    by_key = command("diff", name, older["id"][:8], "--key", "tea")
    assert by_key["counts"] == {"added": 1, "removed": 0, "changed": 1}
    assert by_key["samples"]["added"] == [{"tea": "Pu-erh", "price": "12"}]
    assert command("diff", name, older["id"], newer["id"])["counts"] == {"added": 2, "removed": 1}
    assert command("diff", name, older["materialized"])["before"]["id"] == older["id"]
    done = command("rollback", name, older["id"][:8])
    assert done["rolled_back_to"] == older["id"]
    assert (base / "gold/york.csv").read_text() == "tea,price\nAssam,4\nSencha,9\n"
    assert (await teas.cache_first().query("SELECT count(*)")).fetchall() == [(2,)]


async def test_pins_and_prune_say_and_do_the_same(base: Path, teas: Any, command: Command) -> None:
    for _ in range(3):
        await teas()
    oldest = command("history", "teas")["runs"][-1]["id"]
    assert command("pin", "teas", "audited", oldest)["pins"] == ["audited"]
    planned = command("prune", "teas", "--keep-last", "2", "--dry-run")
    assert planned["dry_run"]
    assert len(planned["runs"]) == 2
    files = [base / file for gone in planned["runs"] for file in gone["files"]]
    assert planned["freed"] == sum(file.stat().st_size for file in files) > 0
    assert command("prune", "teas", "--keep-last", "2") == planned | {"dry_run": False}
    assert not any(file.exists() for file in files)
    assert [r["kept"] for r in command("history", "teas")["runs"]] == [True, True, False, False, True]
    command("unpin", "teas", "audited")
    assert command("history", "teas")["runs"][-1]["pins"] == []


async def test_several_sets_of_arguments_are_told_apart_by_id(teas: Any, command: Command) -> None:
    await teas("leeds")
    told = command("history", "teas", code=1)
    assert "may be 2 assets, or sets of arguments" in told
    assert "gold/leeds.parquet" in told
    assert teas.id[:8] in told
    assert len(command("history", "teas", "--id", teas.id[:6])["runs"]) == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["history", "coffee"], 1, "no asset 'coffee'.*shop.teas"),
        (["diff", "teas", "nope"], 1, "no run nope"),
        (["rollback", "teas", "1999-01-01T00:00:00Z"], 1, "no run 1999"),
        (["prune", "teas"], 1, "at least one.*--keep-last"),
        (["prune", "teas", "--keep-last", "0"], 1, "--keep-last.*greater than or equal to 1"),
        (["prune", "teas", "--keep-last", "many"], 2, "keep-last"),
        (["unpin", "teas", "nope"], 1, r"no pin 'nope'.*There are: none"),
    ],
)
async def test_what_can_not_be_done_is_one_line_and_an_exit_code(
    teas: Any, command: Command, words: list[str], code: int, said: str
) -> None:
    import re

    told = command(*words, code=code)
    assert re.search(said, told), told
    assert told.count("\n") == 1


def test_sweep_deletes_what_a_killed_run_left_and_nothing_else(base: Path, command: Command) -> None:
    script = base.parent / "killed.py"
    script.write_text(
        "import os\n"
        "from mad_prefect_core import asset\n"
        "@asset('x.csv', name='killed')\n"
        "def killed():\n"
        "    yield [{'n': 1}]\n"
        f"    os.kill(os.getpid(), {signal.SIGKILL})\n"
        "killed.call_sync()\n"
    )
    assert subprocess.run([sys.executable, str(script)], check=False, env=dict(os.environ)).returncode == -9
    [fragment] = base.rglob("fragment=*")
    (fragment.parent / "mine.txt").write_text("mine")
    planned = command("sweep", "--dry-run")
    assert [base / file for run_ in planned["runs"] for file in run_["files"]] == [fragment]
    assert planned["freed"] == fragment.stat().st_size
    assert fragment.exists()
    assert command("sweep")["runs"] == planned["runs"]
    assert not fragment.exists()
    assert (fragment.parent / "mine.txt").read_text() == "mine"
    assert command("sweep") == {"dry_run": False, "freed": 0, "runs": []}
    [run_] = command("history", "killed")["runs"]
    assert (run_["status"], run_["kept"]) == ("failed", False)
    assert "process ended" in run_["error"]


async def test_a_run_that_is_under_way_is_not_swept(base: Path, command: Command) -> None:
    found: list[Any] = []

    @asset("x.csv")
    def x() -> Any:
        yield [{"n": 1}]
        found.append(command("sweep"))

    await x()
    assert found == [{"dry_run": False, "freed": 0, "runs": []}]


def test_what_people_see_fits_a_narrow_terminal(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    @asset("bronze/" + "long" * 20 + ".parquet", name="an_asset_with_a_name_that_is_rather_long_for_a_table")
    def x() -> Any:
        return [{"n": 1}]

    x.call_sync()
    for words in (["assets"], ["history", x.name]):
        assert run(words) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


async def test_people_see_what_failed_what_went_back_and_months_in_order(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    fails = False

    @asset("month={month}.csv", name="of.flights", snapshot_artifacts=True)
    def flights(month: int) -> Any:
        if fails:
            raise RuntimeError("no [red]data[/red] today")
        return [{"n": n} for n in range(1000 + month)]

    for month in (10, 9, 1, 1):
        await flights(month)
    january = flights.with_arguments(1)
    run_ = await january.rollback((await january.history())[-1])
    fails = True
    with pytest.raises(RuntimeError):
        await january()

    def seen(*words: str) -> str:
        assert run(words) == 0
        return capsys.readouterr().out

    listed = [line.split() for line in seen("assets").splitlines()[2:]]
    assert [(line[0], line[-2], line[-1]) for line in listed] == [
        ("flights", f"{1000 + month:,}", f"month={month}.csv") for month in (1, 9, 10)
    ]
    told = seen("history", "flights", "--id", january.id)
    assert f"back to {str(run_.rolled_back_to)[:8]}" in told
    assert "RuntimeError: no [red]data[/red] today" in told
    assert "Would free 0 bytes" not in seen("prune", "flights", "--id", january.id, "--keep-last", "9", "--dry-run")
