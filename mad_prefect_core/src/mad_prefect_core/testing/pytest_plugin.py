"""Makes the capability cards of a test run: `pytest_plugins = ["mad_prefect_core.testing.pytest_plugin"]`.

Contract tests that take long run behind the others of their class; `--quick` leaves them out.

Each card is printed at the end. `--capability-cards=DIR` writes it to `DIR/<name>.md` and `DIR/<name>.json`; a card of
which only a part was run is never written over a whole one. Under pytest-xdist the workers hand theirs to the
controller.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core.cards import Card, Status
from mad_prefect_core.testing.base import CARD, NOT_DECLARED, Contract

__all__: list[str] = []

_OUTPUT = "mad_prefect_capability_cards"


class _Cards:
    """The cards of one process, by kind and name."""

    def __init__(self) -> None:
        self._cards: dict[tuple[str, str], Card] = {}

    def add(self, card: Card) -> None:
        known = self._cards.get((card.kind, card.name))
        self._cards[card.kind, card.name] = known.merged(card) if known else card

    def all(self) -> list[Card]:
        return [card for _, card in sorted(self._cards.items())]


_CARDS = pytest.StashKey[_Cards]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("mad-prefect").addoption(
        "--capability-cards",
        metavar="DIR",
        type=Path,
        help="write the capability card of each plugin that was tested to DIR/<name>.md and DIR/<name>.json",
    )

    parser.getgroup("mad-prefect").addoption(
        "--quick",
        action="store_true",
        help="leave out the contract tests that take long: large files, killed writers, memory",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Contract tests that take long come behind the others of their class, or are left out."""
    if config.getoption("--quick"):
        config.hook.pytest_deselected(items=[item for item in items if _is_costly(item)])
        items[:] = [item for item in items if not _is_costly(item)]
        return
    ordered: list[pytest.Item] = []
    for _, group in groupby(items, key=lambda item: item.parent):
        ordered += sorted(group, key=_is_costly)
    items[:] = ordered


def _is_costly(item: pytest.Item) -> bool:
    return "costly" in getattr(getattr(item, "function", None), "__dict__", {})


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_CARDS] = _Cards()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    card = item.stash.get(CARD, None)
    if card is not None and isinstance(item, pytest.Function):
        contract = item.cls
        assert isinstance(contract, type)
        assert issubclass(contract, Contract)
        status, reason = _found(contract, item.function.__name__, report, call)
        item.config.stash[_CARDS].add(card if status is None else card.found(item.function.__name__, status, reason))
    return report


def _found(
    contract: type[Contract], test: str, report: pytest.TestReport, call: pytest.CallInfo[None]
) -> tuple[Status | None, str | None]:
    """What one phase of a test says of it."""
    if report.failed or hasattr(report, "wasxfail"):
        return "failed", None
    if report.skipped:
        reason = str(call.excinfo.value) if call.excinfo else ""
        if reason.startswith(f"{NOT_DECLARED}: "):
            return "not declared", reason.removeprefix(f"{NOT_DECLARED}: ")
        return "not run", reason
    if report.when != "call":
        return None, None
    if replaced := contract.overridden(test):
        return "overridden", replaced
    return "passed", None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its cards on."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_OUTPUT] = json.dumps([card.to_json() for card in session.config.stash[_CARDS].all()])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Of pytest-xdist: a worker has ended. One that crashed hands nothing on, and what it ran counts as not run."""
    for text in json.loads(getattr(node, "workeroutput", {}).get(_OUTPUT, "[]")):
        node.config.stash[_CARDS].add(Card.from_json(text))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    cards = config.stash[_CARDS].all()
    if not cards:
        return
    terminalreporter.section("capability cards")
    folder: Path | None = config.getoption("--capability-cards")
    for card in cards:
        if config.get_verbosity() < 0:
            terminalreporter.write_line(f"{card.kind} {card.name}: {card.headline}")
        else:
            terminalreporter.write_line(card.to_markdown())
        if folder is not None:
            terminalreporter.write_line(_written(card, config.invocation_params.dir / folder))


def _written(card: Card, folder: Path) -> str:
    """Writes a card, and says so."""
    path = folder / f"{card.name}.json"
    if not card.whole and path.exists() and Card.from_json(path.read_text("utf-8")).whole:
        return f"{path} is a whole card, and stays: this one is partial."
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(card.to_json(), "utf-8")
    path.with_suffix(".md").write_text(card.to_markdown(), "utf-8")
    return f"{path} and {path.with_suffix('.md').name} are written."
