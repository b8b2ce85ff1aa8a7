"""What a command prints: its result as data first, as tables or as JSON; errors as one line; the exit codes."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box, markup
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mad_prefect_core.redaction import shown_text

__all__ = [
    "FINE",
    "INTERRUPTED",
    "PROBLEM",
    "WRONG_USAGE",
    "Result",
    "cell",
    "crash",
    "escape",
    "fail",
    "grid",
    "indented",
    "log_to_stderr",
    "printable",
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
        text = json.dumps(result.data, indent=2, ensure_ascii=not _writes_unicode())
        print(printable(text, keep="\n", escaped=json.dumps))
    else:
        console = _Console(highlight=False, soft_wrap=False)
        for part in result.view:
            console.print(part)
    return PROBLEM if result.problem else FINE


def fail(message: str, code: int) -> int:
    """Print an error to stderr, in one line. Returns the exit code."""
    print(f"mad-prefect: {printable(' '.join(shown_text(message).split()))}", file=sys.stderr)
    return code


def crash() -> int:
    """Print the traceback of an error that nobody foresaw to stderr. Returns the exit code."""
    print(printable(shown_text(traceback.format_exc()), keep="\n"), end="", file=sys.stderr)
    return PROBLEM


def printable(text: str, *, keep: str = "", escaped: Callable[[str], str] = ascii) -> str:
    """A text in which what a terminal obeys or hides (controls, marks that turn the direction of writing, invisible
    characters) is shown as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else escaped(char)[1:-1] for char in text)


def escape(text: str) -> str:
    """Any text as markup: it is shown as it is, in one line."""
    return markup.escape(printable(text))


def log_to_stderr(logger: logging.Logger, *, but: str) -> None:
    """Have a logger's warnings printed, each in one line; those of the logger `but` are not."""
    if not any(isinstance(known, _Handler) for known in logger.handlers):
        logger.addHandler(_Handler(but))


class _Handler(logging.Handler):
    def __init__(self, but: str) -> None:
        super().__init__(logging.WARNING)
        self.addFilter(lambda record: not record.name.startswith(but))

    def emit(self, record: logging.LogRecord) -> None:
        print(printable(shown_text(record.getMessage())), file=sys.stderr)


class _Console(Console):
    """A console that never passes a control character on: what is no markup of ours is text."""

    def render_str(self, text: str, *args: Any, **kwargs: Any) -> Text:
        return super().render_str(printable(text, keep="\n"), *args, **kwargs)


def table(heads: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Table:
    """A table whose heads are any text, and whose cells are markup. The last column takes what room there is."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for head in heads:
        made.add_column(escape(head), overflow="fold")
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


def cell(value: Any) -> str:
    """A value of JSON as markup, its parts in lines of their own."""
    return "\n".join(map(escape, words(value).split("\n")))


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
