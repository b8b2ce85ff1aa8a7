"""The quick form: little data, and only whether something has become far slower than it was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from benchmarks.cases import Case
from benchmarks.measure import measure_all
from benchmarks.subjects import ROOT

__all__ = ["MARGIN", "run"]

MARGIN = 2.0
"""So many times the recorded ratio is a regression; less is what a busy machine does by itself."""

SUBJECTS = ("ours", "floor")
_RECORDED = ROOT / "benchmarks" / "quick.json"


def run(cases: Sequence[Case], repeat: int, *, record: bool = False) -> int:
    """Measure us and the floor, and compare the ratios with those that are recorded. What seems slower is measured
    once more, twice as often, before it counts. Returns the exit status."""
    chosen = [case for case in cases if case.quick is not None and "floor" in case.subjects]
    recorded: dict[str, float] = json.loads(_RECORDED.read_text("utf-8")) if _RECORDED.exists() else {}
    ratios = _ratios(chosen, repeat, recorded)
    failed = len(ratios) < len(chosen)
    if record and not failed:
        _RECORDED.write_text(json.dumps(recorded | ratios, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if not record and (slower := [case for case in chosen if _is_slower(case, ratios, recorded)]):
        ratios |= _ratios(slower, 2 * repeat, recorded)
        failed |= any(_is_slower(case, ratios, recorded) for case in slower)
    return int(failed)


def _ratios(cases: Sequence[Case], repeat: int, recorded: Mapping[str, float]) -> dict[str, float]:
    """By the name of the case; without those that failed."""
    ratios: dict[str, float] = {}
    for case, measured in measure_all(cases, SUBJECTS, repeat=repeat, quick=True):
        if problem := next((one.error for found in measured.values() for one in found if one.error), None):
            print(f"{case.id:40} {problem}", flush=True)
            continue
        # CPU time, and the best of each: what else the machine does only ever adds, and adds little to that.
        ours, floor = (min(one.cpu_seconds for one in measured[subject]) for subject in SUBJECTS)
        ratio = ratios[case.id] = round(ours / floor, 2)
        before = recorded.get(case.id)
        verdict = "" if before is None else "SLOWER" if _is_slower(case, ratios, recorded) else "as before"
        print(f"{case.id:40} {ratio:8.2f}× the floor, recorded {before or '–'}   {verdict}", flush=True)
    return ratios


def _is_slower(case: Case, ratios: Mapping[str, float], recorded: Mapping[str, float]) -> bool:
    return case.id in ratios and case.id in recorded and ratios[case.id] > MARGIN * recorded[case.id]
