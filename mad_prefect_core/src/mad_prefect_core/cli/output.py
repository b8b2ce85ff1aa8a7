"""What a command prints: its result as data first, as tables or as JSON; errors as one line; the exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

__all__ = [
    "FINE",
    "INTERRUPTED",
    "PROBLEM",
    "WRONG_USAGE",
    "Result",
    "fail",
    "grid",
    "indented",
    "problem",
    "show",
    "status_of",
    "styled",
    "table",
    "words",
]

FINE, PROBLEM, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: all is well; a problem was found, or it could not be done; the command line is wrong; Ctrl-C."""


@dataclass(frozen=True)
class Result:
    """What a command found or did.

    `data` is plain: what JSON has. `view` is the same for people, in rich's terms; text in it is markup.
    """

    data: Mapping[str, Any]
    view: Iterable[RenderableType]
    problem: bool = False
    """Whether it found something that is to be mended: the exit code is 1."""


def show(result: Result, *, as_json: bool) -> int:
    """Print a result to stdout, and nothing else. Returns the exit code."""
    if as_json:
        print(json.dumps(result.data, indent=2, ensure_ascii=not _writes_unicode()))
    else:
        console = Console(highlight=False, soft_wrap=False)
        for part in result.view:
            console.print(part)
    return PROBLEM if result.problem else FINE


def fail(message: str, code: int) -> int:
    """Print an error to stderr, in one line. Returns the exit code."""
    print(f"mad-prefect: {' '.join(message.split())}", file=sys.stderr)
    return code


def table(heads: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Table:
    """A table whose cells are markup. The last column takes what room there is."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for head in heads:
        made.add_column(head, overflow="fold")
    for row in rows:
        made.add_row(*(cell or "" for cell in row))
    return made


def grid(rows: Iterable[Sequence[str]]) -> Table:
    """Columns without heads or lines. Cells are markup."""
    made = Table.grid(padding=(0, 2))
    for row in rows:
        made.add_row(*row)
    for column in made.columns:
        column.overflow = "fold"
    return made


def status_of(status: str) -> str:
    """A plugin's status as markup."""
    return styled(status, {"loaded": "green", "blocked": "yellow"}.get(status, "red"))


def problem(where: str, message: str, hint: str | None) -> RenderableType:
    """What is wrong, and what would mend it."""
    fix = f"\n  {escape(hint)}" if hint else ""
    return f"\n{styled(where, 'bold red')}: {escape(message.removesuffix('.'))}.{fix}"


def indented(part: RenderableType) -> RenderableType:
    """A part that belongs to the line above it."""
    return Padding(part, (0, 0, 0, 2))


def styled(text: str, style: str) -> str:
    """Any text as markup in a style."""
    return f"[{style}]{escape(text)}[/]"


def words(value: Any) -> str:
    """A value of JSON as people read it."""
    if value is None or value == "" or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {words(item)}" for name, item in value.items())
    return ", ".join(map(words, value)) if isinstance(value, list) else str(value)


def _writes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
