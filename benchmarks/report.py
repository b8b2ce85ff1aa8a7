"""From measurements to ratios, and from ratios to the table, the page and the file of results."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.cases import SUBJECTS, Case
from benchmarks.measure import Measured, Measurement

__all__ = ["Ratio", "Result", "read_results", "table", "update_page", "write_results"]

_BEGIN, _END = "<!-- results -->", "<!-- end of results -->"
_UNITS = {"seconds": "s", "peak_mb": "MB", "requests": "requests"}


@dataclass(frozen=True)
class Ratio:
    """One subject's figure by another's: round by round, the two measured right after each other."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, above: Sequence[float], below: Sequence[float]) -> Ratio | None:
        """None where there is nothing to divide."""
        rounds = [a / b for a, b in zip(above, below, strict=False) if b]
        return cls(statistics.median(rounds), min(rounds), max(rounds)) if rounds else None

    def __str__(self) -> str:
        return f"{_figure(self.median)}× ({_figure(self.least)}–{_figure(self.most)})"


@dataclass(frozen=True)
class Result:
    """What was measured of a case."""

    case: Case
    measured: Measured

    @property
    def against_old(self) -> Ratio | None:
        """How many times as fast as mad-prefect 2.3.0."""
        return Ratio.of(self._figures("old"), self._figures("ours"))

    @property
    def against_floor(self) -> Ratio | None:
        """How many times what the floor takes."""
        return Ratio.of(self._figures("ours"), self._figures("floor"))

    @property
    def met(self) -> bool | None:
        """Whether the medians reach all targets; None where there are none, or where a figure is missing."""
        targets = self.case.targets
        checks: list[bool | None] = []
        if self._error("ours"):
            return False
        if targets.old is not None and not self._error("old"):
            checks.append(None if self.against_old is None else self.against_old.median >= targets.old)
        if targets.floor is not None:
            checks.append(None if self.against_floor is None else self.against_floor.median <= targets.floor)
        if targets.requests is not None:
            counted = [found.requests for found in self.measured.get("ours", ()) if found.requests is not None]
            checks.append(max(counted) <= targets.requests if counted else None)
        return None if not checks or None in checks else all(checks)

    def _figures(self, subject: str) -> list[float]:
        found = [one for one in self.measured.get(subject, ()) if not one.error]
        return [float(getattr(one, self.case.metric) or 0) for one in found]

    def _error(self, subject: str) -> str | None:
        return next((one.error for one in self.measured.get(subject, ()) if one.error), None)

    def cells(self) -> list[str]:
        """The columns of the table."""
        against_old = str(self.against_old or ("fails" if self._error("old") else ""))
        against_floor = str(self.against_floor or ("fails" if self._error("floor") else ""))
        met = {True: "yes", False: "no", None: ""}[self.met]
        figures = [self._shown(subject) for subject in SUBJECTS]
        return [self.case.id, *figures, self._target(), against_old, against_floor, met]

    def _target(self) -> str:
        targets = self.case.targets
        parts = [
            targets.old is not None and f"≥ {targets.old:g}× as fast",
            targets.floor is not None and f"≤ {targets.floor:g}× the floor",
            targets.requests is not None and f"≤ {targets.requests} requests",
        ]
        return ", ".join(part for part in parts if part)

    def _shown(self, subject: str) -> str:
        if subject not in self.case.subjects:
            return "–"
        good = [one for one in self.measured.get(subject, ()) if not one.error]
        if not good:
            return "fails" if self._error(subject) else ""
        seconds = statistics.median(one.seconds for one in good)
        requests = [one.requests for one in good if one.requests is not None]
        counted = f", {round(statistics.median(requests))} requests" if requests else ""
        return f"{_figure(seconds)} s, {max(one.peak_mb for one in good):.0f} MB{counted}"


def _figure(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def table(results: Sequence[Result]) -> str:
    """The results as a table in Markdown."""
    head = ["workload", "mad-prefect", "2.3.0", "floor", "target", "against 2.3.0", "against the floor", "met"]
    lines = [head, ["---"] * len(head), *(result.cells() for result in results)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def update_page(page: Path, results: Sequence[Result], about: Mapping[str, Any]) -> None:
    """Put the table between the two marks of a page."""
    text = page.read_text("utf-8")
    before, rest = text.split(_BEGIN)
    after = rest.split(_END)[1]
    page.write_text(f"{before}{_BEGIN}\n\n{table(results)}\n\n{_machine(about)}\n\n{_END}{after}", "utf-8")


def _machine(about: Mapping[str, Any]) -> str:
    ours, old = (", ".join(f"{name} {about[key][name]}" for name in about[key]) for key in ("ours", "old"))
    return (
        f"Measured on {about['cpus']} × {about['cpu']} with {about['memory_gb']} GB, {about['system']}, Python "
        f"{about['python']}. Here and in the floor: {ours}. With 2.3.0: {old}."
    )


def write_results(path: Path, results: Sequence[Result], about: Mapping[str, Any]) -> None:
    """Write all measurements as JSON."""
    cases = {
        result.case.id: {subject: [asdict(one) for one in found] for subject, found in result.measured.items()}
        for result in results
    }
    path.write_text(json.dumps({"about": about, "cases": cases}, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_results(path: Path, about: Mapping[str, Any]) -> dict[str, Measured]:
    """The measurements of a file of results, by case id; none, if they are of other versions or another machine."""
    if not path.exists():
        return {}
    stored = json.loads(path.read_text("utf-8"))
    if stored["about"] != about:
        return {}
    return {
        name: {subject: [Measurement(**one) for one in found] for subject, found in measured.items()}
        for name, measured in stored["cases"].items()
    }
