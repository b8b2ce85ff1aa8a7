"""The reference of the command line is the live app: every command, argument and option, in its own words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from mad_prefect_core.cli import output
from mad_prefect_core.cli.main import app

REFERENCE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md").read_text("utf-8")
SECTION = re.compile(r"^### (mad-prefect [a-z ]+)\n\n(.+?)(?:\n\n|\n*\Z)", re.M | re.S)


def commands(parent: App, words: str) -> Iterator[tuple[str, App]]:
    """Every command that does something, by what a user types."""
    for name in parent:
        if not name.startswith("-"):
            command = parent[name]
            if command.default_command is not None:
                yield f"{words} {name}", command
            yield from commands(command, f"{words} {name}")


LIVE = dict(commands(app, "mad-prefect"))


def one_line(text: str) -> str:
    return " ".join(text.split())


def rows_of(command: App) -> list[tuple[str, str]]:
    """Each argument and option with its help, as the reference has it."""
    found = []
    for argument in command.assemble_argument_collection():
        name = argument.names[0] if argument.index is None else argument.names[0].lstrip("-").upper()
        found.append((f"`{name}`", one_line(argument.parameter.help or "")))
    return found


def test_the_reference_has_every_command_and_no_other() -> None:
    assert {name for name, _ in SECTION.findall(REFERENCE)} == LIVE.keys()
    assert len(LIVE) >= 4


@pytest.mark.parametrize("name", LIVE)
def test_the_reference_says_of_a_command_what_the_app_says(name: str) -> None:
    [said] = [summary for found, summary in SECTION.findall(REFERENCE) if found == name]
    assert one_line(said) == one_line(LIVE[name].help.split("\n\n")[0])


@pytest.mark.parametrize("name", LIVE)
def test_the_reference_has_every_argument_and_option_of_a_command(name: str) -> None:
    section = re.split(r"^#{2,3} ", REFERENCE.split(f"### {name}\n")[1], flags=re.M)[0]
    assert re.findall(r"^\| (`[A-Z-]\S*`) \| (.*?) \|$", section, re.M | re.I) == rows_of(LIVE[name])


def test_the_reference_has_the_exit_codes() -> None:
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", REFERENCE, re.M)]
    assert codes == [output.FINE, output.PROBLEM, output.WRONG_USAGE, output.INTERRUPTED]
