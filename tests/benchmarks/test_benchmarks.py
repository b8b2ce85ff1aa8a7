"""The benchmarks measure what they say: equal work, from equal data, told in one table."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of the benchmarks, which are no installed package."""
    monkeypatch.syspath_prepend(ROOT)

    class Modules:
        def __getattr__(self, name: str) -> Any:
            return importlib.import_module(f"benchmarks.{name}")

    return Modules()


def tiny(benchmarks: Any, name: str, **size: int) -> Any:
    """A case with next to nothing to do."""
    case = next(case for case in benchmarks.cases.all_cases() if case.id == name)
    return dataclasses.replace(case, size={**case.size, **size})


def test_every_run_of_a_workload_has_the_same_data(benchmarks: Any) -> None:
    def made() -> list[Any]:
        generate = benchmarks.generate
        return [
            *generate.mixed_batches(2, 5),
            *(frame.to_pylist() for frame in generate.frames("pyarrow", 2, 5)),
            generate.relation_sql(5),
        ]

    first, again = made(), made()

    assert first == again
    assert [row["id"] for batch in first[:2] for row in batch] == list(range(10))
    assert [row["id"] for frame in first[2:4] for row in frame] == list(range(10))


def test_we_and_the_floor_land_the_same_rows_and_the_table_tells_what_both_took(
    benchmarks: Any, tmp_path: Path
) -> None:
    case = tiny(benchmarks, "W1 JSON fragments", batches=2, rows=10)

    [(_, measured)] = benchmarks.measure.measure_all([case], ("ours", "floor"), repeat=1)

    ours, floor = measured["ours"][0], measured["floor"][0]
    assert (ours.error, floor.error) == (None, None)
    assert ours.answer == floor.answer == [[20, 190, 10, 190]]
    assert ours.seconds > 0
    assert ours.peak_mb > 1
    result = benchmarks.report.Result(case, measured)
    page = tmp_path / "page.md"
    page.write_text("Before.\n<!-- results -->\nold\n<!-- end of results -->\nAfter.\n", "utf-8")
    benchmarks.report.update_page(page, [result], benchmarks_about())
    text = page.read_text("utf-8")
    assert text.startswith("Before.\n")
    assert text.endswith("\nAfter.\n")
    assert "old\n" not in text
    assert "| W1 JSON fragments |" in text
    assert str(result.against_floor) in text
    assert "W1 JSON fragments" in benchmarks.plot.plot([result])


def benchmarks_about() -> dict[str, Any]:
    versions = {"duckdb": "2"}
    return {"python": "3", "ours": versions, "old": versions, "system": "x", "cpus": 2, "cpu": "y", "memory_gb": 1}


def test_subjects_that_did_not_do_the_same_are_not_compared(benchmarks: Any) -> None:
    case = benchmarks.cases.Case("W0", "unequal", {"ours": "print(1)", "floor": "print(2)"})

    with pytest.raises(AssertionError, match="W0 unequal: the subjects did not do the same"):
        list(benchmarks.measure.measure_all([case], ("ours", "floor"), repeat=1))


def test_a_subject_that_fails_is_told_with_its_error_and_fails_the_target(benchmarks: Any) -> None:
    case = benchmarks.cases.Case(
        "W0",
        "broken",
        {"ours": "raise ValueError('no')", "floor": "print(1)"},
        targets=benchmarks.cases.Targets(floor=2),
    )

    [(_, measured)] = benchmarks.measure.measure_all([case], ("ours", "floor"), repeat=2)

    assert [one.error for one in measured["ours"]] == ["ValueError: no"]
    assert benchmarks.report.Result(case, measured).met is False


def test_only_medians_decide_whether_a_target_is_met(benchmarks: Any) -> None:
    def result(*ours: float) -> Any:
        made = benchmarks.measure.Measurement
        measured = {
            "ours": [made(seconds=seconds) for seconds in ours],
            "old": [made(seconds=6.0) for _ in ours],
            "floor": [made(seconds=1.0) for _ in ours],
        }
        targets = benchmarks.cases.Targets(old=3, floor=2)
        return benchmarks.report.Result(benchmarks.cases.Case("W0", "x", {}, targets=targets), measured)

    assert result(1.0, 2.0, 9.0).met is True
    assert result(1.0, 2.1, 2.1).met is False
    assert str(result(1.0, 2.0, 4.0).against_old) == "3× (1.5–6)"


def test_the_quick_form_fails_only_where_a_ratio_has_grown_by_more_than_its_margin(
    benchmarks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, made = benchmarks.quick, benchmarks.measure.Measurement
    case = benchmarks.cases.Case("W0", "x", {"ours": "", "floor": ""}, quick={})
    ratios: list[float] = []  # of the next measurements
    asked: list[int] = []

    def measured(cases: Any, subjects: Any, *, repeat: int, quick: bool) -> Any:
        assert [case.id for case in cases] == ["W0 x"]
        asked.append(repeat)
        ours = [made(cpu_seconds=ratios.pop(0)), made(cpu_seconds=50.0)]
        yield case, {"ours": ours, "floor": [made(cpu_seconds=1.0)] * 2}

    monkeypatch.setattr(quick, "measure_all", measured)
    monkeypatch.setattr(quick, "_RECORDED", tmp_path / "quick.json")

    less, more = quick.MARGIN - 0.1, quick.MARGIN + 0.1
    ratios[:] = [1.0]
    assert quick.run([case], 2, record=True) == 0
    assert json.loads((tmp_path / "quick.json").read_text("utf-8")) == {"W0 x": 1.0}
    for found, status in (([less], 0), ([more, less], 0), ([more, more], 1)):
        ratios[:], asked[:] = found, []
        assert quick.run([case], 2) == status
        assert asked == [2, 4][: len(found)]  # what seems slower is looked at again, more closely


def test_every_case_that_ci_watches_has_a_recorded_ratio_and_nothing_else_has(benchmarks: Any) -> None:
    recorded = json.loads((ROOT / "benchmarks" / "quick.json").read_text("utf-8"))
    watched = {case.id for case in benchmarks.cases.all_cases() if case.quick is not None and "floor" in case.subjects}
    assert set(recorded) == watched


def test_a_profile_has_the_cpu_time_of_every_thread_and_no_time_that_a_thread_waited(benchmarks: Any) -> None:
    def busy() -> None:
        end = time.thread_time() + 0.2
        while time.thread_time() < end:
            sum(range(1000))

    def step() -> None:
        idle = threading.Thread(target=waiting.wait, daemon=True)
        idle.start()
        worker = threading.Thread(target=busy)
        worker.start()
        worker.join()
        busy()

    waiting = threading.Event()
    try:
        text = benchmarks.profiling.profiled(step)
    finally:
        waiting.set()

    [took] = re.findall(r"function calls.* in ([\d.]+) seconds", text)
    assert 0.4 <= float(took) < 0.6
    assert re.search(r"2 .*test_benchmarks.py:\d+\(busy\)", text)


def test_a_profile_of_a_case_names_our_functions(benchmarks: Any) -> None:
    case = tiny(benchmarks, "W1 JSON fragments", batches=20, rows=2_000)

    [(_, text)] = benchmarks.measure.profile_all([case])

    assert "tottime" in text
    assert "(infer_column)" in text
