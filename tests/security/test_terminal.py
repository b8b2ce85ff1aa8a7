"""What the commands print obeys nobody's data: a terminal is given no control characters of theirs."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mad_prefect_core import asset
from mad_prefect_core.cli.main import run
from mad_prefect_core.cli.output import Result, escape, fail, problem, show, table

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2J \rover \x08back \u202egnp.exe [bold]x[/bold] [/] \x00\x7f\u200b\ud800 \\"
COMMANDS = [
    ["assets"],
    ["history", "x"],
    ["history", HOSTILE],
    ["diff", "x", "1"],
    ["sweep"],
    ["prune", "x"],
    [HOSTILE],
]


def _is_plain(text: str) -> bool:
    return all(char == "\n" or char.isprintable() for char in text)


@pytest.fixture
async def forged(base: Path) -> Path:
    """An asset whose run records somebody has written to."""

    @asset("x.json", name="x", snapshot_artifacts=True)
    def x() -> Any:
        return [{"a": 1}]

    await x()
    with pytest.raises(ValueError, match="red"):
        await asset("x.json", name="x", snapshot_artifacts=True)(_failing)()
    for path in base.rglob("metadata.json"):
        record = json.loads(path.read_text())
        record["data"] |= {"error": f"{HOSTILE}\n12345678: all is well", "pins": [HOSTILE], "status": "failed"}
        path.write_text(json.dumps(record))
    return base


def _failing() -> Any:
    raise ValueError(HOSTILE)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
async def test_no_record_and_no_argument_writes_to_the_terminal(
    forged: Path, capsys: pytest.CaptureFixture[str], command: list[str], as_json: bool
) -> None:
    run([*command, *(["--json"] if as_json else [])])
    out = capsys.readouterr()
    assert out.out or out.err
    assert _is_plain(out.out)
    assert _is_plain(out.err)
    assert "\n12345678: all is well" not in out.out
    if command[-1] == HOSTILE:
        assert "\\x1b[31mred" in out.err.replace("\n", "")


def test_an_error_that_nobody_foresaw_is_printed_without_controls(
    base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(*_: object) -> Any:
        raise RuntimeError(f"{HOSTILE} https://u:hunter2@x.test")

    monkeypatch.setattr("mad_prefect_core.cli.assets.stored_assets", raises)
    assert run(["assets"]) == 1
    err = capsys.readouterr().err
    assert "RuntimeError: \\x1b[31mred" in err
    assert "hunter2" not in err
    assert _is_plain(err)


def test_a_warning_is_printed_in_one_line(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["assets"])
    logging.getLogger("mad_prefect_core.runs").warning("about %s", f"{HOSTILE}\nforged".replace("\ud800", ""))
    assert "about \\x1b[31mred" in (err := capsys.readouterr().err)
    assert len(err.splitlines()) == 1
    assert _is_plain(err)


@given(text=st.text(st.characters(), max_size=60))
def test_any_text_is_shown_as_text(text: str) -> None:
    console = Console(width=200, file=None)
    with console.capture() as captured:
        console.print(escape(text), highlight=False)
    assert _is_plain(captured.get())


def test_no_column_of_data_is_shown_as_a_link() -> None:
    console = Console(width=200, file=None, force_terminal=True)
    with console.capture() as captured:
        console.print(table(("[link=https://evil.test]id[/link]",), [("1",)]))
    assert "[link=https://evil.test]id[/link]" in captured.get()
    assert "\x1b]8" not in captured.get()


@given(text=st.text(st.characters(), max_size=60))
def test_any_text_in_a_result_is_shown_as_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    cells = table((text,), [(escape(text),)])
    show(Result({"a": text}, [cells, problem(text, text, text), escape(text)]), as_json=False)
    show(Result({"a": text}, []), as_json=True)
    fail(text, 1)
    out = capsys.readouterr()
    assert _is_plain(out.out)
    assert _is_plain(out.err)
    assert json.loads(out.out[out.out.rindex('{\n  "a"') :])["a"] == text
